"""A trace in a terminal: the text in colours, and which token moved which answer, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unrolled.errors import printable

if TYPE_CHECKING:
    from unrolled.inside import Trace

__all__ = ["show"]

FOR, AGAINST = (230, 97, 1), (94, 60, 153)
"""Orange and violet, which colour-blind people tell apart, and which differ in a grey print too."""
ROWS = 24
"""Most rows of a table."""
BITS = 1 / math.log(2)  # a nat in bits


def show(traces: Sequence[Trace]) -> None:
    """Print each of the traces."""
    console = Console(highlight=False, soft_wrap=True)
    for number, trace in enumerate(traces):
        if number:
            console.print()
        for part in (_head(trace), *(_of_one(trace) if trace.about.task == "classify" else _of_many(trace))):
            console.print(part)


def _head(trace: Trace) -> Text:
    """Whose trace it is, and what was left out."""
    about = trace.about
    update = "" if about.update is None else f", after update {about.update:,} of its training"
    lines = [f"{about.run or 'a run'}: {about.architecture}, task {about.task}{update}"]
    return Text("\n".join([*lines, *([f"Left out: {about.truncated}."] if about.truncated else [])]), style="dim")


def _of_one(trace: Trace) -> list[Text | Table]:
    """One answer, the text coloured by what each token gave to it, and the tokens that moved it most."""
    about = trace.about
    p = math.exp(trace["log_prob"][0])
    parts: list[Text | Table] = [Text.assemble((printable(about.answers[0]), "bold"), f"  {p:.3f}")]
    if "occlusion" not in trace:
        return parts
    bits = trace["occlusion"][0].tolist()
    if about.text and "spans" in trace:
        parts.append(_coloured(about.text, trace["spans"].tolist(), bits))
    table = _table("token", ("occlusion, bits", "gradient × input, nats", "gradient_norm, nats"))
    order = sorted(range(len(bits)), key=lambda s: -abs(bits[s]))
    for s in order[:ROWS]:
        numbers = (trace[name][0, s].item() for name in ("occlusion", "input_x_gradient", "gradient_norm"))
        table.add_row(_word(about.tokens[s]), *(f"{value:+.3f}" for value in numbers))
    return [*parts, table, *_rest(len(order))]


def _of_many(trace: Trace) -> list[Text | Table]:
    """An answer a row: how surprising it was, what was expected, and what moved it most."""
    about = trace.about
    bits = (-trace["log_prob"] * BITS).tolist()
    parts: list[Text | Table] = []
    if about.source:
        parts.append(Text(printable(about.source_text), style="italic"))
    if about.task in ("generate", "translate"):  # each answer but the last is a token of the text
        spans = trace["spans"].tolist()[1:]
        parts.append(_coloured(about.text, spans, bits[: len(spans)], even=True))
    sides = [name for name in ("source.occlusion", "occlusion") if name in trace]
    named = ["moved most by"] if sides else []
    table = _table("answer", ("surprise, bits",), ("expected", *named))
    if about.task == "tag":
        table.columns[0].header = "word: tag"
    for a, answer in enumerate(about.answers[:ROWS]):
        moved = ", ".join(_strongest(trace, name, a) for name in sides)
        said = _word(answer)
        if about.task == "tag":
            start, end = trace["spans"][trace["steps"][a]].tolist()
            said = f"{printable(about.text[start:end])}: {said}"
        expected = _word(about.guesses[a][0])
        table.add_row(said, f"{bits[a]:.2f}", expected, *([moved] if sides else []))
    return [*parts, table, *_rest(len(about.answers))]


def _strongest(trace: Trace, name: str, answer: int) -> str:
    """The token whose replacement costs an answer the most bits, or gives it the most."""
    values = trace[name][answer]
    s = int(values.abs().argmax())
    tokens = trace.about.source if name.startswith("source.") else trace.about.tokens
    return f"{_word(tokens[s])} {values[s]:+.2f}"


def _word(token: str) -> str:
    """A token as one sees it: a space is not to be overlooked."""
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
    return [Text(f"… and {rows - ROWS:,} more: --json has them all", style="dim")] if rows > ROWS else []


def _coloured(text: str, spans: Sequence[Sequence[int]], values: Sequence[float], *, even: bool = False) -> Text:
    """The text, each token on a ground as strong as its value; `even`: none is below 0."""
    shown = Text(text if text.isprintable() else "".join(c if c in "\n\t" else printable(c) for c in text))
    most = max((abs(value) for value in values), default=0) or 1
    if len(shown) == len(text):  # what was escaped has moved what stands behind it
        for (start, end), value in zip(spans, values, strict=True):
            shown.stylize(_ground(value / most), start, end)
    unit = "surprise" if even else "bits for (orange) and against (violet) the answer"
    shown.append(f"   {unit}, at most {most:.2f} bits", style="dim")
    return shown


def _ground(share: float) -> str:
    """A colour on white for a share from −1 to 1, with black letters."""
    strong = FOR if share >= 0 else AGAINST
    r, g, b = (round(255 - (255 - channel) * abs(share) * 0.75) for channel in strong)
    return f"black on rgb({r},{g},{b})"
