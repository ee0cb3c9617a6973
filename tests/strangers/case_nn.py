"""`unrolled.nn` next to torch.nn: what records a computation sees it whole, and what the kernels cannot do, torch does."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, func, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence
from torch.utils import _pytree as pytree

import unrolled
from strangers.cases import case
from unrolled import cells, layers
from unrolled import nn as fast

KINDS = ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell")


def pair(kind: str, **options: Any) -> tuple[nn.Module, nn.Module, Tensor]:
    """Return torch's module, ours with the same weights, and an input."""
    torch.manual_seed(0)
    theirs = getattr(nn, kind)(5, 7, **options)
    return theirs, fast.convert(copy.deepcopy(theirs)), torch.randn(4, 5) if "Cell" in kind else torch.randn(6, 4, 5)


def leaves(value: Any) -> list[Tensor]:
    """Return the tensors of a result."""
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]


def equal(ours: Any, theirs: Any) -> None:
    """Assert equal tensors."""
    for a, b in zip(leaves(ours), leaves(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def outcome(function: Callable[[], Any]) -> Any:
    """Return the value of a call, or the type and message of its error."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001  (to be compared)
        return f"{type(error).__name__}: {error}"


@contextmanager
def new_memory_is_nan() -> Iterator[None]:
    """Fill new tensors with NaN and ignore torch's warnings."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore torch's warnings about deprecated functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def on_every_kind(run: Callable[[nn.Module, Tensor], Any], kinds: tuple[str, ...] = KINDS) -> None:
    """Assert that a function of module and input returns the same on both sides."""
    for kind in kinds:
        theirs, ours, x = pair(kind)
        with quiet():
            equal(run(ours, x.clone()), run(theirs, x.clone()))


# Kind A: the first four lines of the kernels.


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


@case("A")
def our_own_layers_are_recorded(folder: Path) -> None:
    """torch.jit.trace and make_fx of Recurrent, linear heads and attention never record unwritten memory."""
    torch.manual_seed(0)
    made = [layers.Recurrent(cell(5, 6)) for cell in (cells.ElmanCell, cells.GRUCell, cells.LSTMCell)]
    made += [layers.SelfAttention(5, 1, causal=True), layers.Head(5, 3)]
    x = torch.randn(2, 4, 5)

    for layer in made:

        def run(x: Tensor, layer: nn.Module = layer) -> list[Tensor]:
            return leaves(layer(x))

        with torch.no_grad(), quiet():
            for record in (lambda: torch.jit.trace(run, x), lambda: make_fx(run)(x)):  # noqa: B023
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
    for kind in KINDS:
        theirs, ours, x = pair(kind, **({} if "Cell" in kind else {"batch_first": True}))
        x = torch.complex(x, x.cos()).conj().imag
        for context in (torch.no_grad, torch.enable_grad):
            with context():
                equal(ours(x), theirs(x))


class Wrapper(Tensor):
    """A tensor without memory of its own."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Wrapper:
        made = Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, strides=inner.stride())
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        plain = pytree.tree_map(lambda t: t.inner * 2 if isinstance(t, cls) else t, (args, kwargs or {}))
        return function(*plain[0], **plain[1])


@case("A")
def subclass_without_memory(folder: Path) -> None:
    """A wrapper subclass of Tensor is computed by torch; the process lives."""
    for kind in KINDS:
        theirs, ours, x = pair(kind, **({} if "Cell" in kind else {"batch_first": True}))
        with torch.no_grad():
            equal(ours(Wrapper(x)), theirs(Wrapper(x)))


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


# Kind B.


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


@case("B")
def vmap(folder: Path) -> None:
    """vmap over inputs, over stacked parameters and of gradients: equal, or torch's error."""
    for kind in KINDS:
        theirs, ours, x = pair(kind)
        found = []
        for m in (theirs, ours):
            stacked = {name: torch.stack([p.detach(), p.detach() * 2]) for name, p in m.named_parameters()}
            calls = [
                lambda m=m: leaves(func.vmap(m)(torch.stack([x, x.cos()]))),
                lambda m=m, s=stacked: leaves(func.vmap(lambda v: func.functional_call(m, v, (x,)))(s)),
                lambda m=m: [func.vmap(func.grad(lambda x: leaves(m(x))[0].sum()))(torch.stack([x, x.cos()]))],
            ]
            with quiet():
                found.append([outcome(call) for call in calls])
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
        for index in range(3):
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
        states += [(s, s) if lstm else s for s in (h[..., :3], h[None], h[0], h.double(), h[:0], torch.zeros(1, 1, 1, 7))]
        states += [(h, h[..., :3]), (h[None], h)] if lstm else []
        for state in states:
            expected, found = (outcome(lambda m=m, state=state: leaves(m(x, state))) for m in (theirs, ours))
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
            self.encoder = nn.ModuleDict({"rnn": nn.LSTM(5, 7, batch_first=True), "top": nn.GRU(7, 4, batch_first=True)})
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
