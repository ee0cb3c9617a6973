"""Our scans equal torch.nn.RNN, LSTM and GRU in float64: outputs, states, all gradients; weights go both ways."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import modules
from modules import CELLS, gradients, shaken
from tolerances import FLOAT64
from unrolled.cells import GRUCell
from unrolled.errors import ConfigError
from unrolled.layers import Bidirectional, BothStates, Recurrent, Stacked, set_backend
from unrolled.scan.torch import copy_from_torch, copy_to_torch
from unrolled.state import leaves

THEIRS = {
    "elman-tanh": nn.RNN,
    "elman-relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}
D, H, LAYERS = 3, 5, 2
SHAPES = {
    "plain": (4, 6, None),
    "ragged": (4, 6, [6, 3, 1, 4]),
    "one sequence": (1, 6, None),
    "one step": (3, 1, None),
    "one sequence, one step": (1, 1, None),
}


def ours(name: str, both: bool) -> Stacked:
    """A stack of LAYERS layers, in one direction or both."""
    layers, size = [], D
    for _ in range(LAYERS):
        layer = Recurrent(CELLS[name](size, H))
        if both:
            layer = Bidirectional(layer, Recurrent(CELLS[name](size, H), reverse=True))
        layers.append(layer)
        size = layer.output_size
    return shaken(Stacked(layers)).double()


def cells_of(stack: Stacked) -> list[tuple[Recurrent, int, bool]]:
    """(recurrent layer, its depth, whether it reads backwards) in torch's order."""
    return [
        (module, depth, module.reverse)
        for depth, layer in enumerate(stack.layers)
        for module in layer.modules()
        if isinstance(module, Recurrent)
    ]


def run_theirs(module: nn.RNNBase, x: Tensor, lengths: list[int] | None, state: list[Tensor]):
    """y (B, T, ·) and the final states, each (layers · directions, B, H)."""
    hx = (state[0], state[1]) if isinstance(module, nn.LSTM) else state[0]
    if lengths is None:
        y, after = module(x, hx)
    else:
        packed, after = module(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), hx)
        y, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
    return y, list(after) if isinstance(after, tuple) else [after]


def begin(layer: Recurrent | Bidirectional, begun: list[Tensor], counter: Iterator[int]):
    """The state of one layer from torch's, whose leaves are (layers · directions, B, H)."""
    if isinstance(layer, Bidirectional):
        return BothStates(begin(layer.forward_layer, begun, counter), begin(layer.backward_layer, begun, counter))
    index = next(counter)
    return layer.cell.State(*(leaf[index] for leaf in begun))


