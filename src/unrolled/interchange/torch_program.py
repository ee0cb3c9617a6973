"""A run as a program of torch.export: one graph for any number of sequences of any length, in a file .pt2.

    inputs, lengths                                                      -> logits
    inputs, lengths, steps, keys, values (model gpt, task generate)      -> logits, steps, keys, values
    source, source_lengths, inputs, lengths (task translate)             -> logits

inputs (B, T) int64, or (B, T, D) float32; lengths (B,) int64, the real steps of each; logits (B, V) or (B, T, V), of
any value at padded steps. The state of model gpt: steps (B,) int64, the number read of each sequence, and tuples of
keys and values (B, M, P, K), one a block. Initially steps is 0, and keys and values are 0 with P = 1; each call makes P
larger by T.

`torch.export.load("program.pt2").module()(inputs, lengths)` needs torch alone. torch.export records no loop whose
number of rounds depends on a shape, so models with a recurrence are refused.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from unrolled import atomic
from unrolled.errors import ExportError
from unrolled.interchange.checks import Batch, refuse_difference
from unrolled.interchange.formats import RECORD
from unrolled.interchange.record import head
from unrolled.layers import AttentionState, Recurrent, SelfAttention
from unrolled.layers.block import BlocksState
from unrolled.models import Features, Model, ModelState, Pairs
from unrolled.runs.folder import to_json
from unrolled.runs.run import Run

__all__ = ["PROGRAM", "refuse_recurrent", "write"]

PROGRAM = "program.pt2"
_Leaves: TypeAlias = tuple[Tensor, ...]


class Whole(nn.Module):
    """(inputs, lengths) -> logits."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) and (B,) -> (B, V) or (B, T, V)."""
        logits: Tensor = self.model(inputs, None, lengths)[0]
        return logits


class Translating(Whole):
    """(source, source_lengths, inputs, lengths) -> logits."""

    def forward(self, source: Tensor, source_lengths: Tensor, inputs: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """(B, S), (B,), (B, T) and (B,) -> (B, T, V)."""
        logits: Tensor = self.model(inputs, self.model.encode(source, source_lengths), lengths)[0]
        return logits


class Continuing(Whole):
    """(inputs, lengths, steps, keys, values) -> logits, steps, keys, values."""

    def forward(  # type: ignore[override]
        self, inputs: Tensor, lengths: Tensor, steps: Tensor, keys: tuple[Tensor, ...], values: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """(B, T), (B,), (B,), (B, M, P, K) … -> (B, T, V), (B,), (B, M, P + T, K) …."""
        blocks = tuple(AttentionState(key, value, steps) for key, value in zip(keys, values, strict=True))
        logits, after = self.model(inputs, ModelState(BlocksState(steps, blocks), ()), lengths)
        keys, values, _ = zip(*after.layers.blocks, strict=True)
        return logits, after.layers.steps, keys, values


def write(run: Run, folder: Path) -> None:
    """Write a run as a program of torch.export, a description of its inputs and outputs, and its preprocessor.

    Args:
        run: the run.
        folder: a new folder.

    Raises:
        ExportError: the model has a recurrence, or the program's logits differ from the run's.
        CheckpointError: the folder cannot be written.
    """
    refuse_recurrent(run)
    model = run.model
    program = _exported(model)
    file = io.BytesIO()
    torch.export.save(program, file)
    loaded = torch.export.load(io.BytesIO(file.getvalue())).module()
    difference = refuse_difference(run, lambda batch: _logits(loaded, model, batch), "a program of torch.export")
    description = {
        **head(run, "torch"),
        "inputs": [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"],
        "max_length": model.max_length,
        "temperature": run.temperature,
        "torch": torch.__version__,
        "largest_difference": difference,
    }
    files = {PROGRAM: file.getvalue(), RECORD: to_json(description)}
    atomic.write(folder, {**files, run.preprocessor.FILE: run.preprocessor.to_json().encode()})


def refuse_recurrent(run: Run) -> None:
    """Refuse a model with a recurrence.

    Raises:
        ExportError: names the model and the formats that hold it.
    """
    if any(isinstance(layer, Recurrent) for layer in run.model.modules()):
        raise ExportError(
            f"model {run.config.model.name} has a recurrence, and torch.export records no loop over a number of steps "
            "that is not fixed: use --to onnx, which has operators for it, or --to safetensors for modules of torch.nn"
        )


def _exported(model: Model) -> ExportedProgram:
    """Record the graph of a model, with dynamic numbers of sequences and steps."""
    B, T = Dim("batch", min=1), Dim("length", min=1, max=model.max_length)
    lengths = torch.tensor([4, 2, 3])
    if isinstance(model.inputs, Features):
        inputs = torch.zeros(3, 4, model.inputs.size)
    else:
        inputs = torch.full((3, 4), model.inputs.vocabulary_size - 1)
    arguments: tuple[Any, ...] = (inputs, lengths)
    dynamic: tuple[Any, ...] = ({0: B, 1: T}, {0: B})
    program = Whole(model)
    if isinstance(model.inputs, Pairs):
        source = torch.full((3, 5), model.inputs.source_size - 1)
        S = Dim("source_length", min=1, max=model.max_source_length)
        program = Translating(model)
        arguments = (source, torch.tensor([5, 1, 2]), *arguments)
        dynamic = ({0: B, 1: S}, {0: B}, *dynamic)
    elif attentions := _causal(model):
        program = Continuing(model)
        before: dict[int, Any] = {0: B, 2: Dim("before", min=1)}
        arguments = (*arguments, *_initial(attentions, B=3, P=6))
        dynamic = (*dynamic, {0: B}, (before,) * len(attentions), (before,) * len(attentions))
    with torch.no_grad():
        return torch.export.export(program.eval(), arguments, dynamic_shapes=dynamic, strict=False)


def _causal(model: Model) -> list[SelfAttention]:
    """Return the causal self-attention of every block, whose keys and values are a state."""
    return [layer for layer in model.modules() if isinstance(layer, SelfAttention) and layer.causal]


def _initial(attentions: list[SelfAttention], *, B: int, P: int = 1) -> tuple[Tensor, _Leaves, _Leaves]:
    """Return the initial steps, keys and values, with P positions that are not read.

    Their tensors are distinct: torch.export takes two names of one tensor for one input.
    """

    def zeros() -> _Leaves:
        return tuple(torch.zeros(B, a.kv_heads, P, a.input_size // a.num_heads) for a in attentions)

    return torch.zeros(B, dtype=torch.long), zeros(), zeros()


@torch.no_grad()
def _logits(program: nn.Module, model: Model, batch: Batch) -> Tensor:
    """Return the logits of a loaded program; a model with a state reads the first step alone, then all others."""
    if batch.source is not None:
        translated: Tensor = program(batch.source, batch.source_lengths, batch.inputs, batch.lengths)
        return translated
    attentions = _causal(model)
    if not attentions:
        logits: Tensor = program(batch.inputs, batch.lengths)
        return logits
    initial = _initial(attentions, B=len(batch.inputs))
    first, *state = program(batch.inputs[:, :1], torch.ones_like(batch.lengths), *initial)
    if batch.inputs.shape[1] == 1:
        return torch.as_tensor(first)
    others = program(batch.inputs[:, 1:], batch.lengths - 1, *state)[0]
    return torch.cat([first, others], dim=1)
