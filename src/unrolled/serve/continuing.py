"""Texts that are written token by token for a request: prompts and sources to rows, and rows to answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from unrolled.data.encoding.tokenizers import BOS
from unrolled.decoding.generation import Continuation, Writer
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.translation import encode_sources, max_lengths
from unrolled.models import Model
from unrolled.runs.generation import GenerationRun
from unrolled.runs.translation import TranslationRun
from unrolled.serve.registry import Served
from unrolled.serve.rows import Row, initial
from unrolled.serve.work import Stepping
from unrolled.serve.writing import TargetWriter, Writing

__all__ = ["context_of", "continuation", "ended", "target"]


def context_of(model: Model, ids: list[int]) -> tuple[list[int], list[int] | None]:
    """Return the ids that a model reads at the beginning, of which only the last fit, and its context."""
    return (ids, None) if model.max_length is None else (ids[-model.max_length :], [])


def continuation(
    served: Served, prompt: str, options: Any, emit: Callable[[str], None], *, length: int | None, seconds: float
) -> Stepping:
    """Return the work of continuing a prompt; its result is the answer of `decode`.

    Args:
        served: a run of task generate.
        prompt: the text.
        options: validated options.
        emit: called with each piece of text, on the batcher's thread.
        length: maximum number of tokens.
        seconds: time limit.
    """
    run = served.run
    assert isinstance(run, GenerationRun)
    ids, model, pieces = run.ids(prompt), run.model, list[str]()

    def out(piece: str) -> None:
        pieces.append(piece)
        emit(piece)

    def make() -> Row:
        inputs, context = context_of(model, [BOS, *ids])
        return Writing(
            served.batcher.start,
            inputs,
            context,
            sampling=Sampling.from_options(options),
            writer=Writer(run.tokenizer, length, options.stop),
            emit=out,
            num_outputs=model.num_outputs,
            prompt=ids,
        )

    def result(row: Row) -> Continuation:
        assert isinstance(row, Writing)
        return Continuation(prompt, "".join(pieces), row.writer.tokens, row.writer.ended)

    return Stepping(seconds, make, ended, result, options.precision)


def target(served: Served, source: str, options: Any, emit: Callable[[str], None], *, seconds: float) -> Stepping:
    """Return the work of writing the target of a source without a beam; its result is {"text", "tokens", "ended"}.

    Args:
        served: a run of task translate.
        source: the text.
        options, emit, seconds: see `continuation`.
    """
    run = served.run
    assert isinstance(run, TranslationRun)
    ids, prefix = run.source_ids(source, truncate=options.truncate), run.prefix_ids(options.prefix)
    lengths, model, pieces = torch.tensor([len(ids)]), run.model, list[str]()
    (longest,) = max_lengths(model, lengths, prefix, options.length)

    def out(piece: str) -> None:
        pieces.append(piece)
        emit(piece)

    def make() -> Row:
        return Writing(
            initial(model, encode_sources(model, torch.tensor([ids]), lengths)),
            [BOS, *prefix],
            None,
            sampling=Sampling.from_options(options),
            writer=TargetWriter(run.tokenizers.target, prefix, longest),
            emit=out,
            num_outputs=model.num_outputs,
            ends=True,
            min_length=options.min_length,
            prompt=prefix,
        )

    def result(row: Row) -> dict[str, Any]:
        assert isinstance(row, Writing)
        tokens = len(prefix) + row.writer.tokens - (row.writer.ended == "eos")
        return {"source": source, "text": "".join(pieces), "tokens": tokens, "ended": row.writer.ended}

    return Stepping(seconds, make, ended, result, options.precision)


def ended(row: Row) -> bool:
    """Return whether a row that writes has ended."""
    return isinstance(row, Writing) and row.is_done
