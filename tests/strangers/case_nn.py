"""`unrolled.nn` next to torch.nn: torch computes what the kernels cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, func, nn
from torch._subclasses import FakeTensorMode
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence
from torch.utils import _pytree as pytree

import unrolled
from strangers.both import KINDS, equal, leaves, on_every_kind, outcome, pair, quiet
from strangers.cases import case
from unrolled import cells, layers
from unrolled import nn as fast


@case("B")
def second_derivatives(folder: Path) -> None:
    """Gradient penalties work."""

    def run(m: nn.Module, x: Tensor) -> Any:
        x.requires_grad_()
        (dx,) = torch.autograd.grad(sum((y * y).sum() for y in leaves(m(x))), x, create_graph=True)
        return torch.autograd.grad((dx * dx).sum(), [x, *m.parameters()])

    on_every_kind(run)


@case("B")
def higher_derivatives(folder: Path) -> None:
    """Third derivatives, and second ones through packed sequences, work."""

    def run(m: nn.Module, x: Tensor) -> Any:
        x.requires_grad_()
        value = sum((y * y).sum() for y in leaves(m(x)))
        for _ in range(3):
            (value,) = torch.autograd.grad(value, x, create_graph=True)
            last, value = value, (value * value).sum()
        return last

    on_every_kind(run)

    def packed(m: nn.Module, x: Tensor) -> Any:
        p = pack_sequence([x[:3, 0], x[:6, 1], x[:1, 2]], enforce_sorted=False)
        data = p.data.detach().requires_grad_()
        (dx,) = torch.autograd.grad((m(p._replace(data=data))[0].data ** 2).sum(), data, create_graph=True)
        return torch.autograd.grad((dx * dx).sum(), list(m.parameters()))

    on_every_kind(packed, ("RNN", "GRU", "LSTM"))


@case("B")
def torch_func(folder: Path) -> None:
    """torch.func.grad, vjp, jvp, jacrev, jacfwd, hessian and functional_call work."""

    def run(m: nn.Module, x: Tensor) -> Any:
        def loss(x: Tensor) -> Tensor:
            return (leaves(m(x))[0] ** 2).sum()

        values = {name: p.detach() for name, p in m.named_parameters()}
        of_weights = func.grad(lambda values: (leaves(func.functional_call(m, values, (x,)))[0] ** 2).sum())
        y, pull = func.vjp(lambda x: leaves(m(x))[0], x)
        return [func.grad(loss)(x), of_weights(values), y, pull(y), func.jacrev(loss)(x), func.grad(loss)(x)]

    on_every_kind(run)

    def forward(m: nn.Module, x: Tensor) -> Any:
        def loss(x: Tensor) -> Tensor:
            return (leaves(m(x))[0] ** 2).sum()

        return func.jvp(loss, (x,), (x.cos(),)), func.jacfwd(loss)(x), func.hessian(loss)(x[:2])

    on_every_kind(forward, ("RNN", "GRU", "GRUCell", "LSTMCell"))


def vmapped(m: nn.Module, x: Tensor) -> list[Any]:
    """Return the outcomes of three calls."""
    stacked = {name: torch.stack([p.detach(), p.detach() * 2]) for name, p in m.named_parameters()}
    many = torch.stack([x, x.cos()])
    return [
        outcome(lambda: leaves(func.vmap(m)(many))),
        outcome(lambda: leaves(func.vmap(lambda values: func.functional_call(m, values, (x,)))(stacked))),
        outcome(lambda: leaves(func.vmap(func.grad(lambda x: leaves(m(x))[0].sum()))(many))),
    ]


@case("B")
def vmap(folder: Path) -> None:
    """vmap over inputs, over stacked parameters and of gradients: equal, or torch's error."""
    for kind in KINDS:
        theirs, ours, x = pair(kind)
        with quiet():
            found = [vmapped(m, x) for m in (theirs, ours)]
        for a, b in zip(*found, strict=True):
            assert not isinstance(b, str) or a == b, b
            if not isinstance(a, str):
                equal(b, a)


@case("B")
def batched_gradients(folder: Path) -> None:
    """is_grads_batched works, also twice."""

    def run(m: nn.Module, x: Tensor) -> Any:
        x.requires_grad_()
        y = leaves(m(x))[0]
        many = torch.randn(3, *y.shape, generator=torch.Generator().manual_seed(0))
        (dx,) = torch.autograd.grad(y, x, many, is_grads_batched=True, create_graph=True)
        return dx, torch.autograd.grad((dx * dx).sum(), list(m.parameters()))

    on_every_kind(run)


