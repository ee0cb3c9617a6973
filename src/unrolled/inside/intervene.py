"""Interventions: a gate, an attention weight or a token is changed, and the answers are computed again.

A trace shows which values went along with an answer. An intervention shows which of them the answer depends on: the
value is set, everything behind it is computed anew, and the difference of the answers is the effect (Vig et al. 2020,
Investigating Gender Bias in Language Models Using Causal Mediation Analysis).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.errors import ConfigError, TraceError, nearest
from unrolled.inside.example import Example, answer_logits, encode_source
from unrolled.inside.kinds import named
from unrolled.layers import CrossAttention, Recurrent, Score, SelfAttention
from unrolled.layers.attention import joined, repeated
from unrolled.models import Model
from unrolled.scan import reference

__all__ = ["Edit", "Effect", "intervene"]


class Edit(NamedTuple):
    """A value that is set.

    Args:
        tensor: its name in a trace: a gate such as "gru.l0.z", or weights such as "attention.weights".
        value: the new value.
        step: index of the step; None: every step.
        unit: of a gate, index of the unit; None: every unit.
        source: of weights, index of the attended step. The other weights of the step are scaled so that all sum to 1.
        head: of weights with heads, index of the head; None: every head.
    """

    tensor: str
    value: float
    step: int | None = None
    unit: int | None = None
    source: int | None = None
    head: int | None = None


class Effect(NamedTuple):
    """Answers before and after edits.

    Args:
        answers: (A,) the outputs that the answers are about: those before, where the example names none.
        before, after: (A,) log-probability (or number) of each.
        best: (A,) the most probable outputs after.
    """

    answers: Tensor
    before: Tensor
    after: Tensor
    best: Tensor


@torch.no_grad()
def intervene(model: Model, example: Example, edits: Sequence[Edit], tokens: dict[int, int] | None = None) -> Effect:
    """Return the effect of edits on the answers of an example.

    Args:
        model: the model, in eval mode; nobody else may use its modules meanwhile.
        example: the example.
        edits: values to be set.
        tokens: new inputs (ids) by step.

    Raises:
        TraceError: the model has no such gate or weights.
        ConfigError: an index or value out of range.
    """
    logits = answer_logits(model, example, encode_source(model, example))
    example = example.with_answers(logits)
    changed = example.inputs.clone()
    for step, token in (tokens or {}).items():
        if changed.is_floating_point() or not 0 <= step < changed.shape[1]:
            raise ConfigError(f"step must be from 0 to {changed.shape[1] - 1}, of an input of tokens: got {step}")
        changed[0, step] = token
    with ExitStack() as stack:
        counts = [stack.enter_context(_edited(model, edit, example)) for edit in edits]
        edited = replace(example, inputs=changed)
        after = answer_logits(model, edited, encode_source(model, edited))
    for edit, count in zip(edits, counts, strict=True):
        if not count[0]:
            raise ConfigError(f"step must be one of those that {edit.tensor} has: got {edit.step}")
    index = example.answers.unsqueeze(1)
    before_values, after_values = (
        example.quantity.of(each.double()).gather(1, index)[:, 0] for each in (logits, after)
    )
    return Effect(example.answers, before_values, after_values, after.argmax(dim=1))


@contextmanager
def _edited(model: Model, edit: Edit, example: Example) -> Iterator[list[int]]:
    """Set a value in the block; yields a list with the number of times that it was set."""
    names = _names(model, example)
    layer, _, value = edit.tensor.rpartition(".")
    module = names.get(f"{layer}.")
    count = [0]
    if isinstance(module, Recurrent) and value in (module.cell.gate_meanings or {}):
        with _replaced(module, "run", _clamped(module, value, edit, count)):
            yield count
    elif isinstance(module, SelfAttention | CrossAttention | Score) and value == "weights":
        if edit.source is None or not 0 <= edit.value <= 1:
            raise ConfigError("weights need source, the index of the attended step, and a value from 0 to 1")
        with _replaced(module, "forward", _attending(module, edit, count)):
            yield count
    else:
        known = [
            f"{prefix}{gate}"
            for prefix, each in names.items()
            for gate in ((each.cell.gate_meanings or {}) if isinstance(each, Recurrent) else ["weights"])
        ]
        raise TraceError(
            f'there is no gate and there are no weights "{edit.tensor}"{nearest(edit.tensor, known)}; '
            f"this model has {', '.join(known)}"
        )


def _names(model: Model, example: Example) -> dict[str, nn.Module]:
    """Return the modules that can be edited by the prefix of their tensors' names in a trace."""
    found: dict[str, nn.Module] = {}
    for module, prefix in named(model).items():
        if not isinstance(module, Recurrent | SelfAttention | CrossAttention | Score):
            continue
        path = next(path for path, each in model.named_modules() if each is module)
        phase = "" if example.source is None or isinstance(module, Score) else _phase(path)
        found[phase + prefix] = module
    return found


