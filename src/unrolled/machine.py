"""The machine: its description for records and benchmarks, its devices, threads and memory."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from unrolled.errors import ConfigError

__all__ = [
    "describe",
    "device",
    "isolated",
    "peak_memory",
    "reset_peak_memory",
    "retain_memory",
    "use_threads",
    "user_cache",
    "versions",
    "without_values",
]


def describe() -> dict[str, Any]:
    """Return the processor and system, the Python version, and torch's threads and CPU capability."""
    return {
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def device(name: str) -> torch.device:
    """Return the device of a name; "auto" is CUDA where it is available, else MPS, else the CPU.

    Raises:
        ConfigError: the device is not available here.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, here in available.items() if here)
    if not available.get(name):
        raise ConfigError(
            f'device "{name}" is not available here; use {", ".join(d for d, here in available.items() if here)}'
        )
    return torch.device(name)


@contextmanager
def without_values() -> Iterator[None]:
    """Build modules in the block on the device meta: their tensors have shapes, and no memory or values.

    Initial values are not drawn either. On this device they would have no effect, and `normal_` would import
    torch._dynamo and sympy, which takes longer than all the rest of loading a run.
    """
    with torch.device("meta"), _NoValues():
        yield


class _NoValues(TorchFunctionMode):
    """Calls that would only write values into a tensor return it unchanged."""

    WRITES = frozenset({"constant_", "copy_", "fill_", "kaiming_uniform_", "normal_", "uniform_", "zero_"})

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in self.WRITES:
            return args[0] if args else kwargs["tensor"]  # torch.nn.init passes it by its name
        return function(*args, **kwargs)


def versions(*more: str) -> dict[str, str]:
    """Return the versions of this package, of the packages that its numbers depend on, and of `more`."""
    return {name: version(name) for name in ("unrolled", "torch", "tokenizers", "safetensors", "numpy", *more)}


def user_cache() -> Path:
    """Return the folder `unrolled` in the user's cache folder (XDG_CACHE_HOME, or ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unrolled"


@contextmanager
def use_threads(number: int | None) -> Iterator[None]:
    """Compute in the block with a number of CPU threads; None: as many as before it."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(number or before)
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def isolated(device: torch.device, *, threads: int | None) -> Iterator[None]:
    """Compute in the block without an effect on torch's threads and random generators after it.

    Args:
        device: device whose generator is restored, next to the CPU's.
        threads: number of threads within the block; None: unchanged.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), use_threads(threads):
        yield


@contextmanager
def retain_memory() -> Iterator[None]:
    """Keep freed memory in the process during the block, and return it to the system at its end.

    A training allocates the same tensors at every update. Memory that is returned to the system each time has to be
    mapped again page by page, which costs up to a tenth of an update. With glibc only; elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
    libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest value it accepts
    libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    try:
        yield
    finally:
        libc.mallopt(M_TRIM_THRESHOLD, 64 << 20)
        libc.malloc_trim(0)


def reset_peak_memory() -> None:
    """Begin to measure the peak memory of this process anew; where the system cannot, nothing changes."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory() -> int | None:
    """Return the greatest resident memory of this process in bytes since the last reset; None: not known here."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = dict(line.partition(":")[::2] for line in status.read_text(encoding="ascii", errors="replace").splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None


def _processor() -> str:
    """Return the processor's name, family and model from Linux, or the name that Python reports."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return platform.processor() or platform.machine()
    first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    name = facts.get("model name") or platform.machine()
    return f"{name} (family {facts.get('cpu family', '?')}, model {facts.get('model', '?')})"