@pytest.mark.parametrize("backend", modules.BACKENDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("both", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("name", CELLS)
def test_outputs_states_and_gradients(name: str, both: bool, shape: str, backend: str) -> None:
    torch.manual_seed(0)
    B, T, lengths = SHAPES[shape]
    stack = ours(name, both)
    set_backend(stack, backend)
    module = THEIRS[name](D, H, num_layers=LAYERS, bidirectional=both, batch_first=True).double()
    for part, depth, reverse in cells_of(stack):
        copy_to_torch(part.cell, module, layer=depth, reverse=reverse)
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    fields = len(CELLS[name](1, 1).State._fields)
    begun = [torch.randn(len(cells_of(stack)), B, H, dtype=torch.float64, requires_grad=True) for _ in range(fields)]

    theirs_y, theirs_after = run_theirs(module, x, lengths, begun)

    counter = iter(range(len(cells_of(stack))))
    state = tuple(begin(layer, begun, counter) for layer in stack.layers)
    y, after = stack(x, state, None if lengths is None else torch.tensor(lengths))

    torch.testing.assert_close(y, theirs_y, rtol=0, atol=FLOAT64)
    found = list(leaves(after))  # h, c of each direction of each layer
    for k in range(fields):
        torch.testing.assert_close(torch.stack(found[k::fields]), theirs_after[k], rtol=0, atol=FLOAT64)

    parameters = [
        part.cell.get_parameter(p) for part, _, _ in cells_of(stack) for p in ("weight_x", "weight_h", "bias")
    ]
    theirs = [
        w
        for part, depth, reverse in cells_of(stack)
        for w in module.all_weights[depth * (2 if both else 1) + reverse][:3]
    ]
    mine = gradients([y, *(torch.stack(found[k::fields]) for k in range(fields))], [x, *begun, *parameters])
    expected = gradients([theirs_y, *theirs_after], [x, *begun, *theirs])
    for a, b in zip(mine, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("backend", modules.BACKENDS)
def test_the_gradient_of_the_grus_second_bias(backend: str) -> None:
    torch.manual_seed(0)
    layer = shaken(Recurrent(GRUCell(D, H), backend=backend)).double()
    module = nn.GRU(D, H, batch_first=True).double()
    copy_to_torch(layer.cell, module)
    x = torch.randn(3, 4, D, dtype=torch.float64)
    mine = gradients([layer(x)[0]], [layer.cell.bias_n])[0]
    theirs = gradients([module(x)[0]], [module.bias_hh_l0])[0]
    torch.testing.assert_close(mine, theirs[2 * H :], rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("backend", modules.BACKENDS)
@pytest.mark.parametrize("name", CELLS)
def test_no_steps_leave_the_state_as_it_was(name: str, backend: str) -> None:
    layer = Recurrent(CELLS[name](D, H), backend=backend)
    begun = layer.cell.State(*(torch.randn(2, H) for _ in layer.cell.State._fields))
    y, after = layer(torch.zeros(2, 0, D), begun)
    assert y.shape == (2, 0, H)
    assert all(torch.equal(a, b) for a, b in zip(after, begun, strict=True))
    y, _ = layer(torch.zeros(0, 3, D))
    assert y.shape == (0, 3, H)


@pytest.mark.parametrize("name", CELLS)
def test_weights_ours_to_torch_to_ours_are_the_same_bits(name: str) -> None:
    torch.manual_seed(0)
    cell, back = shaken(CELLS[name](D, H)), CELLS[name](D, H)
    module = THEIRS[name](D, H, batch_first=True)
    copy_to_torch(cell, module)
    copy_from_torch(back, module)
    for parameter, value in back.state_dict().items():
        assert torch.equal(value, cell.state_dict()[parameter]), parameter


@pytest.mark.parametrize("name", CELLS)
def test_weights_from_torch_compute_what_torch_computes(name: str) -> None:
    torch.manual_seed(0)
    module = THEIRS[name](D, H, num_layers=2, bidirectional=True, batch_first=True).double()
    x = torch.randn(2, 4, 2 * H, dtype=torch.float64)
    layer = Recurrent(CELLS[name](2 * H, H), reverse=True).double()
    copy_from_torch(layer.cell, module, layer=1, reverse=True)
    single = THEIRS[name](2 * H, H, batch_first=True).double()
    for mine, theirs in zip(single.all_weights[0], module.all_weights[3], strict=True):
        mine.data.copy_(theirs)
    expected = single(x.flip(1))[0].flip(1)
    torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=FLOAT64)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_weights_of_torchs_cells(name: str, bias: bool) -> None:
    torch.manual_seed(0)
    make = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}.get(name, nn.RNNCell)
    options = {"nonlinearity": "relu"} if name == "elman-relu" else {}
    module, cell = make(D, H, bias=bias, **options).double(), CELLS[name](D, H).double()
    copy_from_torch(cell, module)
    x = torch.randn(2, D, dtype=torch.float64)
    after = module(x)
    found, _ = Recurrent(cell)(x.unsqueeze(1))
    torch.testing.assert_close(found[:, 0], after[0] if name == "lstm" else after, rtol=0, atol=FLOAT64)
    if not bias:
        with pytest.raises(ConfigError, match="has none; build it with bias=True"):
            copy_to_torch(cell, module)
