"""The width that brings parameters, operations or state to a target, for every model."""

import itertools
from collections.abc import Callable

import pytest
import torch

from unrolled.api import build
from unrolled.comparison.size import grows, operations, parameters, state_bytes
from unrolled.comparison.width import Width, solve
from unrolled.config import BLOCKS, ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Block
from unrolled.lineage import LINEAGE, architecture
from unrolled.models import Ids, Model, Pairs

NAMES = [found.name for found in LINEAGE]
T, S = 20, 15
MODERN = {"position": "rotary", "normalization": "rms", "gated": True, "nonlinearity": "silu"}
SEVERAL: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in NAMES),
    ("lstm", {"bidirectional": True}),
    ("attention", {"cell": "lstm", "bidirectional": True, "score": "general"}),
    ("transformer", {**MODERN, "num_heads": 2}),
    ("gpt", {**MODERN, "num_layers": 3, "kv_heads": 2}),
]


def configured(name: str, **options: object) -> ModelConfig:
    return ModelConfig(name=name, embedding_size=32, **options)


def made(config: ModelConfig) -> Model:
    tasks = architecture(config.name).tasks
    if "classify" in tasks:
        return build(config.name, Ids(1_000), 2, config)
    return build(
        config.name, Pairs(900, 1_000) if "generate" not in tasks else Ids(1_000), 1_000, config, answer="each"
    )


def inner(model: Model) -> float:
    return parameters(model).inner


def lengths(model: Model) -> dict[str, int]:
    return {"length": T, "source_length": S if isinstance(model.inputs, Pairs) else 0}


def update(model: Model) -> float:
    return operations(model, **lengths(model))


def state(model: Model) -> float:
    return state_bytes(model, **lengths(model))


@pytest.mark.parametrize("target", [50_000, 500_000])
@pytest.mark.parametrize(("name", "options"), SEVERAL, ids=str)
def test_parameters_are_matched(name: str, options: dict[str, object], target: int) -> None:
    config = configured(name, **options)
    found = solve(config, made, inner, target)
    assert (found.matched, found.fixed) == (True, False)
    assert 0.98 * target <= found.reached <= 1.02 * target
    assert inner(made(found.config)) == found.reached  # with weights, not on the device meta
    unchanged = {"hidden_size": config.hidden_size, "feedforward_size": None}
    assert found.config.model_copy(update=unchanged) == config


@pytest.mark.parametrize("factor", [1.3, 11])
@pytest.mark.parametrize(("name", "options"), SEVERAL, ids=str)
def test_operations_are_matched(name: str, options: dict[str, object], factor: float) -> None:
    """The targets are above the operations of the head, which do not follow from the width alone."""
    config = configured(name, **options)
    target = factor * update(made(config.model_copy(update={"hidden_size": 48})))
    found = solve(config, made, update, target)
    assert found.matched
    assert found.reached == pytest.approx(target, rel=0.02)
    assert update(made(found.config)) == found.reached


def test_equal_states_are_twice_as_many_units_without_a_cell_state() -> None:
    found = {name: solve(configured(name), made, state, 4_096) for name in ("elman", "lstm", "gru")}
    assert {name: width.config.hidden_size for name, width in found.items()} == {
        "elman": 1_024,
        "lstm": 512,
        "gru": 1_024,
    }
    assert all(width.matched and width.reached == 4_096 for width in found.values())


@pytest.mark.parametrize("measure", [inner, update, state])
@pytest.mark.parametrize("name", NAMES)
def test_quantities_grow_with_the_width(name: str, measure: Callable[[Model], float]) -> None:
    sizes = (16, 48, 80, 128)
    with torch.device("meta"):
        values = [measure(made(configured(name, hidden_size=size))) for size in sizes]
    assert values == sorted(values)
    assert (len(set(values)) == 1) == (name == "feedforward" and measure is state)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_feedforward_size_closes_the_gap_between_two_widths(name: str) -> None:
    config = configured(name, num_heads=8, position="rotary")
    for target in range(60_000, 120_000, 17_000):
        found = solve(config, made, inner, target)
        assert found.matched
        H, F = found.config.hidden_size, found.config.feedforward_size
        assert H % 16 == 0
        wider = config.model_copy(update={"hidden_size": H + 16, "feedforward_size": None})
        assert inner(made(wider)) > 1.02 * target
        usual = inner(made(config.model_copy(update={"hidden_size": H})))
        assert F is None or (F > 4 * H and usual < 0.98 * target)


def test_the_width_alone_is_used_where_it_is_fine_enough() -> None:
    found = solve(configured("transformer"), made, inner, 50_000)
    with_usual = found.config.model_copy(update={"feedforward_size": None})
    assert (found.config.feedforward_size is None) == (abs(inner(made(with_usual)) - 50_000) <= 1_000)
    target = inner(made(configured("transformer", hidden_size=64)))
    assert solve(configured("transformer"), made, inner, target).config == configured("transformer", hidden_size=64)