@case("B")
def fake_tensors(folder: Path) -> None:
    """FakeTensorMode gives the shapes, inside and outside of the mode, with a state too."""
    for kind in KINDS:
        theirs, ours, x = pair(kind)
        state = theirs(x) if "Cell" in kind else theirs(x)[1]
        for context in (torch.no_grad, torch.enable_grad):
            with quiet(), context():
                mode = FakeTensorMode(allow_non_fake_inputs=True)
                fake = mode.from_tensor(x)
                fake_state = pytree.tree_map(lambda s, mode=mode: mode.from_tensor(s.detach()), state)
                with mode:
                    shapes = [(y.shape, y.stride()) for y in leaves((theirs(fake), theirs(fake, fake_state)))]
                    assert [(y.shape, y.stride()) for y in leaves((ours(fake), ours(fake, fake_state)))] == shapes
                assert [y.shape for y in leaves(ours(fake))] == [y.shape for y in leaves(theirs(fake))]


@case("B")
def in_place_changes_of_the_output(folder: Path) -> None:
    """y += 1, relu_, y[:, 0] = 0 and mul_ of a view work wherever they work with torch."""
    changes: list[Callable[[Tensor], Any]] = [
        lambda y: y.add_(1),
        lambda y: y.relu_(),
        lambda y: y[:, 0].zero_(),
        lambda y: y.view(-1, 7).mul_(2),
        lambda y: y.transpose(0, 1)[0].sub_(1),
    ]
    for kind in KINDS:
        for change in changes:
            found = []
            for m in pair(kind)[:2]:
                x = pair(kind)[2].requires_grad_()

                def run(m: nn.Module = m, x: Tensor = x, change: Callable[[Tensor], Any] = change) -> Any:
                    y = leaves(m(x))[0]
                    change(y)
                    return [y.detach(), *torch.autograd.grad((y * y).sum(), [x, *m.parameters()])]

                found.append(outcome(run))
            assert not isinstance(found[1], str) or isinstance(found[0], str), found[1]
            if not isinstance(found[0], str):
                equal(found[1], found[0])


@case("B")
def changes_between_forward_and_backward(folder: Path) -> None:
    """A weight or an input that is changed before backward is refused by autograd, never used."""
    for kind in KINDS:
        # A step from zeros has no use for the values of weight_hh in its backward pass, so torch lets them change.
        for index in (0, 2) if kind.endswith("Cell") else (0, 1, 2):
            _, ours, x = pair(kind)
            x = (x.requires_grad_() * 1) if index == 2 else x.requires_grad_()
            y = leaves(ours(x))[0]
            with torch.no_grad():
                (x if index == 2 else list(ours.parameters())[index]).mul_(2)
            message = outcome(lambda y=y: (y * y).sum().backward())
            assert isinstance(message, str), (kind, index)
            assert "modified by an inplace operation" in message


@case("B")
def views_of_outputs(folder: Path) -> None:
    """y.view(-1, H) works for time-first outputs, with the same strides as torch's."""

    def run(m: nn.Module, x: Tensor) -> Any:
        with torch.no_grad():
            y = leaves(m(x))
        assert all(leaf.is_contiguous() for leaf in y)
        return [leaf.view(-1, 7) for leaf in y], leaves(m(x))[0].view(-1, 7)

    on_every_kind(run)


@case("B")
def packed_outputs_are_contiguous(folder: Path) -> None:
    """Data of packed outputs are contiguous and in torch's order."""

    def run(m: nn.Module, x: Tensor) -> Any:
        y, state = m(pack_sequence([x[:3, 0], x[:6, 1], x[:1, 2]], enforce_sorted=False))
        return y.data.view(-1, 7), y.sorted_indices, state, pad_packed_sequence(y)

    on_every_kind(run, ("RNN", "GRU", "LSTM"))


@case("B")
def jit_script(folder: Path) -> None:
    """torch.jit.script works on cells, and on models that contain layers, saved and loaded."""

    class Model(nn.Module):
        def __init__(self, m: nn.Module) -> None:
            super().__init__()
            self.m = m

        def forward(self, x: Tensor) -> Tensor:
            return self.m(x)[0].relu()

    def run(m: nn.Module, x: Tensor) -> Any:
        torch.jit.save(torch.jit.script(Model(m)), folder / "model.pt")
        return torch.jit.load(folder / "model.pt")(x)

    on_every_kind(run)
    on_every_kind(lambda m, x: torch.jit.script(m)(x), ("RNNCell", "GRUCell", "LSTMCell"))


@case("B")
def fx_keeps_a_leaf(folder: Path) -> None:
    """torch.fx.symbolic_trace keeps layers and cells as call_module, as it does with torch's."""
    for kind in KINDS:
        theirs, ours, x = pair(kind)
        graphs = [torch.fx.symbolic_trace(nn.Sequential(nn.Identity(), m)) for m in (theirs, ours)]
        nodes = [[(node.op, str(node.target)) for node in graph.graph.nodes] for graph in graphs]
        assert nodes[0] == nodes[1]
        equal(graphs[1](x), graphs[0](x))


