"""A network of torch.nn that was trained elsewhere, as a run: embedding, RNN, LSTM or GRU, linear layer.

    x = E[ids];  y, state = layers(x);  logits = W read(y) + b

The parts are found in the state_dict by names and shapes (torch_modules.py). Rows of the embedding, and for task
generate of the head, follow our vocabulary (vocabularies.py): a special token that the network lacks has a row of zeros
and, as an output, the bias LACKING, with which its probability is 0. <pad> has a row of zeros as an input, whatever the
network has there, since no text contains it. The rows of a head with labels follow the labels in sorted order, as those
of every training. torch's two biases of a gate are summed (layers/torch.py).

A folder that `unrolled export --to safetensors` wrote has our order already, and is read with the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from unrolled.config import Config, from_flat, spelled
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.examples.class_names import check_class_names, read_class_names
from unrolled.data.special import PAD
from unrolled.errors import CheckpointError, ConfigError
from unrolled.interchange.formats import RECORD
from unrolled.interchange.imported import LACKING, file_bytes, imported_run
from unrolled.interchange.record import FORMAT_VERSION
from unrolled.interchange.state_dict import read_state_dict
from unrolled.interchange.torch_modules import Matrix, Network, find_network
from unrolled.interchange.vocabularies import Vocabulary, of_tokenizer, read_vocabulary
from unrolled.layers import Stacked, from_torch
from unrolled.runs.classification import ClassificationRun
from unrolled.runs.folder import WEIGHTS
from unrolled.runs.generation import GenerationRun
from unrolled.runs.run import Run
from unrolled.runs.tagging import TaggingRun
from unrolled.saved import Distinct, Open, decoded, valid

__all__ = ["TASKS", "Description", "read", "read_export"]

TASKS: dict[str, type[Run]] = {"classify": ClassificationRun, "tag": TaggingRun, "generate": GenerationRun}
"""The tasks of a network that can be imported, and their runs."""
MODELS: dict[type[nn.RNNBase], str] = {nn.RNN: "elman", nn.LSTM: "lstm", nn.GRU: "gru"}
LAYOUT = "torch.nn"


class Description(NamedTuple):
    """That which no tensor of a network shows.

    Args:
        task: classify, tag or generate.
        vocabulary: file of the vocabulary, see `vocabularies.read_vocabulary`.
        labels: file with a label a line, in the order of the outputs; None: task generate, whose outputs are tokens.
        unknown: token for all that is not in the vocabulary; None: the one with a usual name.
        lowercase: whether texts are converted to lower case.
        embedding, head: names of the matrices of embedding and head, where several fit.
        nonlinearity: of an RNN, tanh (None) or relu.
        read: of task classify: the state after the sequence ("last" or None), or "mean" or "max" of all outputs.
    """

    task: str | None = None
    vocabulary: Path | None = None
    labels: Path | None = None
    unknown: str | None = None
    lowercase: bool = False
    embedding: str | None = None
    head: str | None = None
    nonlinearity: str | None = None
    read: str | None = None


class _Arguments(Open):
    """The arguments of `plain.recurrent.Network`, as far as no tensor shows them."""

    layers: Literal["RNN", "LSTM", "GRU"]
    options: dict[Literal["nonlinearity"], Literal["tanh", "relu"]]
    vocabulary_size: int
    read: Literal["each", "last", "mean", "max"]


class _Export(Open):
    """The content of export.json."""

    format_version: int = Field(le=FORMAT_VERSION)
    format: Literal["safetensors"]
    task: Literal["classify", "tag", "generate"]
    multi_label: Literal[False]
    labels: Distinct
    arguments: _Arguments
    temperature: float = Field(gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.labels) == (self.task == "generate"):
            raise ValueError(f"labels should be {'empty' if self.labels else 'given'} for task {self.task}")
        if (self.arguments.read == "each") == (self.task == "classify"):
            raise ValueError(f"arguments.read should not be {self.arguments.read} for task {self.task}")
        return self


def read(file: Path, described: Description) -> Run:
    """Return the network of a file of weights as a run in memory.

    Args:
        file: a safetensors file, or a state_dict of torch.save.
        described: task, vocabulary, labels, …

    Raises:
        CheckpointError: a file is damaged or of another layout; vocabulary or labels do not fit the tensors.
        DataError: a bad line of vocabulary or labels.
        ConfigError: an option that is missing, or without effect for this task or network.
    """
    task, path = described.task, described.vocabulary
    if task not in TASKS:
        raise ConfigError(f"a file of weights needs {spelled('task')}, one of {', '.join(TASKS)}: got {task or 'none'}")
    if path is None:
        raise ConfigError(
            f"a file of weights needs {spelled('vocabulary')}, a file with a token a line in the order of the ids"
        )
    if (described.labels is None) != (task == "generate"):
        raise ConfigError(
            f"task generate has no labels: remove {spelled('labels')}"
            if described.labels
            else f"task {task} needs {spelled('labels')}, a file with a label a line in the order of the outputs"
        )
    if described.nonlinearity not in (None, "tanh", "relu"):
        raise ConfigError(f"nonlinearity of torch.nn.RNN is tanh or relu: got {described.nonlinearity}")
    network = find_network(
        str(file),
        read_state_dict(file),
        embedding=described.embedding,
        head=described.head,
        nonlinearity=described.nonlinearity,
    )
    vocabulary = read_vocabulary(path, unknown=described.unknown, lowercase=described.lowercase)
    _refuse_size(file, network.embedding, path, vocabulary.size, "tokens")
    files, labels = [file, path], list[str]()
    if described.labels is None:
        _refuse_size(file, network.head, path, vocabulary.size, "tokens")
    else:
        labels = check_class_names(read_class_names(described.labels), str(described.labels))
        _refuse_size(file, network.head, described.labels, len(labels), "labels")
        files.append(described.labels)
        order = sorted(range(len(labels)), key=lambda k: labels[k])
        network, labels = _reordered(network, order), [labels[k] for k in order]
    options = {"read": described.read, "nonlinearity": described.nonlinearity}
    return _run(task, network, vocabulary, labels, options, source=file, files=files)


def read_export(folder: Path) -> Run:
    """Return the run that `unrolled export --to safetensors` wrote, in memory: the same weights, tokeniser and labels.

    Raises:
        CheckpointError: a file is missing or damaged, or the run is of another task or model than those that `read`
            knows.
    """
    files = [folder / name for name in (RECORD, WEIGHTS, Tokenizer.FILE)]
    export = valid(
        _Export, files[0], file_bytes(files[0]), problem="is no export to safetensors of a model elman, lstm or gru"
    )
    arguments, nonlinearity = export.arguments, export.arguments.options.get("nonlinearity")
    network = find_network(
        str(files[1]),
        read_state_dict(files[1]),
        embedding="embedding",
        head="head",
        nonlinearity=nonlinearity,
    )
    vocabulary = of_tokenizer(Tokenizer.from_json(decoded(files[2], file_bytes(files[2])), files[2]))
    _refuse_size(files[1], network.embedding, files[2], vocabulary.size, "tokens")
    outputs = len(export.labels) or vocabulary.size
    _refuse_size(files[1], network.head, files[0], outputs, "labels" if export.labels else "tokens")
    options = {"read": None if arguments.read == "each" else arguments.read, "nonlinearity": nonlinearity}
    run = _run(export.task, network, vocabulary, export.labels, options, source=folder, files=files)
    if export.temperature != 1:
        run.record["temperature"] = export.temperature
    return run


def _run(
    task: str,
    network: Network,
    vocabulary: Vocabulary,
    labels: Sequence[str],
    options: Mapping[str, str | None],
    *,
    source: Path,
    files: Sequence[Path],
) -> Run:
    """Return a network as a run.

    Args:
        task: a key of TASKS.
        network: the network, with the outputs of its head in the order of `labels`.
        vocabulary: the vocabulary, in whose order its rows are brought.
        labels: the labels; empty: the outputs are tokens.
        options: read and nonlinearity, None where they are not given.
        source, files: see `imported_run`.

    Raises:
        CheckpointError: directions or a vocabulary that the task does not have.
    """
    if task == "generate" and network.layers.bidirectional:
        raise CheckpointError(
            f"{source} has layers in both directions (*_reverse), which cannot continue a text: use another task"
        )
    if task != "tag" and vocabulary.tokenizer.num_whole_words:
        raise CheckpointError(f"the vocabulary of {source} has whole words after subwords, which only task tag reads")
    head, bias = network.head.weight, network.head.bias
    weights = {
        "embedding.weight": vocabulary.rows(network.embedding.weight),
        **_layers(network.layers),
        "head.weight": head if labels else vocabulary.rows(head),
        "head.bias": bias if labels else vocabulary.rows(bias, lacking=LACKING),
    }
    weights["embedding.weight"][PAD] = 0
    V = vocabulary.tokenizer.vocabulary_size
    data: dict[str, Any] = {"counts": [0] * V} if task == "generate" else {"majority": labels[0]}
    return imported_run(
        TASKS[task],
        _settings(task, network.layers, vocabulary.tokenizer, options),
        weights,
        vocabulary.tokenizer,
        labels,
        layout=LAYOUT,
        source=source,
        files=files,
        data=data | ({"words": {}} if task == "tag" else {}),
    )


def _settings(task: str, layers: nn.RNNBase, tokenizer: Tokenizer, options: Mapping[str, str | None]) -> Config:
    whole = {"whole_words": tokenizer.num_whole_words} if task == "tag" else {}
    return from_flat(
        {
            "task": task,
            "model": MODELS[type(layers)],
            "tokenizer": tokenizer.kind,
            "vocabulary_size": tokenizer.vocabulary_size,
            "lowercase": tokenizer.lowercase,
            "normalize": tokenizer.normalize,
            "embedding_size": layers.input_size,
            "hidden_size": layers.hidden_size,
            "num_layers": layers.num_layers,
            "bidirectional": layers.bidirectional,
            **whole,
            **options,
        }
    )


def _layers(module: nn.RNNBase) -> dict[str, Tensor]:
    """Return the tensors of our recurrent layers by name, from a module of torch.nn."""
    layers = from_torch(module)
    stack = layers if isinstance(layers, Stacked) else Stacked([layers])
    return {f"layers.{name}": value for name, value in stack.state_dict().items()}


def _reordered(network: Network, order: Sequence[int]) -> Network:
    """Return a network with the outputs of its head in another order."""
    name, weight, bias = network.head
    return network._replace(head=Matrix(name, weight[order], bias[order]))


def _refuse_size(file: Path, matrix: Matrix, other: Path, size: int, units: str) -> None:
    """Refuse a matrix with more or fewer rows than there are tokens or labels."""
    if len(matrix.weight) != size:
        raise CheckpointError(
            f"{file} has {len(matrix.weight):,} rows in {matrix.name}, and {other} {size:,} {units}: each row needs one"
        )
