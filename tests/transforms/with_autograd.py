"""Reverse-mode differentiation: once, twice, batched, with hooks and with checkpoints."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint

from transforms.sides import FEW, transform


def leaves(value: Any) -> list[Tensor]:
    """Return the tensors of a module's result."""
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def first(m: nn.Module, x: Tensor) -> Tensor:
    """Return the output of a layer or the hidden state of a cell."""
    return leaves(m(x))[0]


def total(value: Any) -> Tensor:
    """Return a scalar that depends on every number of a result, on no two alike."""
    return sum(((leaf + 0.3) ** 2 * torch.arange(1, leaf.numel() + 1).view(leaf.shape)).sum() for leaf in leaves(value))


@transform("forward")
def forward(m: nn.Module, x: Tensor) -> Any:
    return m(x)


@transform("forward, no_grad")
def forward_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return m(x)


@transform("forward, inference_mode")
def forward_inference(m: nn.Module, x: Tensor) -> Any:
    with torch.inference_mode():
        y = m(x)
        return y, [leaf.is_inference() for leaf in leaves(y)]


@transform("backward")
def backward(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    total(m(x)).backward()
    return x.grad, [p.grad for p in m.parameters()]


@transform("backward, accumulated twice")
def backward_twice(m: nn.Module, x: Tensor) -> Any:
    for _ in range(2):
        total(m(x)).backward()
    return [p.grad for p in m.parameters()]


@transform("backward, retain_graph")
def backward_retain(m: nn.Module, x: Tensor) -> Any:
    loss = total(m(x))
    loss.backward(retain_graph=True)
    loss.backward()
    return [p.grad for p in m.parameters()]


@transform("backward through a freed graph")
def backward_freed(m: nn.Module, x: Tensor) -> Any:
    loss = total(m(x))
    loss.backward()
    loss.backward()


@transform("backward of each output alone")
def backward_each(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    return [torch.autograd.grad(total(leaf), [x, *m.parameters()], retain_graph=True) for leaf in leaves(m(x))]


@transform("backward, one parameter at a time")
def backward_one_parameter(m: nn.Module, x: Tensor) -> Any:
    found = []
    for chosen in m.parameters():
        for p in m.parameters():
            p.requires_grad_(p is chosen)
        y = m(x)
        found.append((torch.autograd.grad(total(y), chosen), [leaf.requires_grad for leaf in leaves(y)]))
    return found


@transform("backward to x, frozen parameters")
def backward_frozen(m: nn.Module, x: Tensor) -> Any:
    m.requires_grad_(False)
    x.requires_grad_()
    y = m(x)
    total(y).backward()
    return y, x.grad, [p.grad for p in m.parameters()]


@transform("requires_grad of outputs")
def requires_grad(m: nn.Module, x: Tensor) -> Any:
    found = [[leaf.requires_grad for leaf in leaves(m(x))]]
    m.requires_grad_(False)
    return [*found, [leaf.requires_grad for leaf in leaves(m(x))]]


@transform("gradient of the initial state")
def state_gradient(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        y = m(x)
    state = y[1] if isinstance(m, nn.RNNBase) else y
    state = (
        tuple(s.clone().requires_grad_() for s in state) if isinstance(state, tuple) else state.clone().requires_grad_()
    )
    return torch.autograd.grad(total(m(x, state)), leaves(state))


@transform("gradient penalty")
def gradient_penalty(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    (dx,) = torch.autograd.grad(total(m(x)), x, create_graph=True)
    (dx.norm() ** 2 + total(m(x))).backward()
    return dx, [p.grad for p in m.parameters()]


@transform("second derivatives of parameters")
def second_of_parameters(m: nn.Module, x: Tensor) -> Any:
    grads = torch.autograd.grad(total(m(x)), list(m.parameters()), create_graph=True)
    return torch.autograd.grad(sum((g * g).sum() for g in grads), list(m.parameters()))


@transform("third derivatives")
def third(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    value = total(m(x))
    for _ in range(3):
        (value,) = torch.autograd.grad(value, x, create_graph=True)
        last, value = value, (value * value).sum()
    return last


@transform("create_graph without use")
def create_graph(m: nn.Module, x: Tensor) -> Any:
    return torch.autograd.grad(total(m(x)), list(m.parameters()), create_graph=True)


@transform("gradcheck", on=FEW)
def gradcheck(m: nn.Module, x: Tensor) -> Any:
    m, x = m.double(), x.double().requires_grad_()
    return torch.autograd.gradcheck(lambda x, *_: tuple(leaves(m(x))), (x, *m.parameters()))


@transform("gradgradcheck", on=FEW)
def gradgradcheck(m: nn.Module, x: Tensor) -> Any:
    m, x = m.double(), x[:2].double().requires_grad_()
    return torch.autograd.gradgradcheck(lambda x: tuple(leaves(m(x))), (x,))


@transform("is_grads_batched")
def grads_batched(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    y = first(m, x)
    return torch.autograd.grad(y, [x, *m.parameters()], torch.randn(3, *y.shape), is_grads_batched=True)


@transform("is_grads_batched, create_graph")
def grads_batched_twice(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    y = first(m, x)
    (dx,) = torch.autograd.grad(y, x, torch.randn(3, *y.shape), is_grads_batched=True, create_graph=True)
    return torch.autograd.grad((dx * dx).sum(), [x, *m.parameters()])


@transform("autograd.functional")
def functional(m: nn.Module, x: Tensor) -> Any:
    def f(x: Tensor) -> Tensor:
        return first(m, x)

    a = torch.autograd.functional
    return (
        a.jacobian(f, x), a.jacobian(f, x, vectorize=True), a.jacobian(f, x, create_graph=True), a.vjp(f, x, f(x)),
        a.jvp(f, x, x), a.hessian(lambda x: total(m(x)), x), a.hvp(lambda x: total(m(x)), x, x),
    )  # fmt: skip


@transform("jacobian, forward mode", on=FEW)
def jacobian_forward(m: nn.Module, x: Tensor) -> Any:
    return torch.autograd.functional.jacobian(lambda x: first(m, x), x, vectorize=True, strategy="forward-mode")


@transform("forward-mode AD of x")
def dual_input(m: nn.Module, x: Tensor) -> Any:
    with forward_ad.dual_level():
        return [forward_ad.unpack_dual(y) for y in leaves(m(forward_ad.make_dual(x, x.cos())))]


@transform("forward-mode AD of x, no_grad")
def dual_input_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad(), forward_ad.dual_level():
        return [forward_ad.unpack_dual(y) for y in leaves(m(forward_ad.make_dual(x, x.cos())))]


@transform("forward-mode AD of x, frozen parameters")
def dual_input_frozen(m: nn.Module, x: Tensor) -> Any:
    m.requires_grad_(False)
    with forward_ad.dual_level():
        return [forward_ad.unpack_dual(y) for y in leaves(m(forward_ad.make_dual(x, x.cos())))]


@transform("forward-mode AD of parameters")
def dual_parameters(m: nn.Module, x: Tensor) -> Any:
    values = {name: p.detach() for name, p in m.named_parameters()}
    with torch.no_grad(), forward_ad.dual_level():
        duals = {name: forward_ad.make_dual(p, p.cos()) for name, p in values.items()}
        return [forward_ad.unpack_dual(y) for y in leaves(torch.func.functional_call(m, duals, (x,)))]


@transform("forward-mode AD of the state, no_grad")
def dual_state(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad(), forward_ad.dual_level():
        y = m(x)
        state = y[1] if isinstance(m, nn.RNNBase) else y
        state = pytree.tree_map(lambda s: forward_ad.make_dual(s, s.cos()), state)
        return [forward_ad.unpack_dual(y) for y in leaves(m(x, state))]


@transform("forward over reverse")
def forward_over_reverse(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, x.detach().cos())
        (dx,) = torch.autograd.grad(total(m(dual)), dual)
        return forward_ad.unpack_dual(dx)


@transform("checkpoint, reentrant")
def checkpoint_reentrant(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    total(checkpoint(m, x, use_reentrant=True)).backward()
    return x.grad, [p.grad for p in m.parameters()]


@transform("checkpoint, not reentrant")
def checkpoint_saved(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    total(checkpoint(m, x, use_reentrant=False)).backward()
    return x.grad, [p.grad for p in m.parameters()]


@transform("gradient penalty of a checkpoint")
def checkpoint_twice(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    (dx,) = torch.autograd.grad(total(checkpoint(m, x, use_reentrant=False)), x, create_graph=True)
    return torch.autograd.grad((dx * dx).sum(), list(m.parameters()))


@transform("saved_tensors_hooks")
def saved_tensors(m: nn.Module, x: Tensor) -> Any:
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
        total(m(x)).backward()
    return [p.grad for p in m.parameters()]


@transform("saved_tensors_hooks that change values")
def saved_tensors_changed(m: nn.Module, x: Tensor) -> Any:
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(force=True).copy(), torch.from_numpy):
        total(m(x)).backward()
    return [p.grad for p in m.parameters()]


@transform("save_on_cpu")
def save_on_cpu(m: nn.Module, x: Tensor) -> Any:
    with torch.autograd.graph.save_on_cpu():
        total(m(x)).backward()
    return [p.grad for p in m.parameters()]


@transform("disable_saved_tensors_hooks")
def no_saved_tensors(m: nn.Module, x: Tensor) -> Any:
    with torch.autograd.graph.disable_saved_tensors_hooks("none here"):
        total(m(x)).backward()
    return [p.grad for p in m.parameters()]


@transform("anomaly mode")
def anomaly(m: nn.Module, x: Tensor) -> Any:
    with torch.autograd.detect_anomaly():
        total(m(x)).backward()
    return [p.grad for p in m.parameters()]


@transform("anomaly mode, NaN")
def anomaly_nan(m: nn.Module, x: Tensor) -> Any:
    with torch.autograd.detect_anomaly():
        y = first(m, x)
        (y.sum() * 0 / 0).backward()


@transform("NaN and infinity")
def nan(m: nn.Module, x: Tensor) -> Any:
    x[0, 0], x[-1, -1] = float("nan"), float("inf")
    return m(x)


@transform("hooks of tensors")
def tensor_hooks(m: nn.Module, x: Tensor) -> Any:
    seen: dict[str, Tensor] = {}
    x.requires_grad_().register_hook(lambda g: seen.update(x=g))
    y = first(m, x)
    y.register_hook(lambda g: g * 2)
    y.retain_grad()
    for name, p in m.named_parameters():
        p.register_hook(lambda g: g + 1)
        p.register_post_accumulate_grad_hook(lambda p, name=name: seen.update({name: p.grad.clone()}))
    total(y).backward()
    return [seen[name] for name in sorted(seen)], y.grad, [p.grad for p in m.parameters()]


@transform("backward from several threads")
def threads(m: nn.Module, x: Tensor) -> Any:
    losses = [total(m(x * k)) for k in range(1, 5)]
    workers = [threading.Thread(target=loss.backward) for loss in losses]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [p.grad for p in m.parameters()]


@transform("forward in another thread")
def other_thread(m: nn.Module, x: Tensor) -> Any:
    found: list[Any] = []
    with torch.no_grad():  # a mode of this thread alone
        worker = threading.Thread(target=lambda: found.append(m(x)))
        worker.start()
        worker.join()
    return found, [leaf.requires_grad for leaf in leaves(found)]


@transform("deterministic algorithms")
def deterministic(m: nn.Module, x: Tensor) -> Any:
    torch.use_deterministic_algorithms(True)
    try:
        total(m(x)).backward()
    finally:
        torch.use_deterministic_algorithms(False)
    return [p.grad for p in m.parameters()]


@transform("set_multithreading_enabled(False)")
def one_thread(m: nn.Module, x: Tensor) -> Any:
    with torch.autograd.set_multithreading_enabled(False):
        total(m(x)).backward()
    return [p.grad for p in m.parameters()]


@transform("backward of an expanded gradient")
def expanded_gradient(m: nn.Module, x: Tensor) -> Any:
    x.requires_grad_()
    y = first(m, x)
    return torch.autograd.grad(y, [x, *m.parameters()], torch.ones(()).expand(y.shape))


@transform("truncated backpropagation")
def truncated(m: nn.Module, x: Tensor) -> Any:
    state = None
    for _ in range(3):
        y = m(x) if state is None else m(x, state)
        total(y).backward()
        state = pytree.tree_map(lambda s: s.detach(), y[1] if isinstance(m, nn.RNNBase) else y)
    return [p.grad for p in m.parameters()]
