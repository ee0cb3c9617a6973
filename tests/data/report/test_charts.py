import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from unrolled.data.report.charts import WIDTH, Bars, Bins, Histogram, bins, draw
from unrolled.svg import UNIT

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["plain", "<&>\"'", "\x1b[31m\n", "日本語のラベルはとても長いので切られる", "x" * 500, "", "\ud83d"]


def drawn(names, lengths=(1, 2, 3)):
    bars = {name: {"train": 10 ** min(i, 9), "valid": i, "test": 0} for i, name in enumerate(names)}
    counted = bins({"train": np.array(lengths), "valid": np.array([1])})
    return draw([Histogram("lengths", "tokens", counted), Bars("labels", bars, more=3)])


@pytest.mark.parametrize("lengths", [(1, 2, 3), (7,) * 50, (0,), range(100_000), (1,) * 99 + (10**9,)])
def test_everything_is_inside_and_nothing_overlaps(lengths):
    tree = ET.fromstring(drawn(NAMES, lengths))
    _, _, width, height = map(float, tree.get("viewBox").split())
    assert width == WIDTH
    boxes = [tuple(float(box.get(side)) for side in ("x", "y", "width", "height")) for box in tree.iter(f"{SVG}rect")]
    for x, y, wide, tall in boxes:
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + tall <= height
    lines = {}
    for text in tree.iter(f"{SVG}text"):
        wide = UNIT * len(text.text or "")
        x = float(text.get("x")) - {"start": 0, "middle": wide / 2, "end": wide}[text.get("text-anchor")]
        assert 0 <= x <= x + wide <= width, text.text
        assert float(text.get("y")) <= height
        lines.setdefault(float(text.get("y")), []).append((x, x + wide, text.text))
    for texts in lines.values():
        texts.sort()
        assert all(a[1] <= b[0] for a, b in pairwise(texts)), texts
    heights = sorted(lines)
    assert all(b - a >= 12 for a, b in pairwise(heights))


def test_the_same_report_gives_the_same_bytes_and_no_other_does():
    assert drawn(NAMES) == drawn(NAMES)
    assert drawn(NAMES) != drawn(NAMES, (1, 2, 4))


def test_what_a_label_holds_is_text():
    assert "\x1b" not in drawn(NAMES)
    texts = [text.text for text in ET.fromstring(drawn(NAMES)).iter(f"{SVG}text")]
    assert "<&>\"'" in texts
    assert "\\x1b[31m\\n" in texts
    assert any(re.fullmatch("x+…", text or "") for text in texts)


def test_bins_have_round_widths_and_count_all():
    assert bins({"train": np.array([0, 1, 1, 3])}) == Bins(1, {"train": (1, 2, 0, 1)}, open=False)
    lengths = {"train": np.array([*range(0, 1000, 3), 10**6]), "valid": np.array([999])}
    found = bins(lengths)
    assert found.width == 50
    assert len(found.counts["train"]) <= 40
    assert {name: sum(counts) for name, counts in found.counts.items()} == {"train": 335, "valid": 1}
    assert found.open
    assert not bins({"train": np.arange(1000)}).open


@pytest.mark.parametrize(("longest", "is_open"), [(79, False), (80, True), (81, True)])
def test_the_last_bar_says_where_it_counts_more_than_its_width(longest, is_open):
    """Bars of 2 up to 79: the last one is 78 and 79, and what is longer."""
    found = bins({"train": np.array([*[39] * 99, longest])})
    assert (found.width, len(found.counts["train"]), found.open) == (2, 40, is_open)
    assert found.counts["train"][-1] == 1
