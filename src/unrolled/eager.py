"""Plain eager calls: those whose tensors may be read and written without torch's knowledge.

A kernel of ours writes to memory, and a check of values reads from it, behind torch's back. Whatever records or
transforms the operations of a call (torch.jit.trace, torch.func, forward-mode AD, a mode, a tensor subclass) would see
how a result is allocated and not its values, or would take a value for a constant. So there is one rule, `eager`:
kernels and checks of values are for plain eager calls, and torch's own operations for all others.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.utils._device import DeviceContext

__all__ = ["eager", "in_memory", "is_recorded", "is_transformed", "readable"]

_tracing_state = torch._C._get_tracing_state
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_has_storage = torch._C._has_storage  # not of sparse tensors, nor of batches of gradients
_transforms = torch._C._are_functorch_transforms_active


def is_recorded() -> bool:
    """Return True if the operations of this thread are recorded or intercepted: by a tracer or a mode.

    Tracers are those of torch.jit.trace, torch.compile and torch.export. Modes are those of `__torch_dispatch__`
    (make_fx, FakeTensorMode, counters of operations) and `__torch_function__`, except for the default device.
    """
    return (
        torch.compiler.is_compiling()
        or _tracing_state() is not None
        or _dispatch_modes() > 0
        or (_function_modes() > 0 and _has_function_mode())
    )


def _has_function_mode() -> bool:
    modes = (torch._C._get_function_stack_at(i) for i in range(_function_modes()))
    return not all(isinstance(mode, DeviceContext) for mode in modes)


def is_transformed() -> bool:
    """Return True inside a transform of torch.func (grad, vmap, jvp, …) or a level of forward-mode AD."""
    return _transforms() or forward_ad._current_level >= 0


def eager(*tensors: Tensor | None) -> bool:
    """Return True if a call on these tensors is a plain eager call, which the kernels may compute.

    Nothing records or transforms it, and `in_memory` holds for the tensors. Their device and dtype are not checked.
    """
    return not is_recorded() and not is_transformed() and in_memory(*tensors)


def in_memory(*tensors: Tensor | None) -> bool:
    """Return True if these are plain strided tensors with values in memory: no subclass, no lazy negation, not meta."""
    for t in tensors:
        kind = type(t)
        if t is None or (kind is Parameter and not t.is_neg()):  # a parameter that is sparse is refused by the kernels
            continue
        if kind is not Tensor or t.is_meta or not _has_storage(t) or t.is_neg() or t._is_zerotensor():
            return False
    return True


def readable(tensor: Tensor) -> bool:
    """Return True if Python may read the values of the tensor: they are on the CPU, in a plain eager call."""
    return tensor.is_cpu and eager(tensor)
