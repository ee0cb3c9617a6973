"""A trace: what a model yields when it is watched, as named tensors of one example, without a batch axis.

    trace["lstm.l0.f"][12, 37]     the forget gate of unit 37 at step 12

Names, shapes, units and meanings stand in `names.py`. Saved as safetensors, with the header as JSON in its metadata.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import ClassVar

import safetensors
import safetensors.torch
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from unrolled import atomic
from unrolled.errors import CheckpointError, TraceError, nearest
from unrolled.inside import names
from unrolled.version import __version__

__all__ = ["FORMAT_VERSION", "Header", "Trace", "kept"]

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Header:
    """Whose tensors these are.

    Args:
        run: its folder's name, or what the model is called. row, cell, task: of the run; "" where there is none.
        score: how good the run is, in a sentence; "" where that is not known.
        update: of the training, after which the weights were kept; None at its end.
        text: what was read; the characters that `spans` count. tokens: what each of its T steps reads, readable.
        source_text, source: the same of the source, where there is one; S tokens.
        answers: what each of the A answers was asked for: a label, a tag, the next token.
        guesses: of each answer, what its largest logits mean, the most probable first.
        truncated: what was left out of the input, in a sentence; "" where nothing was.
        unrolled: the version that wrote it.
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
    unrolled: str = field(default=__version__)
    format_version: int = FORMAT_VERSION

    @property
    def architecture(self) -> str:
        """The model in words, with its cell where the name does not say it."""
        own = "" if self.cell in ("", self.model_name) else f" with cell {self.cell}"
        return f"model {self.model_name}{own}"


class Trace(Mapping[str, Tensor]):
    """The tensors of one example by name: float32 or int64, on the CPU.

    Args:
        about: whose they are. tensors: by name, see `names.py`.
    """

    notebook_html: ClassVar[Callable[[Trace], str] | None] = None
    """What a notebook shows of a trace: a function of it that returns HTML. `unrolled.pictures` sets it."""

    def __init__(self, about: Header, tensors: Mapping[str, Tensor]) -> None:
        self.about = about
        self._tensors = dict(tensors)

    def __getitem__(self, name: str) -> Tensor:
        """Return a tensor.

        Raises:
            TraceError: there is none of this name; the nearest is named, or the rows that have it.
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
        of = " of ".join(part for part in (f"{len(self)} tensors", self.about.run) if part)
        return f"<Trace: {of}, model {self.about.model_name}, {len(self.about.tokens)} steps>"

    def _repr_html_(self) -> str:
        render = type(self).notebook_html
        return f"<pre>{html.escape(self.summary())}</pre>" if render is None else render(self)

    def _missing(self, name: str) -> str:
        spec = names.find(name)
        this = f"this trace is of model {self.about.architecture}"
        if spec is None or near_misses(name, self._tensors):
            return f'there is no tensor "{name}"{nearest(name, self._tensors)}; see trace.summary() for all there are'
        return f'this trace has no "{name}", {spec.meaning}: it belongs to {spec.where}; {this}'

    def summary(self) -> str:
        """Every tensor, a line each: name, shape in letters and in numbers, unit, meaning."""
        rows = []
        for name, value in self._tensors.items():
            spec = names.find(name)
            letters = "×".join(spec.axes.split()) if spec else ""
            numbers = "×".join(map(str, value.shape)) or "1"
            rows.append((name, letters, numbers, spec.unit if spec else "", spec.meaning if spec else ""))
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
        lines = ("  ".join((*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4])) for row in rows)
        return "\n".join([repr(self), *(line.rstrip() for line in lines)])

    def save(self, path: str | Path) -> None:
        """Write it as one safetensors file.

        Raises:
            CheckpointError: it cannot be written.
        """
        tensors = {name: value.contiguous() for name, value in self._tensors.items()}
        metadata = {"trace": json.dumps(asdict(self.about), ensure_ascii=False), "names": json.dumps(list(tensors))}
        with atomic.write_errors(Path(path)):
            Path(path).write_bytes(safetensors.torch.save(tensors, metadata))

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read what `save` has written; nothing is executed.

        Raises:
            CheckpointError: the file is missing, damaged, no trace, or of another format.
        """
        path = Path(path)
        with atomic.read_errors(path):
            data = path.read_bytes()
        try:
            tensors = safetensors.torch.load(data)
            metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            about, order = json.loads(metadata["trace"]), json.loads(metadata["names"])
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is no trace, or is damaged: {error}") from None
        version = about.get("format_version") if isinstance(about, dict) else None
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path} is a trace of format_version {version}, and this unrolled reads {FORMAT_VERSION}: trace again"
            )
        if set(about) != {each.name for each in fields(Header)} or set(order) != set(tensors):
            raise CheckpointError(f"{path} is no trace of ours: its header says something else")
        try:
            header = TypeAdapter(Header).validate_python(about)
        except ValidationError as error:
            raise CheckpointError(f"{path} is no trace of ours: {error.errors()[0]['msg']}") from None
        return cls(header, {name: tensors[name] for name in order})


def kept(value: Tensor) -> Tensor:
    """Return a tensor as a trace keeps it."""
    return value.detach().to("cpu", torch.float32 if value.is_floating_point() else torch.int64).contiguous()


def near_misses(name: str, known: Mapping[str, Tensor]) -> bool:
    """Whether a name is a known one but for the number of its layer: then it is not the row that lacks it."""
    pattern = names.find(name)
    return pattern is not None and any(names.find(other) is pattern for other in known)
