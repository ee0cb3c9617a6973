"""What records or transforms a computation sees it whole, never memory that a kernel has yet to write."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, func, nn
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from strangers.both import KINDS, equal, leaves, on_every_kind, outcome, pair, quiet
from strangers.cases import case
from unrolled import cells, layers
from unrolled import nn as fast
from unwritten import Doubled, new_memory_is_nan


@case("A")
def jit_trace_under_no_grad(folder: Path) -> None:
    """torch.jit.trace of layers and cells under no_grad computes what they compute, on other inputs too."""

    def run(m: nn.Module, x: Tensor) -> Any:
        with torch.no_grad():
            traced = torch.jit.trace(m, x)
            with new_memory_is_nan():
                return traced(x), traced(x.cos())

    on_every_kind(run)


@case("A")
def jit_trace_in_inference_mode_of_a_whole_model(folder: Path) -> None:
    """torch.jit.trace of a model, frozen, saved and loaded, follows its input."""

    def run(m: nn.Module, x: Tensor) -> Any:
        with torch.inference_mode():
            traced = torch.jit.freeze(torch.jit.trace(nn.Sequential(nn.Tanh(), m).eval(), x))
            torch.jit.save(traced, folder / "model.pt")
            with new_memory_is_nan():
                return torch.jit.load(folder / "model.pt")(x.cos())

    on_every_kind(run)


@case("A")
def make_fx_records_the_computation(folder: Path) -> None:
    """make_fx of layers and cells, with and without gradients, gives a graph that computes."""

    def run(m: nn.Module, x: Tensor) -> Any:
        m.requires_grad_(False)
        with torch.no_grad():
            graph = make_fx(lambda x: leaves(m(x)))(x)
            with new_memory_is_nan():
                return graph(x.cos())

    on_every_kind(run)


@case("A")
def weights_changed_after_tracing(folder: Path) -> None:
    """A traced layer follows later changes of its weights, as torch's does."""

    def run(m: nn.Module, x: Tensor) -> Any:
        with torch.no_grad():
            traced = torch.jit.trace(m, x)
            for p in m.parameters():
                p.mul_(0.5)
            with new_memory_is_nan():
                return traced(x)

    on_every_kind(run)


def calling(layer: nn.Module) -> Callable[[Tensor], list[Tensor]]:
    """Return a function of x alone, as torch.jit.trace needs it."""
    return lambda x: leaves(layer(x))


@case("A")
def our_own_layers_are_recorded(folder: Path) -> None:
    """torch.jit.trace and make_fx of Recurrent, linear heads and attention never record unwritten memory."""
    torch.manual_seed(0)
    made = [layers.Recurrent(cell(5, 6)) for cell in (cells.ElmanCell, cells.GRUCell, cells.LSTMCell)]
    made += [layers.SelfAttention(5, 1, causal=True), layers.Head(5, 3)]
    x = torch.randn(2, 4, 5)

    for layer in (own.requires_grad_(False) for own in made):
        run = calling(layer)

        with torch.no_grad(), quiet():
            for record in (partial(torch.jit.trace, run, x), partial(make_fx(run), x)):
                recorded = outcome(record)
                if isinstance(recorded, str):
                    assert recorded.startswith("BackendError"), recorded
                    continue
                with new_memory_is_nan():
                    equal(recorded(x.cos()), run(x.cos()))


@case("A")
def forward_mode_under_no_grad(folder: Path) -> None:
    """Forward-mode AD of cells under no_grad keeps the tangent."""

    def run(m: nn.Module, x: Tensor) -> Any:
        with torch.no_grad(), forward_ad.dual_level():
            return [forward_ad.unpack_dual(y) for y in leaves(m(forward_ad.make_dual(x, x.cos())))]

    on_every_kind(run, ("RNN", "GRU", "RNNCell", "GRUCell", "LSTMCell"))


@case("A")
def forward_mode_of_weights(folder: Path) -> None:
    """Forward-mode AD of the weights, and of frozen layers with gradients on, keeps the tangent."""

    def run(m: nn.Module, x: Tensor) -> Any:
        values = {name: p.detach() for name, p in m.named_parameters()}
        with torch.no_grad(), forward_ad.dual_level():
            duals = {name: forward_ad.make_dual(p, p.cos()) for name, p in values.items()}
            found = [forward_ad.unpack_dual(y) for y in leaves(func.functional_call(m, duals, (x,)))]
        m.requires_grad_(False)
        with forward_ad.dual_level():
            return found + [forward_ad.unpack_dual(y) for y in leaves(m(forward_ad.make_dual(x, x.cos())))]

    on_every_kind(run, ("RNN", "GRU", "RNNCell", "GRUCell", "LSTMCell"))


