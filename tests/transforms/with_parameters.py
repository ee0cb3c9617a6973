"""Parameters: replaced, computed, tied, frozen, optimised, pruned, normalised."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.optim.swa_utils import AveragedModel

from transforms.sides import LAYERS, transform
from transforms.with_arguments import every
from transforms.with_autograd import first, leaves, total
from transforms.with_modules import recurrent, trained


@transform("parameter replaced")
def replaced(m: nn.Module, x: Tensor) -> Any:
    m(x)
    setattr(m, recurrent(m), nn.Parameter(getattr(m, recurrent(m)).detach() * 2))
    return trained(m, x)


@transform("parameter replaced by a computed tensor")
def computed(m: nn.Module, x: Tensor) -> Any:
    name = recurrent(m)
    raw = nn.Parameter(getattr(m, name).detach() * 2)
    delattr(m, name)
    setattr(m, name, raw * 0.5)
    total(m(x)).backward()
    return m(x), raw.grad


@transform("weight dropout by hand", on=LAYERS)
def weight_drop(m: nn.RNNBase, x: Tensor) -> Any:
    raw = m.weight_hh_l0
    del m._parameters["weight_hh_l0"]
    m.register_parameter("weight_hh_l0_raw", nn.Parameter(raw.detach()))
    torch.manual_seed(3)
    m.weight_hh_l0 = torch.nn.functional.dropout(m.weight_hh_l0_raw, 0.5)
    y = m(x)
    total(y).backward()
    return y, m.weight_hh_l0_raw.grad


@transform("_flat_weights changed", on=LAYERS)
def flat_weights(m: nn.RNNBase, x: Tensor) -> Any:
    m._flat_weights = [w.detach() * 2 for w in m._flat_weights]
    return m(x)


@transform("parameter deleted")
def deleted(m: nn.Module, x: Tensor) -> Any:
    delattr(m, recurrent(m))
    return every(lambda: m(x))


@transform("parameter set to None")
def absent(m: nn.Module, x: Tensor) -> Any:
    return [*every(lambda: setattr(m, recurrent(m), None)), *every(lambda: m(x))]


@transform("parameters of another shape")
def other_shape(m: nn.Module, x: Tensor) -> Any:
    w = getattr(m, recurrent(m))
    setattr(m, recurrent(m), nn.Parameter(w.detach()[:, :-1].clone()))
    return [type(e).__name__ if isinstance(e, Exception) else str(e)[:12] for e in every(lambda: m(x))]


@transform("tied parameters")
def tied(m: nn.Module, x: Tensor) -> Any:
    other = copy.deepcopy(m)
    setattr(other, recurrent(m), getattr(m, recurrent(m)))
    both = nn.ModuleList([m, other])
    total([*leaves(m(x)), *leaves(other(x))]).backward()
    return {name: p.grad for name, p in both.named_parameters()}


@transform("one tensor as two parameters")
def tied_inside(m: nn.Module, x: Tensor) -> Any:
    if isinstance(m, nn.RNNBase) and m.bidirectional:
        m.weight_hh_l0_reverse = m.weight_hh_l0
    return trained(m, x)


@transform("requires_grad_(False) on some")
def partly_frozen(m: nn.Module, x: Tensor) -> Any:
    getattr(m, recurrent(m)).requires_grad_(False)
    return trained(m, x)


@transform("optimisers")
def optimisers(m: nn.Module, x: Tensor) -> Any:
    found = []
    for make in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop):
        optimizer = make(m.parameters(), lr=0.01)
        optimizer.zero_grad()
        total(m(x)).backward()
        torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
        optimizer.step()
        found.append(m(x))
    return found


@transform("LBFGS")
def lbfgs(m: nn.Module, x: Tensor) -> Any:
    optimizer = torch.optim.LBFGS(m.parameters(), lr=0.01, max_iter=2)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = first(m, x).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return m(x)


@transform("parameters_to_vector and back")
def vector(m: nn.Module, x: Tensor) -> Any:
    values = torch.nn.utils.parameters_to_vector(m.parameters())
    torch.nn.utils.vector_to_parameters(values * 2, m.parameters())
    return trained(m, x)


@transform("AveragedModel")
def averaged(m: nn.Module, x: Tensor) -> Any:
    mean = AveragedModel(m)
    mean.update_parameters(m)
    with torch.no_grad():
        next(m.parameters()).add_(1)
    mean.update_parameters(m)
    return mean(x)


@transform("apply")
def applied(m: nn.Module, x: Tensor) -> Any:
    m.apply(lambda m: [nn.init.constant_(p, 0.1) for p in m.parameters(recurse=False)])
    return trained(m, x)


@transform("init of single gates")
def gates(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        for name, p in m.named_parameters():
            if "bias" in name:
                p[: p.numel() // 2].fill_(1.0)
            else:
                nn.init.orthogonal_(p)
    return trained(m, x)


@transform("prune.l1_unstructured")
def pruned(m: nn.Module, x: Tensor) -> Any:
    prune.l1_unstructured(m, recurrent(m), amount=0.5)
    return trained(m, x), trained(m, x.cos())


@transform("prune and remove")
def prune_removed(m: nn.Module, x: Tensor) -> Any:
    prune.ln_structured(m, recurrent(m), amount=0.5, n=2, dim=0)
    m(x)
    prune.remove(m, recurrent(m))
    return trained(m, x), list(m.state_dict())


@transform("prune.global_unstructured")
def prune_global(m: nn.Module, x: Tensor) -> Any:
    names = [name for name, _ in list(m.named_parameters())]
    prune.global_unstructured([(m, name) for name in names], prune.L1Unstructured, amount=0.5)
    return trained(m, x)


@transform("weight_norm, old")
def weight_norm_old(m: nn.Module, x: Tensor) -> Any:
    torch.nn.utils.weight_norm(m, recurrent(m))
    found = trained(m, x)
    with torch.no_grad():
        getattr(m, f"{recurrent(m)}_g").mul_(2)
    found = [found, trained(m, x)]
    torch.nn.utils.remove_weight_norm(m, recurrent(m))
    return found, trained(m, x)


@transform("weight_norm")
def weight_norm(m: nn.Module, x: Tensor) -> Any:
    parametrizations.weight_norm(m, recurrent(m))
    found = trained(m, x)
    with torch.no_grad():
        for p in m.parameters():
            p.mul_(1.1)
    return found, trained(m, x)


@transform("spectral_norm, old")
def spectral_norm_old(m: nn.Module, x: Tensor) -> Any:
    torch.nn.utils.spectral_norm(m, recurrent(m))
    return trained(m, x), m.eval()(x)


@transform("spectral_norm")
def spectral_norm(m: nn.Module, x: Tensor) -> Any:
    parametrizations.spectral_norm(m, recurrent(m))
    return trained(m, x), m.eval()(x)


@transform("orthogonal")
def orthogonal(m: nn.Module, x: Tensor) -> Any:
    parametrizations.orthogonal(m, recurrent(m), orthogonal_map="cayley")
    return trained(m, x)


class _Double(nn.Module):
    """A parametrisation."""

    def forward(self, w: Tensor) -> Tensor:
        return w * 2


@transform("register_parametrization")
def parametrised(m: nn.Module, x: Tensor) -> Any:
    parametrize.register_parametrization(m, recurrent(m), _Double())
    found = [trained(m, x)]
    with parametrize.cached():
        found.append(trained(m, x))
    parametrize.remove_parametrizations(m, recurrent(m))
    return [*found, trained(m, x), list(m.state_dict())]
