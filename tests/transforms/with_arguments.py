"""Arguments: states, packed sequences, empty sizes, changed attributes, and everything that is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from transforms.sides import CELLS, LAYERS, transform
from transforms.with_autograd import leaves, total


def every(*calls: Callable[[], Any]) -> list[Any]:
    """Return the value of each call, or the type and message of its exception."""
    found: list[Any] = []
    for call in calls:
        try:
            found.append(call())
        except Exception as error:  # noqa: BLE001  (to be compared)
            found.append(f"{type(error).__name__}: {error}")
    return found


def zeros(m: nn.Module, x: Tensor, *, rows: int = 0, batch: int = 0, size: int = 0) -> Any:
    """Return a state of zeros, or one that is too large by so much."""
    batch_axis = 0 if getattr(m, "batch_first", False) or not isinstance(m, nn.RNNBase) else 1
    shape: tuple[int, ...] = (x.shape[batch_axis] + batch, m.hidden_size + size)
    if isinstance(m, nn.RNNBase):
        shape = (m.num_layers * (2 if m.bidirectional else 1) + rows, *shape)
    state = x.new_zeros(shape)
    return (state, state.clone()) if isinstance(m, nn.LSTM | nn.LSTMCell) else state


@transform("state of zeros")
def zero_state(m: nn.Module, x: Tensor) -> Any:
    return m(x, zeros(m, x))


@transform("state by keyword")
def by_keyword(m: nn.Module, x: Tensor) -> Any:
    return m(input=x, hx=zeros(m, x))


@transform("state and gradients")
def state_gradients(m: nn.Module, x: Tensor) -> Any:
    state = zeros(m, x)
    state = tuple(s.add(0.3).requires_grad_() for s in state) if isinstance(state, tuple) else state.add(0.3)
    return torch.autograd.grad(total(m(x, state)), [*m.parameters(), *(s for s in leaves(state) if s.requires_grad)])


@transform("state as a list, wrong tuples, other types")
def state_types(m: nn.Module, x: Tensor) -> Any:
    state = zeros(m, x)
    one = leaves(state)[0]
    return every(
        lambda: m(x, [one, one]),
        lambda: m(x, (one, one)),
        lambda: m(x, (one,)),
        lambda: m(x, [one]),
        lambda: m(x, (one, one, one)),
        lambda: m(x, ()),
        lambda: m(x, one),
        lambda: m(x, (one, None)),
        lambda: m(x, (None, one)),
    )


@transform("state of other sizes")
def state_sizes(m: nn.Module, x: Tensor) -> Any:
    calls = [lambda k=k: m(x, zeros(m, x, **k)) for k in ({"batch": 1}, {"batch": -1}, {"size": 1}, {"size": -1})]
    if isinstance(m, nn.RNNBase):
        calls += [lambda: m(x, zeros(m, x, rows=1)), lambda: m(x, zeros(m, x, rows=-1))]
    return every(*calls)


@transform("state with other dimensions")
def state_dimensions(m: nn.Module, x: Tensor) -> Any:
    state = zeros(m, x)

    def mapped(change: Callable[[Tensor], Tensor]) -> Any:
        return tuple(map(change, state)) if isinstance(state, tuple) else change(state)

    return every(
        lambda: m(x, mapped(lambda s: s[0])),
        lambda: m(x, mapped(lambda s: s.unsqueeze(0))),
        lambda: m(x, mapped(lambda s: s[None, None])),
        lambda: m(x[0], state),
        lambda: m(x[0], mapped(lambda s: s.squeeze(1) if s.dim() == 3 else s[0])),
        lambda: m(x[0], mapped(lambda s: s[:, 0] if s.dim() == 3 else s[0])),
    )


@transform("state of another dtype")
def state_dtype(m: nn.Module, x: Tensor) -> Any:
    state = zeros(m, x)
    calls = []
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64):
        cast = tuple(s.to(dtype) for s in state) if isinstance(state, tuple) else state.to(dtype)
        calls.append(lambda cast=cast: m(x, cast))
    return every(*calls)


@transform("pair with one wrong half", on=[kind for kind in LAYERS + CELLS if kind.layer.startswith("LSTM")])
def half_wrong(m: nn.Module, x: Tensor) -> Any:
    h, c = zeros(m, x)
    return every(
        lambda: m(x, (h, c[..., :-1])),
        lambda: m(x, (h[..., :-1], c)),
        lambda: m(x, (h, c.unsqueeze(0))),
        lambda: m(x, (h, c.double())),
        lambda: m(x, (h, c[:0])),
    )


@transform("input of other sizes")
def input_sizes(m: nn.Module, x: Tensor) -> Any:
    return every(
        lambda: m(x[..., :-1]),
        lambda: m(torch.cat([x, x], dim=-1)),
        lambda: m(x[0]),
        lambda: m(x[0, 0]),
        lambda: m(x.unsqueeze(0)),
        lambda: m(x[None, None]),
        lambda: m(torch.tensor(1.0)),
    )


@transform("input of another dtype or type")
def input_types(m: nn.Module, x: Tensor) -> Any:
    return every(
        lambda: m(x.double()),
        lambda: m(x.half()),
        lambda: m(x.bfloat16()),
        lambda: m(x.long()),
        lambda: m(x.to(torch.complex64)),
        lambda: m(x.bool()),
        lambda: m(np.zeros(tuple(x.shape), np.float32)),
        lambda: m(None),
        lambda: m([x]),
        lambda: m(x.to_sparse()),
        lambda: m(),
        lambda: m(x, None, None),
    )


@transform("empty batch")
def empty_batch(m: nn.Module, x: Tensor) -> Any:
    x = x[:0] if getattr(m, "batch_first", False) or not isinstance(m, nn.RNNBase) else x[:, :0]
    return every(lambda: m(x), lambda: m(x, zeros(m, x)))


@transform("empty batch, backward")
def empty_batch_backward(m: nn.Module, x: Tensor) -> Any:
    x = x[:0] if getattr(m, "batch_first", False) or not isinstance(m, nn.RNNBase) else x[:, :0]
    total(m(x.clone().requires_grad_())).backward()
    return [p.grad for p in m.parameters()]


@transform("no steps", on=LAYERS)
def no_steps(m: nn.Module, x: Tensor) -> Any:
    x = x[:, :0] if m.batch_first else x[:0]
    return every(lambda: m(x), lambda: m(x, zeros(m, x)))


@transform("one step, one sequence")
def one(m: nn.Module, x: Tensor) -> Any:
    x = x[:1, :1] if isinstance(m, nn.RNNBase) else x[:1]
    return m(x), torch.autograd.grad(total(m(x)), list(m.parameters()))


@transform("unbatched")
def unbatched(m: nn.Module, x: Tensor) -> Any:
    x = x[0].clone().requires_grad_()
    return m(x), torch.autograd.grad(total(m(x)), [x, *m.parameters()])


@transform("sizes 0")
def size_zero(m: nn.Module, x: Tensor) -> Any:
    base = next(base for base in (nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell) if isinstance(m, base))
    kind = next(k for k in type(m).__mro__ if k.__name__ == base.__name__)

    def made(d: int, h: int) -> Any:
        small = kind(d, h)
        y = small(torch.zeros(*x.shape[:-1], d))
        total(y).backward()
        return y, [p.grad for p in small.parameters()]

    torch.manual_seed(0)
    return every(lambda: made(3, 0), lambda: made(0, 3), lambda: made(0, 0), lambda: made(1, 1))


@transform("wrong constructions")
def constructions(m: nn.Module, x: Tensor) -> Any:
    kind = type(m)
    options: list[dict[str, Any]] = [
        {"bias": 1}, {"bias": None}, {"batch_first": 1}, {"dropout": 2.0}, {"dropout": "a"}, {"dropout": True},
        {"num_layers": 0}, {"num_layers": -1}, {"proj_size": 9}, {"proj_size": -1}, {"nonlinearity": "gelu"},
        {"nonlinearity": "tanh"}, {"mode": "LSTM"}, {"unknown": 1}, {"bidirectional": 1}, {"proj_size": 2},
    ]  # fmt: skip
    sizes: list[tuple[Any, ...]] = [(3, -1), (-1, 3), (3.0, 4), (3, 4.0), ("a", 4), (3,), ()]
    made = [lambda o=o: repr(kind(3, 4, **o)) for o in options] + [lambda s=s: repr(kind(*s)) for s in sizes]
    return every(*made)


@transform("nonlinearity gelu")
def gelu(m: nn.Module, x: Tensor) -> Any:
    return every(lambda: type(m)(3, 4, nonlinearity="gelu")(x))


@transform("nonlinearity or mode changed later")
def changed(m: nn.Module, x: Tensor) -> Any:
    if isinstance(m, nn.RNNBase):
        other = {"RNN_TANH": "RNN_RELU", "RNN_RELU": "RNN_TANH", "GRU": "RNN_TANH", "LSTM": "GRU"}[m.mode]
        found = every(lambda: setattr(m, "nonlinearity", "relu"), lambda: m(x))
        m.mode = other
        return [*found, *every(lambda: m(x))]
    found = every(lambda: setattr(m, "nonlinearity", "relu"), lambda: m(x))
    return [*found, *every(lambda: setattr(m, "nonlinearity", "gelu"), lambda: m(x))]


@transform("attributes changed later", on=LAYERS)
def attributes(m: nn.Module, x: Tensor) -> Any:
    found: list[Any] = []
    for name, value in [
        ("batch_first", not m.batch_first), ("bidirectional", not m.bidirectional), ("hidden_size", m.hidden_size + 1),
        ("input_size", m.input_size + 1), ("num_layers", m.num_layers + 1), ("bias", not m.bias), ("dropout", 0.0),
    ]:  # fmt: skip
        if name in ("hidden_size", "bias", "bidirectional") and isinstance(m, nn.LSTM):
            continue  # torch computes an answer from memory that is not the weights'
        before = getattr(m, name)
        setattr(m, name, value)
        found += every(lambda: m(x))
        setattr(m, name, before)
    return found


@transform("attributes of cells changed later", on=CELLS)
def cell_attributes(m: nn.Module, x: Tensor) -> Any:
    found: list[Any] = []
    for name, value in [("hidden_size", m.hidden_size + 1), ("input_size", m.input_size + 1), ("bias", not m.bias)]:
        before = getattr(m, name)
        setattr(m, name, value)
        found += every(lambda: m(x), lambda: m(x, zeros(m, x)))
        setattr(m, name, before)
    return found


def packed(m: nn.RNNBase, *, sort: bool) -> PackedSequence:
    """Return three sequences of different lengths."""
    generator = torch.Generator().manual_seed(3)
    lengths = [5, 3, 1] if sort else [3, 5, 1]
    return pack_sequence([torch.randn(n, 3, generator=generator) for n in lengths], enforce_sorted=sort)


def packed_layout(found: Any) -> Any:
    """Return everything that a packed result has."""
    y, state = found
    fields = [y.data, y.batch_sizes, y.sorted_indices, y.unsorted_indices]
    return fields, [f.is_contiguous() for f in fields if f is not None], leaves(state), y.data.requires_grad


@transform("packed, sorted", on=LAYERS)
def packed_sorted(m: nn.RNNBase, x: Tensor) -> Any:
    return packed_layout(m(packed(m, sort=True)))


@transform("packed, not sorted", on=LAYERS)
def packed_unsorted(m: nn.RNNBase, x: Tensor) -> Any:
    return packed_layout(m(packed(m, sort=False)))


@transform("packed, no_grad", on=LAYERS)
def packed_no_grad(m: nn.RNNBase, x: Tensor) -> Any:
    with torch.no_grad():
        return packed_layout(m(packed(m, sort=False)))


@transform("packed, with a state, backward", on=LAYERS)
def packed_state(m: nn.RNNBase, x: Tensor) -> Any:
    shape = (m.num_layers * (2 if m.bidirectional else 1), 3, m.hidden_size)
    h = torch.arange(math.prod(shape)).view(shape).sin().requires_grad_()
    p = packed(m, sort=False)
    p.data.requires_grad_()
    y, state = m(p, (h, h.cos()) if isinstance(m, nn.LSTM) else h)
    loss = total([pad_packed_sequence(y)[0], *leaves(state)])
    return torch.autograd.grad(loss, [h, p.data, *m.parameters()])


@transform("packed, gradient penalty", on=LAYERS)
def packed_penalty(m: nn.RNNBase, x: Tensor) -> Any:
    p = packed(m, sort=False)
    p.data.requires_grad_()
    (dx,) = torch.autograd.grad(total(m(p)[0].data), p.data, create_graph=True)
    return torch.autograd.grad((dx * dx).sum(), list(m.parameters()))


@transform("packed, from padded x", on=LAYERS)
def packed_padded(m: nn.RNNBase, x: Tensor) -> Any:
    found = []
    for sort in (True, False):
        lengths = torch.tensor([5, 2] if sort else [2, 5])
        p = pack_padded_sequence(x, lengths, batch_first=m.batch_first, enforce_sorted=sort)
        y, state = m(p)
        found.append((pad_packed_sequence(y, batch_first=m.batch_first, total_length=6), leaves(state)))
    return found


@transform("packed, wrong", on=LAYERS)
def packed_wrong(m: nn.RNNBase, x: Tensor) -> Any:
    p = packed(m, sort=False)
    rows = m.num_layers * (2 if m.bidirectional else 1)

    def state(*shape: int) -> Any:
        return (torch.zeros(shape), torch.zeros(shape)) if isinstance(m, nn.LSTM) else torch.zeros(shape)

    return every(
        lambda: m(p, state(rows, 2, 4)),
        lambda: m(p, state(rows, 3, 5)),
        lambda: m(p, state(rows + 1, 3, 4)),
        lambda: m(p, state(3, 4)),
        lambda: m(p.double()),
        lambda: m(p._replace(data=p.data[:, :2])),
        lambda: m(p._replace(data=p.data[:-1])),
        lambda: m(p._replace(data=p.data.unsqueeze(0))),
    )


@transform("packed, one sequence", on=LAYERS)
def packed_one(m: nn.RNNBase, x: Tensor) -> Any:
    return packed_layout(m(pack_sequence([torch.ones(4, 3)])))


@transform("the input as its own state", on=CELLS)
def aliased(m: nn.Module, x: Tensor) -> Any:
    square = type(m)(3, 3, bias=m.bias)
    square.load_state_dict(
        {k: v[: p.shape[0]][..., :3] for (k, v), p in zip(m.state_dict().items(), square.parameters(), strict=True)}
    )
    x.requires_grad_()
    y = square(x, (x, x) if isinstance(m, nn.LSTMCell) else x)
    return y, torch.autograd.grad(total(y), x)
