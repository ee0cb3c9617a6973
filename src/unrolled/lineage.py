"""The lineage: the architectures from the feedforward network to today's recurrences, and the tasks that they serve.

Command-line choices, comparison columns, the docs index and the tests' parametrisation are derived from it.
This file imports nothing heavy: architectures and tasks name their classes by dotted path, and the caller that builds
one imports it.
"""

from __future__ import annotations

from typing import NamedTuple

from unrolled.errors import ConfigError, nearest

__all__ = [
    "CELLS",
    "LINEAGE",
    "MIXERS",
    "TASKS",
    "Architecture",
    "Task",
    "add_cell",
    "architecture",
    "architectures_for",
    "cells_of",
    "check",
    "task",
]


class Architecture(NamedTuple):
    """One architecture of the lineage.

    Args:
        name: its name in settings and flags.
        title: its name in texts and pictures.
        year: year of the paper.
        adds: its addition to the architecture before it.
        cannot: its limitation.
        source: the paper.
        tasks: the tasks that it serves.
        path: path of its class, "module:class".
        cells: the cells that its recurrent layers may run, the default first; () where it has none, or runs any.
        any_cell: whether its recurrent layers run any cell.
        mixers: the mixers of its residual blocks, a cell or "attention" each, repeated upwards; () for other models.
        whole: whether it reads an image as one input instead of step by step.
        uses: the architecture whose settings it uses, for a cell of a user; "": it has its own.
    """

    name: str
    title: str
    year: int
    adds: str
    cannot: str
    source: str
    tasks: tuple[str, ...]
    path: str
    cells: tuple[str, ...] = ()
    any_cell: bool = False
    mixers: tuple[str, ...] = ()
    whole: bool = False
    uses: str = ""


class Task(NamedTuple):
    """One kind of problem that models are trained for.

    Args:
        name: its name in settings and flags.
        data: its training data, in words.
        path: path of its class, "module:class".
        run: path of the class of its finished runs.
        images: the same two paths for image data, if the task accepts images.
        multi_label: the same two paths for texts with several labels each, if the task has them.
    """

    name: str
    data: str
    path: str
    run: str
    images: tuple[str, str] | None = None
    multi_label: tuple[str, str] | None = None

    def paths(self, *, images: bool, multi_label: bool) -> tuple[str, str]:
        """Return the paths of the class and of that of its runs, for data with images or several labels a text."""
        return (images and self.images) or (multi_label and self.multi_label) or (self.path, self.run)


TASKS = (
    Task(
        "classify",
        "a text or image and its label",
        "unrolled.tasks.classification:Classify",
        "unrolled.runs.classification:ClassificationRun",
        images=("unrolled.tasks.images:ClassifyImages", "unrolled.runs.images:ImageRun"),
        multi_label=("unrolled.tasks.multi_label:ClassifyMultiLabel", "unrolled.runs.multi_label:MultiLabelRun"),
    ),
    Task(
        "regress", "a text and a number", "unrolled.tasks.regression:Regress", "unrolled.runs.regression:RegressionRun"
    ),
    Task("tag", "words and a label each", "unrolled.tasks.tagging:Tag", "unrolled.runs.tagging:TaggingRun"),
    Task(
        "translate",
        "a source and a target sequence",
        "unrolled.tasks.translation:Translate",
        "unrolled.runs.translation:TranslationRun",
    ),
    Task("generate", "plain text", "unrolled.tasks.generation:Generate", "unrolled.runs.generation:GenerationRun"),
)

