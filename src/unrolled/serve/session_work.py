"""The work of sessions: opening, reading inputs, writing, importing, each from a point to the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from unrolled.data.encoding.tokenizers import BOS, SPECIAL
from unrolled.decoding.generation import Writer
from unrolled.decoding.sampling import Sampling
from unrolled.decoding.translation import encode_sources
from unrolled.errors import excerpt
from unrolled.models import Features, Pairs
from unrolled.runs.generation import GenerationRun
from unrolled.runs.run import Run
from unrolled.runs.tagging import TaggingRun
from unrolled.runs.texts import listed
from unrolled.runs.translation import TranslationRun
from unrolled.serve.continuing import ended
from unrolled.serve.limits import Limits
from unrolled.serve.points import Point
from unrolled.serve.refusals import RequestError
from unrolled.serve.registry import Served
from unrolled.serve.replies import after_all, of_labels, of_tokens, tokenizer_of
from unrolled.serve.rows import Logits, Row, initial
from unrolled.serve.work import Stepping
from unrolled.serve.writing import TargetWriter, Writing
from unrolled.strings import words_of

__all__ = ["Inputs", "beginning", "inputs_of", "opening", "reading", "rereading", "writing"]

Inputs = tuple[list[Any], list[str | None]]
"""Inputs of a model, and the word that ends with each (task tag), else None."""


class Reading(Row):
    """A row that reads the inputs of a request, and makes replies as it goes."""

    def __init__(self, point: Point, inputs: list[Any], reply: Callable[[Logits], list[Any]], emit: Any) -> None:
        context = None if point.context is None else list(point.context)
        super().__init__(point.state, inputs, context)
        self.reply, self.emit = reply, emit
        self.replies: list[Any] = []
        self.last: Logits | None = point.logits

    def receive(self, logits: Logits) -> None:
        """Make the replies of some steps."""
        found = self.reply(logits)
        self.last = np.array(logits[-1])
        if self.emit is None:
            self.replies += found
        else:
            self.replies = found[-1:] or self.replies
            self.emit(found)


def beginning(served: Served, source: list[int] | None = None) -> Point:
    """Return the point before the first input; with a source, on the batcher's thread."""
    model = served.run.model
    if source is None:
        return Point(served.start, 0, None if model.max_length is None else ())
    state = encode_sources(model, torch.tensor([source]), torch.tensor([len(source)]))
    return Point(initial(model, state), 0, None, (), tuple(source))


def opening(served: Served, source: list[int] | None, seconds: float) -> Stepping:
    """Return the work of opening a session of a run that writes: <bos> is read; its result is a point."""
    return _reading(served, lambda: beginning(served, source), [BOS], lambda logits: [], None, seconds)


def rereading(served: Served, point: Point, seconds: float) -> Stepping:
    """Return the work of reading the ids of an imported session again; its result is the point."""
    context = point.context
    ids = list(point.ids if context is None else context)
    source = list(point.source) if isinstance(served.run.model.inputs, Pairs) else None
    work = _reading(served, lambda: beginning(served, source), ids, lambda logits: [], None, seconds)
    read = work.result

    def result(row: Row) -> tuple[Point, list[Any]]:
        found, replies = read(row)
        return found._replace(steps=point.steps), replies

    work.result = result
    return work


def reading(
    served: Served,
    point: Point,
    inputs: Inputs,
    *,
    top: int | None,
    emit: Callable[[list[Any]], None] | None,
    seconds: float,
) -> Stepping:
    """Return the work of reading inputs; its result is the next point and the replies.

    Args:
        served: the run.
        point: the point before.
        inputs: the inputs.
        top: number of answers in each reply.
        emit: called with some replies, on the batcher's thread; None: all are in the result.
        seconds: time limit.
    """
    run, (values, words) = served.run, inputs
    if isinstance(run, TaggingRun):
        reply = of_labels(run, words, top, point.steps)
    elif isinstance(run, GenerationRun | TranslationRun):
        reply = of_tokens(run, values, point.logits, top or 1, point.steps)
    else:
        reply = _nothing
    work = _reading(served, lambda: point, values, reply, emit, seconds)
    if run.model.answer == "once":
        read = work.result

        def result(row: Row) -> tuple[Point, list[Any]]:
            after, _ = read(row)
            assert after.logits is not None
            return after, [{"step": after.steps - 1, **after_all(run, after.logits, top)}]

        work.result = result
    return work


def _nothing(logits: Logits) -> list[Any]:
    return []


def _reading(
    served: Served, before: Callable[[], Point], inputs: list[Any], reply: Any, emit: Any, seconds: float
) -> Stepping:
    kept: list[Point] = []

    def make() -> Row:
        kept.append(before())
        return Reading(kept[0], list(inputs), reply, emit)

    def result(row: Row) -> tuple[Point, list[Any]]:
        assert isinstance(row, Reading)
        return _after(served, kept[0], row, inputs, row.last), row.replies

    return Stepping(seconds, make, lambda row: not row.waiting, result)


