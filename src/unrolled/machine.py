"""The machine: its name, as every record and benchmark says it, and how its memory is kept."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from unrolled.errors import ConfigError

__all__ = ["describe", "device", "retain_memory", "versions"]


def describe() -> dict[str, Any]:
    """Return the processor, the system, and what torch makes of them."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def device(name: str) -> torch.device:
    """Return the device of this name; `auto` is CUDA where it is available, else MPS, else the CPU.

    Raises:
        ConfigError: it is not available here.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, here in available.items() if here)
    if not available.get(name):
        raise ConfigError(
            f'device "{name}" is not available here; use {", ".join(d for d, here in available.items() if here)}'
        )
    return torch.device(name)


def versions(*more: str) -> dict[str, str]:
    """Return the versions of this package and of what its numbers depend on."""
    return {name: version(name) for name in ("unrolled", "torch", "tokenizers", "safetensors", "numpy", *more)}


@contextmanager
def retain_memory() -> Iterator[None]:
    """Keep memory that is freed in the process, for what asks for as much a moment later; give it back at the end.

    A training asks for the same tensors at every update. What goes back to the system each time comes again page by
    page, which costs up to a tenth of an update. With glibc only; elsewhere nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
    libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
    libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    try:
        yield
    finally:
        libc.mallopt(M_TRIM_THRESHOLD, 64 << 20)
        libc.malloc_trim(0)


def _processor() -> str:
    """The processor's name and model, as Linux tells them, or what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor() or platform.machine()
    first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = facts.get("model name") or platform.machine()
    return f"{name} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"