TEXTS = ("classify", "regress", "tag", "translate", "generate")
"""The tasks of models that read one sequence and answer once or at each step."""
LINEAGE = (
    Architecture(
        "feedforward",
        "Feedforward",
        1986,
        "one pass from input to output, layer by layer",
        "sees its input whole and only once: no order, no memory",
        "Rumelhart, Hinton & Williams 1986",
        ("classify", "regress", "tag", "generate"),
        "unrolled.models.feedforward:FeedforwardModel",
        whole=True,
    ),
    Architecture(
        "elman",
        "Elman",
        1990,
        "its previous output returns as input: a sequence, step by step",
        "forgets what came long before",
        "Elman 1990",
        ("classify", "regress", "tag", "generate"),
        "unrolled.models.recurrent:RecurrentModel",
        cells=("elman",),
    ),
    Architecture(
        "lstm",
        "LSTM",
        1997,
        "a cell state with forget, input and output gates",
        "one output per input, in order",
        "Hochreiter & Schmidhuber 1997; Gers et al. 2000",
        ("classify", "regress", "tag", "generate"),
        "unrolled.models.recurrent:RecurrentModel",
        cells=("lstm", "layernorm_lstm"),
    ),
    Architecture(
        "gru",
        "GRU",
        2014,
        "no separate cell state, two gates; 1 − update does the other's work",
        "one output per input, in order",
        "Cho et al. 2014",
        ("classify", "regress", "tag", "generate"),
        "unrolled.models.recurrent:RecurrentModel",
        cells=("gru", "layernorm_gru"),
    ),
    Architecture(
        "encoder_decoder",
        "Encoder-decoder",
        2014,
        "input and output of different length and order, through one fixed vector",
        "the whole source must fit into that vector, and it is biased to the last words",
        "Cho et al. 2014; Sutskever et al. 2014",
        ("translate",),
        "unrolled.models.seq2seq:EncoderDecoderModel",
        any_cell=True,
    ),
    Architecture(
        "attention",
        "Attention",
        2015,
        "at each step the decoder reads a weighted sum of all encoder outputs",
        "still one step after another",
        "Bahdanau et al. 2015; Luong et al. 2015",
        ("translate",),
        "unrolled.models.seq2seq:AttentionModel",
        any_cell=True,
    ),
    Architecture(
        "transformer",
        "Transformer",
        2017,
        "attention only: no recurrence, no convolution",
        "its state grows with the sequence",
        "Vaswani et al. 2017",
        ("classify", "regress", "tag", "translate"),
        "unrolled.models.transformer:TransformerModel",
    ),
    Architecture(
        "gpt",
        "GPT",
        2018,
        "the decoder alone, predicting the next token",
        "its state grows with the sequence",
        "Radford et al. 2018; Brown et al. 2020",
        ("translate", "generate"),
        "unrolled.models.gpt:GPTModel",
    ),
    Architecture(
        "linear_attention",
        "Linear attention",
        2020,
        "attention without its softmax: a recurrence again, whose state is a matrix of fixed size",
        "never erases: later keys are written over earlier ones",
        "Katharopoulos et al. 2020",
        TEXTS,
        "unrolled.models.residual:ResidualModel",
        mixers=("linear_attention",),
    ),
    Architecture(
        "mingru",
        "minGRU",
        2024,
        "a GRU whose gates do not see its state: all steps can be computed at once",
        "cannot count: a state that only decays keeps no parity",
        "Feng et al. 2024",
        TEXTS,
        "unrolled.models.residual:ResidualModel",
        cells=("mingru", "minlstm"),
        mixers=("mingru",),
    ),
    Architecture(
        "xlstm",
        "xLSTM",
        2024,
        "exponential gates; a matrix that recalls (mLSTM) and a state that mixes and counts (sLSTM)",
        "its sLSTM takes one step after another; its matrix holds as many pairs as it has columns",
        "Beck et al. 2024",
        TEXTS,
        "unrolled.models.residual:ResidualModel",
        mixers=("mlstm", "slstm"),
    ),
    Architecture(
        "mamba2",
        "Mamba-2",
        2024,
        "linear attention with one decay for a head and step, behind a short convolution",
        "cannot erase a single key, nor count",
        "Dao & Gu 2024",
        TEXTS,
        "unrolled.models.residual:ResidualModel",
        mixers=("mamba2",),
    ),
    Architecture(
        "gated_deltanet",
        "Gated DeltaNet",
        2024,
        "erases the old value of a key before it writes the new one",
        "its matrix holds as many pairs as it has columns",
        "Yang et al. 2024; Schlag et al. 2021",
        TEXTS,
        "unrolled.models.residual:ResidualModel",
        mixers=("gated_deltanet",),
    ),
    Architecture(
        "hybrid",
        "Hybrid",
        2024,
        "one layer of attention among recurrent ones: both kinds of memory",
        "its state grows with the sequence, by fewer layers",
        "De et al. 2024; Lieber et al. 2024",
        TEXTS,
        "unrolled.models.residual:ResidualModel",
        mixers=("gated_deltanet", "gated_deltanet", "attention"),
    ),
)


ATTENTION = "attention"
CELLS = tuple(dict.fromkeys(name for found in LINEAGE for name in (*found.cells, *found.mixers) if name != ATTENTION))
"""Every cell by its name, for the choices of `--cell`; the classes are in `unrolled.cells.CELLS`."""
MIXERS = (*CELLS, ATTENTION)
"""Every mixer of a residual block by its name, for `--mixers`."""
CELL = "gru"
"""The default cell of architectures that run any."""
_OWN: dict[str, Architecture] = {}


def add_cell(name: str) -> None:
    """Add the architecture whose recurrent layers run a cell of the user, with the settings of model gru."""
    gru = architecture("gru")
    _OWN[name] = gru._replace(
        name=name,
        title=name,
        adds="a cell of its own",
        cannot="",
        source="a cell of the user",
        cells=(name,),
        uses="gru",
    )


def architecture(name: str) -> Architecture:
    """Return the architecture called `name`.

    Raises:
        ConfigError: the name is unknown; the message gives the nearest.
    """
    for known in (*LINEAGE, *_OWN.values()):
        if known.name == name:
            return known
    names = [*(known.name for known in LINEAGE), *_OWN]
    raise ConfigError(f'model "{name}" is unknown{nearest(name, names)}; models are {", ".join(names)}')


def task(name: str) -> Task:
    """Return the task called `name`.

    Raises:
        ConfigError: the name is unknown; the message gives the nearest.
    """
    for known in TASKS:
        if known.name == name:
            return known
    names = [known.name for known in TASKS]
    raise ConfigError(f'task "{name}" is unknown{nearest(name, names)}; tasks are {", ".join(names)}')


def architectures_for(task_name: str) -> tuple[Architecture, ...]:
    """Return the architectures that serve a task, in lineage order."""
    return tuple(known for known in LINEAGE if task_name in known.tasks)


def cells_of(name: str) -> tuple[str, ...]:
    """Return the cells that an architecture runs, the default first; () if it has no recurrent layers."""
    known = architecture(name)
    return (CELL, *(cell for cell in CELLS if cell != CELL)) if known.any_cell else known.cells


def check(task_name: str, model_name: str) -> None:
    """Refuse an architecture that does not serve a task.

    Raises:
        ConfigError: with the architectures that serve the task; or as `architecture` and `task`.
    """
    if task_name not in architecture(model_name).tasks:
        serving = ", ".join(known.name for known in architectures_for(task(task_name).name))
        raise ConfigError(f'model "{model_name}" does not serve task "{task_name}"; {serving} do')
