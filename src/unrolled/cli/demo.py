"""`unrolled demo`: the main job in a minute: a GRU and its rivals on film sentences, one table, three answers."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from unrolled.cli.progress import Progress

if TYPE_CHECKING:
    from unrolled.training import Run

__all__ = ["command"]

ROWS: dict[str, dict[str, Any]] = {  # found on the validation part: benchmarks/films.py has the trials
    "feedforward": {},
    "elman": {},
    "gru": {},
}
NAMES = {"feedforward": "bag of words (feedforward)", "elman": "elman", "gru": "gru"}
SENTENCES = (
    "A warm, funny and wonderfully acted film.",
    "The plot is thin and the jokes fall flat.",
    "It is not the masterpiece we were promised, but I was never bored.",
)


def command(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """Train a GRU on film sentences beside its rivals, compare them on held-out sentences, and ask it three.

    Parameters
    ----------
    json_
        Print JSON.
    """
    logging.getLogger("unrolled").setLevel(logging.WARNING)
    from unrolled import api

    runs: dict[str, Run] = {}
    for row, settings in ROWS.items():
        with Progress(quiet=json_, title=row) as progress:
            out = Path("runs") / f"demo-{row}"
            runs[row] = api.train("sample:films", row=row, out=out, overwrite=True, report=progress, **settings)
    answers = runs["gru"].decode(list(SENTENCES))
    if json_:
        found = {row: run.record for row, run in runs.items()}
        print(json.dumps({"runs": found, "answers": [answer.to_dict() for answer in answers]}))
        return
    console = Console(highlight=False)
    console.print(_table(runs))
    for answer in answers:
        console.print(f"{answer.label:>9} {answer.probability:.0%}  {answer.text}", markup=False)
    console.print(f'\nAsk it yourself:  unrolled decode {runs["gru"].path} "a sentence of your own"', markup=False)


def _table(runs: dict[str, Run]) -> Table:
    """Held-out accuracy and what it cost, the majority class first."""
    first = next(iter(runs.values())).test
    assert first is not None
    table = Table(title=f"Film sentences, {first.n:,} held out")
    table.add_column("row")
    for column in ("accuracy", "95 % interval", "macro-F1", "parameters", "seconds", "tokens/s"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row("majority class", f"{first.majority_accuracy:.1%}", "", "", "", "", "")
    for row, run in runs.items():
        result, training = run.test, run.record["training"]
        assert result is not None
        table.add_row(
            NAMES[row],
            f"{result.accuracy:.1%}",
            f"{result.accuracy_interval.low:.1%} – {result.accuracy_interval.high:.1%}",
            f"{result.macro_f1:.3f}",
            f"{run.record['parameters']:,}",
            f"{training['total_seconds']:.1f}",
            f"{training['tokens_per_second']:,.0f}",
        )
    return table
