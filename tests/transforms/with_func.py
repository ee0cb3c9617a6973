"""torch.func: gradients, products, vmap and functional calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, func, nn

from transforms.sides import CELLS, FEW, transform
from transforms.with_autograd import first, leaves, total


def weights(m: nn.Module) -> dict[str, Tensor]:
    """Return the parameters by name, detached."""
    return {name: p.detach() for name, p in m.named_parameters()}


def called(m: nn.Module, values: dict[str, Tensor], *arguments: Any) -> Any:
    """Call the module with other parameters."""
    return func.functional_call(m, values, arguments)


@transform("functional_call")
def functional_call(m: nn.Module, x: Tensor) -> Any:
    found = called(m, {name: p + 1 for name, p in weights(m).items()}, x)
    return found, m(x)


@transform("functional_call, gradient")
def functional_gradient(m: nn.Module, x: Tensor) -> Any:
    values = {name: (p * 0.5).requires_grad_() for name, p in weights(m).items()}
    return torch.autograd.grad(total(called(m, values, x)), list(values.values())), [p.grad for p in m.parameters()]


@transform("stateless.functional_call")
def stateless(m: nn.Module, x: Tensor) -> Any:
    values = {name: p + 1 for name, p in weights(m).items()}
    return torch.nn.utils.stateless.functional_call(m, values, (x,))


@transform("grad of x")
def grad(m: nn.Module, x: Tensor) -> Any:
    return func.grad(lambda x: total(m(x)))(x)


@transform("grad of parameters")
def grad_parameters(m: nn.Module, x: Tensor) -> Any:
    return func.grad(lambda values: total(called(m, values, x)))(weights(m))


@transform("grad, no_grad outside")
def grad_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return func.grad(lambda x: total(m(x)))(x)


@transform("grad_and_value")
def grad_and_value(m: nn.Module, x: Tensor) -> Any:
    return func.grad_and_value(lambda values: total(called(m, values, x)))(weights(m))


@transform("grad of grad")
def grad_grad(m: nn.Module, x: Tensor) -> Any:
    return func.grad(lambda x: (func.grad(lambda x: total(m(x)))(x) ** 2).sum())(x)


@transform("vjp")
def vjp(m: nn.Module, x: Tensor) -> Any:
    y, pull = func.vjp(lambda x: first(m, x), x)
    return y, pull(y)


@transform("jvp")
def jvp(m: nn.Module, x: Tensor) -> Any:
    return func.jvp(lambda x: first(m, x), (x,), (x.cos(),))


@transform("jvp, no_grad")
def jvp_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return func.jvp(lambda x: first(m, x), (x,), (x.cos(),))


@transform("jvp of parameters")
def jvp_parameters(m: nn.Module, x: Tensor) -> Any:
    values = weights(m)
    tangents = {name: p.cos() for name, p in values.items()}
    return func.jvp(lambda values: first(_Bound(m, values), x), (values,), (tangents,))


class _Bound:
    """A module with other parameters, to be called."""

    def __init__(self, m: nn.Module, values: dict[str, Tensor]) -> None:
        self.m, self.values = m, values

    def __call__(self, x: Tensor) -> Any:
        return called(self.m, self.values, x)


@transform("linearize", on=FEW)
def linearize(m: nn.Module, x: Tensor) -> Any:
    y, push = func.linearize(lambda x: first(m, x), x)
    return y, push(x.cos())


@transform("jacrev")
def jacrev(m: nn.Module, x: Tensor) -> Any:
    return func.jacrev(lambda x: first(m, x))(x)


@transform("jacrev of parameters")
def jacrev_parameters(m: nn.Module, x: Tensor) -> Any:
    return func.jacrev(lambda values: first(_Bound(m, values), x))(weights(m))


@transform("jacfwd")
def jacfwd(m: nn.Module, x: Tensor) -> Any:
    return func.jacfwd(lambda x: first(m, x))(x)


@transform("hessian", on=FEW)
def hessian(m: nn.Module, x: Tensor) -> Any:
    return func.hessian(lambda x: total(m(x)))(x)


@transform("vmap of x")
def vmap(m: nn.Module, x: Tensor) -> Any:
    return func.vmap(m)(torch.stack([x, x.cos(), x.sin()]))


@transform("vmap of x, no_grad")
def vmap_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return func.vmap(m)(torch.stack([x, x.cos(), x.sin()]))


@transform("vmap of x, in_dims and out_dims 1")
def vmap_dims(m: nn.Module, x: Tensor) -> Any:
    return func.vmap(lambda x: first(m, x), in_dims=1, out_dims=1)(torch.stack([x, x.cos()], dim=1))


@transform("vmap in chunks")
def vmap_chunks(m: nn.Module, x: Tensor) -> Any:
    return func.vmap(lambda x: first(m, x), chunk_size=2)(torch.stack([x, x.cos(), x.sin()]))


@transform("vmap of single sequences")
def vmap_unbatched(m: nn.Module, x: Tensor) -> Any:
    return func.vmap(lambda x: first(m, x))(x)


@transform("vmap of stacked parameters")
def vmap_parameters(m: nn.Module, x: Tensor) -> Any:
    stacked = {name: torch.stack([p, p * 0.5]) for name, p in weights(m).items()}
    return func.vmap(lambda values: called(m, values, x))(stacked)


@transform("vmap of stacked parameters, gradient")
def vmap_parameters_gradient(m: nn.Module, x: Tensor) -> Any:
    stacked = {name: torch.stack([p, p * 0.5]).requires_grad_() for name, p in weights(m).items()}
    y = func.vmap(lambda values: first(_Bound(m, values), x))(stacked)
    return torch.autograd.grad(total(y), list(stacked.values()))


@transform("vmap of parameters and x")
def vmap_both(m: nn.Module, x: Tensor) -> Any:
    stacked = {name: torch.stack([p, p * 0.5]) for name, p in weights(m).items()}
    return func.vmap(lambda values, x: called(m, values, x))(stacked, torch.stack([x, x.cos()]))


@transform("vmap of the state", on=CELLS)
def vmap_state(m: nn.Module, x: Tensor) -> Any:
    state = m(x)
    batched = tuple(torch.stack([s, s.cos()]) for s in state) if isinstance(state, tuple) else torch.stack([state] * 2)
    return func.vmap(lambda state: m(x, state))(batched)


@transform("gradients of each sample")
def per_sample(m: nn.Module, x: Tensor) -> Any:
    values = weights(m)
    return func.vmap(func.grad(lambda values, x: total(called(m, values, x))), in_dims=(None, 0))(
        values, torch.stack([x, x.cos()])
    )


@transform("vmap of vmap")
def vmap_vmap(m: nn.Module, x: Tensor) -> Any:
    return func.vmap(func.vmap(lambda x: first(m, x)))(torch.stack([x, x.cos()]).unsqueeze(0))


@transform("jvp of grad")
def jvp_grad(m: nn.Module, x: Tensor) -> Any:
    return func.jvp(func.grad(lambda x: total(m(x))), (x,), (x.cos(),))


@transform("functionalize")
def functionalize(m: nn.Module, x: Tensor) -> Any:
    return func.functionalize(lambda x: m(x))(x)


@transform("vmap of a closed-over x")
def vmap_closed(m: nn.Module, x: Tensor) -> Any:
    return func.vmap(lambda k: first(m, x) * k)(torch.arange(3.0))


@transform("functional optimisation step")
def functional_step(m: nn.Module, x: Tensor) -> Any:
    values = weights(m)
    for _ in range(2):
        grads = func.grad(lambda values: total(called(m, values, x)))(values)
        values = {name: p - 0.01 * grads[name] for name, p in values.items()}
    return values, [leaf.requires_grad for leaf in leaves(called(m, values, x))]
