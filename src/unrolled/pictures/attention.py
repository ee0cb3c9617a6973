"""Attention weights as matrices, and as lines between the source and the answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from unrolled import svg
from unrolled.inside import Trace
from unrolled.palette import INK, MEMORY, SOFT
from unrolled.pictures.figure import Figure, Request, heading, panels, resolve_index
from unrolled.pictures.matrix import MIN_LABEL, View, column_label_height, column_labels, legend, matrix, number
from unrolled.svg import Drawing, Scale

__all__ = [
    "Weights",
    "can_draw",
    "can_draw_heads",
    "draw",
    "draw_heads",
    "draw_lines",
    "source_weights",
    "threshold",
    "transformer_weights",
]

SEP = "<sep>"
LINES = 4  # drawn for each query, at most
LAST = 8  # pixels that the index of the last position takes beyond its column
TALL = 130  # pixels between the source and the answers
AXES = ("answer ↓", "source →")


class Weights(NamedTuple):
    """Attention weights of one head: their tensor, its leading indices, labels of the T queries and of the S keys."""

    trace: Trace
    tensor: str
    lead: tuple[int, ...]
    queries: Sequence[str]
    keys: Sequence[str]

    @property
    def before(self) -> int:
        """Number of keys before the first query, where queries and keys are steps of one sequence."""
        return len(self.keys) - len(self.queries)

    @property
    def title(self) -> str:
        """The tensor's name with its leading index."""
        return self.tensor + (f"[{self.lead[0]}]" if self.lead else "")

    def view(self) -> View:
        """Return the weights as a matrix (T, S) with one row for each query."""
        return View(self.trace, self.tensor, range(len(self.queries)), range(len(self.keys)), self.lead)


def _heads(trace: Trace, pattern: str) -> list[Weights]:
    """Return every head of the tensors whose name matches, in order."""
    heads = []
    for name in trace:
        if re.fullmatch(pattern, name):
            *sizes, T, S = trace[name].shape
            in_encoder, about = name.startswith("encoder."), trace.about
            source = [*about.source, SEP]  # one sequence of source and target has <sep> between them
            queries = source if in_encoder else _query_labels(trace, T)
            if in_encoder or "cross." in name or name.startswith("attention."):
                keys = source
            else:
                keys = [*source[: max(0, S - T)], *about.tokens]
            leads = [(head,) for head in range(sizes[0])] if sizes else [()]
            heads += [Weights(trace, name, lead, _padded(queries, T), _padded(keys, S)) for lead in leads]
    return heads


def _query_labels(trace: Trace, steps: int) -> Sequence[str]:
    """Return the answers where a source was read and every step has an answer, else the tokens of the input."""
    about = trace.about
    return about.answers if about.source and len(about.answers) == steps else about.tokens


def _padded(labels: Sequence[str], count: int) -> list[str]:
    return [*labels[:count], *[""] * (count - len(labels))]


def source_weights(trace: Trace) -> list[Weights]:
    """Return the weights of the decoder's attention to the source."""
    return _heads(trace, r"attention\.weights|(decoder\.)?transformer\.l\d+\.cross\.weights")


def transformer_weights(trace: Trace) -> list[Weights]:
    """Return the weights of every head of a Transformer, including those of its attention to the source."""
    return _heads(trace, r"((encoder|decoder)\.)?transformer\.l\d+\.(cross\.)?weights")


def can_draw(trace: Trace) -> bool:
    """Return whether the trace has attention to a source."""
    return bool(source_weights(trace))


def can_draw_heads(trace: Trace) -> bool:
    """Return whether the trace has heads of a Transformer."""
    return bool(transformer_weights(trace))


def _scale(drawn: Iterable[Weights]) -> Scale:
    """Return a scale from 0, pale, to the largest weight drawn, so that many small weights are visible too."""
    return Scale(
        0, max(float(each.trace[each.tensor].max()) for each in drawn), ("#f7f5f1", "#b7a6e2", MEMORY, "#2e1a66")
    )


def _of_head(weights: Weights) -> str:
    """Return the words for a head; "" where there is only one."""
    return f"head {weights.lead[0]} of {weights.tensor.removesuffix('.weights')}" if weights.lead else ""


def _where(tensor: str) -> str:
    """Return the words for a layer of a Transformer."""
    module = "encoder" if tensor.startswith("encoder.") else "decoder" if tensor.startswith("decoder.") else ""
    kind = "attention to the source" if ".cross." in tensor else "self-attention"
    return " ".join(filter(None, (module, kind)))


def threshold(weights: Weights) -> float:
    """Return the smallest weight drawn as a line: 0.05, or one and a half times the weight of uniform attention."""
    return min(0.05, 1.5 / len(weights.keys))