def _phase(path: str) -> str:
    """Return the phase of a module of a model that translates, by its path."""
    return "encoder." if path.startswith(("encoder", "blocks")) else "decoder."


@contextmanager
def _replaced(module: nn.Module, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Replace a method of one module in the block."""
    before = module.__dict__.get(name)
    module.__dict__[name] = function
    try:
        yield
    finally:
        if before is None:
            del module.__dict__[name]
        else:
            module.__dict__[name] = before


def _clamped(layer: Recurrent, gate: str, edit: Edit, count: list[int]) -> Callable[..., Any]:
    """Return a `run` of a layer with a gate that is set; it may be called for all steps at once or for each."""
    done = [0]
    if edit.unit is not None and not 0 <= edit.unit < layer.cell.hidden_size:
        raise ConfigError(f"unit must be from 0 to {layer.cell.hidden_size - 1}: got {edit.unit}")

    def run(x: Tensor, state: Any, lengths: Tensor | None, mask: Tensor | None) -> Any:
        T, first, called = x.shape[1], done[0], [0]

        def change(gates: Any) -> Any:
            step = first + (T - 1 - called[0] if layer.reverse else called[0])
            called[0] += 1
            if edit.step not in (None, step):
                return gates
            count[0] += 1
            value = getattr(gates, gate).clone()
            value[..., slice(None) if edit.unit is None else edit.unit] = edit.value
            return gates._replace(**{gate: value})

        done[0] += T
        return reference.scan(
            layer.cell,
            x,
            layer.cell.initial(x) if state is None else state,
            lengths,
            reverse=layer.reverse,
            mask=mask,
            edit=change,
            zoneout=layer.scan_zoneout,
        )

    return run


def _attending(module: nn.Module, edit: Edit, count: list[int]) -> Callable[..., Any]:
    """Return a `forward` of a module that attends, with a weight that is set."""
    done = [0]

    def set_weights(weights: Tensor) -> Tensor:  # (…, T, S)
        T, S = weights.shape[-2:]
        first, heads = done[0], weights.shape[1] if weights.dim() == 4 else 0
        done[0] += T
        assert edit.source is not None
        if not 0 <= edit.source < S:
            raise ConfigError(f"source must be from 0 to {S - 1}: got {edit.source}")
        if edit.head is not None and not 0 <= edit.head < heads:
            raise ConfigError(f"head must be from 0 to {heads - 1}: got {edit.head}")
        weights = weights.clone()
        for t in range(T):
            if edit.step not in (None, first + t):
                continue
            count[0] += 1
            own = (
                weights[:, :, t]
                if heads and edit.head is None
                else weights[:, edit.head, t]
                if heads
                else weights[:, t]
            )
            rest = 1 - own[..., edit.source : edit.source + 1]
            own *= torch.where(rest > 0, (1 - edit.value) / rest, torch.zeros_like(rest))
            own[..., edit.source] = edit.value
        return weights

    if isinstance(module, SelfAttention):

        def self_attention(x: Tensor, state: Any = None, lengths: Tensor | None = None) -> Any:
            query, key, value = module.heads(x, state, lengths)
            after, key, value, _, _ = module._attended(key, value, state, lengths)
            weights = set_weights(SelfAttention.weights(module, x, state, lengths))
            y = module.output(joined(weights @ repeated(value, query.shape[1])))
            return y, after

        return self_attention
    if isinstance(module, CrossAttention):

        def cross_attention(x: Tensor, key: Tensor, value: Tensor, lengths: Tensor) -> Tensor:
            weights = set_weights(module.weights(x, key, lengths))
            y: Tensor = module.output(joined(weights @ repeated(value, module.num_heads)))
            return y

        return cross_attention
    assert isinstance(module, Score)
    attend = type(module).forward

    def score(query: Tensor, memory: Any, real: Tensor) -> tuple[Tensor, Tensor]:
        weights, _ = attend(module, query, memory, real)
        weights = set_weights(weights)
        return weights, weights @ memory.outputs

    return score
