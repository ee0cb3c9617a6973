"""Points of a session: all that a model knows after some steps, as one value; to bytes and back.

A point of constant size (recurrent models, windows) is saved as its tensors, with the same bits. That of attention
grows with the sequence: its inputs are saved and read again, which is smaller, and within the budget of attention. A
file has the fingerprint of its model and a SHA-256 sum; a damaged or foreign one is refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from unrolled.models import Features, Model, Pairs
from unrolled.runs.run import Run
from unrolled.serve.refusals import RequestError
from unrolled.state import State, leaves, like, nbytes

__all__ = ["Point", "fingerprint", "from_bytes", "is_constant", "size_of", "to_bytes"]

FORMAT = 1
MOST_IDS = 1_000_000


class Point(NamedTuple):
    """All that a model knows after some steps.

    Args:
        state: the state of one sequence.
        steps: number of inputs read.
        context: the ids behind the state, of a model with a maximum length.
        ids: all ids read, of a model whose state grows; () for others.
        source: ids of the source, of a run that translates; () for others.
        logits: (V,), those after the last input; None: nothing was read.
    """

    state: State
    steps: int
    context: tuple[int, ...] | None
    ids: tuple[int, ...] = ()
    source: tuple[int, ...] = ()
    logits: NDArray[np.float32] | None = None


class _About(BaseModel):
    """The metadata of a file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int
    model: str
    steps: int = Field(ge=0, le=2**62)
    context: list[int] | None = Field(max_length=MOST_IDS)
    ids: list[int] = Field(max_length=MOST_IDS)
    source: list[int] = Field(max_length=MOST_IDS)


def fingerprint(run: Run) -> str:
    """Return the SHA-256 of a run's weights and preprocessor, as hex digits."""
    digest = hashlib.sha256(run.preprocessor.to_json().encode())
    for name, tensor in run.model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def is_constant(model: Model, start: State) -> bool:
    """Return whether the state of a model has the same size after every number of steps."""
    if isinstance(model.inputs, Pairs) or start is None:
        return False
    one = torch.zeros(1, 1, model.inputs.size) if isinstance(model.inputs, Features) else torch.zeros(1, 1).long()
    _, after = model(one.to(next(model.parameters()).device), start)
    return [leaf.shape for leaf in leaves(start)] == [leaf.shape for leaf in leaves(after)]


def size_of(point: Point) -> int:
    """Return the size of a point in bytes."""
    logits = 0 if point.logits is None else point.logits.nbytes
    return nbytes(point.state) + logits + 8 * (len(point.ids) + len(point.context or ()))


def to_bytes(point: Point, model: str, *, constant: bool) -> bytes:
    """Return a point as a safetensors file.

    Args:
        point: the point.
        model: fingerprint of its model.
        constant: whether its state has a constant size.
    """
    tensors: dict[str, Tensor] = {}
    if constant:
        tensors |= {
            f"state.{i}": leaf.detach().cpu().contiguous().clone() for i, leaf in enumerate(leaves(point.state))
        }
        if point.logits is not None:
            tensors["logits"] = torch.from_numpy(np.array(point.logits))
    about = {
        "format": FORMAT,
        "model": model,
        "steps": point.steps,
        "context": None if point.context is None else list(point.context),
        "ids": list(point.ids),
        "source": list(point.source),
    }
    text = json.dumps(about)
    return safetensors.torch.save(tensors, {"session": text, "sum": _sum(text, tensors)})


def from_bytes(data: bytes, model: Model, fingerprint: str, start: State, *, constant: bool) -> Point:
    """Return the point of a file; where its state grows, state and logits are to be read from its ids.

    Args:
        data: the file.
        model: the model.
        fingerprint: its fingerprint.
        start: its initial state.
        constant: whether its state has a constant size.

    Raises:
        RequestError: the file is damaged, or of another model.
    """
    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        text, total = header["session"], header["sum"]
        about = _About.model_validate_json(text)
    except (safetensors.SafetensorError, ValidationError, KeyError, TypeError, ValueError, RuntimeError):
        raise _damaged("it is not one") from None
    if total != _sum(text, tensors):
        raise _damaged("its sum differs")
    if about.format != FORMAT:
        raise _damaged(f"its format is {about.format}, and this server reads {FORMAT}")
    if about.model != fingerprint:
        raise RequestError(422, "the session is of another run, or of other weights", hint="import it into its own run")
    V = _vocabulary(model)
    window = model.max_length
    if (about.context is None) is not (window is None) or len(about.context or ()) > (window or 0):
        raise _damaged("its context does not fit the model")
    sizes = (("context", about.context or [], V), ("ids", about.ids, V), ("source", about.source, _sources(model)))
    for name, ids, size in sizes:
        if not all(0 <= i < size for i in ids):
            raise _damaged(f"an id of its {name} is not in the vocabulary")
    context = None if about.context is None else tuple(about.context)
    if not constant:
        if tensors:
            raise _damaged("it has tensors, which its model does not save")
        return Point(None, about.steps, context, tuple(about.ids), tuple(about.source))
    state = _state(tensors, start)
    logits = tensors.pop("logits", None)
    expected = (model.num_outputs,)
    if logits is not None and (logits.shape != expected or logits.dtype != torch.float32):
        raise _damaged("its logits do not fit the model")
    values = None if logits is None else logits.numpy()
    if values is not None and not np.isfinite(values).all():
        raise _damaged("a number of it is not finite")
    return Point(state, about.steps, context, (), (), values)


def _state(tensors: dict[str, Tensor], start: State) -> State:
    """Return the tensors of a file as a state, if they have the shapes of the initial one."""
    expected = [*leaves(start)]
    found = [tensors.pop(f"state.{i}", None) for i in range(len(expected))]
    if set(tensors) - {"logits"}:
        raise _damaged("it has other tensors than a state of this model")
    for own, leaf in zip(found, expected, strict=True):
        if own is None or own.shape != leaf.shape or own.dtype != leaf.dtype:
            raise _damaged("a tensor of its state does not fit the model")
        if not (own.isfinite().all() if own.is_floating_point() else ((own >= 0) & (own < 2**53)).all()):
            raise _damaged("a number of its state is out of range")
    device = expected[0].device if expected else torch.device("cpu")
    return like(start, [leaf.to(device) for leaf in found if leaf is not None])


def _vocabulary(model: Model) -> int:
    inputs: Any = model.inputs
    return 0 if isinstance(inputs, Features) else int(inputs.vocabulary_size)


def _sources(model: Model) -> int:
    return model.inputs.source_size if isinstance(model.inputs, Pairs) else 0


def _sum(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _damaged(reason: str) -> RequestError:
    return RequestError(422, f"the file of a session is damaged: {reason}", hint="export the session again")
