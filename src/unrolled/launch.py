"""The launch of this process by torchrun: its rank, the number of processes, restarts. Read from the environment.

torchrun sets these variables for each process that it starts (RANK, WORLD_SIZE, …); without them a process is alone.
"""

from __future__ import annotations

import os

from unrolled.errors import ConfigError

__all__ = ["count", "identity", "local_rank", "on_one_machine", "rank", "refuse_many", "restarted"]


def rank() -> int:
    """Return the number of this process, from 0; 0 prints and saves."""
    return int(os.environ.get("RANK", 0)) if count() > 1 else 0


def local_rank() -> int:
    """Return the number of this process on its machine, from 0, which is also that of its accelerator."""
    return int(os.environ.get("LOCAL_RANK", 0))


def count() -> int:
    """Return the number of processes of the launch, on all machines."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def on_one_machine() -> bool:
    """Return whether all processes of the launch were started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 0)) == count()


def restarted() -> bool:
    """Return whether torchrun has started these processes again, after one of them had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def identity() -> str | None:
    """Return a name of the launch, the same after a restart; None without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    return f"{os.environ['TORCHELASTIC_RUN_ID']} {os.environ.get('MASTER_ADDR')} {os.getppid()}"


def refuse_many(work: str) -> None:
    """Refuse work that many processes cannot share.

    Args:
        work: its name, at the beginning of a sentence.

    Raises:
        ConfigError: torchrun has started more than one process.
    """
    if count() > 1:
        raise ConfigError(f"{work} is not shared by processes of torchrun, which train one model: run it without")
