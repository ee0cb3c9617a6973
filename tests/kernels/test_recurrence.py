"""The linear recurrence of vectors: values and gradients of a loop in float64, the same bits in any batch and split."""

import pytest
import torch
from torch import Tensor

from unrolled import machine
from unrolled.kernels import native, recurrence
from unrolled.scan import parallel

ISAS = [name for name, here in native.isas().items() if here]
SHAPES = [(1, 1, 1), (2, 3, 7), (3, 17, 16), (1, 40, 130), (2, 5, 1_100)]


def arguments(B: int, T: int, H: int) -> list[Tensor]:
    torch.manual_seed(B + T + H)
    return [torch.rand(B, T, H), torch.randn(B, T, H), torch.randn(B, H)]


def looped(a: Tensor, b: Tensor, h0: Tensor) -> Tensor:
    found = [h0]
    for t in range(a.shape[1]):
        found.append(a[:, t] * found[-1] + b[:, t])
    return torch.stack(found[1:], dim=1)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_a_loop_in_float64(shape: tuple[int, int, int], isa: str) -> None:
    tensors = [t.requires_grad_() for t in arguments(*shape)]
    wide = [t.detach().double().requires_grad_() for t in tensors]
    dh = torch.randn(shape)
    with native.use_isa(isa):
        h = parallel.recurrence(*tensors)
        gradients = torch.autograd.grad(h, tensors, dh)
    exact = looped(*wide)
    torch.testing.assert_close(h.double(), exact, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(gradients, torch.autograd.grad(exact, wide, dh.double()), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
def test_the_kernels_compute_plain_calls_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for name in ("forward", "backward"):
        own = getattr(recurrence, name)
        monkeypatch.setattr(recurrence, name, lambda *t, own=own, name=name: called.append(name) or own(*t))
    a, b, h0 = arguments(2, 4, 5)
    a.requires_grad_()
    (da,) = torch.autograd.grad(parallel.recurrence(a, b, h0).sum(), a)
    assert called == ["forward", "backward"]
    (again,) = torch.autograd.grad(parallel.recurrence(a, b, h0).sum(), a, create_graph=True)
    torch.testing.assert_close(again, da)
    assert called == ["forward", "backward", "forward", "forward"], "a gradient of gradients is made of recurrences"
    called.clear()
    parallel.recurrence(a.double(), b.double(), h0.double())
    assert not called


def test_a_sequence_has_the_same_bits_in_any_batch_split_and_number_of_threads() -> None:
    a, b, h0 = arguments(5, 60, 70)
    h = parallel.recurrence(a, b, h0)
    assert torch.equal(parallel.recurrence(a[3:4], b[3:4], h0[3:4]), h[3:4])
    first = parallel.recurrence(a[:, :23], b[:, :23], h0)
    assert torch.equal(torch.cat([first, parallel.recurrence(a[:, 23:], b[:, 23:], first[:, -1])], dim=1), h)
    with machine.use_threads(3):
        assert torch.equal(parallel.recurrence(a, b, h0), h)


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
def test_wrong_calls_name_the_argument() -> None:
    kernels, isa = native.kernels, native.index(torch.float32)
    a, b, h0 = arguments(2, 3, 4)
    good = {"isa": isa, "threads": 1, "a": a, "b": b, "h0": h0, "h": torch.zeros(2, 3, 4)}
    for name, wrong in (
        ("a", a[0]), ("a", a.double()), ("b", b[:, :2]), ("h0", h0[:1]), ("h", torch.zeros(2, 4, 3)),
        ("b", b.transpose(1, 2).contiguous().transpose(1, 2)), ("h", a), ("threads", 0), ("isa", 99), ("a", None),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=name):
            kernels.linear_recurrence(**{**good, name: wrong})
    gradients = {"da": torch.zeros(2, 3, 4), "db": torch.zeros(2, 3, 4), "dh0": torch.zeros(2, 4)}
    good = {"isa": isa, "threads": 1, "a": a, "h": b, "h0": h0, "dh": torch.zeros(2, 3, 4), **gradients}
    for name, wrong in (("dh", h0), ("da", b), ("dh0", gradients["da"]), ("db", gradients["da"])):
        with pytest.raises((ValueError, TypeError), match=name):
            kernels.linear_recurrence_backward(**{**good, name: wrong})
