"""Training that begins with a trained run's weights and tokeniser, on other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unrolled.config import MODEL_NAME, Config, ModelConfig, from_flat
from unrolled.errors import ConfigError, DataError, excerpt
from unrolled.runs.run import Run

__all__ = ["Start"]

MAY_CHANGE = frozenset({"dropout", "variational", "recurrent_dropout"})  # no weight and no answer depends on them
MUST_STAY = (
    *("task", MODEL_NAME, "tokenizer", "vocabulary_size", "whole_words", "min_frequency", "lowercase"),
    *("source_tokenizer", "shared_vocabulary"),
    *("by", "permutation_seed"),
    *(name for name in ModelConfig.model_fields if name not in MAY_CHANGE and name != "name"),
)


@dataclass(frozen=True)
class Start:
    """The run that a training begins with."""

    run: Run

    @property
    def name(self) -> str:
        """Where it stands."""
        return str(self.run.path.resolve()) if self.run.path else "a run in memory"

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """What the model begins with."""
        return self.run.model.state_dict()

    def settings(self, asked: Mapping[str, Any], config: Config | None) -> Config:
        """Return the settings to train with: those of the run, but for what is asked for.

        Args:
            asked: flat settings. config: settings to take instead of the run's.

        Raises:
            ConfigError: one of them would make another network or tokeniser.
        """
        ours = self.run.config
        files = {"valid": None, "test": None}
        wanted = from_flat(asked, base=config or ours.model_copy(update={"data": ours.data.model_copy(update=files)}))
        there, here = ours.flat(), wanted.flat()
        for name in MUST_STAY:
            if here[name] != there[name]:
                raise ConfigError(
                    f"a training that begins with {self.name} keeps its network and tokeniser: {name} is "
                    f"{there[name]!r} there, got {here[name]!r}. Leave it out"
                )
        return wanted

    def refuse_other_labels(self, labels: tuple[str, ...], source: str) -> None:
        """Refuse data with other labels than the run's.

        Raises:
            DataError: names them.
        """
        for what, names in (
            ("has", sorted(set(labels) - set(self.run.labels))),
            ("lacks", sorted(set(self.run.labels) - set(labels))),
        ):
            if names:
                shown = ", ".join(f'"{excerpt(name, 40)}"' for name in names[:5]) + (", …" if len(names) > 5 else "")
                raise DataError(
                    f"the training split {what} the label{'s'[: len(names) > 1]} {shown}, unlike {self.name}",
                    file=source,
                    fix="give data with the labels of that run, or train a new one without --from",
                )
