"""Traces in a terminal: the text in colours, and tables of the attribution of each answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from unrolled.cli.console import Console
from unrolled.cli.streams import escaped
from unrolled.errors import printable
from unrolled.palette import ABOVE, BELOW

if TYPE_CHECKING:
    from unrolled.inside import Trace

__all__ = ["show"]

FOR, AGAINST = ([int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (ABOVE, BELOW))
ROWS = 24
"""Maximum number of rows in a table."""
BITS = 1 / math.log(2)  # bits in a nat


def show(traces: Sequence[Trace]) -> None:
    """Print the traces, one after the other."""
    console = Console(soft_wrap=True)
    for number, trace in enumerate(traces):
        if number:
            console.print()
        one = trace.about.task in ("classify", "regress") and len(trace.about.answers) == 1
        blocks = _one_answer(trace) if one else _many_answers(trace)
        for block in (_head(trace), *blocks):
            console.print(block)


def _head(trace: Trace) -> Text:
    """Return the run, model and task of a trace, and notes on the tokens that were left out or are unknown."""
    about = trace.about
    update = "" if about.update is None else f", after update {about.update:,} of its training"
    notes = [f"Left out: {about.truncated}."] * bool(about.truncated) + [f"{about.unknown}."] * bool(about.unknown)
    lines = [f"{about.run or 'a run'}: {about.architecture}, task {about.task}{update}", *notes]
    return Text("\n".join(lines), style="dim")


def _one_answer(trace: Trace) -> list[Text | Table]:
    """Return the answer, the text coloured by occlusion, and a table of the tokens with the largest occlusion."""
    about = trace.about
    p = f"  {math.exp(trace['log_prob'][0]):.3f}" if "log_prob" in trace else ""
    blocks: list[Text | Table] = [Text.assemble((printable(about.answers[0]), "bold"), p)]
    if "occlusion" not in trace:
        return blocks
    bits = trace["occlusion"][0].tolist()
    if about.text and "spans" in trace:
        unit = "bits for (blue) and against (orange) the answer" if p else "the number up (blue) or down (orange)"
        blocks.append(_coloured(about.text, trace["spans"].tolist(), bits, unit, "{:.2f} bits" if p else "{:.4g}"))
    names = {"occlusion": "occlusion", "input_x_gradient": "input × gradient", "gradient_norm": "gradient norm"}
    table = _table("token", [", ".join(filter(None, (title, trace.unit(name)))) for name, title in names.items()])
    order = sorted(range(len(bits)), key=lambda s: -abs(bits[s]))
    for s in order[:ROWS]:
        numbers = (trace[name][0, s].item() for name in names)
        table.add_row(_word(about.tokens[s]), *(f"{value:+.3f}" if p else f"{value:+.4g}" for value in numbers))
    return [*blocks, table, *_rest(len(order))]


def _many_answers(trace: Trace) -> list[Text | Table]:
    """Return a table with one row for each answer: surprise, most probable answer, token with the largest occlusion."""
    about = trace.about
    bits = (-trace["log_prob"] * BITS).tolist()
    blocks: list[Text | Table] = []
    if about.source:
        blocks.append(Text(printable(about.source_text), style="italic"))
    if about.task in ("generate", "translate"):  # each answer but the last is a token of the text
        spans = trace["spans"].tolist()[1:]
        blocks.append(_coloured(about.text, spans, bits[: len(spans)], "surprise", "{:.2f} bits"))
    tensors = [name for name in ("source.occlusion", "occlusion") if name in trace]
    table = _table("answer", ("surprise, bits",), ("most probable", *(["largest occlusion, bits"] if tensors else [])))
    if about.task == "tag":
        table.columns[0].header = "word: tag"
    for a, answer in enumerate(about.answers[:ROWS]):
        label = _word(answer)
        if about.task == "tag":
            start, end = trace["spans"][trace["steps"][a]].tolist()
            label = f"{printable(about.text[start:end])}: {label}"
        strongest = [", ".join(_strongest(trace, name, a) for name in tensors)] if tensors else []
        table.add_row(label, f"{bits[a]:.2f}", _word(about.guesses[a][0]), *strongest)
    return [*blocks, table, *_rest(len(about.answers))]


def _strongest(trace: Trace, name: str, answer: int) -> str:
    """Return the token with the largest absolute occlusion of an answer, and its bits."""
    values = trace[name][answer]
    s = int(values.abs().argmax())
    tokens = trace.about.source if name.startswith("source.") else trace.about.tokens
    return f"{_word(tokens[s])} {values[s]:+.2f}"


def _word(token: str) -> str:
    """Return a token in printable form, with spaces made visible where it has nothing else."""
    return printable(token).replace(" ", "␣") if token.isspace() else printable(token)


def _table(first: str, numbers: Sequence[str], words: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in words:
        table.add_column(name, no_wrap=True)
    return table


def _rest(rows: int) -> list[Text]:
    """Return a note on the rows that a table leaves out, or nothing."""
    return [Text(f"… and {rows - ROWS:,} more (--json prints all)", style="dim")] if rows > ROWS else []


def _coloured(text: str, spans: Sequence[Sequence[int]], values: Sequence[float], meaning: str, form: str) -> Text:
    """Return the text with a background for each token as strong as its value, and the meaning of the colours.

    Args:
        meaning: meaning of the colours, in words.
        form: format of the largest value, with its unit.
    """
    shown = Text(escaped(text))
    largest = max((abs(value) for value in values), default=0) or 1
    if len(shown) == len(text):  # escaped characters would shift the spans
        for (start, end), value in zip(spans, values, strict=True):
            shown.stylize(_style(value / largest), start, end)
    shown.append(f"   {meaning}, at most {form.format(largest)}", style="dim")
    return shown


def _style(fraction: float) -> str:
    """Return the style of black text on a background for a fraction from −1 to 1; 0 is white."""
    strongest = FOR if fraction >= 0 else AGAINST
    r, g, b = (round(255 - (255 - channel) * abs(fraction) * 0.75) for channel in strongest)
    return f"black on rgb({r},{g},{b})"
