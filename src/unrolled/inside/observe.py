"""Traces of models: a watched forward pass over one example, and the attribution of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from unrolled.decoding.finite import refuse_infinite
from unrolled.inside.attribution import attribution as attribution_of
from unrolled.inside.example import LOG_PROB, Example, answer_logits, encode_source
from unrolled.inside.gradient import gradient as gradient_of
from unrolled.inside.kinds import named, tensors
from unrolled.inside.memory import memory
from unrolled.inside.paths import path_length
from unrolled.inside.recurrent import kind
from unrolled.inside.trace import Header, Trace, as_saved
from unrolled.inside.watch import watching
from unrolled.layers import Memory, Recurrent
from unrolled.models import Model
from unrolled.state import State

__all__ = ["GUESSES", "explain", "observe"]

GUESSES = 5
"""Number of each answer's largest logits in a trace."""


def explain(
    model: Model, example: Example, about: Header, *, attribution: bool = True, gradient: bool = False
) -> Trace:
    """Return the trace of a model in eval mode for an example on its device.

    Args:
        about: header with the fields that describe the run.
        attribution: whether to compute gradient_norm, input_x_gradient, occlusion, path_length, retention and
            half_life.
        gradient: whether to compute the gradient with respect to the h of every recurrent layer and the output of every
            block.
    """
    trace, example = observe(model, example, about)
    traced = dict(trace)
    if attribution:
        traced |= attribution_of(model, example) | path_length(model, example) | memory(model, traced)
    if gradient:
        traced |= gradient_of(model, example)
    return Trace(trace.about, {name: as_saved(value) for name, value in traced.items()})


@torch.no_grad()
def observe(model: Model, example: Example, about: Header) -> tuple[Trace, Example]:
    """Return the trace of a model in eval mode for an example, and the example without −1 in its answers.

    Args:
        about: header with the fields that describe the run; those of the input and the answers are filled in here.
    """
    names = named(model)
    with watching(names) as notes:
        notes.phase = "" if example.source is None else "encoder."
        state = encode_source(model, example)
        notes.phase = "" if example.source is None else "decoder."
        logits = answer_logits(model, example, state)
    example = example.with_answers(logits)
    traced = _input_tensors(example) | _answer_tensors(example, logits) | dict(tensors(notes, names)) | _summary(state)
    answers, guesses = _words(example, traced)
    about = replace(
        about,
        cell=next((kind(module.cell) for module in names if isinstance(module, Recurrent)), ""),
        text=example.text,
        tokens=example.tokens,
        source_text="" if example.source is None else example.source.text,
        source=() if example.source is None else example.source.tokens,
        answers=answers,
        guesses=guesses,
        truncated=example.truncated,
        unknown=example.unknown,
        beam=example.beam,
    )
    return Trace(about, {name: as_saved(value) for name, value in traced.items()}), example


def _input_tensors(example: Example) -> dict[str, Tensor]:
    """Return the tensors of the input and of the source."""
    source = example.source
    traced = {"inputs" if example.inputs.is_floating_point() else "tokens": example.inputs[0]}
    if example.spans:
        traced["spans"] = torch.tensor(example.spans)
    if source is not None:
        traced |= {"source.tokens": source.ids[0], "source.spans": torch.tensor(source.spans)}
    return traced | dict(example.also)


def _answer_tensors(example: Example, logits: Tensor) -> dict[str, Tensor]:
    """Return the tensors of the answers, from logits (A, V).

    Raises:
        CheckpointError: the logits are not finite.
    """
    refuse_infinite(logits.detach().cpu().numpy())
    every = example.quantity.of(logits.double())
    of_answer = every.gather(1, example.answers.unsqueeze(1))
    if not example.quantity.is_log_prob:
        return {"steps": example.steps, "answers": example.answers, "logits": logits, "value": of_answer[:, 0]}
    largest = logits.topk(min(GUESSES, logits.shape[1]), dim=1)
    exclusive = example.quantity is LOG_PROB
    return {
        "steps": example.steps,
        "answers": example.answers,
        "logits": largest.values,
        "top": largest.indices,
        "top_log_prob": every.gather(1, largest.indices),
        "log_prob": of_answer[:, 0],
        **({"entropy": -(every.exp() * every).nan_to_num(0).sum(dim=1)} if exclusive else {}),
        "rank": (every > of_answer).sum(dim=1),
    }


def _words(example: Example, traced: Mapping[str, Tensor]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the answers and the most probable outputs of each in words: labels, tags, tokens, or the number itself."""
    if not example.quantity.is_log_prob:
        numbers = tuple(f"{value:.6g}" for value in traced["value"].tolist())
        return numbers, tuple((number,) for number in numbers)
    guesses = tuple(tuple(example.meanings(indices)) for indices in traced["top"].tolist())
    return tuple(example.meanings(example.answers.tolist())), guesses


def _summary(state: State) -> dict[str, Tensor]:
    """Return the fixed vector between an encoder and its decoder, where the model has one."""
    memory = getattr(state, "memory", None)
    if not isinstance(memory, Memory) or memory.summary == ():
        return {}
    return {"encoder.summary": torch.stack([summary[0] for summary in memory.summary])}
