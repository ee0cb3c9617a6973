"""The logarithm of a softmax's normaliser: torch's values, and the same bits in any batch."""

import pytest
import torch

from unrolled.kernels import native
from unrolled.kernels.log_sum_exp import log_sum_exp

ISAS = [name for name, here in native.isas().items() if here]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("N", "V"), [(1, 1), (3, 7), (2, 16), (5, 81), (4, 4_000), (0, 5)])
@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])
def test_it_is_the_logarithm_of_the_sum(N: int, V: int, scale: float, isa: str) -> None:
    x = torch.randn(N, V + 3)[:, :V] * scale  # rows that do not follow each other
    with native.use_isa(isa):
        y = log_sum_exp(x)
        exact = x.double().logsumexp(1)
        torch.testing.assert_close(y.double(), exact, rtol=5e-7, atol=5e-7)  # four units in the last place
        for n in range(N):
            assert torch.equal(log_sum_exp(x[n : n + 1])[0], y[n])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [0, 5, 16, 40])
def test_it_is_not_finite_where_a_number_is_not(value: float, place: int) -> None:
    x = torch.randn(2, 41)
    x[1, place] = value
    y = log_sum_exp(x)
    assert y[0].isfinite()
    assert not y[1].isfinite()


def test_large_numbers_do_not_overflow() -> None:
    x = torch.tensor([[1e4, 1e4, -1e4], [-3e38, -3e38, -3e38]])
    torch.testing.assert_close(log_sum_exp(x), x.logsumexp(1))


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
def test_wrong_calls_of_the_kernels_are_refused() -> None:
    kernels, isa = native.kernels, native.index(torch.float32)
    for x, y, message in (
        (torch.zeros(3), torch.zeros(3), "shape"),
        (torch.zeros(3, 4).T, torch.zeros(4), "contiguous along its last axis"),
        (torch.zeros(3, 4, dtype=torch.float64), torch.zeros(3), "float32"),
        (torch.zeros(3, 4), torch.zeros(4), "shape"),
        (torch.zeros(3, 0), torch.zeros(3), "shape"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            kernels.log_sum_exp(isa, x, y)
    old, new, index = torch.randn(2, 3, 5, 4), torch.zeros(3, 3, 6, 4), torch.tensor([1, 0, 1])
    kernels.gather_heads(index, [old], [new], 4)
    assert torch.equal(new[:, :, :4], old[index][:, :, :4])
    assert not new[:, :, 4:].any()
    for arguments, message in (
        ((torch.tensor([1, 2, 0]), [old], [new], 4), "out of range"),
        ((torch.tensor([1, -1, 0]), [old], [new], 4), "out of range"),
        ((index.int(), [old], [new], 4), "int64"),
        ((index, [old], [new], 6), "steps"),
        ((index, [old], [new[:2]], 4), "as many sequences"),
        ((index, [old], [], 4), "one length"),
        ((index, [new], [new], 4), "overlaps"),
        ((index, [old.double()], [new], 4), "float32"),
        ((index, [old.transpose(2, 3)], [new], 4), "follow each other"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            kernels.gather_heads(*arguments)
