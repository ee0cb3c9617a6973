"""The tables and pictures of docs/evolution.md, from the results of the claims.

    python experiments/evolution.py            write them: the blocks of the page, and docs/pictures/evolution/
    python experiments/evolution.py --check    write nothing; exit with 1 where one differs

A block of the page begins with <!-- claims: NAME … --> or <!-- picture: NAME --> and ends with <!-- end -->.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.pictures.chart import Axis, Series, chart
from unrolled.pictures.figure import WIDE_FROM, Figure, frame
from unrolled.pictures.forest import Mean, forest, span
from unrolled.svg import Drawing, stack

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
PAGE, PICTURES = ROOT / "docs" / "evolution.md", ROOT / "docs" / "pictures" / "evolution"
WIDTH, NARROW, TALL = 760, 320, 260  # pixels
BLOCK = re.compile(r"<!-- (claims|picture): ([\w ]+) -->\n.*?<!-- end -->", re.DOTALL)


def result(name: str) -> Mapping[str, Any] | None:
    """Return the result of a claim; None: it has not run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def table(names: list[str]) -> str:
    """Return claims as a table: sentence, figure, verdict."""
    lines = ["| claim | found | |", "|---|---|---|"]
    for name in names:
        found = result(name)
        if found is None:
            raise SystemExit(f"{name} has not run: python experiments/claims.py run {name}")
        link = f"../experiments/results/{name}.json"
        lines.append(f"| {found['claim']} | {found['figure']} | [*{found['verdict']}*]({link}) |")
    return "\n".join(lines)


def means(name: str, arms: Mapping[str, str], *, factor: float = 100.0) -> list[Mean]:
    """Return arms of a claim as lines of a chart, with other names."""
    found = result(name)
    assert found is not None
    return [
        Mean(
            shown,
            factor * found["arms"][arm]["mean"],
            _possible([factor * end for end in found["arms"][arm]["interval"]], factor),
            [factor * value for value in found["arms"][arm]["by_seed"]],
        )
        for arm, shown in arms.items()
    ]


def _possible(interval: list[float], factor: float) -> list[float]:
    """Return the ends of an interval, of percentages within 0 and 100."""
    return [min(max(end, 0.0), 100.0) for end in interval] if factor == 100 else interval


def curve(name: str, shown: str, points: Mapping[float, str]) -> Series:
    """Return arms of a claim as a curve, by position."""
    found = result(name)
    assert found is not None
    arms = [found["arms"][arm] for arm in points.values()]
    low, high = 100 * np.array([each["interval"] for each in arms]).T
    return Series(shown, np.array([*points]), 100 * np.array([each["mean"] for each in arms]), "", low, high)


def lines(series: list[Series], x: str, y: str, width: float, *, log: bool = False) -> Drawing:
    """Draw curves with a common axis."""
    ends = [
        value for one in series for side in (one.low, one.high, one.y) if side is not None for value in side.tolist()
    ]
    across = [value for one in series for value in one.x.tolist()]
    return chart(series, Axis(x, min(across), max(across), log=log), Axis(y, *span(ends)), (width, TALL))


def memory(width: int) -> Figure:
    """Draw the accuracy of three networks on tasks of memory."""
    rows = []
    for name, model in (
        ("elman_forgets_order", "elman"),
        ("lstm_remembers_order", "lstm"),
        ("gru_remembers_order", "gru"),
    ):
        rows += means(name, {model: f"order, {model}"})
    for name, model in (("elman_does_not_add", "elman"), ("lstm_adds", "lstm"), ("gru_adds", "gru")):
        rows += means(name, {model: f"adding, {model}"})
    return Figure(
        "Order of two symbols in 100 steps, and adding of two marked numbers among 60",
        forest(rows, "right answers (%)", width),
        "A filled mark is the mean over seeds, its line the 95 % interval, a small mark one training. Without the "
        "order of the symbols 75 % can be right at most.",
    )


def gates(width: int) -> Figure:
    """Draw the loss of an LSTM with each gate fixed."""
    arms = {
        "forget_gate_matters": "no forget gate", "input_gate_matters": "no input gate",
        "output_gate_matters": "no output gate", "output_activation_matters": "no tanh before the output",
        "tied_gates_cost_nothing": "input gate = 1 − forget gate",
    }  # fmt: skip
    rows = []
    for name, shown in arms.items():
        found = result(name)
        assert found is not None
        without = next(arm for arm in found["arms"] if arm != "lstm")
        if not rows:
            rows += means(name, {"lstm": "LSTM"}, factor=-1)
        rows += means(name, {without: shown}, factor=-1)
    rows = [row._replace(interval=sorted(row.interval or ())) for row in rows]
    return Figure(
        "An LSTM with one part left out, as a language model of characters",
        forest(rows, "bits per character", width),
        "Less is better. Each part is left out from the beginning of the training; the rest of the cell is unchanged.",
    )


