"""bfloat16 weights and inputs with float32 sums: close to the same weights in float32, the same bits in any batch."""

import pytest
import torch
from torch import nn

import modules
from unrolled import nn as fast
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.errors import BackendError
from unrolled.kernels import native
from unrolled.kernels import scan as recurrences
from unrolled.layers import Recurrent
from unrolled.scan import choose
from unrolled.state import leaves

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

EPS = torch.finfo(torch.bfloat16).eps
SIZES = [(1, 1, 4, 5), (3, 5, 7, 13), (2, 4, 1, 1), (9, 7, 33, 67), (20, 6, 64, 64), (2, 0, 4, 4), (5, 3, 130, 96)]
KINDS = [ElmanCell, GRUCell, LSTMCell]
ISAS = [name for name, here in native.isas().items() if here]


def narrow(kind: type[Cell], D: int, H: int) -> tuple[Recurrent, Recurrent]:
    """A layer in bfloat16 without gradients, and one in float64 with the same weights."""
    layer = Recurrent(modules.shaken(kind(D, H))).bfloat16().requires_grad_(False)
    wide = Recurrent(kind(D, H)).double().requires_grad_(False)
    wide.load_state_dict(layer.state_dict())
    return layer, wide


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("isa", ISAS)
def test_it_is_the_same_weights_in_float64_within_a_rounding_of_h(
    kind: type[Cell], size: tuple[int, ...], isa: str
) -> None:
    B, T, D, H = size
    layer, wide = narrow(kind, D, H)
    x, lengths = torch.randn(B, T, D).bfloat16(), torch.arange(B) % (T + 1)
    state = kind.State(*(torch.randn(B, H) for _ in kind.State._fields))
    with native.use_isa(isa):
        y, after = layer(x, state, lengths)
    exact, after_exact = wide(x.double(), kind.State(*(s.double() for s in state)), lengths)
    assert y.dtype == torch.bfloat16
    assert all(s.dtype == torch.float32 for s in after)
    # h is rounded by eps / 2 on its way back in; each step's weights make of that at most |W_h| times as much.
    gain = float(wide.cell.weight_h.abs().sum(1).max())
    limit = EPS / 2 * (1 + sum(gain**t for t in range(1, T + 1)) * max(1.0, float(state[0].abs().max()) if B else 1.0))
    assert torch.all((y.double() - exact).abs() <= limit)
    assert all(torch.all((a.double() - e).abs() <= limit) for a, e in zip(after, after_exact, strict=True))
    padded = torch.arange(T) >= lengths.unsqueeze(1)
    assert torch.all(y[padded] == 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_bits_alone_in_chunks_and_on_one_thread(kind: type[Cell]) -> None:
    layer, _ = narrow(kind, 33, 67)
    x = torch.randn(19, 9, 33).bfloat16()
    y, after = layer(x)
    for i in (0, 7, 18):
        alone, state = layer(x[i : i + 1, :4])
        rest, state = layer(x[i : i + 1, 4:], state)
        assert torch.equal(torch.cat([alone, rest], 1)[0], y[i])
        assert all(torch.equal(s[0], a[i]) for s, a in zip(state, after, strict=True))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(layer(x)[0], y)
    finally:
        torch.set_num_threads(before)


def test_strides_and_odd_offsets_change_no_bit() -> None:
    layer, _ = narrow(GRUCell, 6, 10)
    x = torch.randn(4, 5, 6).bfloat16()
    y = layer(x)[0]
    shifted = torch.empty(4 * 5 * 6 + 1, dtype=torch.bfloat16)[1:].view(4, 5, 6).copy_(x)
    assert shifted.data_ptr() % 4 == 2
    for same in (shifted, x.transpose(0, 1).contiguous().transpose(0, 1), torch.cat([x, x], 2)[..., :6]):
        assert torch.equal(layer(same)[0], y)


def test_gradients_are_torchs_affair() -> None:
    cell = GRUCell(3, 4).bfloat16()
    assert choose("auto", cell) == "torch"
    with pytest.raises(BackendError, match="bfloat16 without gradients"):
        choose("fused", cell)
    with torch.no_grad():
        assert choose("auto", cell) == "fused"
    y, _ = Recurrent(cell)(torch.randn(2, 3, 3).bfloat16())
    y.float().sum().backward()
    assert cell.weight_h.grad is not None


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_nn_replaces_torchs_modules(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = getattr(nn, name)(9, 13, num_layers=2, bidirectional=True, batch_first=True).bfloat16()
    ours = getattr(fast, name)(9, 13, num_layers=2, bidirectional=True, batch_first=True).bfloat16()
    ours.load_state_dict(theirs.state_dict())
    ran = []
    run = recurrences.run
    monkeypatch.setattr(recurrences, "run", lambda *a: ran.append(1) or run(*a))
    x = torch.randn(3, 4, 9).bfloat16()
    with torch.no_grad():
        y, state = ours(x)
        y_theirs, state_theirs = theirs(x)
    assert len(ran) == 4
    assert y.dtype == y_theirs.dtype == torch.bfloat16
    assert torch.allclose(y.float(), y_theirs.float(), atol=8 * EPS)  # torch rounds the state as well
    for a, b in zip(leaves(state), leaves(state_theirs), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape


def test_wrong_calls_of_the_kernel_name_the_argument() -> None:
    if not native.multiplies_bfloat16():
        pytest.skip("this processor does not multiply bfloat16")
    half = {"dtype": torch.bfloat16}
    good = {
        "recurrence": native.kernels.GRU, "isa": native.index(torch.float32), "threads": 1, "reverse": False,
        "x": torch.zeros(2, 3, 4, **half), "lengths": None, "weight_x": torch.zeros(15, 4, **half),
        "weight_h": torch.zeros(15, 6, **half), "bias": torch.zeros(15), "bias_n": torch.zeros(5), "mask": None,
        "h0": torch.zeros(2, 5), "c0": None, "y": torch.zeros(2, 3, 5, **half), "h": torch.zeros(2, 5), "c": None,
        "saved": None,
    }  # fmt: skip
    native.kernels.forward(**good)
    for name, wrong in (
        ("x", torch.zeros(2, 3, 3, **half)), ("x", torch.zeros(25, **half)[1:].view(2, 3, 4)), ("x", None),
        ("weight_x", torch.zeros(15, 4)), ("weight_h", torch.zeros(15, 5, **half)), ("weight", torch.zeros(15, 6)),
        ("bias", torch.zeros(15, **half)), ("h0", torch.zeros(2, 5, **half)), ("y", torch.zeros(2, 3, 6)),
        ("saved", torch.zeros(3, 2, 20)),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=name):
            native.kernels.forward(**{**good, "weight_h" if name == "weight" else name: wrong})


def test_what_stands_in_memory_from_before_does_not_come_in() -> None:
    """H is odd: its last pair is half empty, and what no unit is must not return."""
    layer, _ = narrow(LSTMCell, 4, 13)
    x = torch.randn(3, 5, 4).bfloat16()
    y, _ = layer(x)
    for size in (13, 31, 64):
        not_a_number = Recurrent(LSTMCell(4, size)).requires_grad_(False)
        not_a_number.cell.bias.fill_(torch.nan)
        not_a_number(torch.randn(3, 5, 4))
        assert torch.equal(layer(x)[0], y)
