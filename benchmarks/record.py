"""Results of benchmarks as JSON, each with its command, machine, versions and date."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unrolled import machine

SINCE_BY_DATA: dict[str, dict[str, Any]] = {
    "images": {"batch_images": 128, "best_by": "loss", "baseline": False},
    "tag": {"batch_tokens": 2_048, "best_by": "loss", "baseline": False, "epochs": 16},
}
"""Settings that now follow from the data, with the values that they had when the results were measured."""
PLAIN_BLOCKS = {"position": "sinusoidal", "normalization": "layer", "gated": False, "nonlinearity": "relu"}
"""Vaswani's blocks of a Transformer, which were the defaults when the results were measured."""
RESULTS = Path(__file__).parent / "results"


def stamp(*packages: str) -> dict[str, Any]:
    """Return the command, the date, the machine and the versions (also those of `packages`)."""
    return {
        "command": f"python benchmarks/{Path(sys.argv[0]).name} {' '.join(sys.argv[1:])}".strip(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "versions": machine.versions(*packages),
    }


def save(name: str, figures: dict[str, Any], *packages: str) -> Path:
    """Write benchmarks/results/<name>.json and return its path."""
    return _write(name, {**stamp(*packages), **figures})


def save_part(name: str, part: str, figures: dict[str, Any], *packages: str) -> Path:
    """Write one part of benchmarks/results/<name>.json, with a stamp of its own, and leave the others as they are."""
    path = RESULTS / f"{name}.json"
    saved = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return _write(name, {**saved, part: {**stamp(*packages), **figures}})


def most_bytes() -> int:
    """Return the highest resident set of this process so far, all libraries included (Linux).

    `ru_maxrss` would include that of the parent process.
    """
    peak = machine.peak_memory()
    assert peak
    return peak


def _write(name: str, values: dict[str, Any]) -> Path:
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
