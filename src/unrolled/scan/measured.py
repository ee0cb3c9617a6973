"""The first choice of auto: the kernels on x86-64, elsewhere the faster one of a measurement on the machine itself.

The kernels are tuned on x86-64. Elsewhere they are compiled for the portable instruction set alone, and torch's own
layers are the first choice of auto until `measure` has shown, for a cell, that the kernels are faster. A measurement
is a file in the user's cache folder. It is ignored once the machine, the instruction set or a version has changed.
"""

from __future__ import annotations

import math
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, ValidationError

from unrolled import atomic, machine
from unrolled.cells import Cell
from unrolled.errors import BackendError
from unrolled.kernels import native
from unrolled.saved import Strict
from unrolled.scan import fused
from unrolled.scan import torch as twin

__all__ = ["Measurement", "Timing", "fused_first", "load", "measure", "path"]

IS_TUNED = platform.machine() in ("x86_64", "AMD64")
"""Whether the kernels are tuned for this processor, so that auto takes them without a measurement."""
SHAPES = ((1, 64, 128), (16, 50, 128), (32, 100, 256))  # (B, T, D = H): a stream, and batches of short and long texts
SECONDS = 0.25  # of each comparison
FEWEST = 5  # turns of a comparison

Ratio = Annotated[float, Field(gt=0)]


class Timing(Strict):
    """The time of torch over that of the kernels, at x (B, T, H) and H units: above 1, the kernels are faster."""

    cell: str
    B: int
    T: int
    H: int
    inference: Ratio
    training: Ratio


class Measurement(Strict):
    """A measurement of the kernels and torch on a machine.

    Attributes:
        date: its day.
        threads: the number of threads of both.
        conditions: the machine, the instruction set of the kernels, and the versions for which it holds.
        timings: by cell and shape.
    """

    date: str
    threads: int
    conditions: dict[str, str]
    timings: list[Timing]

    def ratio(self, cell: str) -> float:
        """Return the geometric mean of the ratios of a cell, inference and training; 0 if it was not measured."""
        ratios = [r for timing in self.timings if timing.cell == cell for r in (timing.inference, timing.training)]
        return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else 0.0


class _Case(NamedTuple):
    """The calls of a comparison, by backend: fused and torch."""

    fused: Callable[[], Any]
    torch: Callable[[], Any]


def path() -> Path:
    """Return the file of the measurement, in the user's cache folder."""
    return machine.user_cache() / "backends.json"


def fused_first(cell: Cell[Any, Any]) -> bool:
    """Return True if auto tries the kernels before torch for this cell."""
    return IS_TUNED or _ratio(cell.name) > 1


@cache
def load() -> Measurement | None:
    """Return the measurement of this machine and these versions; None: there is none.

    A damaged file is ignored with a warning.
    """
    if not (file := path()).is_file():
        return None
    try:
        found = Measurement.model_validate_json(file.read_bytes())
    except ValidationError:
        warnings.warn(f"{file} is damaged and ignored: run `unrolled backends --measure` again", stacklevel=2)
        return None
    return found if found.conditions == _conditions() else None


def measure() -> Measurement:
    """Measure each plain cell on the kernels and on torch in turn, and write the measurement into the cache folder.

    It takes about 10 seconds.

    Raises:
        BackendError: there are no kernels.
        CheckpointError: the file cannot be written.
    """
    if not native.compiled():
        raise BackendError(f"there is nothing to measure: {native.NO_KERNELS}")
    measured = Measurement(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        threads=torch.get_num_threads(),
        conditions=_conditions(),
        timings=[_timing(kind, *shape) for kind in twin.CELLS for shape in SHAPES],
    )
    path().parent.mkdir(parents=True, exist_ok=True)
    atomic.write_file(path(), measured.model_dump_json(indent=2).encode() + b"\n")
    load.cache_clear()
    _ratio.cache_clear()
    return measured


@cache
def _ratio(cell: str) -> float:
    measurement = load()
    return 0.0 if measurement is None else measurement.ratio(cell)


def _conditions() -> dict[str, str]:
    facts, versions = machine.describe(), machine.versions()
    return {
        **{name: str(facts[name]) for name in ("processor", "system", "capability")},
        "kernels": str(native.isa()),
        **{name: versions[name] for name in ("unrolled", "torch")},
    }


def _timing(kind: type[Cell[Any, Any]], B: int, T: int, H: int) -> Timing:
    cell, x = kind(H, H), torch.randn(B, T, H)
    state = cell.initial(x)
    scans = _Case(
        lambda: fused.scan(cell, x, state, None, reverse=False, mask=None)[0],
        lambda: twin.scan(cell, x, state, None, reverse=False)[0],
    )

    def case(run: Callable[[Callable[[], Any]], Any]) -> _Case:
        return _Case(lambda: run(scans.fused), lambda: run(scans.torch))

    def infer(scan: Callable[[], Any]) -> None:
        with torch.no_grad():
            scan()

    def train(scan: Callable[[], Any]) -> None:
        torch.autograd.grad(scan().sum(), [*cell.parameters()])

    return Timing(cell=kind.name, B=B, T=T, H=H, inference=_compare(case(infer)), training=_compare(case(train)))


def _compare(case: _Case) -> float:
    """Return the median ratio of torch's time to that of the kernels, over calls in turn."""
    for call in case:
        call()
    ratios: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(ratios) < FEWEST or time.perf_counter() < end:
        ratios.append(_seconds(case.torch) / _seconds(case.fused))
    return round(statistics.median(ratios), 3)


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
