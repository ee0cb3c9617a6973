"""The plan of a training: its settings and data, which must be the same when it is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from unrolled.config import Config, from_flat
from unrolled.errors import ConfigError, DataError
from unrolled.runs.folder import to_json
from unrolled.runs.recorded import absolute
from unrolled.runs.schema import Path, RecordedConfig, SourceSum, VectorSource
from unrolled.saved import Open, Strict

__all__ = ["FORMAT_VERSION", "Plan", "with_absolute_files"]

FORMAT_VERSION = 3
MAY_CHANGE = frozenset({"device", "threads", "backend", "checkpoint_every", "tensorboard", "cache"})
"""Settings that change at most the last bits of a result."""


class _Data(Open):
    """The data of a plan: their source, its sums, and the size and fingerprint of each split."""

    name: str
    source: Path | Annotated[list[Path], Field(min_length=1)]
    sums: list[SourceSum] | None = None
    vectors: VectorSource | None = None
    splits: dict[str, dict[str, Any]]


class Plan(Strict):
    """The content of plan.json: settings and data of a training, and the run whose weights it begins with."""

    library: Literal["unrolled"] = "unrolled"
    format_version: int = FORMAT_VERSION
    config: RecordedConfig
    data: _Data
    start: str | None

    @classmethod
    def make(cls, config: Config, record: Mapping[str, Any], start: str | None) -> Self:
        """Return the plan of a training.

        Args:
            config: the resolved settings.
            record: record of the data, see `Task.record`.
            start: the run whose weights the training begins with; None: they are random.
        """
        return cls(config=with_absolute_files(config), data=_Data.model_validate_json(to_json(record)), start=start)

    def settings(self, requested: Mapping[str, Any]) -> Config:
        """Return the settings to resume with: those of the plan, except for what may change.

        Args:
            requested: flat settings, which take precedence.

        Raises:
            ConfigError: one of them differs from the plan and may not change; names both values.
        """
        config = from_flat(requested, base=self.config)
        before, now = self.config.flat(), config.flat()
        changed = [name for name in requested if now[name] != before[name] and name not in MAY_CHANGE]
        if changed:
            raise ConfigError(
                "a training is resumed with the settings it began with: "
                + "; ".join(f"{name} was {before[name]!r}, is {now[name]!r}" for name in changed)
                + ". Remove them, or train a new run"
            )
        return config

    def refuse_other_data(self, record: Mapping[str, Any]) -> None:
        """Refuse data that are not those of the plan.

        Args:
            record: record of the data, see `Task.record`.

        Raises:
            DataError: names the split that differs, with its old and new figures.
        """
        for name, before in self.data.splits.items():
            now = record["splits"].get(name, {})
            changed = [
                f"{key} was {value}, is {now.get(key)}" for key, value in before.items() if now.get(key) != value
            ]
            if changed:
                raise DataError(
                    f"the {name} split is not the one that the training began with: {'; '.join(changed)}",
                    file=str(self.data.source),
                    fix="restore the data as they were, or train a new run",
                )


def with_absolute_files(config: Config) -> Config:
    """Return the settings with the absolute paths of their files, which are valid in any working directory."""
    paths = {"valid": config.data.valid, "test": config.data.test}
    files = {split: path and absolute(path) for split, path in paths.items()}
    vectors = config.training.vectors and absolute(config.training.vectors)
    return config.model_copy(
        update={
            "data": config.data.model_copy(update=files),
            "training": config.training.model_copy(update={"vectors": vectors}),
        }
    )
