"""One call on two sides, torch.nn and unrolled.nn: the same weights and inputs, then one word on the two outcomes.

A transform is a function (module, x) that returns tensors and plain values. It is registered with

    @transform("gradient penalty")

and runs on every kind of module in KINDS, or on those of `on`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from unrolled import nn as fast

__all__ = [
    "CELLS",
    "FEW",
    "KINDS",
    "LAYERS",
    "TRANSFORMS",
    "TWO",
    "Comparison",
    "Kind",
    "Transform",
    "compare",
    "in_float32",
    "run_both",
]

D, H, B, T = 3, 4, 2, 5
F = TypeVar("F", bound=Callable[[Any, Tensor], Any])
Word = Literal["same", "equal", "same error", "better", "DIFFERS"]


class Kind(NamedTuple):
    """A kind of module: its name in tables, torch's class and the options."""

    name: str
    layer: str
    options: dict[str, Any]

    @property
    def is_cell(self) -> bool:
        """Return True for a cell, whose input is (B, D)."""
        return self.layer.endswith("Cell")

    def make(self, namespace: ModuleType) -> nn.Module:
        """Build the module of torch.nn or of unrolled.nn, with the same weights each time."""
        torch.manual_seed(0)
        module: nn.Module = getattr(namespace, self.layer)(D, H, **self.options)
        return module

    def input(self) -> Tensor:
        """Return x, the same each time."""
        generator = torch.Generator().manual_seed(1)
        shape = (B, D) if self.is_cell else (B, T, D) if self.options.get("batch_first") else (T, B, D)
        return torch.randn(shape, generator=generator)


_FORMS: dict[str, dict[str, Any]] = {
    "": {},
    ", 2 layers, bidirectional": {"num_layers": 2, "bidirectional": True},
    ", batch_first": {"batch_first": True},
    ", batch_first, bidirectional, no bias": {"batch_first": True, "bidirectional": True, "bias": False},
}
_NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN tanh": ("RNN", {}),
    "RNN relu": ("RNN", {"nonlinearity": "relu"}),
    "GRU": ("GRU", {}),
    "LSTM": ("LSTM", {}),
}
LAYERS = [
    Kind(f"{name}{form}", layer, {**own, **options})
    for name, (layer, own) in _NAMES.items()
    for form, options in _FORMS.items()
]
CELLS = [
    Kind("RNNCell tanh", "RNNCell", {}),
    Kind("RNNCell relu, no bias", "RNNCell", {"nonlinearity": "relu", "bias": False}),
    Kind("GRUCell", "GRUCell", {}),
    Kind("LSTMCell", "LSTMCell", {}),
]
KINDS = LAYERS + CELLS
_FEW = ("RNN relu", "GRU, 2 layers, bidirectional", "LSTM, batch_first", "RNNCell tanh", "GRUCell", "LSTMCell")
FEW = [kind for kind in KINDS if kind.name in _FEW]
"""Kinds for slow transforms: one of each class."""
TWO = [kind for kind in FEW if kind.name in ("RNN relu", "LSTMCell")]
"""Kinds for the slowest transforms."""


class Transform(NamedTuple):
    """A transform: its group and name in the table, its function, the kinds that it applies to, packages it needs."""

    group: str
    name: str
    run: Callable[[Any, Tensor], Any]
    on: Sequence[Kind]
    needs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"

    @property
    def missing(self) -> list[str]:
        """The needed packages that are not installed."""
        return [name for name in self.needs if find_spec(name) is None]


TRANSFORMS: list[Transform] = []


