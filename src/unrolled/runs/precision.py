"""The quality of a run in another precision beside that in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unrolled.runs.listing import Headline
from unrolled.scan import Precision

__all__ = ["PrecisionCost"]


@dataclass(frozen=True)
class PrecisionCost:
    """The results of one evaluation in two precisions.

    Args:
        precision: the other precision than float32.
        result: the result in it.
        float32: the result in float32.
        equal: number of answers that are the same in both; of numbers, that differ by less than a hundredth of the
            standard deviation in training.
        answers: number of all answers: examples, words (task tag), sources (translate) or tokens (generate).
        headline: the figure by which runs are compared.
    """

    precision: Precision
    result: Any
    float32: Any
    equal: int
    answers: int
    headline: Headline

    @property
    def unchanged(self) -> float:
        """The share of answers that are the same in both."""
        return self.equal / self.answers if self.answers else 1.0

    def text(self) -> str:
        """Return the result in the other precision, and a line that compares it with float32."""
        words, form = self.headline.words, self.headline.form
        here, there = (result.to_dict()[self.headline.name] for result in (self.result, self.float32))
        return (
            f"{self.result.text().rstrip()}\n\n"
            f"precision {self.precision}: {words} {here:{form}}, in float32 {there:{form}}; {self.unchanged:.2%} of "
            f"{self.answers:,} answers unchanged"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values, with that in float32 and the share of unchanged answers."""
        other = {"precision": self.precision, "float32": self.float32.to_dict(), "unchanged": self.unchanged}
        return {**self.result.to_dict(), **other}
