"""The machine that a number was measured on, as every record and benchmark names it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

__all__ = ["describe", "versions"]


def describe() -> dict[str, Any]:
    """Return the processor, the system, and what torch makes of them."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def versions(*more: str) -> dict[str, str]:
    """Return the versions of this package and of what its numbers depend on."""
    return {name: version(name) for name in ("unrolled", "torch", "tokenizers", "safetensors", "numpy", *more)}


def _processor() -> str:
    """The processor's name and model, as Linux tells them, or what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor() or platform.machine()
    first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = facts.get("model name") or platform.machine()
    return f"{name} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"
