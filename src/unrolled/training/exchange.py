"""The sum of the gradients of all processes, with the same bits in each of them.

Each process adds up one slice of the gradients of all, in the order of the tree over shards (`shards`), then each takes
the slices of all: a reduce-scatter and an all-gather whose order of additions does not depend on the number of
processes. On one machine the gradients are in memory that all processes map; otherwise they are sent, by Gloo between
CPUs and by NCCL between GPUs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from unrolled import launch
from unrolled.errors import ProcessError, excerpt
from unrolled.training.shards import Span, owned, subtrees, tree_sum

__all__ = ["Exchange", "connected"]

Tensors = list[Tensor]


class Exchange:
    """Sums tensors over processes.

    Args:
        rank: the number of this process, from 0.
        count: R, the number of all.
    """

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        self._memory: _Memory | None = None
        self._memory_fails = not (launch.on_one_machine() and hasattr(os, "memfd_create"))

    def sum(self, ours: list[Tensors], shards: int) -> Tensors:
        """Return the sum over all shards; `ours` is overwritten.

        Args:
            ours: the tensors of each subtree of this process, in order, with the same shapes in all processes.
            shards: the number of shards.

        Raises:
            ProcessError: another process has ended.
        """
        spans = [list(subtrees(owned(rank, self.count, shards), (0, shards))) for rank in range(self.count)]
        if not self._memory_fails and ours[0][0].device.type == "cpu":
            size = sum(tensor.numel() for tensor in ours[0])
            if self._memory is None or (self._memory.spans, self._memory.size) != (spans, size):
                self._memory = _Memory.shared(self.rank, spans, size, ours[0][0].dtype)
                self._memory_fails = self._memory is None
            if self._memory is not None:
                return self._memory.sum(ours, shards)
        return _sum_by_messages(self.rank, spans, ours, shards)


class _Memory:
    """The flattened tensors of all subtrees, in memory that all processes of a machine map.

    Args:
        rank: the number of this process.
        spans: the subtrees of each process.
        size: n, the numbers of all tensors of a subtree.
        vectors: of each process (subtrees, n).
    """

    def __init__(self, rank: int, spans: list[list[Span]], size: int, vectors: Tensors) -> None:
        self.rank, self.spans, self.size, self.vectors = rank, spans, size, vectors

    @classmethod
    def shared(cls, rank: int, spans: list[list[Span]], size: int, dtype: torch.dtype) -> _Memory | None:
        """Map memory of all processes, or return None in all of them where one cannot.

        The memory has no name in a folder, so none is left by a process that is killed, and the size of /dev/shm,
        small in containers, is no limit.
        """
        descriptor = os.memfd_create("unrolled-gradients")
        try:
            paths: list[str] = [""] * len(spans)
            with connected():
                dist.all_gather_object(paths, f"/proc/{os.getpid()}/fd/{descriptor}")
            try:
                vectors = [
                    torch.from_file(path, shared=True, size=len(each) * size, dtype=dtype).view(len(each), size)
                    for path, each in zip(paths, spans, strict=True)
                ]
            except RuntimeError:  # another user's process, or one in a container of its own
                vectors = []
            mapped: list[bool] = [False] * len(spans)
            with connected():
                dist.all_gather_object(mapped, bool(vectors))
        finally:
            os.close(descriptor)
        return cls(rank, spans, size, vectors) if all(mapped) else None

    def sum(self, ours: list[Tensors], shards: int) -> Tensors:
        """Return the sum over all shards, in the tensors of the first subtree."""
        self._wait()  # until all have taken the previous sum
        for vector, tensors in zip(self.vectors[self.rank], ours, strict=True):
            torch.cat([tensor.reshape(-1) for tensor in tensors], out=vector)
        self._wait()
        count = len(self.spans)
        begin, end = self.rank * self.size // count, (self.rank + 1) * self.size // count
        slices = [vector[begin:end] for vectors in self.vectors for vector in vectors]
        (total,) = _added(self.spans, slices, shards)
        assert total.data_ptr() == slices[0].data_ptr(), "a sum is in the place of its first term"
        self._wait()
        torch._foreach_copy_(ours[0], _parts(self.vectors[0][0], ours[0]))
        return ours[0]

    def _wait(self) -> None:
        with connected():
            dist.barrier()


def _sum_by_messages(rank: int, spans: list[list[Span]], ours: list[Tensors], shards: int) -> Tensors:
    """Return the sum over all shards, by two messages to each process.

    Args:
        rank: the number of this process.
        spans: the subtrees of each process.
        ours: the tensors of each subtree of this process.
        shards: the number of shards.
    """
    R, first = len(spans), ours[0][0]
    size = sum(tensor.numel() for tensor in ours[0])
    n = -(-size // R)  # numbers of a slice
    vectors = first.new_zeros(len(ours), R * n)
    for vector, tensors in zip(vectors, ours, strict=True):
        torch.cat([tensor.reshape(-1) for tensor in tensors], out=vector[:size])
    sent = vectors.view(len(ours), R, n).transpose(0, 1).reshape(-1)  # (R, subtrees, n)
    received = first.new_empty(sum(map(len, spans)) * n)
    with connected():
        dist.all_to_all_single(received, sent, [len(each) * n for each in spans], [len(ours) * n] * R)
    (total,) = _added(spans, received.view(-1, n), shards)
    result = first.new_empty(R * n)
    with connected():
        dist.all_to_all_single(result, total.repeat(R))
    return _parts(result[:size], ours[0])


def _added(spans: list[list[Span]], slices: Sequence[Tensor] | Tensor, shards: int) -> Tensors:
    """Return the sum of the slices of all subtrees, in the order of the tree; they are overwritten."""
    known = dict(zip([span for each in spans for span in each], slices, strict=True))
    return tree_sum((0, shards), lambda span: [known[span]] if span in known else None)


def _parts(vector: Tensor, like: Tensors) -> Tensors:
    """Return the parts of a vector, in the shapes of other tensors."""
    parts = torch.split(vector, [tensor.numel() for tensor in like])
    return [part.view(tensor.shape) for part, tensor in zip(parts, like, strict=True)]


@contextmanager
def connected() -> Iterator[None]:
    """Raise ProcessError for the errors of a message: torch raises a RuntimeError when a connection ends.

    Raises:
        ProcessError: another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        told = re.sub(r"^\[.*?\] ", "", str(error).partition("\n")[0])  # without the line of torch's source
        raise ProcessError(f"another process of the training was lost ({excerpt(told, 120)})") from None