@case("B")
def sizes_of_zero(folder: Path) -> None:
    """Cells of hidden size 0 and of input size 0, and batches of none, are torch's."""
    for kind in ("RNNCell", "GRUCell", "LSTMCell"):
        for d, h, batch in ((5, 0, 4), (0, 7, 4), (0, 0, 4), (5, 7, 0)):
            found = []
            for namespace in (nn, fast):
                torch.manual_seed(0)
                found.append(getattr(namespace, kind)(d, h)(torch.ones(batch, d)))
            equal(found[1], found[0])


@case("B")
def states_of_other_types(folder: Path) -> None:
    """A list instead of a pair, and every wrong state, has torch's result or torch's message."""
    for kind in KINDS:
        theirs, ours, x = pair(kind)
        h = torch.zeros(4, 7) if "Cell" in kind else torch.zeros(1, 4, 7)
        lstm = "LSTM" in kind
        states: list[Any] = [[h, h], (h, h), h, (h,), [h], (h, h, h), h[..., :3], h[None], h[0], h.double(), h[:0]]
        states += [
            (s, s) if lstm else s for s in (h[..., :3], h[None], h[0], h.double(), h[:0], torch.zeros(1, 1, 1, 7))
        ]
        states += [(h, h[..., :3]), (h[None], h)] if lstm else []
        for state in states:
            expected, found = (outcome(lambda m=m, x=x, s=state: leaves(m(x, s))) for m in (theirs, ours))
            assert isinstance(expected, str) == isinstance(found, str), (kind, expected, found)
            if isinstance(expected, str):
                assert found == expected, (kind, expected, found)
            else:
                equal(found, expected)


@case("B")
def states_of_packed_sequences(folder: Path) -> None:
    """layer.states(packed) works, sorted or not, with a state too."""
    for kind in ("RNN", "GRU", "LSTM"):
        _, ours, x = pair(kind, bidirectional=True)
        h = torch.zeros(2, 3, 7)
        for order in ([6, 3, 1], [3, 6, 1]):
            packed = pack_sequence([x[:n, k] for k, n in enumerate(order)], enforce_sorted=order[0] == 6)
            for state in (None, (h, h) if kind == "LSTM" else h):
                y, _ = ours(packed, state)
                found = ours.states(packed, state)
                equal(torch.cat([one.h.data for one in found], dim=-1), y.data)
                assert all(torch.equal(one.h.batch_sizes, y.batch_sizes) for one in found)


@case("B")
def trace_of_a_whole_model(folder: Path) -> None:
    """unrolled.trace finds the layers of a whole model by name."""

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(9, 5)
            self.encoder = nn.ModuleDict(
                {"rnn": nn.LSTM(5, 7, batch_first=True), "top": nn.GRU(7, 4, batch_first=True)}
            )
            self.out = nn.Linear(4, 3)

        def forward(self, ids: Tensor) -> Tensor:
            y, _ = self.encoder["rnn"](self.embedding(ids))
            return self.out(self.encoder["top"](y)[0])

    torch.manual_seed(0)
    model = fast.convert(Tagger()).eval()
    found = unrolled.trace(model, torch.tensor([[1, 2, 3, 4]]))
    names = " ".join(found)
    assert "encoder.rnn" in names, names
    assert "encoder.top" in names, names


@case("B")
def embedding_has_no_graph_break(folder: Path) -> None:
    """torch.compile with fullgraph takes a model of ours: no graph break in the embedding, nor in scans."""
    torch.manual_seed(0)
    model = nn.Sequential(layers.Embedding(9, 5), layers.Recurrent(cells.GRUCell(5, 6))).eval()
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    torch._dynamo.reset()
    try:
        with torch.no_grad(), quiet():
            equal(torch.compile(model, backend="eager", fullgraph=True)(ids), model(ids))
    finally:
        torch._dynamo.reset()


@case("B")
def compiled_model_of_converted_layers(folder: Path) -> None:
    """torch.compile of a model with converted layers trains like torch's."""

    def run(m: nn.Module, x: Tensor) -> Any:
        torch._dynamo.reset()
        y = torch.compile(nn.Sequential(nn.Tanh(), m), backend="aot_eager")(x)
        sum((leaf * leaf).sum() for leaf in leaves(y)).backward()
        return y, [p.grad for p in m.parameters()]

    on_every_kind(run, ("GRU", "LSTMCell"))
    torch._dynamo.reset()
