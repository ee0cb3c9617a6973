"""Draw docs/pictures/kernels.svg from benchmarks/results/kernels.json.

    python benchmarks/plot_kernels.py            draw it
    python benchmarks/plot_kernels.py --check    fail if it was drawn from other figures

One row for each shape, one point for each ratio: torch.nn's time over ours, right of 1 where ours is faster; hollow
points compare with ONNX Runtime. The picture holds the hash of its figures. Its colours read on white and on black.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from record import RESULTS

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "kernels.svg"
SERIES = (  # figure, baseline, style, name
    ("infer", "torch", {"color": "#3b82c4", "marker": "o"}, "inference, torch.nn"),
    ("train", "torch", {"color": "#d97b1f", "marker": "s"}, "training, torch.nn"),
    (
        "infer",
        "onnxruntime",
        {"color": "#8a8a8a", "marker": "o", "facecolors": "none"},
        "inference, ONNX Runtime",
    ),
)
TITLES = {"elman": "Elman", "gru": "GRU", "lstm": "LSTM"}
GREY = "#808080"


def drawn(found: dict[str, Any]) -> dict[str, list[tuple[str, list[float | None]]]]:
    """Return the ratios that the picture shows: by cell, each shape with its ratios in the order of SERIES."""
    cells: dict[str, list[tuple[str, list[float | None]]]] = {}
    for row in found["rows"]:
        label = " × ".join(map(str, row["shape"])) + (f", {row['kind']}" if row["kind"] else "")
        cells.setdefault(row["cell"], []).append(
            (label, [row[figure].get(baseline) for figure, baseline, _, _ in SERIES])
        )
    return cells


def digest(cells: dict[str, Any]) -> str:
    """Return the hash of the figures that are drawn."""
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def draw(found: dict[str, Any], path: Path) -> None:
    """Write the picture."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    grey = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY)
    mpl.rcParams.update({**grey, "svg.fonttype": "none", "svg.hashsalt": "unrolled", "font.size": 9})
    cells = drawn(found)
    labels = [label for label, _ in next(iter(cells.values()))]
    figure, panels = plt.subplots(1, len(cells), figsize=(9.6, 0.6 + 0.27 * len(labels)), sharey=True, sharex=True)
    for panel, (cell, rows) in zip(panels, cells.items(), strict=True):
        for k, (_, _, style, name) in enumerate(SERIES):
            points = [(ratios[k], y) for y, (_, ratios) in enumerate(rows) if ratios[k] is not None]
            panel.scatter(*zip(*points, strict=True), s=26, label=name, zorder=3, **style)
        panel.axvline(1, color=GREY, linewidth=1)
        panel.grid(axis="x", which="major", color=GREY, alpha=0.25, linewidth=0.6)
        panel.set(xscale="log", title=TITLES[cell], yticks=range(len(labels)), yticklabels=labels)
        panel.set_xticks([0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"])
        panel.minorticks_off()
        panel.tick_params(axis="y", length=0)
        panel.spines[["top", "right", "left"]].set_visible(False)
    panels[0].invert_yaxis()
    panels[0].set_ylabel("B × T × D × H")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=len(names), frameon=False)
    figure.supxlabel("times as fast", y=0.09, fontsize=9)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"Title": "The fused scans compared with torch.nn", "Description": digest(cells), "Date": None}
    figure.savefig(path, transparent=True, metadata=about)


def main() -> None:
    """Draw, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--check", action="store_true", help="draw nothing; exit with 1 where the picture is out of date"
    )
    check = parser.parse_args().check
    found = json.loads((RESULTS / "kernels.json").read_text(encoding="utf-8"))
    if not check:
        draw(found, PICTURE)
    elif digest(drawn(found)) not in PICTURE.read_text(encoding="utf-8"):
        sys.exit(f"{PICTURE.name} is not drawn from kernels.json: run python benchmarks/plot_kernels.py")


if __name__ == "__main__":
    main()
