"""Attention: its weights as a matrix, and as lines from what is written to what was read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from unrolled import svg
from unrolled.inside import Trace
from unrolled.pictures.figure import WIDTH, Asked, Figure, chosen, heading, panels
from unrolled.pictures.matrix import LEAST, Shown, across, legend, matrix, number, room_across
from unrolled.svg import INK, Drawing, Scale

__all__ = ["Weights", "draw", "draw_heads", "draw_lines", "shows", "shows_heads", "to_source", "within"]

SEP = "<sep>"
LINES = 4  # that are drawn for each step that asks, at most
TALL = 130  # pixels between what is written and what was read


class Weights(NamedTuple):
    """Weights of a trace: their tensor, which head of it, what asks (T) and what is looked at (S)."""

    trace: Trace
    tensor: str
    lead: tuple[int, ...]
    asks: Sequence[str]
    seen: Sequence[str]

    @property
    def before(self) -> int:
        """How many of what is looked at stand before the first step that asks, in one sequence with it."""
        return len(self.seen) - len(self.asks)

    @property
    def title(self) -> str:
        """Its tensor, as it is indexed."""
        return self.tensor + (f"[{self.lead[0]}]" if self.lead else "")

    def shown(self) -> Shown:
        """As a matrix: a row asks."""
        return Shown(self.trace, self.tensor, range(len(self.asks)), range(len(self.seen)), self.lead)


def _heads(trace: Trace, pattern: str) -> list[Weights]:
    """Every head of the tensors whose name matches, in order."""
    found = []
    for name in trace:
        if re.fullmatch(pattern, name):
            *heads, T, S = trace[name].shape
            encoder, about = name.startswith("encoder."), trace.about
            read = [*about.source, SEP]  # which stands behind it where one sequence holds both
            asks = read if encoder else _written(trace, T)
            if encoder or "cross." in name or name.startswith("attention."):
                seen = read
            else:
                seen = [*read[: max(0, S - T)], *about.tokens]
            leads = [(head,) for head in range(heads[0])] if heads else [()]
            found += [Weights(trace, name, lead, _fitted(asks, T), _fitted(seen, S)) for lead in leads]
    return found


def _written(trace: Trace, steps: int) -> Sequence[str]:
    """What the steps ask for: the answer of each where each has one, and a source was read; else what they read."""
    about = trace.about
    return about.answers if about.source and len(about.answers) == steps else about.tokens


def _fitted(names: Sequence[str], count: int) -> list[str]:
    return [*names[:count], *[""] * (count - len(names))]


def to_source(trace: Trace) -> list[Weights]:
    """Weights of what is written over what was read."""
    return _heads(trace, r"attention\.weights|(decoder\.)?transformer\.l\d+\.cross\.weights")


def within(trace: Trace) -> list[Weights]:
    """Weights of every head of a Transformer, those to the source included."""
    return _heads(trace, r"((encoder|decoder)\.)?transformer\.l\d+\.(cross\.)?weights")


def shows(trace: Trace) -> bool:
    """Whether something that is written looks at what was read."""
    return bool(to_source(trace))


def shows_heads(trace: Trace) -> bool:
    """Whether there are heads."""
    return bool(within(trace))


def _scale(drawn: Iterable[Weights]) -> Scale:
    """From 0 to the largest weight that is drawn, so that many small ones can be seen, too."""
    return Scale(0, max(float(each.trace[each.tensor].max()) for each in drawn))


def _least(one: Weights) -> float:
    """The weight from which on a line is drawn: one in twenty, or half as much again as if all were equal."""
    return min(0.05, 1.5 / len(one.seen))


def _one(trace: Trace, asked: Asked) -> Weights:
    """The weights to the source of the highest layer, and of its head that is asked for, or the first."""
    found = to_source(trace)
    highest = [each for each in found if each.tensor == found[-1].tensor]
    return highest[chosen(asked.head, len(highest), "head", 0)]


def draw(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw the matrix of each trace."""
    room = WIDTH if len(traces) == 1 else (WIDTH - 24) / 2
    every = [_one(trace, asked) for trace in traces]
    parts, scale = [], _scale(every)
    for trace, one in zip(traces, every, strict=True):
        drawn = matrix(one.shown(), scale, down=one.asks, above=one.seen, room=(room, 600), square=True)
        parts.append(svg.above([heading(trace, traces, one.title), drawn]))
    caption = (
        "Attention: a row for each token that is written, a column for each of the source; the darker, the more of "
        "what was read there went into what was written. Weights are shares: each row sums to 1."
    )
    return Figure("Attention", svg.above([panels(parts), legend(scale, "weight, share of 1")], 14), caption)


