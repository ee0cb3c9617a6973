import pytest
import torch

from tolerances import CHANCE_SIGMAS
from unrolled.errors import ShapeError
from unrolled.layers import Embedding
from unrolled.layers.embedding import PAD


def test_padding_is_zero_and_gets_no_gradient() -> None:
    torch.manual_seed(0)
    embedding = Embedding(10, 4)
    y = embedding(torch.tensor([[3, PAD]]))
    assert not y[0, 1].any()
    y.sum().backward()
    assert not embedding.weight.grad[PAD].any()
    assert embedding.weight.grad[3].all()


def test_initial_vectors_have_the_requested_standard_deviation() -> None:
    torch.manual_seed(0)
    for std in (0.1, 1.0):
        squares = (Embedding(1000, 16, std=std).weight.detach()[1:] / std).square()  # mean 1, variance 2
        assert abs(float(squares.mean()) - 1) < CHANCE_SIGMAS * (2 / squares.numel()) ** 0.5


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.zeros(2, 3), "ids must be integers: got torch.float32"),
        (torch.zeros(3, dtype=torch.long), r"ids must have shape \(B, T\)"),
        (torch.tensor([[1, 10]]), "ids must lie between 0 and 9: got 10"),
        (torch.tensor([[1, -2]]), "ids must lie between 0 and 9: got -2"),
    ],
)
def test_wrong_ids_are_refused(ids: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Embedding(10, 4)(ids)


def test_no_ids_are_no_vectors() -> None:
    assert Embedding(10, 4)(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 0, 4)
