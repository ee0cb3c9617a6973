"""An embedding, a torch.nn.RNN, LSTM or GRU and a linear layer, found in a state_dict by names and shapes.

    *weight_hh_l0       (gates · H, H): 1 gate is an RNN, 4 are an LSTM, 3 a GRU; * is the prefix of all of its tensors
    *weight_ih_l0       (gates · H, D); layers are counted by l0, l1, …; a name in _reverse makes them bidirectional
    embedding           the matrix of width D without a bias
    head                the other matrix of width H, or 2 H if bidirectional, and its bias, if it has one

Every tensor has a part in one of them, or the network is refused: what an unknown layer would compute, nobody can say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled import machine
from unrolled.config import spelled
from unrolled.errors import CheckpointError, ConfigError, excerpt, nearest

__all__ = ["Matrix", "Network", "find_network"]

KINDS: dict[float, type[Any]] = {1: nn.RNN, 3: nn.GRU, 4: nn.LSTM}
"""The class of torch.nn by its number of gates."""
RECURRENT = re.compile(r"(?P<prefix>.*?)(weight|bias)_(ih|hh|hr)_l(?P<layer>\d{1,9})(?P<reverse>_reverse)?")
SCOPE = "an embedding, one torch.nn.RNN, LSTM or GRU, and one linear layer"
NAMED = 6  # tensors that a message names


class Matrix(NamedTuple):
    """The weights of an embedding or of a linear layer.

    Args:
        name: name of the tensor.
        weight: its rows, (N, D).
        bias: (N,); 0 where there is none.
    """

    name: str
    weight: Tensor
    bias: Tensor


class Network(NamedTuple):
    """A network of three parts.

    Args:
        embedding: a row of size D for each token.
        layers: the recurrent layers, in eval mode.
        head: a row for each output.
    """

    embedding: Matrix
    layers: nn.RNNBase
    head: Matrix


def find_network(
    source: str,
    tensors: Mapping[str, Tensor],
    *,
    embedding: str | None = None,
    head: str | None = None,
    nonlinearity: str | None = None,
) -> Network:
    """Return the network of a state_dict.

    Args:
        source: name of the file, for messages.
        tensors: the tensors by name.
        embedding, head: names of the matrices of embedding and head, with or without ".weight"; None: they are found
            by their shapes.
        nonlinearity: that of an RNN, tanh or relu, which no tensor shows.

    Raises:
        CheckpointError: a tensor is missing, has no part in such a network or has another shape, or several fit.
        ConfigError: there is no matrix with a given name, or it does not fit.
    """
    rest = dict(tensors)
    layers = _take_layers(source, rest, nonlinearity or "tanh")
    size = layers.hidden_size * (2 if layers.bidirectional else 1)
    named = None if head is None else _named(source, rest, "head", head, size)
    inputs = [name for name in _of_width(rest, layers.input_size) if _bias_name(name) not in rest and name != named]
    first = _take(source, rest, "embedding", layers.input_size, inputs, embedding)
    last = _take(source, rest, "head", size, _of_width(rest, size), named)
    if rest:
        raise CheckpointError(
            f"{source} has a tensor that is no part of {SCOPE}: {_shown(rest, sorted(rest))}; only such networks are "
            "imported"
        )
    return Network(first, layers, last)


def _take_layers(source: str, rest: dict[str, Tensor], nonlinearity: str) -> nn.RNNBase:
    """Move the tensors of the recurrent layers out of `rest` into a module of torch.nn."""
    found = {name: match for name in rest if (match := RECURRENT.fullmatch(name))}
    prefixes = sorted({match["prefix"] for match in found.values()})
    if not prefixes:
        raise CheckpointError(
            f"{source} has no recurrent layers, whose tensors are called weight_ih_l0, weight_hh_l0, …: it has "
            f"{_shown(rest, sorted(rest)) or 'no tensors'}; {SCOPE} are imported"
        )
    if len(prefixes) > 1:
        several = ", ".join(f"{excerpt(prefix, 40)}*" for prefix in prefixes[:NAMED])
        raise CheckpointError(f"{source} has several recurrent modules, {several}: {SCOPE} are imported")
    prefix = prefixes[0]
    own = {name.removeprefix(prefix): rest.pop(name) for name in found}
    for name in ("weight_ih_l0", "weight_hh_l0"):
        if name not in own or own[name].dim() != 2:
            raise CheckpointError(f"{source} lacks the matrix {excerpt(prefix)}{name}")
    (rows, H), D = own["weight_hh_l0"].shape, own["weight_ih_l0"].shape[1]
    kind = KINDS.get(rows / H) if H else None
    if kind is None:
        raise CheckpointError(
            f"{source} has {_sized(prefix + 'weight_hh_l0', own['weight_hh_l0'])}: an RNN, GRU or LSTM has 1, 3 or 4 "
            "times as many rows as columns"
        )
    with machine.without_values():
        module: nn.RNNBase = kind(
            D,
            H,
            len({match["layer"] for match in found.values()}),
            bias=any(name.startswith("bias") for name in own),
            bidirectional=any(match["reverse"] for match in found.values()),
            batch_first=True,
            **({"nonlinearity": nonlinearity} if kind is nn.RNN else {}),
        )
    _refuse_other(source, prefix, own, module.state_dict(), kind)
    module.load_state_dict(own, assign=True)
    return module.eval()


def _refuse_other(
    source: str, prefix: str, own: Mapping[str, Tensor], expected: Mapping[str, Any], kind: type[Any]
) -> None:
    """Refuse tensors that are not those of a recurrent module, by the first difference."""
    for name in sorted(own.keys() ^ expected.keys()):
        if name in expected:
            raise CheckpointError(f"{source} lacks the tensor {excerpt(prefix)}{name} of its {kind.__name__}")
        raise CheckpointError(f"{source} has {excerpt(prefix)}{name}, which an {kind.__name__} without proj_size lacks")
    for name, tensor in expected.items():
        if own[name].shape != tensor.shape:
            raise CheckpointError(
                f"{source} has {_sized(prefix + name, own[name])}: by the other tensors of its {kind.__name__} it "
                f"would be {_size(tensor)}"
            )


def _take(
    source: str, rest: dict[str, Tensor], role: str, width: int, candidates: Sequence[str], name: str | None
) -> Matrix:
    """Move a matrix and its bias out of `rest`: that of a given name, or the only candidate."""
    if name is None and len(candidates) != 1:
        if candidates:
            raise CheckpointError(
                f"{source} has several tensors that could be the {role}: {_shown(rest, candidates)}; say which with "
                f"{spelled(role)}"
            )
        raise CheckpointError(
            f"{source} has no {role}, a matrix of width {width:,}: there is {_shown(rest, sorted(rest)) or 'no other'}"
        )
    chosen = candidates[0] if name is None else _named(source, rest, role, name, width)
    weight = rest.pop(chosen)
    bias = rest.pop(_bias_name(chosen), torch.zeros(len(weight)))
    if tuple(bias.shape) != (len(weight),):
        raise CheckpointError(f"{source} has {_sized(_bias_name(chosen), bias)}: {chosen} asks for {len(weight):,}")
    return Matrix(chosen, weight, bias)


def _named(source: str, rest: Mapping[str, Tensor], role: str, name: str, width: int) -> str:
    """Return the name of the tensor that a user calls `name`."""
    full = name if name in rest else f"{name}.weight"
    if full not in rest:
        raise ConfigError(
            f'{spelled(role)}: {source} has no tensor "{excerpt(name)}"{nearest(name, rest)}; it has '
            f"{_shown(rest, sorted(rest)) or 'no other'}"
        )
    if rest[full].dim() != 2 or rest[full].shape[1] != width:
        raise ConfigError(f"{spelled(role)}: {_sized(full, rest[full])} is no matrix of width {width:,}")
    return full


def _of_width(rest: Mapping[str, Tensor], width: int) -> list[str]:
    return sorted(name for name, tensor in rest.items() if tensor.dim() == 2 and tensor.shape[1] == width)


def _bias_name(weight: str) -> str:
    """Return the name of the bias that belongs to a matrix of this name."""
    return f"{weight.removesuffix('weight')}bias"


def _shown(tensors: Mapping[str, Tensor], names: Sequence[str]) -> str:
    more = ", …" if len(names) > NAMED else ""
    return ", ".join(_sized(name, tensors[name]) for name in names[:NAMED]) + more


def _sized(name: str, tensor: Tensor) -> str:
    return f"{excerpt(name)} ({_size(tensor)})"


def _size(tensor: Tensor) -> str:
    return " × ".join(f"{n:,}" for n in tensor.shape) or "a number"