def draw_lines(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw lines from each written token to the places of the source that it looked at most."""
    every = [_one(trace, asked) for trace in traces]
    parts = []
    for trace, one in zip(traces, every, strict=True):
        parts += [heading(trace, traces, one.title), _lines(one), Drawing(0, 10, "")]
    caption = (
        "Attention as lines, from the source above to what was written below; the wider and darker, the larger the "
        f"weight, from {number(min(map(_least, every)))} on, and at most {LINES} for a token. All weights of a token "
        "sum to 1."
    )
    return Figure("Alignment", svg.above(parts, 2), caption)


def _lines(one: Weights) -> Drawing:
    values = one.shown().values()
    T, S = values.shape
    up, down = min(70, WIDTH / S), min(70, WIDTH / T)
    top = room_across(one.seen, up)
    body = across(one.seen, 0, top, up, range(S))
    for t, row in enumerate(values):
        for s in sorted(range(S), key=lambda s: -row[s])[:LINES]:
            if (weight := float(row[s])) >= _least(one):
                start, end = ((s + 0.5) * up, top), ((t + 0.5) * down, top + TALL)
                name = f"{one.tensor}[{','.join(map(str, (*one.lead, t, s)))}] = {number(weight)}"
                thick = max(0.6, min(6, up, down) * weight)
                body.append(
                    svg.curve(start, end, stroke="#1764ab", width=thick, opacity=0.25 + 0.75 * weight, name=name)
                )
    body += across(one.asks, 0, top + TALL, down, range(T), below=True)
    return Drawing(max(up * S, down * T), top + TALL + max(16, room_across(one.asks, down)), "\n".join(body))


def draw_heads(traces: Sequence[Trace], asked: Asked) -> Figure:
    """Draw every head of every layer, or the head and layer asked for."""
    scale = _scale(each for trace in traces for each in within(trace))
    parts = []
    for trace in traces:
        found = [
            each
            for each in within(trace)
            if asked.layer in (None, each.tensor.removesuffix(".weights"))
            and (asked.head is None or each.lead == (asked.head,))
        ]
        for tensor in dict.fromkeys(each.tensor for each in found):
            heads = [each for each in found if each.tensor == tensor]
            room = max(110, min(370, (WIDTH - 16 * (len(heads) - 1)) / len(heads)))
            drawn = []
            for each in heads:
                named = (room - 60) / len(each.seen) >= LEAST
                one = matrix(
                    each.shown(), scale, down=each.asks if named else [], above=each.seen if named else [],
                    room=(room, room), square=True,
                )  # fmt: skip
                title = Drawing(room, 16, svg.text(0, 12, f"head {each.lead[0]}", size=10, fill=INK))
                drawn.append(svg.above([title, one]))
            parts += [heading(trace, traces, tensor), panels(drawn, 16), Drawing(0, 6, "")]
    caption = (
        "Heads of a Transformer: a row for each step that asks, a column for each it looks at; the darker, the more of "
        "what is there it takes. Weights are shares: each row sums to 1. A weight says what was read, not why."
    )
    return Figure("Heads", svg.above([*parts, legend(scale, "weight, share of 1")], 4), caption)
