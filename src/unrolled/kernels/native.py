"""The compiled kernels (csrc/): their availability, instruction set and number of threads, and the calls they may take.

A kernel writes to memory without torch's knowledge. Whatever records or transforms the operations of a call (a tracer,
torch.func, forward-mode AD, a mode, a tensor subclass) would therefore see how a result is allocated, and not its
values. `eager` is the one rule: the kernels compute plain eager calls, and torch's own operations all others.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils._device import DeviceContext

from unrolled.errors import ConfigError

__all__ = [
    "Recurrence",
    "compiled",
    "dense",
    "eager",
    "index",
    "is_recorded",
    "is_transformed",
    "isa",
    "isas",
    "kernels",
    "multiplies_bfloat16",
    "rows",
    "threads",
    "use_isa",
]

kernels: ModuleType | None = (
    importlib.import_module("unrolled._kernels") if importlib.util.find_spec("unrolled._kernels") else None
)


class Recurrence(IntEnum):
    """The recurrences of the kernels, by their numbers in csrc/bindings.cc."""

    ELMAN = 0
    ELMAN_RELU = 1
    GRU = 2
    LSTM = 3


_forked, _warned = False, False  # whether this is a forked child, and whether it has warned about its one thread


def compiled() -> bool:
    """Return True if the kernels were compiled when the package was installed."""
    return kernels is not None


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
    forced = os.environ.get("UNROLLED_ISA")
    if forced:
        return _index_of(forced)
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


def is_recorded() -> bool:
    """Return True if the operations of this thread are recorded or intercepted: by torch.jit.trace, or by a mode.

    Modes are those of `__torch_dispatch__` (make_fx, FakeTensorMode, counters of operations) and `__torch_function__`,
    except for the default device.
    """
    return (
        torch._C._get_tracing_state() is not None
        or torch._C._len_torch_dispatch_stack() > 0
        or (torch._C._len_torch_function_stack() > 0 and _has_function_mode())
    )


def _has_function_mode() -> bool:
    modes = (torch._C._get_function_stack_at(i) for i in range(torch._C._len_torch_function_stack()))
    return not all(isinstance(mode, DeviceContext) for mode in modes)


def is_transformed() -> bool:
    """Return True inside a transform of torch.func (grad, vmap, jvp, …) or a level of forward-mode AD."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def eager(*tensors: Tensor | None) -> bool:
    """Return True if a call on these tensors is a plain eager call, which the kernels may compute.

    The tensors are plain strided tensors in memory: no subclass, no lazy negation or zero. Their device and dtype are
    not checked.
    """
    if is_recorded() or is_transformed():
        return False
    for t in tensors:
        if t is None:
            continue
        if (type(t) is not Tensor and type(t) is not nn.Parameter) or t.layout is not torch.strided:
            return False
        if t.is_neg() or t._is_zerotensor():
            return False
    return True


def dense(tensor: Tensor | None) -> Tensor | None:
    """Return the tensor contiguous in memory, as the kernels require."""
    return tensor if tensor is None or tensor.is_contiguous() else tensor.contiguous()


def rows(tensor: Tensor) -> Tensor:
    """Return the tensor (B, T, n) with a contiguous last axis, as the kernels require."""
    return tensor if tensor.is_contiguous() or tensor.stride(2) == 1 else tensor.contiguous()
