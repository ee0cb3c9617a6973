"""Our own layers and models under everything that records or transforms a computation: right, or a sentence.

The right result is the same transform of the same module in float64, computed by the reference backend. A call that
the kernels could not show to a recorder would appear here as NaN, a constant or a missing derivative.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modules import LAYERS, ModelCase
from transforms import TRANSFORMS
from transforms.sides import compare, in_float32
from transforms.with_autograd import leaves, total
from unrolled import cells
from unrolled.errors import UnrolledError
from unrolled.kernels import native
from unrolled.layers import Additive, Bahdanau, Head, Recurrent, Stacked, set_backend
from unrolled.layers.memory import Memory

USED = """
autograd: backward
autograd: gradient penalty
autograd: is_grads_batched
autograd: forward-mode AD of x
autograd: forward-mode AD of x, no_grad
autograd: forward-mode AD of parameters
autograd: checkpoint, not reentrant
autograd: saved_tensors_hooks
func: functional_call
func: grad of x
func: grad of parameters
func: jvp
func: jvp, no_grad
func: jacfwd
func: vmap of x
func: vmap of x, no_grad
func: vmap of stacked parameters
func: functionalize
modes: FakeTensorMode, no_grad
modes: fake tensors outside of the mode, no_grad
modes: wrapper subclass
modes: wrapper subclass as a parameter
modes: subclass of Tensor, no_grad
modes: negative and conjugate views
modes: negative view as a parameter
outputs: x changed before backward: loud or right
recording: jit.trace
recording: jit.trace, no_grad, unchecked
recording: make_fx
recording: make_fx, no_grad
""".strip().splitlines()
CHOSEN = [t for t in TRANSFORMS if str(t) in USED]


class Decoder(nn.Module):
    """A decoder that attends to its own inputs, as one layer."""

    def __init__(self, cell: Callable[[int, int], cells.Cell[Any, Any]]) -> None:
        super().__init__()
        self.score = Additive(4, 3, 5)
        self.decoder = Bahdanau(Stacked([Recurrent(cell(3 + 3, 4))]), self.score)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 3) -> (B, T, 4)."""
        lengths = torch.full((x.shape[0],), x.shape[1])
        memory = Memory(x, self.score.keys(x), lengths, ())
        states = (self.decoder.layers.layers[0].cell.initial(x),)
        y: Tensor = self.decoder(x, memory, self.decoder.initial(states, memory))[0]
        return y


MODULES: dict[str, Callable[[], nn.Module]] = {
    **{name: LAYERS[name] for name in ("elman-tanh-forward", "gru-both", "lstm-reverse", "layernorm_lstm-forward")},
    **{name: LAYERS[name] for name in ("attention-causal", "block-pre", "bag-max", "window-ahead")},
    "head": lambda: Head(3, 5),
    "decoder-gru": lambda: Decoder(cells.GRUCell),
    "decoder-lstm": lambda: Decoder(cells.LSTMCell),
    "model-gru": lambda: ModelCase("gru", "features", "each", {"num_layers": 2}).make(),
    "model-transformer": lambda: ModelCase("transformer", "features", "once", {}).make(),
}


def made(name: str, *, reference: bool) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    module = MODULES[name]().eval()
    size = getattr(module, "input_size", 3)
    x = torch.randn(2, 5, size, generator=torch.Generator().manual_seed(1))
    if reference:
        set_backend(module, "reference")
        return module.double(), x.double()
    return module, x


def outcome(name: str, run: Callable[[Any, Tensor], Any], *, reference: bool) -> Any:
    module, x = made(name, reference=reference)
    torch.manual_seed(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = run(module, x)
        except Exception as error:  # noqa: BLE001  (the outcome, to be compared)
            return error
    return in_float32(found) if reference else found


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("transform", CHOSEN, ids=str)
def test_is_the_references(name: str, transform: Any) -> None:
    theirs, ours = (outcome(name, transform.run, reference=reference) for reference in (True, False))
    if isinstance(ours, UnrolledError) or (isinstance(theirs, Exception) and type(ours) is type(theirs)):
        return
    compared = compare(_numbers(theirs), _numbers(ours))
    assert compared.word != "DIFFERS", compared.details


def _numbers(found: Any) -> Any:
    """Return the tensors; names of operators and dtypes differ between the backends."""
    return found if isinstance(found, Exception) else leaves(found)


def test_every_transform_exists() -> None:
    assert len(CHOSEN) == len(USED)


@pytest.mark.parametrize("name", MODULES)
def test_outputs_changed_in_place(name: str) -> None:
    """The gradients are right, or autograd refuses the change."""
    module, x = made(name, reference=False)
    y = leaves(module(x.requires_grad_()))[0]
    (expected,) = torch.autograd.grad(total(y + 1), x)
    y = leaves(module(x))[0]
    y += 1
    try:
        (found,) = torch.autograd.grad(total(y), x)
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)  # noqa: PT017
        return
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
