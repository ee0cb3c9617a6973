"""Clipping as torch does it, but never of what is not finite; weight decay on matrices only."""

import random

import pytest
import torch
from torch import nn

from unrolled.errors import TrainingError
from unrolled.training.optimizer import adamw, clip_


def model_with_gradients(seed: int, scale: float = 1.0) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    for p in model.parameters():
        p.grad = torch.randn_like(p) * scale
    return model


@pytest.mark.parametrize("most", [1e-3, 0.7, 1e6])
def test_it_clips_as_torch_does(most: float) -> None:
    ours, theirs = model_with_gradients(1), model_with_gradients(1)
    norm = clip_(ours, most, update=0, loss_nats=1.0)
    assert norm == float(nn.utils.clip_grad_norm_(theirs.parameters(), most))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
    after = float(nn.utils.get_total_norm([p.grad for p in ours.parameters()]))
    assert after == pytest.approx(min(norm, most), rel=1e-5)


@pytest.mark.parametrize("fraction", [0.5, 0.75, 0.999, 1.0, 1.001])
def test_a_norm_just_above_the_limit_is_clipped(fraction: float) -> None:
    model = model_with_gradients(1)
    before = [p.grad.clone() for p in model.parameters()]
    norm = float(torch.cat([gradient.flatten() for gradient in before]).norm())
    clip_(model, fraction * norm, update=0, loss_nats=1.0)
    for p, gradient in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.grad, gradient * min(1, fraction), rtol=1e-4, atol=0)


def test_every_nan_and_infinity_is_caught_and_nothing_is_changed() -> None:
    draw = random.Random(0)
    for trial in range(100):
        model = model_with_gradients(trial)
        name, broken = draw.choice(list(model.named_parameters()))
        broken.grad.view(-1)[draw.randrange(broken.numel())] = draw.choice([float("nan"), float("inf"), -float("inf")])
        before = [(p.detach().clone(), p.grad.clone()) for p in model.parameters()]
        with pytest.raises(TrainingError, match=rf"update {trial + 1}: .* not finite in {name}\."):
            clip_(model, 1.0, update=trial, loss_nats=0.5)
        for p, (value, gradient) in zip(model.parameters(), before, strict=True):
            assert torch.equal(p, value)
            assert torch.equal(p.grad.nan_to_num(1, 2, 3), gradient.nan_to_num(1, 2, 3))


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_caught_too(loss: float) -> None:
    model = model_with_gradients(0)
    model[1].weight.grad.mul_(1000)
    with pytest.raises(TrainingError, match=rf"update 1: loss {loss}, and the gradient is largest in 1\.weight"):
        clip_(model, 1.0, update=0, loss_nats=loss)


def test_only_matrices_are_decayed() -> None:
    model = nn.Linear(3, 2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = adamw(model, rate=0.1, weight_decay=0.5)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert torch.allclose(model.weight, before["weight"] * (1 - 0.1 * 0.5), rtol=1e-6)
    assert torch.equal(model.bias, before["bias"])
