"""`unrolled demo`: the main job in a minute: a GRU and its rivals on film sentences, one table, three answers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unrolled.cli.output import Json, decode_command, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from unrolled.training import Run

__all__ = ["command"]

log = logging.getLogger("unrolled.cli")

BOTH_ENDS = {"bidirectional": True, "read": "max"}
RECIPES: dict[str, dict[str, Any]] = {  # the best of `python benchmarks/films.py --search`, by loss on the valid part
    "feedforward": {"read": "max", "epochs": 8},
    "elman": {**BOTH_ENDS, "epochs": 6},
    "lstm": {"bidirectional": True, "epochs": 4},
    "gru": {**BOTH_ENDS, "epochs": 4, "dropout": 0.6},
}
NAMES = {"feedforward": "bag of words", "elman": "elman", "gru": "gru"}  # what the demo trains
SENTENCES = (
    "A warm, funny and wonderfully acted film.",
    "The plot is thin and the jokes fall flat.",
    "It is not the masterpiece we were promised, but I was never bored.",
)


def command(*, json: Json = False) -> None:
    """Train a GRU on film sentences beside its rivals, compare them on held-out sentences, and ask it three.

    Parameters
    ----------
    json
        Print JSON.
    """
    from unrolled import api
    from unrolled.cli.progress import Progress, show_log

    runs: dict[str, Run] = {}
    for row in NAMES:
        with show_log(quiet=json, name="unrolled.cli"), Progress(row) as progress:
            log.info("training %s", NAMES[row])
            out = Path("runs") / f"demo-{row}"
            runs[row] = api.train("sample:films", row=row, out=out, overwrite=True, report=progress, **RECIPES[row])
    answers = runs["gru"].decode(list(SENTENCES))
    if json:
        found = {row: run.record for row, run in runs.items()}
        print_json({"runs": found, "answers": [answer.to_dict() for answer in answers]})
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_table(runs))
    for answer in answers:
        console.print(f"{answer.label:>9} {answer.probability:.0%}  {answer.text}", markup=False, soft_wrap=True)
    console.print(
        f"\nAsk it yourself:  {decode_command(runs['gru'].path, runs['gru'].ASK)}", markup=False, soft_wrap=True
    )


def _table(runs: dict[str, Run]) -> Table:
    """Held-out accuracy and what it cost, the majority class first."""
    first = next(iter(runs.values())).test
    assert first is not None
    from rich.table import Table

    table = Table(title=f"Film sentences, {first.n:,} held out", title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("row", no_wrap=True)
    for column in ("accuracy", "95 % interval", "macro-F1", "parameters", "seconds", "tokens/s"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row("majority class", f"{first.majority_accuracy:.1%}")
    for row, run in runs.items():
        result, training = run.test, run.record["training"]
        assert result is not None
        table.add_row(
            NAMES[row],
            f"{result.accuracy:.1%}",
            f"{result.accuracy_interval.low:.0%} to {result.accuracy_interval.high:.0%}",
            f"{result.macro_f1:.3f}",
            f"{run.record['parameters']:,}",
            f"{training['total_seconds']:.1f}",
            f"{training['tokens_per_second']:,.0f}",
        )
    return table
