"""Draw the charts of docs/pictures/ from benchmarks/results/: NAME.svg, and NAME_narrow.svg for narrow screens.

python benchmarks/charts.py                  all of them
python benchmarks/charts.py kernels state    these
python benchmarks/charts.py --check          draw nothing; exit with 1 where a chart was drawn from other figures
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from record import RESULTS

from unrolled import svg
from unrolled.palette import ABOVE, BELOW, CARD, INK, LINE, SOFT
from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import WIDE_FROM, WIDTH, Figure, frame, panels
from unrolled.svg import Drawing

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
NARROW, TALL = 320, 300  # pixels
CELLS = {"elman": "Elman", "gru": "GRU", "lstm": "LSTM"}
RATIOS = (("infer", "torch"), ("train", "torch"), ("infer", "onnxruntime"))  # figure and baseline
NAMES = ("inference, torch.nn", "training, torch.nn", "inference, ONNX Runtime")
SHAPE, ROW, TOP = 200.0, 20.0, 40.0  # pixels of a shape's name, of its line, and above the first one
FACTORS = {0.25: "¼", 0.5: "½", 1: "1", 2: "2", 4: "4", 8: "8"}


def shakespeare_models(found: dict[str, Any], width: int) -> Figure:
    """Draw the validation loss of four models by update."""
    models = found["models"]
    curves = [Series(each["model"], *np.array(each["curve"]).T) for each in models]
    x = Axis("updates", 0, float(max(curve.x[-1] for curve in curves)))
    ends = ", ".join(f"{curve.name} {curve.y[-1]:.2f}" for curve in sorted(curves, key=lambda each: each.y[-1]))
    drawn = chart(curves, x, Axis("nats a character", 1.4, 2.2), (width, TALL))
    caption = f"Loss of the validation split, about 556,000 parameters each. At the end: {ends}."
    return Figure("Four models on Shakespeare", drawn, caption)


def verses_by_length(found: dict[str, Any], width: int) -> Figure:
    """Draw BLEU by the length of the source."""
    curves = []
    for each in found.values():
        bins = each["runs"][0]["greedy"]["by_length"]
        low, high = np.array([one["bleu_interval"] for one in bins]).T
        middles = np.array([(one["shortest"] + one["longest"]) / 2 for one in bins])
        curves.append(Series(each["model"], middles, np.array([one["bleu"] for one in bins]), "", low, high))
    x = Axis("tokens of the source", 0, float(max(one["longest"] for one in bins)))
    drawn = chart(curves, x, Axis("BLEU, 0 to 100", 0, 20), (width, TALL))
    caption = "A point stands at the middle of a range of lengths; the vertical line is its 95 % interval."
    return Figure("Verses: BLEU by length of the source", drawn, caption)


def state(found: dict[str, Any], width: int) -> Figure:
    """Draw bytes of state and milliseconds of the next token by position."""
    positions, charts = np.array(found["positions"]), []
    x = Axis("tokens so far", float(positions[0]), float(positions[-1]), log=True)
    for key, label, low, high in (("bytes", "bytes of state", 5e2, 1e8), ("milliseconds", "milliseconds", 0.01, 10)):
        curves = [Series(each["model"], positions, np.array(each[key])) for each in found["models"]]
        charts.append(chart(curves, x, Axis(label, low, high, log=True), (width, TALL)))
    caption = (
        "Above the state that a model keeps, below the time of its next token. Attention over all tokens so far makes "
        "both grow; a recurrent state stays as large as it is."
    )
    return Figure("State and time by position", svg.stack(charts, 16), caption)


def kernels(found: dict[str, Any], width: int) -> Figure:
    """Draw the time of torch.nn and of ONNX Runtime over ours, by cell and shape."""
    narrow = width < WIDE_FROM
    drawings = []
    for i, (cell, title) in enumerate(CELLS.items()):
        rows = [row for row in found["rows"] if row["cell"] == cell]
        names = SHAPE if narrow or i == 0 else 0.0
        drawings.append(_factors(title, rows, names, width - names if narrow else (width - SHAPE - 2 * 16) / 3))
    caption = (
        "Times as fast as the baseline: right of 1 the fused scan is faster. A line is a shape: batch × steps × inputs "
        "× units."
    )
    drawn = svg.stack([_marks(width), panels(drawings, 16, width)], 10)
    return Figure("The fused scans compared with torch.nn and ONNX Runtime", drawn, caption)


def _factors(title: str, rows: list[dict[str, Any]], names: float, width: float) -> Drawing:
    """Draw a panel: a line for each shape, a mark for each ratio. names: pixels left of it for the shapes."""
    axis = Axis("", 0.25, 10, log=True)
    floor = TOP + ROW * len(rows) - 4
    body = [svg.text(names, 12, title, bold=True, fill=INK)]
    for factor, words in FACTORS.items():
        at = names + width * float(axis.fraction(np.array(factor)))
        body.append(svg.line([(at, TOP - 14), (at, floor)], stroke=SOFT if factor == 1 else LINE))
        body.append(svg.text(at, floor + 16, words, anchor="middle", size=11, fill=INK))
    for j, row in enumerate(rows):
        y = TOP + ROW * j
        if names:
            shape = "×".join(map(str, row["shape"])) + (f", {row['kind']}" if row["kind"] else "")
            body.append(svg.text(names - 8, y + 4, shape, anchor="end", size=11, fill=INK))
        for k, (figure, baseline) in enumerate(RATIOS):
            if (ratio := row[figure].get(baseline)) is not None:
                at = names + width * float(axis.fraction(np.array(ratio)))
                body.append(_mark(k, at, y, f"{NAMES[k]}: {ratio:.2f}"))
    return Drawing(names + width, floor + 22, "\n".join(body))


def _mark(k: int, x: float, y: float, name: str = "") -> str:
    """Draw the mark of RATIOS[k]: a disc, a square or a circle."""
    if k == 1:
        return svg.box(x - 3.5, y - 3.5, 7, 7, BELOW, name=name)
    return svg.dot(x, y, 4, CARD if k else ABOVE, stroke=INK if k else ABOVE, name=name)


def _marks(width: float) -> Drawing:
    """Draw the meanings of the marks."""
    entries = []
    for k, words in enumerate(NAMES):
        entry = f"{_mark(k, 6, 8)}\n{svg.text(16, 12, words, size=11, fill=INK)}"
        entries.append(Drawing(16 + svg.UNIT * svg.columns(words), 16, entry))
    return panels(entries, 12, width)


class Chart(NamedTuple):
    """Chart of the site. result: its file in benchmarks/results/, without ".json"."""

    result: str
    draw: Callable[[dict[str, Any], int], Figure]


CHARTS = {
    "kernels": Chart("kernels", kernels),
    "shakespeare_models": Chart("shakespeare_models", shakespeare_models),
    "state": Chart("state", state),
    "verses_by_length": Chart("verses", verses_by_length),
}


def drawn(name: str) -> dict[Path, str]:
    """Return the SVG of a chart by path: wide and narrow."""
    found = json.loads((RESULTS / f"{CHARTS[name].result}.json").read_text(encoding="utf-8"))
    widths = {name: WIDTH, f"{name}_narrow": NARROW}
    return {
        PICTURES / f"{file}.svg": frame(CHARTS[name].draw(found, width), [], width) for file, width in widths.items()
    }


def write(name: str) -> None:
    """Save a chart, wide and narrow."""
    for path, text in drawn(name).items():
        path.write_text(text, encoding="utf-8")
        print(path.name)


def main() -> None:
    """Draw, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("charts", nargs="*", choices=[*CHARTS, []], metavar="chart", help=", ".join(CHARTS))
    parser.add_argument("--check", action="store_true", help="exit with 1 where a chart is out of date")
    options = parser.parse_args()
    names = options.charts or list(CHARTS)
    if not options.check:
        for name in names:
            write(name)
        return
    files = [item for name in names for item in drawn(name).items()]
    if stale := [path.name for path, text in files if path.read_text(encoding="utf-8") != text]:
        sys.exit(f"not drawn from the saved figures: {', '.join(stale)}; run python benchmarks/charts.py")


if __name__ == "__main__":
    main()
