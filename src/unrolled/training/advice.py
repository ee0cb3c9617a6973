"""The sentences that `train` ends with: what a first training should make its reader look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unrolled.evaluation.baselines import Baseline
from unrolled.runs.run import Run

__all__ = ["advice", "baseline_of"]


def baseline_of(run: Run) -> Baseline | None:
    """Return the baseline in the record of a run, if it has one."""
    recorded = run.record.get("baseline")
    return Baseline.from_dict(recorded) if recorded else None


def advice(run: Run) -> Iterator[str]:
    """Yield sentences on a run that was just trained; none where there is nothing to say."""
    training, result = run.record["training"], run.record["result"] or {}
    if "majority_accuracy" in result and result["accuracy_interval"][0] <= result["majority_accuracy"]:
        yield (
            f"It is not shown to be better than always answering {result['majority_label']} "
            f"({result['majority_accuracy']:.1%})."
        )
    if _was_cut_short(training):
        yield (
            "The loss on the validation split was still falling, so more updates may help: "
            f"--updates {2 * training['planned']}."
        )


def _was_cut_short(training: dict[str, Any]) -> bool:
    """Return whether all planned updates were done, and the loss on the validation split was least at the last."""
    return bool(training["updates"] == training["planned"] == training["least_loss_update"])
