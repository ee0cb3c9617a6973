"""The compiled functions: a wrong call is a Python exception that names the argument, never a crash."""

import pytest
import torch

import calls
from unrolled.kernels import native

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")


def test_wrong_calls_name_the_argument() -> None:
    ways = calls.refuse(2000)
    assert len(ways) == 13, ways


def test_random_calls_are_made() -> None:
    assert set(calls.fuzz(2000)) - {"forward, bfloat16"} == {*calls.FUNCTIONS, "refused"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threads": 0}, "threads must be 1"),
        ({"threads": 10**6}, "threads must be 1"),
        ({"isa": 99}, "isa: no instruction set"),
        ({"isa": -1}, "isa: no instruction set"),
        ({"recurrence": 7}, "recurrence: no recurrence"),
        ({"lengths": torch.tensor([5, 0, 2])}, "lengths must lie between 0 and 4: got 5"),
        ({"lengths": torch.tensor([-1, 0, 2])}, "got -1"),
        ({"lengths": torch.tensor([2**62, 0, 2])}, "got 4611686018427387904"),
        ({"bias_n": torch.zeros(6)}, "bias_n is not an argument"),
        ({"c0": torch.zeros(3, 6)}, "c0 is not an argument"),
        ({"x": torch.zeros(3, 4, 0)}, "at least one feature"),
        ({"weight_h": torch.zeros(0, 0)}, "at least one unit"),
        ({"y": torch.zeros(1, 1, 6).expand(3, 4, 6)}, "y overlaps itself"),
        ({"x": torch.zeros(1, 1, 5).expand(2**40, 2**20, 5)}, "lengths must have shape"),
    ],
)
def test_wrong_values_are_named(changed: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        calls.call({**calls.forward("ELMAN"), **changed}, "forward")


def test_float64_is_for_the_portable_kernels() -> None:
    given = calls.forward("GRU", dtype=torch.float64)
    calls.call(given, "forward")
    if calls.portable():
        with pytest.raises(ValueError, match="portable"):
            calls.call({**given, "isa": 0}, "forward")
