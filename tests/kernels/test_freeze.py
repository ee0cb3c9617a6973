"""Weights packed once: the same bits, and no stale copy."""

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils import prune

import modules
from unrolled import nn as fast
from unrolled.cells import Cell, ElmanCell, GRUCell, LSTMCell
from unrolled.config import ModelConfig
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.search import stream_tokens
from unrolled.errors import BackendError
from unrolled.kernels import freeze, native
from unrolled.layers import Bidirectional, Head, Recurrent, Stacked
from unrolled.layers.mlp import Linear
from unrolled.models import Ids
from unrolled.runs.build import build
from unrolled.scan import choose, frozen, scan

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

CELLS = [ElmanCell(5, 7), ElmanCell(40, 33, nonlinearity="relu"), LSTMCell(5, 7), LSTMCell(40, 64), GRUCell(130, 67)]


@pytest.mark.parametrize("cell", CELLS, ids=repr)
@pytest.mark.parametrize(("B", "T"), [(1, 1), (1, 6), (2, 3), (9, 4), (3, 0)])
def test_a_frozen_layer_gives_the_bits_of_a_free_one(cell: Cell, B: int, T: int) -> None:
    layer = Recurrent(modules.shaken(cell))
    x, lengths = torch.randn(B, T, cell.input_size), torch.arange(B) % (T + 1)
    with torch.no_grad():
        _, state = layer(torch.randn(B, 2, cell.input_size))
        free = layer(x, state), layer(x, None, lengths.int()), layer(x.transpose(0, 1).contiguous().transpose(0, 1))
        with frozen(layer):
            assert freeze.of(cell) is not None
            packed = (
                layer(x, state),
                layer(x, None, lengths.int()),
                layer(x.transpose(0, 1).contiguous().transpose(0, 1)),
            )
    for (y, after), (y_frozen, after_frozen) in zip(free, packed, strict=True):
        assert torch.equal(y, y_frozen)
        assert all(torch.equal(a, b) for a, b in zip(after, after_frozen, strict=True))
    assert freeze.of(cell) is None


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("bias", [True, False])
def test_layers_and_cells_of_nn_can_be_frozen(kind: str, bias: bool) -> None:
    layer = getattr(fast, kind)(5, 7, num_layers=2, bidirectional=True, bias=bias)
    cell = getattr(fast, f"{kind}Cell")(5, 7, bias=bias)
    x = torch.randn(4, 3, 5)
    with torch.inference_mode():
        free = layer(x)[0], cell(x[0])
        with frozen(nn.ModuleList([layer, cell])):
            active = freeze._active.get()
            assert active is not None
            assert len(active.packed) == 5  # two layers in two directions, and the cell
            packed = layer(x)[0], cell(x[0])
    assert torch.equal(free[0], packed[0])
    assert all(torch.equal(a, b) for a, b in zip(free[1], packed[1], strict=True))


def test_changed_weights_are_noticed() -> None:
    layer = Recurrent(GRUCell(5, 7))
    x = torch.randn(1, 1, 5)
    with torch.no_grad(), frozen(layer):
        layer(x)
        layer.cell.bias.add_(1)
        with pytest.raises(BackendError, match="have changed"):
            layer(x)
    theirs = fast.GRU(5, 7)
    with torch.no_grad(), frozen(theirs):
        theirs.bias_hh_l0.add_(1)
        with pytest.raises(BackendError, match="have changed"):
            theirs(x)
    with torch.no_grad():
        layer(x)


def test_gradients_are_of_the_weights_as_they_are() -> None:
    layer = Recurrent(GRUCell(5, 7))
    x = torch.randn(1, 3, 5)
    with frozen(layer):
        layer(x)[0].sum().backward()
        assert layer.cell.weight_h.grad is not None


def test_zoneout_and_edited_gates_are_not_forgotten_in_the_block() -> None:
    layer, x = Recurrent(modules.shaken(GRUCell(5, 7)), zoneout=0.5).eval(), torch.randn(2, 6, 5)

    def edited(gates):
        return gates._replace(z=torch.zeros_like(gates.z))

    with torch.no_grad():
        free = layer(x)[0], scan(layer.cell, x, edit=edited)[0]
        with frozen(layer):
            found = layer(x)[0], scan(layer.cell, x, edit=edited)[0]
        plain = scan(layer.cell, x)[0]
    for one, other in zip(free, found, strict=True):
        torch.testing.assert_close(one, other)
        assert not torch.allclose(one, plain)


