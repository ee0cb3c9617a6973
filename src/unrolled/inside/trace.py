"""Trace: named tensors of a model's forward pass over one example, without a batch axis.

    trace["lstm.l0.f"][12, 37]     the forget gate of unit 37 at step 12

`names.py` lists names, shapes, units and meanings. The file format is safetensors with the header as JSON in its
metadata.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import safetensors
import safetensors.torch
import torch
from pydantic import Field, RootModel
from torch import Tensor

from unrolled import atomic
from unrolled.errors import CheckpointError, TraceError, excerpt, nearest
from unrolled.inside import names
from unrolled.saved import Count, Open, Strict, parse, valid
from unrolled.version import __version__

__all__ = ["FORMAT_VERSION", "Header", "Trace", "as_saved"]

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Header:
    """Description of a trace: the run and model, the input and the answers.

    Args:
        run: name of the run's folder, or of the model.
        model_name, cell, task: names of the run's architecture, cell and task; "" where there is none.
        score: the run's score on its test split, in a few words; "" where it is unknown.
        update: the update of the training that a snapshot was saved after; None for the final weights.
        text: the input as text, in whose characters `spans` count.
        tokens: the input of each of the T steps, readable.
        source_text, source: the same of the source, where there is one; S tokens.
        answers: the label, tag or next token of each of the A answers.
        guesses: the labels, tags or tokens with the largest logits of each answer, the most probable first.
        truncated: a sentence on the tokens that were left out; "" for none.
        unknown: a sentence on the tokens that are not in the vocabulary; "" for none.
        beam: the token of each node of a beam search; () for none.
        unrolled: the version that wrote the trace.
    """

    run: str = ""
    model_name: str = ""
    cell: str = ""
    task: str = ""
    score: str = ""
    update: int | None = None
    text: str = ""
    tokens: tuple[str, ...] = ()
    source_text: str = ""
    source: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    guesses: tuple[tuple[str, ...], ...] = ()
    truncated: str = ""
    unknown: str = ""
    beam: tuple[str, ...] = ()
    unrolled: str = field(default=__version__)
    format_version: int = FORMAT_VERSION

    @property
    def architecture(self) -> str:
        """The model's name, with its cell where that differs: "model attention with cell gru"."""
        own = "" if self.cell in ("", self.model_name) else f" with cell {self.cell}"
        return f"model {self.model_name}{own}"


