"""Every transform that torch.nn supports, on our classes: equal, or the same error (see tests/transforms/)."""

import pytest
import torch
from torch import nn

from transforms import TRANSFORMS
from transforms.sides import FEW, KINDS, Kind, Transform, compare, run_both

BY_FORM = ("outputs", "arguments")  # groups that depend on the form of a layer; of the others, one kind of each class
CASES = [
    pytest.param(t, kind, id=f"{t}: {kind.name}")
    for t in TRANSFORMS
    for kind in (t.on if t.group in BY_FORM else [kind for kind in t.on if kind in FEW] or t.on[:1])
]
"""Every kind under every transform: benchmarks/transforms.py."""


@pytest.mark.parametrize(("transform", "kind"), CASES)
def test_is_torchs(transform: Transform, kind: Kind) -> None:
    if missing := transform.missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    compared = run_both(transform, kind)
    assert compared.word != "DIFFERS", compared.details


def test_names_are_unique() -> None:
    names = [str(t) for t in TRANSFORMS]
    assert len(set(names)) == len(names)
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_a_difference_is_seen() -> None:
    one = torch.ones(2)
    assert compare(one, one.clone()).word == "same"
    assert compare(one, one + 1e-6).word == "equal"
    for theirs, ours in [
        (one, one + 1e-3),
        (one, one.double()),
        (one, one.view(1, 2)),
        (one, one * float("nan")),
        ([one], [one, one]),
        ([one, "a"], [one, "b"]),
        (one, ValueError("x")),
        (TypeError("x"), ValueError("x")),
        (ValueError("x"), ValueError("y")),
    ]:
        assert compare(theirs, ours).word == "DIFFERS"
    assert compare(ValueError("x"), ValueError("x")).word == "same error"
    assert compare(ValueError("x"), one).word == "better"


def test_fillings_reveal_unwritten_memory() -> None:
    from unwritten import new_memory_is_nan

    with new_memory_is_nan():
        assert torch.empty(3).isnan().all()
    assert isinstance(KINDS[0].make(nn), nn.RNN)