def test_what_has_no_kernels_runs_as_ever() -> None:
    both = Bidirectional(Recurrent(GRUCell(5, 7)), Recurrent(GRUCell(5, 7), reverse=True))
    stack = Stacked([both, Recurrent(GRUCell(14, 3))]).double()
    x = torch.randn(2, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        free = stack(x)[0]
        with frozen(stack):
            assert not freeze._active.get().packed  # type: ignore[union-attr]
            assert torch.equal(stack(x)[0], free)


@pytest.mark.parametrize("how_many", [1, 2, 3])
def test_cells_that_share_their_recurrent_weights_are_each_their_own(how_many: int) -> None:
    cells = nn.ModuleList([ElmanCell(5, 7), ElmanCell(5, 7), ElmanCell(5, 7, nonlinearity="relu")])
    cells[1].weight_h = cells[2].weight_h = cells[0].weight_h
    layers = [Recurrent(cell) for cell in cells]
    x = torch.randn(2, 3, 5)
    with torch.no_grad():
        free = [layer(x)[0] for layer in layers]
        with frozen(cells[:how_many]):
            assert all(torch.equal(layer(x)[0], y) for layer, y in zip(layers, free, strict=True))


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch says that oneDNN has none
def test_layers_of_nn_that_torch_computes_run_as_ever() -> None:
    layer, x = fast.LSTM(5, 7, proj_size=3), torch.randn(4, 2, 5)
    with torch.no_grad():
        free = layer(x)[0]
        with frozen(layer):
            assert torch.equal(layer(x)[0], free)


def test_a_pruned_cell_runs_on_the_reference() -> None:
    layer, x = Recurrent(GRUCell(5, 7)), torch.randn(2, 3, 5)
    prune.l1_unstructured(layer.cell, "weight_h", amount=0.5)
    assert choose("auto", layer.cell) == "reference"
    with torch.no_grad():
        free = layer(x)[0]
        with frozen(layer):
            assert torch.equal(layer(x)[0], free)


def test_threads_that_share_a_layer_freeze_it_each_for_itself() -> None:
    layer, x = Recurrent(GRUCell(5, 7)), torch.randn(1, 2, 5)
    with torch.no_grad():
        wanted = layer(x)[0]

    def stream(turns: int) -> bool:
        same = True
        for _ in range(turns):
            with torch.no_grad(), frozen(layer):
                same &= torch.equal(layer(x)[0], wanted)
        return same

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(stream, [300] * 4))
    assert freeze._active.get() is None


def test_blocks_nest_and_copies_are_free() -> None:
    layer = Recurrent(GRUCell(5, 7))
    with torch.no_grad(), frozen(layer):
        outer = freeze.of(layer.cell)
        with frozen(layer):
            assert freeze.of(layer.cell) is outer  # an inner block takes what the outer one has packed
        assert freeze.of(layer.cell) is outer
        twin = copy.deepcopy(layer)
        assert freeze.of(twin.cell) is None
    assert freeze._active.get() is None


@pytest.mark.parametrize("kept", [False, True])
def test_a_block_is_seen_by_the_calls_inside_it_alone(kept: bool) -> None:
    """Two threads, each in its block while the other is in its own, have the bits of a thread on its own."""
    network = nn.Sequential(Linear(40, 30), nn.Tanh(), Linear(30, 7))
    if kept:
        freeze.keep(network)
    x, both = torch.randn(4, 40), Barrier(2)

    def answer(precision: Any, wait: Callable[[], object]) -> list[Tensor]:
        with torch.no_grad(), frozen(network, precision=precision):
            wait()
            inner = network(x)
            with frozen(network):  # as decoding does
                found = [inner, network(x)]
            wait()
        return found

    alone = [answer(precision, lambda: None) for precision in ("int8", None)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(answer, ("int8", None), [both.wait] * 2))
    for expected, found in zip(alone, together, strict=True):
        assert all(map(torch.equal, expected, found))
    assert not torch.equal(alone[0][0], alone[1][0])


def test_a_block_may_be_entered_step_by_step_and_from_another_thread() -> None:
    layer, x = Linear(40, 30), torch.randn(4, 40)
    block = frozen(layer, precision="int8")

    def step(_: int) -> Tensor:
        with torch.no_grad(), block, block:
            y: Tensor = layer(x)
        assert freeze._active.get() is None
        return y

    with ThreadPoolExecutor(2) as pool:
        first, *rest = [step(0), *pool.map(step, range(4))]
    assert all(torch.equal(first, y) for y in rest)
    with torch.no_grad():
        assert not torch.equal(first, layer(x))
        layer.bias.add_(1)
        with block, pytest.raises(BackendError, match="have changed"):
            layer(x)


