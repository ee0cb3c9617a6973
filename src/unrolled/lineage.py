"""The map of the whole product: eight rows from the feedforward network to GPT, and the tasks they serve.

Command-line choices, comparison columns, the docs index and the tests' parametrisation all come from here.
This file imports nothing heavy: a row names its model by dotted path, a task its class, and whoever builds
one resolves it.
"""

from __future__ import annotations

from typing import NamedTuple

from unrolled.errors import ConfigError, nearest

__all__ = ["LINEAGE", "TASKS", "Row", "Task", "check", "row", "rows_for", "task"]


class Row(NamedTuple):
    """One architecture of the lineage."""

    name: str
    year: int
    adds: str  # what it adds to the row before
    cannot: str  # what it still cannot do
    source: str  # the paper
    tasks: tuple[str, ...]  # the tasks it serves, once built
    model: str | None = None  # "module:class", or None while it is not built
    cell: str | None = None  # the cell its recurrent layers run, where the row fixes one
    whole: bool = False  # whether it sees an image at once, not step by step


class Task(NamedTuple):
    """One job that rows are trained for."""

    name: str
    data: str
    kind: str | None = None  # "module:class", or None while it is not built
    images: str | None = None  # the same, where its data may be images


TASKS = (
    Task(
        "classify",
        "a text or image and its label",
        "unrolled.tasks.classification:Classify",
        images="unrolled.tasks.images:ClassifyImages",
    ),
    Task("tag", "words and a label each", "unrolled.tasks.tagging:Tag"),
    Task("translate", "a source and a target sequence", "unrolled.tasks.translation:Translate"),
    Task("generate", "plain text", "unrolled.tasks.generation:Generate"),
)

LINEAGE = (
    Row(
        "feedforward",
        1986,
        "one pass from input to output, layer by layer",
        "sees its input whole and only once: no order, no memory",
        "Rumelhart, Hinton & Williams 1986",
        ("classify", "tag", "generate"),
        "unrolled.models.feedforward:FeedforwardModel",
        whole=True,
    ),
    Row(
        "elman",
        1990,
        "its previous output returns as input: a sequence, step by step",
        "forgets what came long before",
        "Elman 1990",
        ("classify", "tag", "generate"),
        "unrolled.models.recurrent:RecurrentModel",
        "elman",
    ),
    Row(
        "lstm",
        1997,
        "a cell state with forget, input and output gates",
        "one output per input, in order",
        "Hochreiter & Schmidhuber 1997; Gers et al. 2000",
        ("classify", "tag", "generate"),
        "unrolled.models.recurrent:RecurrentModel",
        "lstm",
    ),
    Row(
        "gru",
        2014,
        "no separate cell state, two gates; 1 − update does the other's work",
        "one output per input, in order",
        "Cho et al. 2014",
        ("classify", "tag", "generate"),
        "unrolled.models.recurrent:RecurrentModel",
        "gru",
    ),
    Row(
        "encoder_decoder",
        2014,
        "input and output of different length and order, through one fixed vector",
        "the whole source must fit into that vector, and it is biased to the last words",
        "Cho et al. 2014; Sutskever et al. 2014",
        ("translate",),
        "unrolled.models.seq2seq:EncoderDecoderModel",
    ),
    Row(
        "attention",
        2015,
        "at each step the decoder looks at a weighted sum of all encoder outputs",
        "still one step after another",
        "Bahdanau et al. 2015; Luong et al. 2015",
        ("translate",),
        "unrolled.models.seq2seq:AttentionModel",
    ),
    Row(
        "transformer",
        2017,
        "attention only: no recurrence, no convolution",
        "its state grows with the sequence",
        "Vaswani et al. 2017",
        ("classify", "tag", "translate"),
        "unrolled.models.transformer:TransformerModel",
    ),
    Row(
        "gpt",
        2018,
        "the decoder alone, predicting the next token",
        "its state grows with the sequence",
        "Radford et al. 2018; Brown et al. 2020",
        ("translate", "generate"),
        "unrolled.models.gpt:GPTModel",
    ),
)


def row(name: str) -> Row:
    """Return the row called `name`.

    Raises:
        ConfigError: no such row (the nearest is named), or the row is not built yet.
    """
    found = next((r for r in LINEAGE if r.name == name), None)
    if found is None:
        names = [r.name for r in LINEAGE]
        raise ConfigError(f'row "{name}" is not in the lineage{nearest(name, names)}; it has {", ".join(names)}')
    if found.model is None:
        built = ", ".join(r.name for r in LINEAGE if r.model)
        raise ConfigError(f'row "{name}" ({found.source}) is not built yet; built are {built}')
    return found


def task(name: str) -> Task:
    """Return the task called `name`.

    Raises:
        ConfigError: no such task (the nearest is named), or the task is not built yet.
    """
    found = next((t for t in TASKS if t.name == name), None)
    if found is None:
        names = [t.name for t in TASKS]
        raise ConfigError(f'task "{name}" is unknown{nearest(name, names)}; tasks are {", ".join(names)}')
    if found.kind is None:
        built = ", ".join(t.name for t in TASKS if t.kind)
        raise ConfigError(f'task "{name}" ({found.data}) is not built yet; built are {built}')
    return found


def rows_for(task_name: str) -> tuple[Row, ...]:
    """Return the built rows that serve the task, in the order of the lineage."""
    return tuple(r for r in LINEAGE if task_name in r.tasks and r.model is not None)


def check(task_name: str, row_name: str) -> None:
    """Refuse a row that does not serve the task.

    Raises:
        ConfigError: names the rows that do; or as `row` and `task`.
    """
    if task_name not in row(row_name).tasks:
        serving = ", ".join(r.name for r in rows_for(task(task_name).name))
        raise ConfigError(f'row "{row_name}" does not serve task "{task_name}"; {serving} do')
