"""Zoneout by its formulas, with every cell; only the reference runs it."""

import pytest
import torch

from modules import CELLS, EVERY_CELL, D, H, shaken
from unrolled.errors import BackendError, ConfigError
from unrolled.layers import Recurrent
from unrolled.scan import Zoneout, choose, scan
from unrolled.scan.replay import replay
from unrolled.state import leaves


@pytest.mark.parametrize("name", EVERY_CELL)
def test_in_evaluation_a_state_is_the_mean_of_the_old_and_the_new_one(name: str) -> None:
    torch.manual_seed(0)
    cell, x = shaken(EVERY_CELL[name](D, H)).double(), torch.randn(2, 4, D, dtype=torch.float64)
    state = cell.initial(x)
    layer = Recurrent(cell, zoneout=0.3).eval()
    y, after = layer(x)
    for t in range(4):
        _, new = cell.advance(cell.gates(cell.project(x[:, t : t + 1])[:, 0], state), state)
        state = cell.State(*(0.3 * old + 0.7 * leaf for old, leaf in zip(state, new, strict=True)))
        torch.testing.assert_close(y[:, t], cell.output(state))
    for found, expected in zip(leaves(after), leaves(state), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", EVERY_CELL)
def test_in_training_a_unit_keeps_its_value_at_the_given_rate(name: str) -> None:
    torch.manual_seed(0)
    cell, x = shaken(EVERY_CELL[name](D, 50)), torch.randn(8, 40, D)
    y, _ = scan(cell, x, zoneout=Zoneout(0.3, training=True))
    before = y[:, :-1] != 0  # a ReLU may put out the same 0 twice
    kept = (y[:, 1:] == y[:, :-1])[before].float()
    assert abs(kept.mean() - 0.3) < 4 * (0.3 * 0.7 / len(kept)) ** 0.5
    whole, _ = scan(cell, x, zoneout=Zoneout(0.0, training=True))
    assert torch.equal(whole, scan(cell, x, backend="reference")[0])


def test_masks_are_drawn_anew_for_each_step_and_come_from_the_generator() -> None:
    cell, x = shaken(CELLS["gru"](D, 20)), torch.randn(1, 10, D)
    layer = Recurrent(cell, zoneout=0.5).train()
    torch.manual_seed(1)
    first = layer(x)[0]
    torch.manual_seed(1)
    assert torch.equal(layer(x)[0], first)
    assert not torch.equal(layer(x)[0], first)
    kept = first[0, 1:] == first[0, :-1]
    assert not torch.equal(kept[0], kept[1])


@pytest.mark.parametrize("name", EVERY_CELL)
@pytest.mark.parametrize("reverse", [False, True])
def test_replay_knows_it(name: str, reverse: bool) -> None:
    torch.manual_seed(0)
    cell, x, lengths = shaken(EVERY_CELL[name](D, H)), torch.randn(2, 5, D), torch.tensor([5, 3])
    zoneout = Zoneout(0.4, training=False)
    y, after = scan(cell, x, lengths=lengths, reverse=reverse, zoneout=zoneout)
    found = replay(cell, x, y, lengths=lengths, reverse=reverse, zoneout=zoneout)
    ends = torch.tensor([0, 0]) if reverse else lengths - 1
    for leaf, expected in zip(leaves(found.states), leaves(after), strict=True):
        torch.testing.assert_close(leaf[torch.arange(2), ends], expected)


def test_only_the_reference_runs_it() -> None:
    assert choose("auto", CELLS["lstm"](D, H), zoned=True) == "reference"
    for backend in ("torch", "fused"):
        with pytest.raises(BackendError, match="no zoneout"):
            choose(backend, CELLS["lstm"](D, H), zoned=True)
    with pytest.raises(ConfigError, match=r"zoneout must be at least 0 and below 1: got 1"):
        Recurrent(CELLS["gru"](D, H), zoneout=1)
