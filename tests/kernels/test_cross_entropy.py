"""The cross-entropy and the logarithm of a softmax's normaliser: torch's values, and the same bits in any batch."""

import pytest
import torch
from torch.nn import functional as F

from unrolled import machine
from unrolled.kernels import native
from unrolled.kernels.cross_entropy import cross_entropy, log_sum_exp

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


def logits_and_targets(N: int, V: int, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(N + V)
    return torch.randn(N, V, generator=generator) * scale, torch.randint(0, V, (N,), generator=generator)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("N", "V"), [(1, 1), (3, 7), (2, 16), (5, 81), (4, 4_000), (0, 5)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])
def test_the_cross_entropy_and_its_gradient_are_those_of_torch_in_float64(
    N: int, V: int, smoothing: float, scale: float, isa: str
) -> None:
    """Within units in the last place of the largest number that each is a difference of."""
    x, targets = logits_and_targets(N, V, scale)
    wide = x.double().requires_grad_()
    x.requires_grad_()
    dnats = torch.randn(N)
    with native.use_isa(isa):
        nats = cross_entropy(x, targets, label_smoothing=smoothing)
        nats.backward(dnats)
    exact = F.cross_entropy(wide, targets, label_smoothing=smoothing, reduction="none")
    exact.backward(dnats.double())
    eps, largest = torch.finfo(torch.float32).eps, x.detach().abs().amax(dim=1) if N else torch.ones(0)
    assert ((nats - exact).abs() <= 8 * eps * (1 + largest)).all()
    assert ((x.grad - wide.grad).abs() <= 8 * eps * ((1 + largest) * dnats.abs())[:, None]).all()


def test_a_row_has_the_same_bits_in_any_batch_with_any_number_of_threads() -> None:
    x, targets = logits_and_targets(64, 3_001)
    x.requires_grad_()
    nats = cross_entropy(x, targets, label_smoothing=0.1)
    (dx,) = torch.autograd.grad(nats.sum(), x)
    for n in (0, 40):
        row = x.detach()[n : n + 1].requires_grad_()
        alone = cross_entropy(row, targets[n : n + 1], label_smoothing=0.1)
        assert torch.equal(alone[0], nats[n])
        assert torch.equal(torch.autograd.grad(alone.sum(), row)[0][0], dx[n])
    for threads in (1, 3):
        with machine.use_threads(threads):
            again = cross_entropy(x, targets, label_smoothing=0.1)
            assert torch.equal(again, nats)
            assert torch.equal(torch.autograd.grad(again.sum(), x)[0], dx)


def test_ignored_rows_count_nothing() -> None:
    x, targets = logits_and_targets(5, 20)
    targets[[1, 4]] = 0
    x[4] = torch.nan  # of a row that is padding
    x.requires_grad_()
    nats = cross_entropy(x, targets, ignore_index=0, label_smoothing=0.2)
    (dx,) = torch.autograd.grad(nats.sum(), x)
    for n in range(5):
        ignored = targets[n] == 0
        assert (nats[n] == 0) == ignored
        assert dx[n].any() != ignored


def test_rows_apart_and_no_gradient() -> None:
    x, targets = logits_and_targets(6, 33)
    wide = torch.zeros(6, 40)
    wide[:, :33] = x
    assert torch.equal(cross_entropy(wide[:, :33], targets), cross_entropy(x, targets))
    apart = wide[:, :33].detach().requires_grad_()
    (dx,) = torch.autograd.grad(cross_entropy(apart, targets).sum(), apart)
    same = x.clone().requires_grad_()
    assert torch.equal(dx, torch.autograd.grad(cross_entropy(same, targets).sum(), same)[0])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_number_that_is_not_finite_is_seen(value: float) -> None:
    x, targets = logits_and_targets(2, 41)
    x[1, 17] = value
    nats = cross_entropy(x, targets)
    assert nats[0].isfinite()
    assert not nats[1].isfinite()


def test_second_derivatives_and_transforms_are_those_of_torch() -> None:
    x, targets = logits_and_targets(3, 8)
    x = x.requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda wide: cross_entropy(wide, targets, label_smoothing=0.1), x.detach().double().requires_grad_()
    )

    def penalty(function) -> torch.Tensor:
        (dx,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        return torch.autograd.grad(dx.square().sum(), x)[0]

    ours = penalty(lambda x: cross_entropy(x, targets))
    torch.testing.assert_close(ours, penalty(lambda x: F.cross_entropy(x, targets, reduction="none")))
    each = torch.func.grad(lambda x: cross_entropy(x, targets).sum())(x.detach())
    torch.testing.assert_close(each, torch.autograd.grad(cross_entropy(x, targets).sum(), x)[0])


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
@pytest.mark.parametrize("bad", [-1, 7])
def test_a_target_out_of_range_is_refused(bad: int) -> None:
    with pytest.raises(ValueError, match=f"targets must lie between 0 and 6: got {bad}"):
        cross_entropy(torch.zeros(2, 7), torch.tensor([3, bad]))


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
def test_wrong_calls_of_the_cross_entropy_are_refused() -> None:
    kernels, isa = native.kernels, native.index(torch.float32)
    x, targets, nats, dx = torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64), torch.zeros(2, 3), torch.zeros(3, 4)
    for arguments, message in (
        ((x, targets[:2], -100, 0.0, *nats), "targets must have shape"),
        ((x, targets.int(), -100, 0.0, *nats), "int64"),
        ((x, targets, -100, 1.5, *nats), "smoothing"),
        ((x, targets, -100, torch.nan, *nats), "smoothing"),
        ((x, targets, -100, 0.0, nats[0], nats[0]), "overlaps"),
        ((x, targets, -100, 0.0, nats[0], nats[1, :2]), "shape"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            kernels.cross_entropy(isa, 1, *arguments)
    for arguments, message in (
        ((x, targets, -100, 0.0, *nats, dx.T), "shape"),
        ((x, targets, -100, 0.0, *nats, dx.T.contiguous().T), "contiguous"),
        ((torch.zeros(16).as_strided((3, 4), (5, 1)), targets, -100, 0.0, *nats, dx[:2]), "shape"),
        ((x[:2], targets[:2], -100, 0.0, *nats[:, :2], x[1:]), "overlaps"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            kernels.cross_entropy_backward(isa, 1, *arguments)
    inside = torch.randn(3, 4)
    kernels.cross_entropy(isa, 1, inside, targets, -100, 0.0, *nats)
    kernels.cross_entropy_backward(isa, 1, inside, targets, -100, 0.0, nats[1], torch.ones(3), dx)
    kernels.cross_entropy_backward(isa, 1, inside, targets, -100, 0.0, nats[1], torch.ones(3), inside)
    assert torch.equal(inside, dx), "dx may be x"


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
