"""Training with bfloat16 products: the definition in float64 with rounded operands, forward and backward."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import modules
from unrolled import scan
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.kernels import native

pytestmark = pytest.mark.skipif(not native.multiplies_bfloat16(), reason="nothing here multiplies bfloat16")

SIZES = [(1, 1, 8, 5), (3, 5, 7, 13), (2, 9, 16, 16), (9, 7, 33, 67), (20, 6, 64, 64), (33, 20, 130, 96), (5, 3, 9, 40)]
KINDS = [ElmanCell, GRUCell, LSTMCell]


class _Product(torch.autograd.Function):
    """W x of rounded operands, forward and backward, with exact sums."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        rounded = [t.bfloat16().to(t.dtype) for t in (x, weight)]
        ctx.save_for_backward(*rounded)
        return rounded[0] @ rounded[1].T

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        dy = dy.bfloat16().to(dy.dtype)
        return dy @ weight, dy.flatten(0, -2).T @ x.flatten(0, -2)


class Rounded(TorchFunctionMode):
    """The products of a cell, of rounded operands."""

    def __torch_function__(self, function: Callable[..., Any], types: Any, arguments: Any = (), options: Any = None):
        if function is F.linear:
            x, weight, bias = arguments
            return _Product.apply(x, weight) + bias
        if function in (Tensor.__matmul__, Tensor.matmul):
            return _Product.apply(arguments[0], arguments[1].T)
        return function(*arguments, **(options or {}))


def run(
    cell: Cell, x: Tensor, lengths: Tensor | None, backend: str, *, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Return outputs, final state and all gradients."""
    x = x.clone().requires_grad_()
    torch.manual_seed(1)
    state = cell.State(
        *(torch.randn(len(x), cell.hidden_size).to(x.dtype).requires_grad_() for _ in cell.State._fields)
    )
    y, after = scan.scan(cell, x, state, lengths, backend=backend, mask=mask)
    loss = (y * torch.randn(y.shape).to(x.dtype)).sum() + sum(leaf.square().sum() for leaf in after)
    named = {"x": x, **state._asdict(), **dict(cell.named_parameters())}
    gradients = torch.autograd.grad(loss, [*named.values()])
    return {"y": y.detach(), **{f"last {k}": v.detach() for k, v in after._asdict().items()},
            **{f"d{k}": d for k, d in zip(named, gradients, strict=True)}}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_the_definition_with_rounded_operands(kind: type[Cell], size: tuple[int, ...]) -> None:
    """The difference to it is a small part of that which rounding makes: sums in float32, and a few other roundings."""
    B, T, D, H = size
    cell = kind(D, H)
    wide = kind(D, H).double()
    wide.load_state_dict(cell.state_dict())
    x = torch.randn(B, T, D)
    masks = (None, torch.bernoulli(torch.full((B, H), 0.5)) * 2)
    for lengths, mask in itertools.product((None, torch.arange(B) % (T + 1)), masks):
        with torch.autocast("cpu", torch.bfloat16):
            found = run(cell, x, lengths, "fused", mask=mask)
        double = None if mask is None else mask.double()
        exact = run(wide, x.double(), lengths, "reference", mask=double)
        with Rounded():
            defined = run(wide, x.double(), lengths, "reference", mask=double)
        for name, value in found.items():
            assert value.dtype == torch.float32
            if D * 2 < 16 and name == "dweight_x":
                continue  # a narrow x stays float32 in this product
            rounding = float((defined[name] - exact[name]).norm())
            assert float((value.double() - defined[name]).norm()) <= rounding / 4 + 1e-5, name
            assert rounding <= 0.05 * float(exact[name].norm()) + 1e-5, name  # the budget of bfloat16: 2⁻⁸, some steps


@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_other_sequences_change_no_bit(kind: type[Cell]) -> None:
    cell, x = modules.shaken(kind(33, 67)), torch.randn(19, 9, 33)
    before = torch.get_num_threads()
    with torch.autocast("cpu", torch.bfloat16):
        whole = run(cell, x, None, "fused")
        alone, _ = scan.scan(cell, x[3:4], cell.State(*(whole_state[3:4] for whole_state in _states(cell, x))))
        try:
            torch.set_num_threads(1)
            single = run(cell, x, None, "fused")
        finally:
            torch.set_num_threads(before)
    assert torch.equal(alone[0], whole["y"][3])
    for name, value in whole.items():
        assert torch.equal(single[name], value), name


def _states(cell: Cell, x: Tensor) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(len(x), cell.hidden_size) for _ in cell.State._fields]


def test_other_instruction_sets_do_not_round() -> None:
    cell, x = LSTMCell(8, 16), torch.randn(2, 3, 8)
    names = [name for name, here in native.isas().items() if here and name != native.isa()]
    for name in names:
        with native.use_isa(name):
            plain = scan.scan(cell, x)[0]
            with torch.autocast("cpu", torch.bfloat16):
                assert torch.equal(scan.scan(cell, x)[0], plain)
