"""The compiled kernels (csrc/): their availability, instruction set and number of threads.

They compute plain eager calls only, see `unrolled.eager`.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor

from unrolled.errors import ConfigError

__all__ = [
    "NO_KERNELS",
    "Recurrence",
    "compiled",
    "compiler",
    "dense",
    "index",
    "isa",
    "isas",
    "kernels",
    "multiplies_bfloat16",
    "rows",
    "threads",
    "use_isa",
]

_forced = os.environ.get("UNROLLED_ISA", "")  # "none": as if the kernels were not compiled
kernels: ModuleType | None = (
    importlib.import_module("unrolled._kernels")
    if _forced != "none" and importlib.util.find_spec("unrolled._kernels")
    else None
)

NO_KERNELS = (
    "UNROLLED_ISA is none, so the compiled kernels are not used"
    if _forced == "none"
    else "unrolled was installed without its compiled kernels, so it computes with torch, more slowly: install a C++20 "
    "compiler with OpenMP, then unrolled again (`pip install -v` shows the reason)"
)
"""Message where nothing is computed by the kernels."""


class Recurrence:
    """The recurrences of the kernels, by their numbers in csrc/bindings.cc."""

    ELMAN, ELMAN_RELU, GRU, LSTM = range(4)


_forked, _warned = False, False  # whether this is a forked child, and whether it has warned about its one thread


def compiled() -> bool:
    """Return True if the kernels were compiled when the package was installed."""
    return kernels is not None


def compiler() -> str | None:
    """Return the name and version of the compiler of the kernels, such as "GNU 12.2.0"; None without kernels."""
    return None if kernels is None else str(kernels.COMPILER)


def isas() -> dict[str, bool]:
    """Return the compiled instruction sets, best first, each with its availability on this processor."""
    return {} if kernels is None else {name: available for name, available, _ in kernels.isas()}


def _index_of(name: str) -> int:
    known = isas()
    available = [isa for isa, is_available in known.items() if is_available]
    if not known.get(name, False):
        reason = "this processor does not have it" if name in known else "there are no such kernels"
        names = ", ".join(available) or "none"
        raise ConfigError(f'UNROLLED_ISA: "{name}" cannot be used, {reason}; available: {names}')
    return list(known).index(name)


def _best() -> int:
    if _forced not in ("", "none"):
        return _index_of(_forced)
    return list(isas().values()).index(True) if compiled() else -1


_isa = _best()
_PORTABLE = list(isas()).index("portable") if compiled() else -1


def index(dtype: torch.dtype) -> int:
    """Return the index in `isas()` of the instruction set for this dtype; that of float64, for checks, is portable."""
    return _PORTABLE if dtype is torch.float64 else _isa


def multiplies_bfloat16() -> bool:
    """Return True if the instruction set in use, on this processor, multiplies bfloat16."""
    return kernels is not None and bool(kernels.isas()[_isa][2])


def isa() -> str | None:
    """Return the name of the instruction set in use; None without kernels."""
    return list(isas())[_isa] if compiled() else None


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use another instruction set inside the block, in every thread: for tests and measurements.

    Raises:
        ConfigError: the kernels or the processor do not have it.
    """
    global _isa
    before, _isa = _isa, _index_of(name)
    try:
        yield
    finally:
        _isa = before


def threads() -> int:
    """Return the number of threads of a call: that of torch; 1 in a forked child, where OpenMP does not work."""
    global _warned
    if not _forked:
        return torch.get_num_threads()
    if not _warned:
        _warned = True
        warnings.warn("unrolled: a forked process runs its scans on one thread; spawn it to use more", stacklevel=4)
    return 1


def _after_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_after_fork)


def dense(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor contiguous in memory, as the kernels require."""
    return tensor if tensor is None or tensor.is_contiguous() else tensor.contiguous()


def rows(tensor: Tensor) -> Tensor:
    """Return the tensor (B, T, n) with a contiguous last axis, as the kernels require."""
    return tensor if tensor.is_contiguous() or tensor.stride(2) == 1 else tensor.contiguous()