def test_a_feedforward_size_of_ones_own_is_the_least() -> None:
    found = solve(configured("transformer", feedforward_size=10), made, inner, 50_000)
    assert found.matched
    assert found.config.feedforward_size is not None
    assert found.config.feedforward_size >= 10


def test_a_quantity_that_the_width_does_not_set_leaves_it() -> None:
    config = configured("feedforward", hidden_size=77)
    found = solve(config, made, state, 4_096)
    assert found == Width(config, 32 * 4 + 4, 4_096, matched=False, fixed=True)
    assert found.text("bytes of state") == (
        "not matched: 132 bytes of state, which its width does not set (4,096 requested)"
    )
    assert not solve(config, made, state, 132).matched  # equal by chance


def test_the_width_is_kept_where_the_caller_says_so() -> None:
    config = configured("gpt", hidden_size=64)
    assert grows(made(config))
    found = solve(config, made, state, 1_024, free=False)
    assert found == Width(config, state(made(config)), 1_024, matched=False, fixed=True)


def test_the_nearest_is_named_where_no_width_matches() -> None:
    least = inner(made(configured("gru", hidden_size=1)))
    found = solve(configured("gru"), made, inner, 20)
    assert (found.matched, found.reached, found.config.hidden_size) == (False, least, 1)
    assert found.text("parameters") == (
        f"20 parameters cannot be matched: the nearest is {least} parameters at hidden_size 1"
    )
    assert solve(configured("gpt"), made, inner, 5).config.hidden_size == 4


def test_a_stack_whose_widths_are_too_far_apart_is_not_matched() -> None:
    """One more unit of four LSTMs changes their parameters by some 2 / H, more than 4 % below H = 50."""
    config = configured("lstm", bidirectional=True, num_layers=2)
    found = solve(config, made, inner, 50_000)
    assert not found.matched
    values = [inner(made(config.model_copy(update={"hidden_size": H}))) for H in range(30, 40)]
    assert found.reached == min(values, key=lambda value: abs(value - 50_000)) == 51_264
    assert found.text("parameters") == (
        "50,000 parameters cannot be matched: the nearest is 51,264 parameters at hidden_size 36"
    )
    assert solve(config, made, inner, 50_000, tolerance=0.03).matched


def test_a_target_above_the_largest_width_names_it() -> None:
    found = solve(configured("elman"), made, inner, 1e13)
    assert not found.matched
    assert found.config.hidden_size == 65_536


def test_a_match_is_told_in_a_sentence() -> None:
    found = solve(configured("elman"), made, inner, 50_000)
    H = found.config.hidden_size
    assert found.text("parameters") == f"{H * (32 + H + 1):,} parameters at hidden_size {H} (50,000 requested)"
    blocks = Width(configured("gpt", hidden_size=16, feedforward_size=70), 0.01234, 0.0125, matched=True)
    assert blocks.text("seconds") == "0.01234 seconds at hidden_size 16, feedforward_size 70 (0.0125 requested)"


@pytest.mark.parametrize("target", [0, -1, float("nan")])
def test_a_target_is_above_0(target: float) -> None:
    with pytest.raises(ConfigError, match="a target must be above 0"):
        solve(configured("gru"), made, inner, target)


@pytest.mark.parametrize("name", ["gru", "transformer"])
@pytest.mark.parametrize("noise", [itertools.repeat(1.0), itertools.cycle([2.0, 0.5, 1.5, 0.1])], ids=["none", "much"])
def test_a_noisy_measure_ends(name: str, noise: "itertools.cycle[float]") -> None:
    """No width is measured twice, and none is far above the answer."""
    measured: list[tuple[int, int]] = []

    def noisy(model: Model) -> float:
        blocks = [module for module in model.modules() if isinstance(module, Block)]
        measured.append((model.config.hidden_size, blocks[0].feedforward[0].out_features if blocks else 0))
        return inner(model) * next(noise)

    found = solve(configured(name), made, noisy, 50_000)
    assert len(measured) <= 2 * 16 + 2 * 20
    assert max(size for size, _ in measured) <= 4 * max(4, found.config.hidden_size)


def test_the_search_takes_no_random_numbers_and_repeats_itself() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for name in ("attention", "gpt"):
        assert solve(configured(name), made, inner, 50_000) == solve(configured(name), made, inner, 50_000)
    assert torch.equal(before, torch.get_rng_state())


def test_models_are_built_where_a_measure_needs_them() -> None:
    devices: set[str] = set()

    def measure(model: Model) -> float:
        devices.update(parameter.device.type for parameter in model.parameters())
        return inner(model)

    assert solve(configured("gru"), made, measure, 50_000, device="cpu").matched
    assert devices == {"cpu"}
