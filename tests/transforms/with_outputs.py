"""Outputs as tensors: in-place changes, views, memory layout, and changes of inputs between forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transforms.sides import KINDS, LAYERS, transform
from transforms.with_autograd import first, leaves, total


def gradients(m: nn.Module, x: Tensor, y: Any) -> Any:
    """Return y and its gradients."""
    return y, torch.autograd.grad(total(y), [x, *m.parameters()])


@transform("y += 1")
def add(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    y += 1
    return gradients(m, x, y)


@transform("relu_")
def relu(m: nn.Module, x: Tensor) -> Any:
    return gradients(m, x, F.relu_(first(m, x.requires_grad_())))


@transform("y[:, 0] = 0")
def assign(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    y[:, 0] = 0
    return gradients(m, x, y)


@transform("masked_fill_ of padding")
def fill(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    y.masked_fill_(x.sum(-1, keepdim=True) > 0, 0.0)
    return gradients(m, x, y)


@transform("mul_ of a view")
def view_changed(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    y[0].mul_(2)
    y.transpose(0, 1)[0].add_(1)
    return gradients(m, x, y)


@transform("every output in place")
def every_output(m: nn.Module, x: Tensor) -> Any:
    y = leaves(m(x.requires_grad_()))
    for leaf in y:
        leaf.mul_(2).sub_(1)
    return gradients(m, x, y)


@transform("out of place after in place, both used")
def both_used(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    z = y * y
    y += 1  # z's backward needs y
    return gradients(m, x, z)


@transform("in place under no_grad")
def in_place_no_grad(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    with torch.no_grad():
        y.zero_()
    return gradients(m, x, y.sum() * 1.0)


@transform("in place in inference_mode")
def in_place_inference(m: nn.Module, x: Tensor) -> Any:
    with torch.inference_mode():
        y = leaves(m(x))
        for leaf in y:
            leaf += 1
    return [leaf.clone() for leaf in y]


@transform("outputs share no memory")
def independent(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        y = leaves(m(x))
        y[0].fill_(7.0)
        return y


@transform("y of an earlier call stays")
def earlier(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        y = m(x)
        m(x.cos())
        return y


def loud_or_right(m: nn.Module, x: Tensor, change: Callable[[Tensor], Any]) -> str:
    """Return "wrong" if a change between forward and backward passes unseen into the gradients.

    Whether autograd refuses the change or a copy protects the call is a matter of implementation, also torch's.
    """
    before = torch.autograd.grad(total(m(x)), list(m.parameters()))
    y = m(x)
    with torch.no_grad():
        change(x)
    try:
        total(y).backward()
    except RuntimeError as error:
        assert "modified by an inplace operation" in str(error)  # noqa: PT017
        return "loud or right"
    right = all(torch.allclose(p.grad, g, 1e-4, 1e-4) for p, g in zip(m.parameters(), before, strict=True))
    return "loud or right" if right else "wrong"


@transform("x changed before backward", on=[kind for kind in KINDS if not kind.options.get("batch_first")])
def input_changed(m: nn.Module, x: Tensor) -> Any:
    inner = x.requires_grad_() * 1
    y = m(inner)
    inner += 1
    total(y).backward()


@transform("x changed before backward: loud or right")
def input_changed_loud(m: nn.Module, x: Tensor) -> Any:
    return loud_or_right(m, x, lambda x: x.mul_(2))


@transform("weights changed before backward")
def weights_changed(m: nn.Module, x: Tensor) -> Any:
    y = m(x.requires_grad_())
    with torch.no_grad():
        next(m.parameters()).mul_(2)
    total(y).backward()


@transform("recurrent weights changed before backward", on=LAYERS)
def recurrent_changed(m: nn.Module, x: Tensor) -> Any:
    y = m(x)
    with torch.no_grad():
        m.weight_hh_l0.mul_(2)
    total(y).backward()


@transform("any parameter changed before backward: loud or right")
def any_changed_loud(m: nn.Module, x: Tensor) -> Any:
    found = []
    for index in range(len(list(m.parameters()))):
        m.zero_grad()
        found.append(loud_or_right(m, x, lambda _, index=index: list(m.parameters())[index].mul_(2)))
    return found


@transform("optimiser step before backward: loud or right")
def step_changed_loud(m: nn.Module, x: Tensor) -> Any:
    return loud_or_right(m, x, lambda _: [p.mul_(2) for p in m.parameters()])


@transform("y changed before backward, y detached")
def detached_changed(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    y.detach().mul_(2)
    return torch.autograd.grad(total(y), [x, *m.parameters()])


@transform("weights changed between calls")
def weights_between(m: nn.Module, x: Tensor) -> Any:
    found = [m(x)]
    with torch.no_grad():
        for p in m.parameters():
            p.add_(0.1)
    found.append(m(x))
    for p in m.parameters():
        p.data = p.data * 2
    return [*found, m(x)]


@transform("view(-1, H)")
def flat(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    return gradients(m, x, y.view(-1, y.shape[-1]))


@transform("view(-1, H), no_grad")
def flat_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return [leaf.view(-1, leaf.shape[-1]) for leaf in leaves(m(x))]


def layout(value: Any) -> Any:
    """Return tensors with their layout."""
    return [(y, list(y.shape), list(y.stride()), y.storage_offset(), str(y.dtype)) for y in leaves(value)]


def layout_of_call(m: nn.Module, x: Tensor) -> Any:
    """Return the layout of the outputs; with batch_first torch's y is a view of (T, B, H), and ours need not be."""
    y, *states = leaves(m(x))
    return [[*y.shape] if getattr(m, "batch_first", False) else layout(y), layout(states)]


