"""The data of a comparison, read once for each way of reading them."""

from __future__ import annotations

from unrolled import machine
from unrolled.config import Config
from unrolled.tasks import session
from unrolled.tasks.session import ReadData
from unrolled.training.task import Task

__all__ = ["Reader"]


class Reader:
    """Reads data, and keeps them.

    Args:
        data: the data, as the user named them.
    """

    def __init__(self, data: object) -> None:
        self.data = data
        self._read: dict[str, ReadData] = {}

    def __call__(self, config: Config) -> ReadData:
        """Return the data as a task with these settings reads them."""
        key = config.data.model_dump_json()
        if key not in self._read:
            with machine.isolated(machine.device(config.training.device), threads=config.training.threads):
                self._read[key] = session.read(self.data, config)
        return self._read[key]

    def task(self, config: Config) -> Task:
        """Return the task with the data."""
        return self(config).task

    def keep(self, config: Config, read: ReadData) -> None:
        """Keep data for further settings that read them in the same way, such as the tokenizer that they chose."""
        self._read.setdefault(config.data.model_dump_json(), read)