def one_vector(width: int) -> Figure:
    """Draw the score of an encoder-decoder by the width of its vector."""
    widths = {16: "16", 32: "32", 64: "64", 128: "128", 256: "256"}
    drawn = lines(
        [curve("one_vector_is_too_small", "encoder-decoder", widths)], "width of the vector", "score", width, log=True
    )
    found = result("one_vector_is_too_small")
    assert found is not None
    values = ", ".join(f"{key}: {100 * found['arms'][arm]['mean']:.0f}" for key, arm in widths.items())
    return Figure(
        "Twenty symbols in reverse, through one vector",
        drawn,
        f"The score is 100 where every symbol is right. By width, {values}.",
    )


def attention(width: int) -> Figure:
    """Draw the score by the length of the source, with and without attention."""
    points = {5: "5", 20: "20"}
    curves = [
        curve("attention_gains_with_length", shown, {key: f"{arm} {value}" for key, value in points.items()})
        for arm, shown in (("attention", "attention"), ("encoder-decoder", "one vector"))
    ]
    return Figure(
        "Reversing 5 and 20 symbols, with and without attention",
        lines(curves, "symbols of the source", "score", width),
        "Both with a width of 32 and equally many updates. The score is 100 where every symbol is right.",
    )


def data(width: int) -> Figure:
    """Draw the score by the number of training words, with and without recurrence."""
    points = {1_200: "1,200", 12_000: "12,000", 48_000: "48,000"}
    curves = [
        curve("transformer_needs_more_data", shown, {key: f"{arm} {value}" for key, value in points.items()})
        for arm, shown in (("transformer", "transformer"), ("attention", "recurrent network with attention"))
    ]
    return Figure(
        "Letters to phonemes, by the number of words to learn from",
        lines(curves, "words of the training split", "score", width, log=True),
        "Equally many updates for all. The score is 1 − edits / phonemes, in hundredths.",
    )


def cost(width: int) -> Figure:
    """Draw bytes of state and milliseconds of the next token by position."""
    found = result("cost_of_a_token")
    assert found is not None
    drawings = []
    for key, label in (("bytes", "bytes of state"), ("milliseconds", "milliseconds")):
        series = [
            Series(arm, np.array(each["positions"], dtype=np.float64), np.array(each[key]))
            for arm, each in found["arms"].items()
        ]
        ends = [value for one in series for value in one.y.tolist()]
        x = Axis("tokens so far", float(series[0].x[0]), float(series[0].x[-1]), log=True)
        y = Axis(label, 10 ** np.floor(np.log10(min(ends))), 10 ** np.ceil(np.log10(max(ends))), log=True)
        drawings.append(chart(series, x, y, (width, TALL)))
    return Figure(
        "One more token",
        stack(drawings, 16),
        "Above the state that is kept, below the time of the next token, on one core. A recurrent state stays as large "
        "as it is; keys and values grow with every token.",
    )


FIGURES: dict[str, Callable[[int], Figure]] = {
    "memory": memory,
    "gates": gates,
    "one_vector": one_vector,
    "attention": attention,
    "data": data,
    "cost": cost,
}


def picture(name: str) -> str:
    """Return the Markdown of a picture, with the caption as its text."""
    figure = FIGURES[name](WIDTH)
    return f"![{figure.title}. {figure.caption}](pictures/evolution/{name}.svg)"


def files() -> Iterator[tuple[Path, str]]:
    """Yield every file that is made, and its content."""
    for name, draw in FIGURES.items():
        for width, ending in ((WIDTH, ""), (NARROW, "_narrow")):
            assert (width < WIDE_FROM) == bool(ending)
            yield PICTURES / f"{name}{ending}.svg", frame(draw(width), [], width)

    def block(match: re.Match[str]) -> str:
        kind, names = match[1], match[2].split()
        made = table(names) if kind == "claims" else picture(names[0])
        return f"<!-- {kind}: {match[2]} -->\n{made}\n<!-- end -->"

    yield PAGE, BLOCK.sub(block, PAGE.read_text(encoding="utf-8"))


def main() -> None:
    """Write all files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    PICTURES.mkdir(parents=True, exist_ok=True)
    stale = []
    for path, content in files():
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not check:
            path.write_text(content, encoding="utf-8")
    print("\n".join(stale) or "all as it is")
    sys.exit(bool(stale) and check)


if __name__ == "__main__":
    main()
