"""A trained run as the start of another training: its weights, tokeniser and settings, on other data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unrolled.config import MODEL_NAME, Config, ModelConfig, from_flat, spelled
from unrolled.errors import ConfigError, DataError, excerpt
from unrolled.runs.run import Run

__all__ = ["name_of", "refuse_other_labels", "settings_of"]

MAY_CHANGE = frozenset({"dropout", "variational", "recurrent_dropout"})  # no weight and no answer depends on them
MUST_STAY = (
    *("task", MODEL_NAME, "tokenizer", "vocabulary_size", "whole_words", "min_frequency", "lowercase"),
    *("normalize", "source_tokenizer", "shared_vocabulary"),
    *("by", "permutation_seed", "multi_label"),
    *(name for name in ModelConfig.model_fields if name not in MAY_CHANGE and name != "name"),
)
LABELS_SHOWN = 5


def name_of(run: Run) -> str:
    """Return the absolute path of a run, for messages and records."""
    return str(run.path.resolve()) if run.path else "a run in memory"


def settings_of(run: Run, requested: Mapping[str, Any], config: Config | None) -> Config:
    """Return the settings of a training that begins with a run's weights.

    Args:
        run: run that gives the settings that are not requested, except the files of the validation and test splits and
            those that followed from its data.
        requested: flat settings, which take precedence.
        config: settings to use instead of the run's.

    Raises:
        ConfigError: a setting would need other weights or another tokeniser.
    """
    files = {"valid": None, "test": None}
    again = {name: None for name in run.record.get("decided", {}) if name not in MUST_STAY}  # by the new data
    kept = {name: value for name, value in run.config.flat().items() if name in MUST_STAY}
    base = config or from_flat({**kept, **files, **again, "vectors": None}, base=run.config)
    resolved = from_flat(requested, base=base)
    if resolved.training.vectors is not None:
        raise ConfigError(f"--vectors and --from both set the embeddings, here to those of {name_of(run)}: remove one")
    before, now = run.config.flat(), resolved.flat()
    for name in MUST_STAY:
        if now[name] != before[name]:
            raise ConfigError(
                f"a training that begins with {name_of(run)} keeps its network and tokeniser: {spelled(name)} "
                f"is {before[name]!r} there, got {now[name]!r}: remove it"
            )
    return resolved


def refuse_other_labels(run: Run, labels: Sequence[str], source: str) -> None:
    """Refuse data with other labels than the run's, or the same in another order.

    Args:
        run: run whose weights a training begins with.
        labels: labels of the training split.
        source: the data, for the message.

    Raises:
        DataError: names the labels.
    """
    for verb, names in (
        ("has", sorted(set(labels) - set(run.labels))),
        ("lacks", sorted(set(run.labels) - set(labels))),
    ):
        if names:
            shown = ", ".join(f'"{excerpt(name, 40)}"' for name in names[:LABELS_SHOWN])
            more = ", …" if len(names) > LABELS_SHOWN else ""
            raise DataError(
                f"the training split {verb} the label{'s'[: len(names) > 1]} {shown}{more}, unlike {name_of(run)}",
                file=source,
                fix="give data with the labels of that run, or train a new one without --from",
            )
    if tuple(labels) != tuple(run.labels):  # label k is output k of the network
        ours, theirs = (", ".join(excerpt(name, 40) for name in each[:LABELS_SHOWN]) for each in (labels, run.labels))
        raise DataError(
            f"the training split has the labels of {name_of(run)} in another order: {ours}; there {theirs}",
            file=source,
            fix="name the classes in the order of that run with --class-names, or train a new one without --from",
        )
