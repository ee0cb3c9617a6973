import pytest
import torch

from unrolled.errors import ShapeError
from unrolled.shapes import check, check_lengths, real


def test_check_names_argument_letters_and_sizes() -> None:
    check("x", torch.zeros(2, 3, 4), "BTD", D=4)
    with pytest.raises(ShapeError, match=r"x must have shape \(B, T, D=5\): got \(2, 3, 4\)"):
        check("x", torch.zeros(2, 3, 4), "BTD", D=5)
    with pytest.raises(ShapeError, match=r"h must have shape \(B, H\): got \(3,\)"):
        check("h", torch.zeros(3), "BH")


def test_lengths_from_0_to_all_steps() -> None:
    check_lengths(None, 2, 3)
    check_lengths(torch.tensor([0, 3]), 2, 3)
    check_lengths(torch.zeros(0, dtype=torch.long), 0, 3)
    for lengths, message in (([0, 4], "got 0 to 4"), ([-1, 3], "got -1 to 3"), ([4, 4], "got 4 to 4")):
        with pytest.raises(ShapeError, match=f"lengths must lie between 0 and T=3: {message}"):
            check_lengths(torch.tensor(lengths), 2, 3)
    with pytest.raises(ShapeError, match=r"got torch.bool"):
        check_lengths(torch.tensor([True, False]), 2, 3)


def test_real_marks_the_real_steps() -> None:
    assert real(torch.tensor([0, 2, 3]), 3).tolist() == [[False] * 3, [True, True, False], [True] * 3]