def _selected(trace: Trace, request: Request) -> Weights:
    """Return the attention to the source of the highest layer, in the requested head or the first."""
    weights = source_weights(trace)
    highest = [each for each in weights if each.tensor == weights[-1].tensor]
    return highest[resolve_index(request.head, len(highest), "head", 0)]


def draw(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw the matrix of each trace."""
    space = request.width if len(traces) == 1 or request.is_narrow else (request.width - 24) / 2
    every = [_selected(trace, request) for trace in traces]
    drawings, scale = [], _scale(every)
    for trace, one in zip(traces, every, strict=True):
        drawn = matrix(one.view(), scale, down=one.queries, above=one.keys, space=(space, 600), square=True, axes=AXES)
        drawings.append(svg.stack([heading(trace, traces, _of_head(one), space), drawn]))
    caption = (
        "Read it row by row: each answer takes its context from the tokens of the source in strong colour. The weights "
        "of a row sum to 1."
    )
    return Figure(
        "Attention to the source",
        svg.stack([panels(drawings, most=request.width), legend(scale, "attention weight", most=request.width)], 14),
        caption,
    )


def draw_lines(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw lines from each answer to the positions of the source with the largest weights."""
    every = [_selected(trace, request) for trace in traces]
    drawings = []
    for trace, one in zip(traces, every, strict=True):
        drawings += [heading(trace, traces, _of_head(one), request.width), _lines(one, request.width)]
    caption = (
        "Lines lead from the source, above, to the answers, below; a wider line is a larger weight. Each answer has at "
        f"most {LINES}, none below {number(min(map(threshold, every)))}."
    )
    return Figure("Alignment of source and answer", svg.stack(drawings, 2), caption)


def _lines(weights: Weights, width: float) -> Drawing:
    values = weights.view().values()
    T, S = values.shape
    width -= LAST
    key_width, query_width = min(70, width / S), min(70, width / T)
    top = column_label_height(weights.keys, key_width)
    body = column_labels(weights.keys, 0, top, key_width, range(S))
    for t, row in enumerate(values):
        for s in sorted(range(S), key=lambda s: -row[s])[:LINES]:
            if (weight := float(row[s])) >= threshold(weights):
                start, end = ((s + 0.5) * key_width, top), ((t + 0.5) * query_width, top + TALL)
                name = f"{weights.tensor}[{','.join(map(str, (*weights.lead, t, s)))}] = {number(weight)}"
                thick = max(0.6, min(6, key_width, query_width) * weight)
                body.append(svg.curve(start, end, stroke=MEMORY, width=thick, name=name))
    body += column_labels(weights.queries, 0, top + TALL, query_width, range(T), below=True)
    height = top + TALL + max(16, column_label_height(weights.queries, query_width))
    return Drawing(max(key_width * S, query_width * T), height, "\n".join(body))


def draw_heads(traces: Sequence[Trace], request: Request) -> Figure:
    """Draw every head of every layer, or the requested head and layer."""
    scale = _scale(each for trace in traces for each in transformer_weights(trace))
    drawings = []
    for trace in traces:
        selected = [
            each
            for each in transformer_weights(trace)
            if request.layer in (None, each.tensor.removesuffix(".weights"))
            and (request.head is None or each.lead == (request.head,))
        ]
        for tensor in dict.fromkeys(each.tensor for each in selected):
            heads = [each for each in selected if each.tensor == tensor]
            space = max(148, min(370, (request.width - 16 * (len(heads) - 1)) / len(heads)))
            drawn = []
            for each in heads:
                labelled = (space - 60) / len(each.keys) >= MIN_LABEL
                one = matrix(
                    each.view(), scale, down=each.queries if labelled else [], above=each.keys if labelled else [],
                    space=(space, space), square=True,
                )  # fmt: skip
                title = Drawing(space, 16, svg.text(0, 12, f"head {each.lead[0]}", bold=True, fill=INK))
                drawn.append(svg.stack([title, one]))
            small = svg.text(0, 9, tensor.removesuffix(".weights"), size=11, fill=SOFT, most=request.width)
            drawings.append(svg.stack([heading(trace, traces, _where(tensor), request.width), Drawing(0, 18, small)]))
            drawings.append(panels(drawn, 16, request.width))
    caption = (
        "Each row is a step that attends, each column a step that it attends to; the stronger the colour, the larger "
        "the weight. A row sums to 1. A weight shows which value was read, not why."
    )
    return Figure(
        "Attention heads", svg.stack([*drawings, legend(scale, "attention weight", most=request.width)], 8), caption
    )
