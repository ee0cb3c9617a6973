"""The compiled functions: a wrong call is a Python exception that names the argument, never a crash."""

import random

import pytest
import torch
from torch import Tensor

from unrolled.scan import fused

pytestmark = pytest.mark.skipif(not fused.compiled(), reason="no kernels were compiled here")

GATES, SAVED = {"ELMAN": 1, "GRU": 3, "LSTM": 4}, {"ELMAN": 0, "GRU": 4, "LSTM": 5}
MAY_BE_NONE = {"lengths", "bias", "bias_n", "mask", "saved", "dy", "dh", "dc", "dx", "dbias", "dbias_n"}


def arguments(kind: str, backward: bool, B: int = 3, T: int = 4, D: int = 5, H: int = 6) -> dict[str, object]:
    """A right call."""
    G, S = GATES[kind], SAVED[kind]
    lstm = kind == "LSTM"
    given: dict[str, object] = {
        "recurrence": getattr(fused._kernels, kind), "isa": 0, "threads": 2, "reverse": False,
        "x": torch.randn(B, T, D), "lengths": torch.tensor([4, 0, 2]),
        "weight_x": torch.randn(G * H, D), "weight_h": torch.randn(G * H, H), "bias": torch.randn(G * H),
        "bias_n": torch.randn(H) if kind == "GRU" else None, "mask": torch.ones(B, H),
        "h0": torch.randn(B, H), "c0": torch.randn(B, H) if lstm else None,
    }  # fmt: skip
    y, saved = torch.zeros(B, T, H), torch.zeros(T, B, S * H) if S else None
    if not backward:
        state = torch.zeros(B, H) if lstm else None
        return {**given, "y": y, "h": torch.zeros(B, H), "c": state, "saved": saved}
    return {
        **given, "y": y, "saved": saved, "dy": torch.randn(B, T, H), "dh": torch.randn(B, H),
        "dc": torch.randn(B, H) if lstm else None, "dx": torch.zeros(B, T, D), "dweight_x": torch.zeros(G * H, D),
        "dweight_h": torch.zeros(G * H, H), "dbias": torch.zeros(G * H),
        "dbias_n": torch.zeros(H) if kind == "GRU" else None, "dh0": torch.zeros(B, H),
        "dc0": torch.zeros(B, H) if lstm else None,
    }  # fmt: skip


def call(given: dict[str, object], backward: bool) -> None:
    (fused._kernels.backward if backward else fused._kernels.forward)(**given)


WRITTEN = {"h", "c", "dx", "dweight_x", "dweight_h", "dbias", "dbias_n", "dh0", "dc0"}


def spoil(chooser: random.Random, given: dict[str, object], backward: bool) -> tuple[str, dict[str, object]]:
    """Make one argument wrong; return its name."""
    name = chooser.choice([n for n, value in given.items() if isinstance(value, Tensor)])
    value = given[name]
    assert isinstance(value, Tensor)
    writes = name in WRITTEN or (not backward and name in ("y", "saved"))
    ways = ["axis", "size", "dtype", "device", "type", "empty"]
    ways += ["stride"] if value.dim() > 1 and value.shape[-1] > 1 else []
    ways += ["overlap"] if writes else []
    ways += ["missing"] if name not in MAY_BE_NONE else []
    way = chooser.choice(ways)
    if way == "axis":
        wrong: object = value.unsqueeze(0) if chooser.random() < 0.5 else value[0]
    elif way == "size":
        axis = chooser.randrange(value.dim())
        wrong = torch.cat([value, value.narrow(axis, 0, 1)], dim=axis)
    elif way == "dtype":
        wrong = value.to(chooser.choice([torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.complex64]))
    elif way == "device":
        wrong = value.to("meta")
    elif way == "type":
        wrong = chooser.choice([value.tolist(), value.numpy(), 3, "x", object()])
    elif way == "empty":
        wrong = value[:0]
    elif way == "stride":
        wrong = torch.stack([value, value], dim=-1)[..., 0]
    elif way == "overlap":
        other = given["x"] if name != "dx" else given["weight_x"]
        assert isinstance(other, Tensor)
        storage = torch.randn(4096)
        given = {**given, "x": storage[: given["x"].numel()].view(given["x"].shape)}
        wrong = storage[: value.numel()].view(value.shape)
    else:
        wrong = None
    return name, {**given, name: wrong}


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("backward", [False, True])
def test_wrong_calls_name_the_argument(kind: str, backward: bool) -> None:
    torch.manual_seed(0)
    chooser = random.Random(0)
    right = arguments(kind, backward)
    call(right, backward)
    for _ in range(700):
        name, given = spoil(chooser, right, backward)
        with pytest.raises((TypeError, ValueError)) as caught:
            call(given, backward)
        # Sizes are taken from x and weight_h: where one of them is wrong, another argument may be the one that differs.
        assert name in str(caught.value) or name in ("x", "weight_h"), f"{name}: {caught.value}"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threads": 0}, "threads must be 1"),
        ({"threads": 10**6}, "threads must be 1"),
        ({"isa": 99}, "isa: there is none"),
        ({"isa": -1}, "isa: there is none"),
        ({"recurrence": 7}, "recurrence: there is none"),
        ({"lengths": torch.tensor([5, 0, 2])}, "lengths must lie between 0 and 4: got 5"),
        ({"lengths": torch.tensor([-1, 0, 2])}, "got -1"),
        ({"lengths": torch.tensor([2**62, 0, 2])}, "got 4611686018427387904"),
        ({"bias_n": torch.zeros(6)}, "bias_n is not taken"),
        ({"c0": torch.zeros(3, 6)}, "c0 is not taken"),
        ({"x": torch.zeros(3, 4, 0)}, "at least one feature"),
        ({"weight_h": torch.zeros(0, 0)}, "at least one unit"),
        ({"y": torch.zeros(1, 1, 6).expand(3, 4, 6)}, "y overlaps itself"),
        ({"x": torch.zeros(1, 1, 5).expand(2**40, 2**20, 5)}, "lengths must have shape"),
    ],
)
def test_wrong_values_are_named(changed: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call({**arguments("ELMAN", False), **changed}, False)


def test_float64_is_for_the_portable_kernels() -> None:
    given = {
        n: v.double() if isinstance(v, Tensor) and n != "lengths" else v for n, v in arguments("GRU", False).items()
    }
    portable = list(fused.isas()).index("portable")
    call({**given, "isa": portable}, False)
    if portable:
        with pytest.raises(ValueError, match="portable"):
            call(given, False)