class Trace(Mapping[str, Tensor]):
    """Tensors of one example by name: float32 or int64, on the CPU.

    Args:
        about: the header.
        tensors: the tensors by name, see `names.py`.
    """

    notebook_html: ClassVar[Callable[[Trace], str] | None] = None
    """Function that renders a trace as HTML for a notebook. `unrolled.pictures` sets it."""

    def __init__(self, about: Header, tensors: Mapping[str, Tensor]) -> None:
        self.about = about
        self._tensors = dict(tensors)

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor.

        Raises:
            TraceError: there is no tensor of this name; the message gives the nearest, or the models that have it.
        """
        try:
            return self._tensors[name]
        except KeyError:
            raise TraceError(self._missing(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        contents = " of ".join(words for words in (f"{len(self)} tensors", self.about.run) if words)
        return f"<Trace: {contents}, model {self.about.model_name}, {len(self.about.tokens)} steps>"

    def _repr_html_(self) -> str:
        render = type(self).notebook_html
        return f"<pre>{html.escape(self.summary())}</pre>" if render is None else render(self)

    def _missing(self, name: str) -> str:
        spec = names.find(name)
        if spec is None or differs_in_layer(name, self._tensors):
            return f'there is no tensor "{name}"{nearest(name, self._tensors)}; trace.summary() lists all names'
        this = f"this trace is of {self.about.architecture}"
        return f'there is no tensor "{name}" ({spec.meaning}): it belongs to {spec.where}; {this}'

    def unit(self, name: str) -> str:
        """Return the unit of a tensor; "" for none, or for that of a predicted number, which no trace knows."""
        spec = names.find(name)
        return "" if spec is None or (spec.unit in ("nats", "bits") and "value" in self) else spec.unit

    def summary(self) -> str:
        """Return one line for each tensor: name, shape in letters and in numbers, unit, meaning."""
        rows = []
        for name, value in self._tensors.items():
            spec = names.find(name)
            letters = "×".join(spec.axes.split()) if spec else ""
            numbers = "×".join(map(str, value.shape)) or "1"
            rows.append((name, letters, numbers, self.unit(name), spec.meaning if spec else ""))
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
        lines = ("  ".join((*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4])) for row in rows)
        return "\n".join([repr(self), *(line.rstrip() for line in lines)])

    def save(self, path: str | Path) -> None:
        """Write the trace as one safetensors file.

        Raises:
            CheckpointError: it cannot be written.
        """
        # clones: the output of a block is the input of the next one, and safetensors refuses shared memory
        tensors = {name: value.contiguous().clone() for name, value in self._tensors.items()}
        metadata = {"trace": json.dumps(asdict(self.about), ensure_ascii=False), "names": json.dumps(list(tensors))}
        atomic.write_file(Path(path), safetensors.torch.save(tensors, metadata))

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a file that `save` has written; no code in it is executed.

        Raises:
            CheckpointError: the file is missing or damaged, is not a trace, or has another format version.
        """
        path = Path(path)
        with atomic.read_errors(path):
            data = path.read_bytes()
        try:
            tensors = safetensors.torch.load(data)
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path} is not a trace, or is damaged: {excerpt(str(error), 200)}") from None
        stored = valid(
            _Stored, f"{path} is not a trace: its header", data[8 : 8 + int.from_bytes(data[:8], "little")]
        ).metadata
        about = parse(f"{path} is not a trace: its entry trace", stored.trace.encode())
        version = about.get("format_version") if isinstance(about, dict) else None
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path} is a trace of format_version {excerpt(str(version), 20)}; this version of unrolled reads "
                f"{FORMAT_VERSION}: trace the run again"
            )
        header = valid(_About, f"{path} is not a trace: its entry trace", stored.trace.encode()).header()
        order = valid(_Order, f"{path} is not a trace: its entry names", stored.names.encode()).root
        if sorted(order) != sorted(tensors):
            raise CheckpointError(f"{path} is not a trace of unrolled: its names are not those of its tensors")
        _refuse_other_tensors(path, tensors)
        return cls(header, {name: tensors[name] for name in order})


class _Metadata(Strict):
    trace: str
    names: str


class _Stored(Open):
    """The header of the safetensors file."""

    metadata: _Metadata = Field(alias="__metadata__")


class _Order(RootModel[list[str]]):
    """The names of the tensors, in order."""


class _About(Strict):
    """The header of a trace: every field of `Header`."""

    run: str
    model_name: str
    cell: str
    task: str
    score: str
    update: Count | None
    text: str
    tokens: tuple[str, ...]
    source_text: str
    source: tuple[str, ...]
    answers: tuple[str, ...]
    guesses: tuple[tuple[str, ...], ...]
    truncated: str
    unknown: str = ""
    beam: tuple[str, ...] = ()
    unrolled: str
    format_version: int

    def header(self) -> Header:
        """Return the header."""
        return Header(**dict(self))


def _refuse_other_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors whose names, numbers of axes or types are not those of a trace.

    Raises:
        CheckpointError: names the first of them.
    """
    for name, value in tensors.items():
        spec = names.find(name)
        if spec is None:
            raise CheckpointError(f"{path} is not a trace of unrolled: {excerpt(name)} is not a tensor of a trace")
        if value.dtype not in (torch.float32, torch.int64) or value.dim() != len(spec.axes.split()):
            raise CheckpointError(
                f"{path} is not a trace of unrolled: {excerpt(name)} is {value.dtype} with {value.dim()} axes, not "
                f"float32 or int64 with the axes {spec.axes}"
            )


def as_saved(value: Tensor) -> Tensor:
    """Return a tensor in the form in which a trace saves it: detached, contiguous, on the CPU, float32 or int64."""
    return value.detach().to("cpu", torch.float32 if value.is_floating_point() else torch.int64).contiguous()


def differs_in_layer(name: str, known: Mapping[str, Tensor]) -> bool:
    """Return whether a name differs from a known one in the layer number only: the model does have such a tensor."""
    pattern = names.find(name)
    return pattern is not None and any(names.find(other) is pattern for other in known)
