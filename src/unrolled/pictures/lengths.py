"""Score by length of the input, for one run or several on the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unrolled.errors import ConfigError, nearest
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import WIDTH, Figure, frame

__all__ = ["score_by_length"]

TALL = 320
FIGURES = {
    "accuracy": "accuracy, 0 to 1",
    "exact_match": "exact match with a reference, 0 to 1",
    "word_edit_rate": "word edits per word of the reference",
    "character_edit_rate": "character edits per character of the reference",
    "bleu": "BLEU, 0 to 100",
    "chrf": "chrF, 0 to 100",
}


def score_by_length(results: Mapping[str, Any], figure: str | None = None, *, width: int = WIDTH) -> str:
    """Return the picture of a figure by length as SVG, with one curve for each run.

    Args:
        results: results of `run.evaluate()` by the name of their curve; each has `by_length`.
        figure: a key of FIGURES; by default the first that all results have.
        width: pixels of the drawing.

    Raises:
        ConfigError: there is no result, or one without lengths, or one without the figure.
    """
    bins: dict[str, Sequence[Any]] = {name: getattr(result, "by_length", ()) for name, result in results.items()}
    if not bins or not all(bins.values()):
        without = ", ".join(name for name, some in bins.items() if not some)
        problem = f"{without} has none" if without else "got no result"
        raise ConfigError(f"score by length needs results by length: {problem}")
    common = [key for key in FIGURES if all(hasattr(some[0], key) for some in bins.values())]
    figure = figure or (common or [""])[0]
    if figure not in common:
        raise ConfigError(
            f'not all results have "{figure}" by length{nearest(figure, common)}; they have {", ".join(common)}'
        )
    series = [_curve(name, some, figure) for name, some in bins.items()]
    highest = max(float(each.high.max()) for each in series if each.high is not None)
    longest = max(int(some[-1].longest) for some in bins.values())
    x, y = Axis("length in tokens", 0, longest), Axis(FIGURES[figure], 0, max(1.0, highest) if highest > 0 else 1)
    counts = "; ".join(f"{name}: {sum(each.n for each in some):,} examples" for name, some in bins.items())
    label = FIGURES[figure]
    caption = (
        f"{label[0].upper()}{label[1:]}, by length of the input. Each point is a range of lengths and stands at its "
        f"middle; the vertical line is its 95 % interval. {counts}."
    )
    return frame(Figure("Score by length of the input", chart(series, x, y, (width, TALL)), caption), [], width)


def _curve(name: str, bins: Sequence[Any], figure: str) -> Series:
    middles = np.array([(each.shortest + each.longest) / 2 for each in bins])
    values = np.array([float(getattr(each, figure)) for each in bins])
    ends = np.array([getattr(each, f"{figure}_interval") for each in bins], dtype=float)
    return Series(name, middles, values, f"{name} at {{}} tokens", ends[:, 0], ends[:, 1])
