"""`unrolled demo`: two tasks in three minutes.

A GRU and its baselines on film sentences, with a table and three answers; then letters to phonemes, by a model with one
fixed vector and by one with attention, with a table and a few words pronounced by both.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unrolled.cli.console import Console
from unrolled.cli.output import Json, decode_command, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from unrolled.training import Run

__all__ = ["command"]

log = logging.getLogger("unrolled.cli")

FILMS, LETTERS = "sample:films", "sample:letters"
BOTH_ENDS = {"bidirectional": True, "read": "max"}
SEARCHED: dict[str, Any] = {"batch_tokens": 2_048, "best_by": "loss", "baseline": False}
"""The settings, other than those below, with which the recipes were searched and their figures measured."""
RECIPES: dict[str, dict[str, Any]] = {  # the best of `python benchmarks/films.py --search`, by loss on the valid split
    "feedforward": {**SEARCHED, "read": "max", "epochs": 8},
    "elman": {**SEARCHED, **BOTH_ENDS, "epochs": 6},
    "lstm": {**SEARCHED, "bidirectional": True, "epochs": 4},
    "gru": {**SEARCHED, **BOTH_ENDS, "epochs": 4, "dropout": 0.6},
}
NAMES = {"feedforward": "bag of words", "elman": "elman", "gru": "gru"}  # the models that the demo trains on films
SAME: dict[str, Any] = {"task": "translate", "time_limit": "45s", "embedding_size": 96}
PRONOUNCING = {"encoder_decoder": {**SAME, "hidden_size": 208}, "attention": {**SAME, "hidden_size": 160}}
"""The models that the demo trains on letters, with equal times and about equal numbers of parameters."""
DECODERS = {"encoder_decoder": "fixed vector", "attention": "attention"}
SENTENCES = (
    "A warm, funny and wonderfully acted film.",
    "The plot is thin and the jokes fall flat.",
    "It is not the masterpiece we were promised, but I was never bored.",
)
PAGE_WORDS = 1_000
"""Words of a vocabulary in the demo's page: with more, its five networks would have more than 3 MB."""
WORDS = ("perceptron", "backpropagation", "bahdanau", "schmidhuber")
"""Words to pronounce, none of which is in the dictionary."""


def command(*, json: Json = False) -> None:
    """Train a GRU and its baselines on film sentences; then letters to phonemes, by two decoders.

    Parameters
    ----------
    json
        Print JSON.
    """
    films = {name: _trained(FILMS, name, RECIPES[name], NAMES[name], quiet=json) for name in NAMES}
    answers = films["gru"].decode(list(SENTENCES))
    if not json:
        console = Console()
        console.print(_films(films))
        for answer in answers:
            _print(console, f"{answer.label:>9} {answer.probability:.0%}  {answer.text}")
    letters = {name: _trained(LETTERS, name, PRONOUNCING[name], DECODERS[name], quiet=json) for name in DECODERS}
    spoken = {name: run.decode(list(WORDS)) for name, run in letters.items()}
    if json:
        records = {name: run.record for name, run in {**films, **letters}.items()}
        words = {name: [word.to_dict() for word in spoken[name]] for name in spoken}
        print_json({"runs": records, "answers": [answer.to_dict() for answer in answers], "words": words})
        return
    console.print(_letters(letters))
    for number, word in enumerate(WORDS):
        _print(console, f"\n{word}")
        for model, shown in DECODERS.items():
            _print(console, f"{shown:>14}  {spoken[model][number].text}")
    path = _page([*films.values(), *letters.values()])
    _print(console, f"\nLook inside them, in a browser:  {path}")
    _open(path)
    _print(console, f"\nTry them on your own input:  {decode_command(films['gru'].path, films['gru'].EXAMPLE_INPUT)}")
    _print(console, f"                             {decode_command(letters['attention'].path, 'perceptron')}")


def _page(runs: list[Run]) -> Path:
    """Write the page of the runs, which needs neither a server nor a network, and return its path."""
    from unrolled import atomic
    from unrolled.page import pack, page

    html = page(
        [pack(run, words=PAGE_WORDS) for run in runs],
        examples=[(text, None) for text in SENTENCES],
        words=[(word, None) for word in WORDS],
        prompts=(),
        about=f"Of the runs' vocabularies it knows the {PAGE_WORDS:,} most frequent words.",
    )
    path = Path("runs") / "demo.html"
    atomic.write_file(path, html.encode())
    return path


def _open(path: Path) -> None:
    """Open a page in the browser, if a person is there and has one."""
    import webbrowser

    if sys.stdout.isatty():
        with suppress(webbrowser.Error, OSError):
            webbrowser.open(path.resolve().as_uri())


def _trained(data: str, model: str, recipe: dict[str, Any], name: str, *, quiet: bool) -> Run:
    """Return a run, trained in the folder runs/demo-MODEL."""
    from unrolled import api
    from unrolled.cli.progress import Progress, show_log

    with show_log(quiet=quiet, name="unrolled.cli"), Progress(model) as progress:
        log.info("training %s", name)
        return api.train(
            data, out=Path("runs") / f"demo-{model}", overwrite=True, report=progress, **recipe | {"model": model}
        )


def _print(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)


def _films(runs: dict[str, Run]) -> Table:
    """Return the table of accuracy on the test split, size and time, the majority class first."""
    first = next(iter(runs.values())).test
    table = _table(f"Film sentences, {first.n:,} held out", "accuracy", "95 % interval", "macro-F1")
    table.add_row("majority class", f"{first.majority_accuracy:.1%}")
    for name, run in runs.items():
        result = run.test
        low, high = result.accuracy_interval
        shown = f"{result.accuracy:.1%}", f"{low:.0%} to {high:.0%}", f"{result.macro_f1:.3f}"
        table.add_row(NAMES[name], *shown, *_cost(run))
    return table


def _letters(runs: dict[str, Run]) -> Table:
    """Return the table of error rates on the test split, size and time."""
    first = next(iter(runs.values())).test
    table = _table(f"\nLetters to phonemes, errors on {first.n:,} words held out", "words", "95 % interval", "phonemes")
    for name, run in runs.items():
        result = run.test
        low, high = result.exact_match_interval
        shown = f"{1 - result.exact_match:.1%}", f"{1 - high:.0%} to {1 - low:.0%}", f"{result.word_edit_rate:.1%}"
        table.add_row(DECODERS[name], *shown, *_cost(run))
    return table


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for column in (*columns, "parameters", "seconds", "tokens/s"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cost(run: Run) -> tuple[str, str, str]:
    """Return parameters, seconds and tokens a second, for a table."""
    training = run.record["training"]
    seconds, speed = training["total_seconds"], training["tokens_per_second"]
    return f"{run.record['parameters']:,}", f"{seconds:.1f}", f"{speed:,.0f}"
