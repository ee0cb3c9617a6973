"""Watching records every call with its arguments by name, phase by phase, and removes its hooks."""

import pytest
import torch
from torch import nn

from unrolled.cells import GRUCell
from unrolled.inside.watch import watching
from unrolled.layers import Recurrent


def test_calls_are_recorded_in_their_phases() -> None:
    layer = Recurrent(GRUCell(2, 3))
    x, state = torch.randn(1, 4, 2), GRUCell.State(torch.randn(1, 3))
    with watching([layer]) as notes:
        notes.phase = "encoder."
        y, _ = layer(x, state=state)
        notes.phase = "decoder."
        layer(x)
        layer(x, None)
    (first,) = notes.calls("encoder.", layer)
    assert first.arguments["x"] is x
    assert first.arguments["state"] is state
    assert first.arguments["lengths"] is None
    assert first.returned[0] is y
    assert len(notes.calls("decoder.", layer)) == 2
    assert notes.calls("", layer) == []
    assert [(phase, len(calls)) for phase, _, calls in notes] == [("encoder.", 1), ("decoder.", 2)]


def test_no_hook_is_left_behind_by_an_error() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(RuntimeError), watching([module]):
        module(torch.zeros(1, 3))
    assert not module._forward_hooks
