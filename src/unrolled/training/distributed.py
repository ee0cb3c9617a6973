"""Training on many processes that torchrun has started, each with a copy of the model and some shards of each batch.

The gradients are summed in the order of the tree over shards (`shards`, `exchange`).

Process 0 reads and writes the run's folder, evaluates, and decides all that depends on a clock or a signal; the others
are told. All of them read the data.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from unrolled import launch
from unrolled.config import Config
from unrolled.errors import ConfigError, ProcessError, TrainingError, UnrolledError
from unrolled.training.exchange import Exchange, connected
from unrolled.training.shards import Span, owned, subtrees, tree_sum

__all__ = ["ALONE", "Processes", "joined"]

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

R = TypeVar("R")

PATIENCE = timedelta(days=1)
"""For one message: process 0 may evaluate for long while the others wait. A process that ends is noticed at once."""


@dataclass(frozen=True)
class Processes:
    """The processes of a training.

    Args:
        rank: the number of this one, from 0.
        count: R, the number of all.
        exchange: sums the gradients of many.
    """

    rank: int = 0
    count: int = 1
    exchange: Exchange | None = field(default=None, compare=False)

    @property
    def first(self) -> bool:
        """True in process 0."""
        return self.rank == 0

    def shards(self, config: Config, data: object) -> dict[str, int]:
        """Return the number of shards as a setting, where it follows from the number of processes.

        Args:
            config: the settings of the training.
            data: its data.

        Raises:
            ConfigError: the processes cannot share the training.
        """
        shards = config.training.shards
        if self.count == 1:
            return {}
        if data == "-":
            raise ConfigError("standard input has one reader: give a file, which every process reads")
        if shards is not None and self.count > shards:
            raise ConfigError(
                f"{self.count} processes need at least {self.count} shards: got {shards}. Start fewer processes, or "
                f"begin a new training with --shards {self.count}"
            )
        return {} if shards is not None else {"shards": self.count}

    def owned(self, shards: int) -> Span:
        """Return the shards of this process."""
        return owned(self.rank, self.count, shards)

    def sum(self, shards: int, gradient: Callable[[int], list[Tensor]]) -> list[Tensor]:
        """Return the sum over all shards of all processes, with the same bits in each of them.

        Args:
            shards: the number of shards.
            gradient: computes the tensors of one shard; called for each shard of this process, in order.

        Raises:
            ProcessError: another process has ended.
        """

        def computed(span: Span) -> list[Tensor] | None:
            return gradient(span[0]) if span[1] - span[0] == 1 else None

        ours = [tree_sum(span, computed) for span in subtrees(self.owned(shards), (0, shards))]
        return ours[0] if self.exchange is None else self.exchange.sum(ours, shards)

    def agree(self, *values: float) -> list[float]:
        """Return the greatest of each value over all processes.

        Raises:
            ProcessError: another process has ended.
        """
        if self.count == 1:
            return list(values)
        pooled = torch.tensor(values, dtype=torch.float64)
        with connected():
            dist.all_reduce(pooled, op=dist.ReduceOp.MAX)
        return cast("list[float]", pooled.tolist())

    def on_first(self, function: Callable[[], R]) -> R:
        """Call a function in process 0 and return its result in all.

        Raises:
            ProcessError: another process has ended.

        An error of the function is raised in all processes.
        """
        if self.count == 1:
            return function()
        result = [self._attempt(function) if self.first else None]
        with connected():
            dist.broadcast_object_list(result, src=0)
        assert result[0] is not None
        return self._value([result[0]])[0]

    def each(self, function: Callable[[], R]) -> R:
        """Call a function in all processes, and return its result here once it has returned in all.

        Raises:
            ProcessError: another process has ended.

        An error of the function in one process is raised in all of them, with the number of the process.
        """
        if self.count == 1:
            return function()
        attempt = self._attempt(function)
        errors: list[_Attempt[None]] = [_Attempt(None, None)] * self.count
        with connected():
            dist.all_gather_object(errors, _Attempt(None, attempt.error))
        self._value(errors)
        return cast(R, attempt.value)

    def refuse_different(self, facts: Callable[[], Mapping[str, object]]) -> None:
        """Refuse processes that differ from process 0 in their data, settings or versions.

        Args:
            facts: returns what must be the same, by name.

        Raises:
            ConfigError: names the processes, the facts and both values.
        """
        if self.count == 1:
            return
        all_facts: list[Mapping[str, object]] = [{}] * self.count
        with connected():
            dist.all_gather_object(all_facts, dict(facts()))
        different = [
            f"process {rank}: {name} is {theirs.get(name)}, in process 0 {ours}"
            for rank, theirs in enumerate(all_facts)
            for name, ours in all_facts[0].items()
            if theirs.get(name) != ours
        ]
        if different:
            raise ConfigError(
                "the processes of a training need the same data, settings and versions: " + "; ".join(different[:4])
            )

    def refuse_drift(self, tensors: Sequence[Tensor], update: int) -> None:
        """Refuse weights that are not the same in all processes, by the sum of their bits.

        Args:
            tensors: the weights, float32.
            update: number of the update, for the message.

        Raises:
            TrainingError: they differ: a machine computes otherwise than the others, or wrongly.
        """
        if self.count == 1:
            return
        with torch.no_grad():
            bits = sum(int(tensor.view(torch.int32).sum(dtype=torch.int64)) for tensor in tensors) % 2**52
        greatest, negative = self.agree(bits, -bits)
        if greatest != -negative:
            raise TrainingError(
                f"update {update:,}: the weights of the processes are no longer the same: one of the machines computes "
                "otherwise than the others. Resume on machines of one kind"
            )

    def gathered(self, tensors: list[Tensor]) -> list[list[Tensor]]:
        """Return the tensors of each process, in the order of processes.

        Raises:
            ProcessError: another process has ended.
        """
        if self.count == 1:
            return [tensors]
        gathered: list[list[Tensor]] = [[]] * self.count
        with connected():
            dist.all_gather_object(gathered, [tensor.cpu() for tensor in tensors])
        return gathered

    def _attempt(self, function: Callable[[], R]) -> _Attempt[R]:
        """Return the result of a function, or its error."""
        try:
            return _Attempt(function(), None)
        except ProcessError:
            raise
        except Exception as error:  # noqa: BLE001 (it is raised again once all processes know of it)
            return _Attempt(None, error)

    def _value(self, attempts: list[_Attempt[R]]) -> list[R]:
        """Return the results of attempts, or raise the first error of them, with its process if that is not 0."""
        for rank, attempt in enumerate(attempts):
            if attempt.error is not None:
                if rank == 0 or rank == self.rank:
                    raise attempt.error
                raise UnrolledError(f"process {rank}: {attempt.error}") from attempt.error
        return [cast(R, attempt.value) for attempt in attempts]


ALONE = Processes()


@dataclass(frozen=True)
class _Attempt(Generic[R]):
    """The result of a function, or the error that it has raised."""

    value: R | None
    error: Exception | None


def joined() -> Processes:
    """Return the processes that torchrun has started, connected; ALONE without torchrun.

    The connection stays for further trainings of the process. With several accelerators on a machine each process has
    its own.

    Raises:
        ProcessError: the others cannot be reached.
    """
    if launch.count() == 1:
        return ALONE
    if torch.cuda.is_available():
        torch.cuda.set_device(launch.local_rank())
    if not dist.is_initialized():
        with connected():
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                timeout=PATIENCE,
                store=_store(),
                rank=launch.rank(),
                world_size=launch.count(),
            )
        atexit.register(_leave)
    rank, count = dist.get_rank(), dist.get_world_size()
    return Processes(rank, count, Exchange(rank, count))


def _leave() -> None:
    """End the connection: its threads must not outlive the interpreter, which would abort."""
    dist.destroy_process_group()
    gc.collect()  # cycles that hold the group


def _store() -> Store:
    """Return the store in which the processes find each other's addresses.

    After a restart on one machine torchrun keeps its store, with the addresses of the processes that have ended (on
    many machines it makes a new one), so those of each start have their own prefix.
    """
    from torch._C._distributed_c10d import PrefixStore  # not in every build of torch
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://", timeout=PATIENCE))
    alone = int(os.environ.get("GROUP_WORLD_SIZE", 1)) == 1
    return PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store) if alone else store