@transform("strides of outputs")
def strides(m: nn.Module, x: Tensor) -> Any:
    return layout_of_call(m, x)


@transform("strides of outputs, no_grad")
def strides_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return layout_of_call(m, x)


@transform("strides of outputs, transposed x")
def strides_transposed(m: nn.Module, x: Tensor) -> Any:
    return layout_of_call(m, x.transpose(0, -1).contiguous().transpose(0, -1))


@transform("strides of gradients")
def gradient_strides(m: nn.Module, x: Tensor) -> Any:
    total(m(x.requires_grad_())).backward()
    return layout([x.grad, *(p.grad for p in m.parameters())])


@transform("x expanded")
def expanded(m: nn.Module, x: Tensor) -> Any:
    return gradients(m, x.requires_grad_(), m(x[:1].expand_as(x)))


@transform("x with steps in memory")
def stepped(m: nn.Module, x: Tensor) -> Any:
    wide = torch.repeat_interleave(x, 2, dim=-1)[..., ::2].requires_grad_()
    return gradients(m, wide, m(wide))


@transform("x reversed by flip")
def flipped(m: nn.Module, x: Tensor) -> Any:
    return m(x.flip(0))


@transform("weights not contiguous")
def transposed_weights(m: nn.Module, x: Tensor) -> Any:
    for p in m.parameters():
        p.data = p.data.t().contiguous().t()
    return gradients(m, x, m(x.requires_grad_()))


@transform("state not contiguous")
def transposed_state(m: nn.Module, x: Tensor) -> Any:
    y = m(x)
    state = y[1] if isinstance(m, nn.RNNBase) else y
    turned = [s.detach().transpose(0, -1).contiguous().transpose(0, -1) for s in leaves(state)]
    return m(x, tuple(turned) if isinstance(state, tuple) else turned[0])


@transform("state expanded")
def expanded_state(m: nn.Module, x: Tensor) -> Any:
    y = m(x)
    state = y[1] if isinstance(m, nn.RNNBase) else y
    wide = [s.detach()[:1].expand_as(s) for s in leaves(state)]
    return m(x, tuple(wide) if isinstance(state, tuple) else wide[0])


@transform("split, unbind and cat of y")
def split(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    return gradients(m, x, torch.cat([*y.unbind(0), *y.chunk(2, dim=-1)[0].unbind(0)], dim=-1))


@transform("in place of an unbound step", on=LAYERS)
def unbound(m: nn.Module, x: Tensor) -> Any:
    y = first(m, x.requires_grad_())
    y.unbind(0)[0].add_(1)
    return gradients(m, x, y)


@transform("outputs of no_grad calls made to need gradients")
def later_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        y = first(m, x)
    y.requires_grad_()
    return torch.autograd.grad(total(y), y), y.is_leaf


@transform("resize_ and set_ of outputs")
def resized(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        y = first(m, x)
        numbers = y.untyped_storage().nbytes() // 4
        return y.clone(), numbers, y.resize_(2).shape