def transform(name: str, on: Sequence[Kind] = KINDS, needs: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Register a function (module, x) as a transform. Its group is the name of its module."""

    def register(function: F) -> F:
        group = function.__module__.rsplit(".with_", 1)[-1].replace("_", " ")
        TRANSFORMS.append(Transform(group, name, function, on, needs))
        return function

    return register


class Comparison(NamedTuple):
    """The outcomes on both sides.

    word: "same" bits, "equal" up to rounding, "same error" in type and message, "better" (torch fails, we do not), or
    "DIFFERS". details: of a difference. theirs, ours: values or exceptions.
    """

    word: Word
    details: str
    theirs: Any
    ours: Any


def run_both(transform: Transform, kind: Kind) -> Comparison:
    """Run a transform on torch's module and on ours and compare the outcomes."""
    theirs, ours = (_outcome(transform, kind, namespace) for namespace in (nn, fast))
    compared = compare(theirs, ours)
    if compared.word != "better":
        return compared
    wide = _outcome(transform, kind, nn, torch.float64)  # torch computes some kinds in float64 only
    return compared if isinstance(wide, Exception) else compare(in_float32(wide), ours)._replace(theirs=theirs)


def _outcome(transform: Transform, kind: Kind, namespace: ModuleType, dtype: torch.dtype = torch.float32) -> Any:
    """Return the value of the transform, or its exception."""
    module, x = kind.make(namespace).to(dtype), kind.input().to(dtype)
    torch.manual_seed(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own: deprecations, prototypes
        try:
            return transform.run(module, x)
        except Exception as error:  # noqa: BLE001  (the outcome, to be compared)
            return error


def compare(theirs: Any, ours: Any) -> Comparison:
    """Compare two outcomes."""
    if isinstance(ours, Exception):
        if not isinstance(theirs, Exception):
            return Comparison("DIFFERS", f"ours fails: {type(ours).__name__}: {ours}", theirs, ours)
        same = type(theirs) is type(ours) and _message(str(theirs)) == _message(str(ours))
        details = f"{type(theirs).__name__}: {theirs}\n  ours: {type(ours).__name__}: {ours}"
        return Comparison("same error", "", theirs, ours) if same else Comparison("DIFFERS", details, theirs, ours)
    if isinstance(theirs, Exception):
        return Comparison("better", f"{type(theirs).__name__}: {theirs}", theirs, ours)
    faults = [text for text in _differences(_plain(theirs), _plain(ours), "") if text]
    if faults:
        return Comparison("DIFFERS", "\n".join(faults), theirs, ours)
    return Comparison("same" if _same_bits(_plain(theirs), _plain(ours)) else "equal", "", theirs, ours)


def _differences(theirs: Any, ours: Any, path: str) -> Iterator[str]:
    """Yield the differences of two nested outcomes, each with its indices."""
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            yield from _differences(a, b, f"{path}[{index}]")
    elif isinstance(theirs, Tensor) and isinstance(ours, Tensor):
        try:
            torch.testing.assert_close(ours, theirs, **_tolerance(theirs), equal_nan=True, check_stride=False)
        except AssertionError as error:
            yield f"{path}: {error}"
    elif isinstance(theirs, Tensor) or isinstance(ours, Tensor) or not _is_equal(theirs, ours):
        yield f"{path}: {theirs!r}\n  ours: {ours!r}"


def _is_equal(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, str) and isinstance(ours, str):
        return _message(theirs) == _message(ours)
    return bool(theirs == ours)


def _same_bits(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, list):
        return all(map(_same_bits, theirs, ours))
    return not isinstance(theirs, Tensor) or theirs.is_meta or torch.equal(theirs, ours)


def _plain(outcome: Any) -> Any:
    """Return an outcome as nested lists."""
    if isinstance(outcome, dict):
        return [[key, _plain(outcome[key])] for key in outcome]
    if isinstance(outcome, tuple | list):
        return [_plain(item) for item in outcome]
    return outcome.detach() if isinstance(outcome, Tensor) else outcome


def in_float32(outcome: Any) -> Any:
    """Return the float64 tensors of an outcome in float32."""
    return pytree.tree_map(lambda t: t.float() if isinstance(t, Tensor) and t.dtype is torch.float64 else t, outcome)


def _tolerance(tensor: Tensor) -> dict[str, float]:
    """Return the limits: some roundings, also of the largest number."""
    if tensor.dtype in (torch.float16, torch.bfloat16):
        return {"rtol": 0.02, "atol": 0.02}
    if tensor.dtype in (torch.float64, torch.complex128):
        return {"rtol": 1e-9, "atol": 1e-11}
    if not tensor.is_floating_point() or tensor.is_meta:
        return {"rtol": 0, "atol": 0}
    finite = tensor[tensor.isfinite()].abs()
    return {"rtol": 1e-4, "atol": 1e-5 * max(1.0, float(finite.max()) if finite.numel() else 0.0)}


def _message(text: str) -> str:
    """Return a message without what follows from the implementation: addresses, modules, names of autograd nodes."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    text = re.sub(r"(torch\.nn\.modules\.rnn|unrolled\.nn)\b", "nn", text)
    text = re.sub(r"\w+\.forward\(\)", "forward()", text)
    text = re.sub(r"\s*Explanation: .*", "", text, flags=re.DOTALL)  # Dynamo's, with lines of code
    return re.sub(r"(modified by an inplace operation|returned nan values in its).*", r"\1", text, flags=re.DOTALL)
