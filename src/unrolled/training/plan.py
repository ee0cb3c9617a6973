"""What a training was asked to do: what it must find again when it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from unrolled.config import Config, from_flat
from unrolled.errors import ConfigError, DataError

__all__ = ["FORMAT_VERSION", "Plan", "PlannedData"]

FORMAT_VERSION = 2
MAY_CHANGE = frozenset({"device", "threads", "backend", "checkpoint_every", "tensorboard", "cache"})
"""Settings that at most the last bits depend on."""


class PlannedData(BaseModel):
    """What a task records of its data: where they came from, and what tells each part from any other."""

    model_config = ConfigDict(extra="allow", frozen=True)

    source: str | list[str]
    splits: dict[str, dict[str, Any]]


class Plan(BaseModel):
    """What a training was asked to do, and what it must find again when it goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    library: Literal["unrolled"] = "unrolled"
    format_version: int = FORMAT_VERSION
    config: Config
    data: PlannedData
    start: str | None

    def settings(self, asked: Mapping[str, Any]) -> Config:
        """Return the settings to go on with: those of before, but for what may change.

        Raises:
            ConfigError: another one is asked for; says what it was and what it is.
        """
        config = from_flat(asked, base=self.config)
        before, now = self.config.flat(), config.flat()
        changed = [name for name in asked if now[name] != before[name] and name not in MAY_CHANGE]
        if changed:
            raise ConfigError(
                "a training goes on with the settings it began with: "
                + "; ".join(f"{name} was {before[name]!r}, is {now[name]!r}" for name in changed)
                + ". Leave them out, or train a new run"
            )
        return config

    def refuse_other_data(self, record: Mapping[str, Any]) -> None:
        """Refuse data that are not those of the plan.

        Raises:
            DataError: says which part is another one, what it was and what it is.
        """
        for name, was in self.data.splits.items():
            now = record["splits"].get(name, {})
            changed = [f"{key} was {value}, is {now.get(key)}" for key, value in was.items() if now.get(key) != value]
            if changed:
                raise DataError(
                    f"the {name} split is not the one that the training began with: {'; '.join(changed)}",
                    file=str(self.data.source),
                    fix="bring the data back as they were, or train a new run",
                )