@case("A")
def lazy_negation(folder: Path) -> None:
    """A view with a pending negation (the imaginary part of a conjugate) is read with its sign."""
    torch.manual_seed(0)
    for own in (layers.Head(5, 3), layers.Recurrent(cells.GRUCell(5, 6)), layers.SelfAttention(5, 1, causal=True)):
        x = torch.complex(torch.randn(4, 6, 5), torch.randn(4, 6, 5)).conj().imag
        assert x.is_neg()
        with torch.no_grad():
            equal(own(x), own(x.clone()))
            equal(own(torch._neg_view(x)), own(-x.clone()))
    for kind in KINDS:
        theirs, ours, x = pair(kind, **({} if "Cell" in kind else {"batch_first": True}))
        x = torch.complex(x, x.cos()).conj().imag
        for context in (torch.no_grad, torch.enable_grad):
            with context():
                equal(ours(x), theirs(x))
                equal(ours(torch._neg_view(x.clone())), theirs(-x.clone()))


@case("A")
def subclass_without_memory(folder: Path) -> None:
    """A wrapper subclass of Tensor is computed by torch; the process lives."""
    for kind in KINDS:
        theirs, ours, x = pair(kind, **({} if "Cell" in kind else {"batch_first": True}))
        with torch.no_grad():
            equal(ours(Doubled(x)), theirs(Doubled(x)))


@case("A")
def quantize_dynamic(folder: Path) -> None:
    """to_torch returns a model with torch's layers and the same parameters, which quantize_dynamic finds."""
    theirs = nn.Sequential(nn.Embedding(9, 5), nn.GRU(5, 7), nn.Identity())
    ours = fast.convert(copy.deepcopy(theirs))
    back = fast.to_torch(copy.deepcopy(ours))
    assert type(back[1]) is nn.GRU
    equal(list(back.parameters()), list(theirs.parameters()))
    with quiet():
        found, expected = (torch.ao.quantization.quantize_dynamic(m, {nn.GRU}, torch.qint8) for m in (back, theirs))
        assert type(found[1]) is type(expected[1])
        assert "quantized" in type(found[1]).__module__
        equal(found(torch.tensor([[1, 2, 3]])), expected(torch.tensor([[1, 2, 3]])))


@case("A")
def to_torch_of_every_kind(folder: Path) -> None:
    """to_torch is the inverse of convert: types, parameters, modes and hooks; its result can be scripted."""
    for kind in KINDS:
        theirs, ours, x = pair(kind)
        model = nn.ModuleDict({"a": ours.eval()})
        before = dict(model.named_parameters())
        back = fast.to_torch(model)["a"]
        assert type(back) is type(theirs)
        assert not back.training
        assert all(p is before[f"a.{name}"] for name, p in back.named_parameters())
        equal(back(x), theirs(x))
        with quiet():
            torch.jit.script(back)


@case("A")
def to_torch_says_so(folder: Path) -> None:
    """The documentation of unrolled.nn names to_torch for tools that look types up."""
    assert "to_torch" in (fast.__doc__ or "")
    assert fast.to_torch.__doc__


@case("A")
def unknown_nonlinearity(folder: Path) -> None:
    """RNNCell(nonlinearity="gelu") raises torch's error."""
    x = torch.ones(2, 5)
    messages = [outcome(lambda n=n: n.RNNCell(5, 7, nonlinearity="gelu")(x)) for n in (nn, fast)]
    assert messages[0] == messages[1] == "RuntimeError: Unknown nonlinearity: gelu"


@case("A")
def nonlinearity_changed_later(folder: Path) -> None:
    """A nonlinearity or mode that is changed after construction is the one that computes, or torch's error."""
    for name in ("relu", "tanh", "gelu", None, "ReLU"):
        found = []
        for cell in pair("RNNCell")[:2]:
            cell.nonlinearity = name
            found.append(outcome(lambda cell=cell: cell(torch.ones(4, 5)).detach()))
        equal(found[1], found[0])
        assert isinstance(found[0], Tensor) or found[0] == found[1]
    for kind, mode in (("RNN", "RNN_RELU"), ("GRU", "RNN_TANH"), ("LSTM", "GRU"), ("RNN", "gelu")):
        found = []
        for layer in pair(kind)[:2]:
            layer.mode = mode
            found.append(outcome(lambda layer=layer: leaves(layer(torch.ones(6, 4, 5)))))
        equal(found[1], found[0])
        assert not isinstance(found[0], str) or found[0] == found[1]


@case("A")
def flat_weights(folder: Path) -> None:
    """Layers compute with torch's _flat_weights, also where a parameter is replaced or deleted."""
    for kind in ("RNN", "GRU", "LSTM"):
        found = []
        for layer in pair(kind)[:2]:
            layer._flat_weights = [w.detach() * 2 for w in layer._flat_weights]
            found.append(layer(torch.ones(6, 4, 5)))
        equal(found[1], found[0])