def test_streams_of_two_precisions_take_turns() -> None:
    """A stream enters its block for each step, so that what runs between two steps does not see it."""
    torch.manual_seed(0)
    config = ModelConfig(name="gru", hidden_size=16, embedding_size=8)
    model = build("gru", Ids(30), 30, config, answer="each").eval()
    sampling = Sampling(temperature=0)

    def tokens() -> Iterator[int]:
        return stream_tokens(model, [5, 6], sampling, max_length=12)

    def quantised() -> Iterator[int]:
        steps = tokens()
        while True:
            with frozen(model, precision="int8"):
                token = next(steps, None)
            if token is None:
                return
            yield token

    alone = list(tokens()), list(quantised())
    one, other = tokens(), quantised()
    found = [(a, b) for a, b in zip(one, other, strict=False) if freeze._active.get() is None]
    assert found == list(zip(*alone, strict=False))


def test_a_stack_of_blocks_takes_the_precision_of_its_layers() -> None:
    config = ModelConfig(name="gpt", num_layers=2, hidden_size=32, num_heads=2, embedding_size=32)
    model = build("gpt", Ids(30), 30, config, answer="each").eval()
    ids = torch.randint(5, 30, (2, 4))
    with torch.inference_mode():
        _, state = model(ids)
        plain, _ = model(ids[:, :1], state)
        with frozen(model):
            packed, _ = model(ids[:, :1], state)
            with frozen(model.blocks.blocks[0].feedforward, precision="int8"):
                mixed, _ = model(ids[:, :1], state)
            again, _ = model(ids[:, :1], state)
    torch.testing.assert_close(packed, plain)
    assert torch.equal(packed, again)
    assert 0 < (mixed - plain).abs().max() < 0.1


def test_a_wrong_call_of_frozen_weights_names_the_argument() -> None:
    cell = GRUCell(5, 7)
    with torch.no_grad(), frozen(cell):
        packed = freeze.of(cell)
        assert packed is not None
        for name, x, h0, c0 in (
            ("x must have 5 features", torch.zeros(1, 1, 6), torch.zeros(1, 7), None),
            ("h0 must have shape", torch.zeros(1, 1, 5), torch.zeros(2, 7), None),
            ("c0 is not an argument", torch.zeros(1, 1, 5), torch.zeros(1, 7), torch.zeros(1, 7)),
            ("x must be float32", torch.zeros(1, 1, 10).bfloat16(), torch.zeros(1, 7), None),
        ):
            with pytest.raises((ValueError, TypeError), match=name):
                packed.run(False, x, None, None, h0, c0)


def test_blocks_that_overlap_end_in_any_order() -> None:
    """As two streams of one model do: each takes away its own packing, and nothing stale is left."""
    layer = Recurrent(GRUCell(5, 7))
    x = torch.randn(1, 2, 5)
    with torch.no_grad():
        wanted, _ = layer(x)
        first, second = frozen(layer), frozen(layer)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert freeze.of(layer.cell) is not None
        assert torch.equal(layer(x)[0], wanted)
        second.__exit__(None, None, None)
        assert freeze.of(layer.cell) is None
        layer.cell.weight_h.add_(1.0)
        assert not torch.equal(layer(x)[0], wanted)


