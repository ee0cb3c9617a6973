"""Drop-in replacements of torch.nn's recurrent layers and cells that use our CPU kernels where possible.

    from unrolled import nn as fast
    layer = fast.GRU(128, 256, num_layers=2, batch_first=True)      # torch.nn.GRU, only faster
    fast.convert(model)                                             # the same for an existing model
    fast.to_torch(model)                                            # and back
    first, second = layer.states(x)                                 # every gate and state of every step

Each class is a subclass of torch's own: isinstance, repr, state_dict, arguments and errors are torch's. Plain eager
calls on the CPU in float32 (in bfloat16 without gradients), and calls under torch.compile, run our kernels. Every other
call is computed by torch itself: another device or dtype, autocast, proj_size, no kernels installed, and whatever
records or transforms a call, such as torch.jit.trace, torch.func, forward-mode AD, torch.export, make_fx, fake tensors
and other modes and tensor subclasses. Gradients of any order can be computed.

Two things differ from torch.nn: dropout between layers draws other random numbers, and `type(layer) is torch.nn.LSTM`
is false. Tools that look layers up by their exact type, such as torch.ao.quantization.quantize_dynamic, skip ours
without a word: pass them `to_torch(model)`.
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from unrolled.kernels import freeze
from unrolled.nn.cells import GRUCell, LSTMCell, RNNCell
from unrolled.nn.layers import GRU, LSTM, RNN, GRUStates, LSTMStates, RNNStates

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "GRUStates",
    "LSTMCell",
    "LSTMStates",
    "RNNCell",
    "RNNStates",
    "convert",
    "to_torch",
]

M = TypeVar("M", bound=nn.Module)
_OURS: dict[type[nn.Module], type[nn.Module]] = {c.twin: c for c in (RNN, GRU, LSTM, RNNCell, GRUCell, LSTMCell)}
_TORCHS = {ours: theirs for theirs, ours in _OURS.items()}


def convert(module: M) -> M:
    """Change the class of every torch recurrent layer and cell inside `module` to ours, in place.

    Args:
        module: a torch.nn.RNN, LSTM, GRU, RNNCell, LSTMCell or GRUCell, or a model with any number of them. They keep
            their parameters, hooks and mode. Subclasses of torch's classes stay unchanged.

    Returns:
        `module` itself.
    """
    return _change(module, _OURS)


def to_torch(module: M) -> M:
    """Change the class of every layer and cell of ours inside `module` to torch's, in place: the inverse of `convert`.

    Args:
        module: one of our layers or cells, or a model with any number of them. They keep their parameters, hooks and
            mode. Subclasses of our classes stay unchanged.

    Returns:
        `module` itself.
    """
    return _change(module, _TORCHS)


def _change(module: M, classes: dict[type[nn.Module], type[nn.Module]]) -> M:
    for each in module.modules():
        if type(each) in classes:
            each.__class__ = classes[type(each)]
    return module


freeze.OWNERS.update(dict.fromkeys(_TORCHS, lambda module: module.packable()))