def writing(
    served: Served, point: Point, options: Any, emit: Callable[[str], None], *, length: int, seconds: float
) -> Stepping:
    """Return the work of writing from a point; its result is the next point and {"text", "tokens", "ended"}.

    Args:
        served: a run of task generate or translate.
        point: the point before.
        options: validated options of `stream`.
        emit: called with each piece of text, on the batcher's thread.
        length: maximum number of tokens.
        seconds: time limit.
    """
    run, model, pieces = served.run, served.run.model, list[str]()
    targets = isinstance(run, TranslationRun)

    def out(piece: str) -> None:
        pieces.append(piece)
        emit(piece)

    def make() -> Row:
        tokenizer = tokenizer_of(run)
        writer = TargetWriter(tokenizer, (), length) if targets else Writer(tokenizer, length, options.stop)
        return Writing(
            point.state,
            [],
            None if point.context is None else list(point.context),
            sampling=Sampling.from_options(options),
            writer=writer,
            emit=out,
            num_outputs=model.num_outputs,
            ends=targets,
            prompt=point.ids or point.context or (),
            logits=None if point.logits is None else point.logits[None],
            reads_last=True,
        )

    def result(row: Row) -> tuple[Point, dict[str, Any]]:
        assert isinstance(row, Writing)
        last = point.logits if row.logits is None else np.array(row.logits[0])
        after = _after(served, point, row, row.written, last)
        tokens = row.writer.tokens - (row.writer.ended == "eos")
        return after, {"text": "".join(pieces), "tokens": tokens, "ended": row.writer.ended}

    return Stepping(seconds, make, ended, result, options.precision)


def _after(served: Served, before: Point, row: Row, read: list[Any], logits: Logits | None) -> Point:
    """Return the point after a row has read inputs."""
    ids: tuple[int, ...] = ()
    model = served.run.model
    if not served.constant and not isinstance(model.inputs, Features) and model.max_length is None:
        ids = (*before.ids, *read)[-(model.receptive_field or len(before.ids) + len(read)) :]
    context = None if row.context is None else tuple(row.context)
    return Point(row.state, before.steps + len(read), context, ids, before.source, logits)


def inputs_of(run: Run, body: dict[str, Any], limits: Limits) -> Inputs:
    """Return the inputs of a request: of "text", "words" (task tag), "tokens" (ids) or "features" (vectors).

    Raises:
        RequestError: none or several of these, one that the run does not have, or a wrong value.
    """
    features = isinstance(run.model.inputs, Features)
    known = ("features",) if features else ("text", "tokens", *(["words"] if isinstance(run, TaggingRun) else []))
    given = [name for name in ("text", "words", "tokens", "features") if body.get(name) is not None]
    if len(given) != 1 or given[0] not in known:
        raise RequestError(422, f"a step of this run needs one of {', '.join(known)}: got {', '.join(given) or 'none'}")
    (name,), value = given, body[given[0]]
    if name == "features":
        return _features(run, value, limits)
    if name == "tokens":
        return _tokens(run, value, limits)
    length = len(value) if isinstance(value, (str, list)) else 0
    if length > limits.characters:
        raise RequestError(413, f"{name} has at most {limits.characters:,} characters on this server", field=name)
    if isinstance(run, TaggingRun):
        run.refuse(value)
        words = words_of(value) if name == "text" else list(value)
        ids, ends = list[Any](), list[str | None]()
        for word, subwords in zip(words, run.tokenizer.encode_words(words), strict=True):
            ids += subwords
            ends += [*[None] * (len(subwords) - 1), word]
        return ids, ends
    if not isinstance(value, str):
        raise RequestError(422, "text must be a text", field="text")
    if isinstance(run, GenerationRun):
        ids = run.ids(value)
    elif isinstance(run, TranslationRun):
        ids = run.prefix_ids(value)
    else:
        (ids,) = run.tokenizer.encode(listed(value))
    if not ids:
        raise RequestError(422, "text has no token", field="text", hint="send at least one")
    return ids, [None] * len(ids)


def _tokens(run: Run, value: Any, limits: Limits) -> Inputs:
    V = tokenizer_of(run).vocabulary_size
    if not isinstance(value, list) or not value or len(value) > limits.characters:
        raise RequestError(422, f"tokens must be a list of 1 to {limits.characters:,} ids", field="tokens")
    for number, token in enumerate(value):
        if not isinstance(token, int) or isinstance(token, bool) or not len(SPECIAL) <= token < V:
            raise RequestError(
                422,
                f"a token must be an id from {len(SPECIAL)} to {V - 1:,}: got {excerpt(repr(token), 40)}",
                field=f"tokens[{number}]",
            )
    return value, list(tokenizer_of(run).tokens(value)) if isinstance(run, TaggingRun) else [None] * len(value)


def _features(run: Run, value: Any, limits: Limits) -> Inputs:
    assert isinstance(run.model.inputs, Features)
    size = run.model.inputs.size
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        array = np.empty(0, dtype=object)
    if (
        array.dtype.kind not in "iuf"
        or array.ndim != 2
        or array.shape[1] != size
        or not 0 < len(array) <= limits.characters
    ):
        raise RequestError(422, f"features must be a list of steps, each of {size:,} numbers", field="features")
    with np.errstate(over="ignore"):
        vectors = array.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise RequestError(422, "a feature is not a finite number of float32", field="features")
    return vectors.tolist(), [None] * len(vectors)
