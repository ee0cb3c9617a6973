"""From a model and an example to a trace: the model answers as it always does, and is watched; then, what moved it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unrolled.inside.attribution import attribution as attribution_of
from unrolled.inside.example import Example, answer, begin
from unrolled.inside.gradient import gradient as gradient_of
from unrolled.inside.kinds import named, tensors
from unrolled.inside.memory import memory
from unrolled.inside.paths import path_length
from unrolled.inside.recurrent import kind
from unrolled.inside.trace import Header, Trace, kept
from unrolled.inside.watch import watching
from unrolled.layers import Memory, Recurrent
from unrolled.models import Model
from unrolled.state import State

__all__ = ["GUESSES", "explain", "observe"]

GUESSES = 5
"""How many of each answer's logits a trace keeps, the largest."""


def explain(
    model: Model, example: Example, about: Header, *, attribution: bool = True, gradient: bool = False
) -> Trace:
    """Return the trace of a model, in eval mode, that reads an example on its device.

    Args:
        about: what is known of the model. attribution: whether with gradient_norm, gradient × input, occlusion, path length,
            retention and half-life. gradient: whether with the gradient of every recurrent layer's h.
    """
    trace, example = observe(model, example, about)
    found = dict(trace)
    if attribution:
        found |= attribution_of(model, example) | path_length(model, example) | memory(model, found)
    if gradient:
        found |= gradient_of(model, example)
    return Trace(trace.about, {name: kept(value) for name, value in found.items()})


@torch.no_grad()
def observe(model: Model, example: Example, about: Header) -> tuple[Trace, Example]:
    """Return the trace of a model, in eval mode, that reads an example; and the example with all answers known.

    Args:
        about: what is known of the model; what was read and answered is filled in here.
    """
    names = named(model)
    with watching(names) as notes:
        notes.phase = "" if example.source is None else "encoder."
        state = begin(model, example)
        notes.phase = "" if example.source is None else "decoder."
        logits = answer(model, example, state)
    example = example.asked(logits)
    found = _read(example) | _answered(example, logits) | dict(tensors(notes, names)) | _summary(state)
    guesses = [tuple(example.meanings(row)) for row in found["top"].tolist()]
    about = replace(
        about,
        cell=next((kind(part.cell) for part in names if isinstance(part, Recurrent)), ""),
        text=example.text,
        tokens=example.tokens,
        source_text="" if example.source is None else example.source.text,
        source=() if example.source is None else example.source.tokens,
        answers=tuple(example.meanings(example.answers.tolist())),
        guesses=tuple(guesses),
        truncated=example.truncated,
    )
    return Trace(about, {name: kept(value) for name, value in found.items()}), example


def _read(example: Example) -> dict[str, Tensor]:
    """What was read."""
    source = example.source
    found = {"inputs" if example.inputs.is_floating_point() else "tokens": example.inputs[0]}
    if example.spans:
        found["spans"] = torch.tensor(example.spans)
    if source is not None:
        found |= {"source.tokens": source.ids[0], "source.spans": torch.tensor(source.spans)}
    return found | dict(example.also)


def _answered(example: Example, logits: Tensor) -> dict[str, Tensor]:
    """What was answered, from logits (A, V)."""
    every = logits.double().log_softmax(dim=1)
    of_answer = every.gather(1, example.answers.unsqueeze(1))
    largest = logits.topk(min(GUESSES, logits.shape[1]), dim=1)
    return {
        "steps": example.steps,
        "answers": example.answers,
        "logits": largest.values,
        "top": largest.indices,
        "top_log_prob": every.gather(1, largest.indices),
        "log_prob": of_answer[:, 0],
        "entropy": -(every.exp() * every).nan_to_num(0).sum(dim=1),
        "rank": (every > of_answer).sum(dim=1),
    }


def _summary(state: State) -> dict[str, Tensor]:
    """The fixed vector between an encoder and its decoder, where it is one."""
    memory = getattr(state, "memory", None)
    if not isinstance(memory, Memory) or memory.summary == ():
        return {}
    return {"encoder.summary": torch.stack([summary[0] for summary in memory.summary])}
