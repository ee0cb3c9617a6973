"""Events for TensorBoard, next to metrics.jsonl; an extra: `pip install 'unrolled[tensorboard]'`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from unrolled.errors import ConfigError
from unrolled.training.progress import Event

__all__ = ["refuse_missing", "writing"]


def refuse_missing() -> None:
    """Refuse a training with --tensorboard if the extra is not installed.

    Raises:
        ConfigError: says how to install it.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError(
            "--tensorboard needs tensorboardX, which is not installed: pip install 'unrolled[tensorboard]'"
        )


@contextmanager
def writing(folder: Path, done: int) -> Iterator[Callable[[Event], None]]:
    """Yield a writer; events after update `done`, written before the resume, are replaced."""
    writer = importlib.import_module("tensorboardX").SummaryWriter(str(folder), purge_step=done + 1)

    def write(event: Event) -> None:
        for name, value in event.to_dict().items():
            if isinstance(value, int | float) and name not in ("update", "updates", "best"):
                writer.add_scalar(name, value, event.update)

    try:
        yield write
    finally:
        writer.close()
