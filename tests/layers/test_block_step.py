"""Steps of blocks in one call of the kernels: the values and states of the layers, which compute all other calls."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from modules import shaken
from unrolled.config import ModelConfig
from unrolled.errors import BackendError
from unrolled.kernels import native
from unrolled.kernels.freeze import packed_weights
from unrolled.layers import Blocks
from unrolled.layers.block_step import FrozenBlocks
from unrolled.models import Ids, Model, Pairs
from unrolled.runs.build import build
from unrolled.scan import frozen
from unrolled.state import State, leaves, select

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

ISAS = [name for name, here in native.isas().items() if here]
EPS = torch.finfo(torch.float32).eps
V = 30
OPTIONS: list[dict[str, Any]] = [
    {},
    {"norm": "post", "nonlinearity": "tanh"},
    {"normalization": "rms", "nonlinearity": "gelu_tanh"},
    {"norm": "post", "normalization": "rms", "position": "rotary"},
    {"gated": True, "nonlinearity": "silu", "feedforward_size": 21},
    {"position": "learned", "window": 40, "kv_heads": 2},
    {"position": "rotary", "hidden_size": 36, "kv_heads": 1},
    {"hidden_size": 132, "num_heads": 2, "num_layers": 1},
]


def made(name: str, options: dict[str, Any]) -> Model:
    torch.manual_seed(1)
    sizes = {"embedding_size": 24, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "dropout": 0.1, **options}
    inputs = Ids(V) if name == "gpt" else Pairs(V, V)
    return shaken(build(name, inputs, V, ModelConfig(**sizes), answer="each")).eval()


def stack_of(model: Model) -> Blocks:
    return next(part for part in model.modules() if isinstance(part, Blocks) and part.causal)


def begun(model: Model, B: int, lengths: Tensor | None) -> State:
    """The state after some ids."""
    ids = torch.randint(5, V, (B, 3), generator=torch.Generator().manual_seed(0))
    state = None
    if isinstance(model.inputs, Pairs):
        source = torch.randint(5, V, (B, 4), generator=torch.Generator().manual_seed(1))
        state = model.encode(source, torch.arange(B) % 4 + 1)
    return model(ids, state, lengths)[1]


def continued(model: Model, state: State, ids: Tensor) -> tuple[Tensor, State]:
    """Logits (T, B, V) of single steps, and the last state."""
    found = []
    for step in ids:
        logits, state = model(step, state)
        found.append(logits[:, 0])
    return torch.stack(found), state


@pytest.mark.parametrize("name", ["gpt", "transformer"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 1, 2])])
@pytest.mark.parametrize("isa", ISAS)
def test_steps_are_those_of_the_layers(name: str, options: dict[str, Any], lengths: Tensor | None, isa: str) -> None:
    model = made(name, options)
    ids = torch.randint(5, V, (20, 3, 1))
    with torch.no_grad(), native.use_isa(isa):
        free, free_state = continued(model, begun(model, 3, lengths), ids)
        state = begun(model, 3, lengths)
        with frozen(model):
            y, after = continued(model, state, ids)
            packed: FrozenBlocks = packed_weights(stack_of(model), "step")
            assert packed.packed is not None  # the kernels have run
        exact, exact_state = continued(model.double(), begun(model, 3, lengths), ids)
    assert (y.double() - exact).abs().max() <= 4 * (free.double() - exact).abs().max() + 8 * EPS * exact.abs().max()
    assert (after.decoder if name == "transformer" else after.layers).steps.tolist() == (
        (torch.tensor([3, 3, 3]) if lengths is None else lengths) + 20
    ).tolist()
    for found, own, wanted in zip(leaves(after), leaves(free_state), leaves(exact_state), strict=True):
        off = (own.double() - wanted).abs().max()
        assert found.shape == wanted.shape
        assert (found.double() - wanted).abs().max() <= 4 * off + 8 * EPS * wanted.abs().max()


@pytest.mark.parametrize("name", ["gpt", "transformer"])
def test_a_sequence_has_the_same_bits_in_any_batch_and_for_any_number_of_threads(name: str) -> None:
    model, B = made(name, {"hidden_size": 96, "num_layers": 3}), 9
    ids, lengths = torch.randint(5, V, (6, B, 1)), torch.arange(B) % 3 + 1
    with torch.no_grad(), frozen(model):
        state = begun(model, B, lengths)
        y, _ = continued(model, state, ids)
        for b in range(B):
            alone, _ = continued(model, select(state, [b]), ids[:, b : b + 1])
            assert torch.equal(alone[:, 0], y[:, b])
        threads = torch.get_num_threads()
        try:
            for some in (1, 2, 3):
                torch.set_num_threads(some)
                assert torch.equal(continued(model, state, ids)[0], y)
        finally:
            torch.set_num_threads(threads)


def test_a_state_is_a_value() -> None:
    """Two continuations of one state, in turn with the layers, equal two runs."""
    model = made("gpt", {})
    one, two = torch.randint(5, V, (2, 7, 3, 1))
    with torch.no_grad():
        state = begun(model, 3, torch.tensor([1, 3, 2]))
        copies = [leaf.clone() for leaf in leaves(state)]
        first, second = continued(model, state, one)[0], continued(model, state, two)[0]
        with frozen(model):
            a, middle = continued(model, state, one[:4])
            torch.testing.assert_close(continued(model, state, two)[0], second)
            torch.testing.assert_close(torch.cat([a, continued(model, middle, one[4:])[0]]), first)
        torch.testing.assert_close(continued(model, middle, one[4:])[0], first[4:])  # the layers go on from its state
        assert all(torch.equal(leaf, copy) for leaf, copy in zip(leaves(state), copies, strict=True))


def hooked(model: Model, seen: list[str]) -> Callable[[], None]:
    block = stack_of(model).blocks[0]
    return block.feedforward[0].register_forward_hook(lambda *_: seen.append("hook")).remove


def patched(model: Model, seen: list[str]) -> Callable[[], None]:
    layer = stack_of(model).blocks[1].mixer
    plain = type(layer).forward

    def forward(*args: Any) -> Any:
        seen.append("forward")
        return plain(layer, *args)

    layer.forward = forward
    return lambda: delattr(layer, "forward")


def watched_everywhere(model: Model, seen: list[str]) -> Callable[[], None]:
    return nn.modules.module.register_module_forward_hook(lambda *_: seen.append("global")).remove


@pytest.mark.parametrize("watch", [hooked, patched, watched_everywhere])
def test_who_watches_a_module_sees_its_calls(watch: Callable[[Model, list[str]], Callable[[], None]]) -> None:
    model = made("gpt", {})
    seen: list[str] = []
    ids = torch.randint(5, V, (2, 3, 1))
    with torch.no_grad(), frozen(model):
        state = begun(model, 3, None)
        y, _ = continued(model, state, ids)
        end = watch(model, seen)
        try:
            watched, _ = continued(model, state, ids)
        finally:
            end()
        assert seen
        torch.testing.assert_close(watched, y)
        seen.clear()
        assert torch.equal(continued(model, state, ids)[0], y)
        assert not seen


def test_other_parameters_and_dropout_are_not_forgotten() -> None:
    model = made("gpt", {"dropout": 0.5})
    ids = torch.randint(5, V, (1, 3, 1))
    other = {name: p + 0.1 for name, p in stack_of(model).named_parameters(prefix="blocks")}
    with torch.no_grad():
        state = begun(model, 3, None)
        expected = functional_call(model, other, (ids[0], state))[0]
        with frozen(model):
            y, _ = continued(model, state, ids)
            torch.testing.assert_close(functional_call(model, other, (ids[0], state))[0], expected)
            model.train()
            assert not torch.allclose(continued(model, state, ids)[0], y)
            model.eval()
            assert torch.equal(continued(model, state, ids)[0], y)
            stack_of(model).blocks[1].dropout.train()  # one alone, as for an estimate of uncertainty
            assert not torch.allclose(continued(model, state, ids)[0], y)
            model.eval()
            stack_of(model).blocks[0].norms[0].weight.mul_(2)
            with pytest.raises(BackendError, match="have changed"):
                continued(model, state, ids)
    with frozen(model), torch.enable_grad():
        assert model(ids[0], state)[0].requires_grad


@pytest.mark.parametrize("change", ["subclass", "gru"])
def test_other_blocks_run_as_ever(change: str) -> None:
    model = made("gpt", {})
    block = stack_of(model).blocks[1]
    if change == "subclass":

        class Other(nn.LayerNorm):
            def forward(self, x: Tensor) -> Tensor:
                return 2 * super().forward(x)

        block.norms[0] = Other(32)
    else:
        block.feedforward[1] = nn.ELU()
    ids = torch.randint(5, V, (2, 3, 1))
    with torch.no_grad():
        state = begun(model, 3, None)
        free, _ = continued(model, state, ids)
        with frozen(model):
            assert packed_weights(stack_of(model), "step") is None
            torch.testing.assert_close(continued(model, state, ids)[0], free)


def test_a_sequence_may_not_be_longer_than_the_window() -> None:
    model = made("gpt", {"window": 6})
    with torch.no_grad(), frozen(model):
        _, state = continued(model, begun(model, 3, None), torch.randint(5, V, (3, 3, 1)))
        with pytest.raises(ValueError, match="at most 6 steps"):
            continued(model, state, torch.randint(5, V, (1, 3, 1)))


def test_wrong_calls_of_the_kernel_are_refused() -> None:
    model = made("transformer", {})
    with torch.no_grad(), frozen(model):
        state = begun(model, 3, None)
        continued(model, state, torch.randint(5, V, (1, 3, 1)))
        packed = packed_weights(stack_of(model), "step").packed
        right: dict[str, Any] = {
            "threads": 1, "x": torch.randn(3, 32), "y": torch.empty(3, 32), "positions": None, "rotary": None,
            "lengths": torch.tensor([3, 3, 3]), "longest": 3, "keys": [torch.zeros(3, 4, 4, 8)] * 2,
            "values": [torch.zeros(3, 4, 4, 8)] * 2, "source_keys": state.memory.keys,
            "source_lengths": state.memory.lengths,
        }  # fmt: skip
        packed.step(**right)
        for wrong, message in (
            ({"x": torch.randn(3, 31)}, r"x must have shape \(3, 32\)"),
            ({"y": right["x"]}, "overlaps"),
            ({"positions": torch.randn(3, 32)}, "positions has no row for position 3"),
            ({"lengths": torch.tensor([3, 4, 3])}, "lengths must lie between 0 and 3"),
            ({"lengths": None}, "lengths must be int64"),
            ({"keys": [torch.zeros(3, 4, 3, 8)] * 2}, "keys must have shape"),
            ({"values": [torch.zeros(3, 4, 4, 8)]}, "one of each for every block"),
            ({"values": [torch.zeros(3, 4, 4, 8, dtype=torch.float64)] * 2}, "values must be float32"),
            ({"source_lengths": torch.tensor([1, 0, 1])}, "source_lengths must be at least 1"),
            ({"source_lengths": torch.tensor([1, 5, 1])}, "lengths must lie between 0 and 4"),
            ({"source_keys": ()}, "a pair for every block"),
        ):
            with pytest.raises((ValueError, TypeError), match=message):
                packed.step(**{**right, **wrong})


def test_steps_with_int8_weights_are_those_of_the_layers() -> None:
    model = made("gpt", {})
    ids = torch.randint(5, V, (4, 2, 1), generator=torch.Generator().manual_seed(2))

    def steps(*precisions: Any, hook: bool = False) -> Tensor:
        with torch.no_grad(), ExitStack() as blocks:
            state = begun(model, 2, None)
            for precision in precisions:
                blocks.enter_context(frozen(model, precision))
            if hook:  # the layers compute
                handle = stack_of(model).blocks[0].register_forward_hook(lambda *_: None)
                blocks.callback(handle.remove)
            return continued(model, state, ids)[0]

    by_layers, quantised, plain = steps("int8", hook=True), steps("int8"), steps(None)
    for precisions in [("int8", None), (None, "int8"), ("int8", None, None)]:
        assert torch.equal(steps(*precisions), quantised)
    # The integers are the same as far as their operands are; another order of sums in a norm or softmax may move a
    # number over the middle of two.
    assert (by_layers - quantised).abs().max() < 0.01 * plain.abs().max()
    assert not torch.equal(quantised, plain)
    assert (quantised - plain).abs().max() < 0.05 * plain.abs().max()
    assert torch.equal(steps(None), plain), "a block in int8 leaves nothing behind"