@pytest.mark.parametrize("sizes", [(1, 1), (7, 5), (64, 48), (130, 67), (33, 300)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_frozen_linear_layer_gives_the_bits_of_a_free_one(sizes: tuple[int, int], bias: bool) -> None:
    layer = Linear(*sizes, bias=bias)
    calls = [torch.randn(n, sizes[0]) for n in (1, 3, 9, 8, 300)]
    calls.append(torch.randn(2, 3, sizes[0]).transpose(0, 1))
    with torch.no_grad():
        free = [layer(x) for x in calls]
        with frozen(layer):
            assert freeze.linear_of(layer, torch.zeros(1, layer.in_features)) is not None
            assert all(torch.equal(layer(x), y) for x, y in zip(calls, free, strict=True))
    assert freeze.linear_of(layer, torch.zeros(1, layer.in_features)) is None


def test_linear_layers_notice_changed_weights_and_learn_from_those_as_they_are() -> None:
    layer, x = nn.Sequential(Linear(5, 7), Head(7, 3)), torch.randn(20, 5)
    with frozen(layer):
        layer(x).sum().backward()
        assert layer[0].weight.grad is not None
        with torch.no_grad():
            layer(x)
            layer[1].bias.add_(1)
            with pytest.raises(BackendError, match="have changed"):
                layer(x)
    prune.l1_unstructured(layer[0], "weight", amount=0.5)
    with torch.no_grad():
        free = layer(x)
        with frozen(layer):
            assert freeze.linear_of(layer[0], torch.zeros(1, layer[0].in_features)) is None
            assert torch.equal(layer(x), free)


def test_a_wrong_call_of_a_frozen_linear_layer_names_the_argument() -> None:
    layer = Linear(5, 7)
    with torch.no_grad(), frozen(layer):
        for x in (torch.zeros(20, 6), torch.zeros(2, 6), torch.zeros(20, 5).double(), torch.zeros(20, 5).bfloat16()):
            with pytest.raises((ValueError, TypeError), match="x must"):
                layer(x)


@pytest.mark.parametrize(
    "module",
    [fast.GRU(3, 4), fast.LSTMCell(3, 4), Recurrent(GRUCell(3, 4)), Linear(3, 4)],
    ids=lambda m: type(m).__name__,
)
@torch.no_grad()
def test_recorded_calls_use_the_weights_themselves(module: nn.Module) -> None:
    """A record of a call with packed weights would hold memory that the kernel has yet to write."""
    x = torch.randn(2, 3) if isinstance(module, fast.LSTMCell) else torch.randn(2, 5, 3)

    def run(x: Tensor) -> Tensor:
        result = module(x)
        return result[0] if isinstance(result, tuple) else result

    with frozen(module):
        recorded = make_fx(run)(x)
        torch.testing.assert_close(recorded(x.cos()), run(x.cos()))


MODULES = [fast.GRU(3, 4, batch_first=True), Recurrent(GRUCell(3, 4)), Linear(3, 4)]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: type(m).__name__)
@torch.no_grad()
def test_inputs_with_a_lazy_sign_keep_it(module: nn.Module) -> None:
    x = torch.randn(2, 5, 3)
    expected = module(-x)
    with frozen(module):
        found = module(torch._neg_view(x.clone()))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: type(m).__name__)
@torch.no_grad()
def test_a_call_with_other_parameters_uses_those(module: nn.Module) -> None:
    torch.manual_seed(0)
    x, others = torch.randn(2, 5, 3), {name: 2 * p for name, p in module.named_parameters()}
    expected, own = functional_call(module, others, (x,)), module(x)
    with frozen(module):
        torch.testing.assert_close(functional_call(module, others, (x,)), expected)
        torch.testing.assert_close(module(x), own, rtol=0, atol=0)


def test_an_inner_block_packs_weights_that_changed_in_the_outer_one() -> None:
    layer, x = Linear(5, 7), torch.randn(1, 5)
    with torch.no_grad(), frozen(layer):
        layer(x)
        layer.weight.mul_(2)
        with frozen(layer):
            torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))
        with pytest.raises(BackendError, match="have changed"):
            layer(x)


def packed_of(layer: Linear) -> freeze.FrozenLinear | None:
    with torch.no_grad(), frozen(layer):
        return freeze.linear_of(layer, torch.zeros(1, 5))


@pytest.mark.parametrize("change", ["write", "load", "assign", "train", "replace"])
def test_kept_weights_are_packed_once_until_they_change(change: str) -> None:
    layer, x = Linear(5, 7), torch.randn(3, 5)
    free, other = packed_of(layer), {name: p + 1 for name, p in Linear(5, 7).state_dict().items()}
    assert packed_of(layer) is not free
    freeze.keep(layer)
    first = packed_of(layer)
    assert packed_of(layer) is first
    assert freeze.linear_of(layer, x) is None  # outside of a block nothing is packed
    if change == "write":
        with torch.no_grad():
            layer.bias.add_(1)
    elif change in ("load", "assign"):
        layer.load_state_dict(other, assign=change == "assign")
    elif change == "train":
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        layer(x).sum().backward()
        optimizer.step()
    else:
        layer.weight = nn.Parameter(layer.weight.detach().clone() + 1)
    assert packed_of(layer) is not first
    with torch.no_grad(), frozen(layer):
        torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))
    with native.use_isa("portable"):
        assert packed_of(layer) is not packed_of(copy.deepcopy(layer))


def test_what_is_kept_goes_with_its_module() -> None:
    before = len(freeze._kept)
    layer = Linear(5, 7)
    freeze.keep(layer)
    packed_of(layer)
    assert len(freeze._kept) == before + 1
    del layer
    assert len(freeze._kept) == before
