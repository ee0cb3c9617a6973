import torch

import drawn
from unrolled.inside import Trace
from unrolled.inside.trace import Header
from unrolled.pictures import draw
from unrolled.pictures.gradient import by_distance


def trace(update, name="elman"):
    """Three answers after steps 1, 2 and 3 of four; what is ahead of an answer has no gradient."""
    gradient = torch.tensor([[2.0, 8, 0, 0], [1, 3, 6, 0], [0.5, 1, 2, 4]])
    tensors = {"steps": torch.tensor([1, 2, 3]), f"{name}.l0.gradient": gradient, f"{name}.l0.h": torch.zeros(4, 2)}
    return Trace(Header(run=f"{name}-1", model_name=name, update=update, tokens=tuple("abcd")), tensors)


def test_the_mean_of_all_pairs_at_a_distance():
    series = by_distance(trace(7), "elman.l0")
    assert series.x.tolist() == [0, 1, 2, 3]
    assert series.y.tolist() == [6, (2 + 3 + 2) / 3, 1, 0.5]


def test_a_line_a_run_and_thin_ones_for_its_snapshots():
    svg = draw("gradient", [trace(1), trace(1000), trace(None), trace(None, "gru")])
    texts = [text.content for text in drawn.texts(svg)]
    assert {"elman", "gru", "lost: a thousandth is left", "steps back from the answer"} <= set(texts)
    assert "fraction of elman.l0.gradient, 3 steps back = 0.083" in drawn.titles(svg), "0.5 of 6"
    assert svg.count('opacity="0.50"') == 2, "a thin line a snapshot"


def test_each_line_has_a_mark_of_its_own():
    svg = draw("gradient", [trace(None, name) for name in ("elman", "lstm", "gru")])
    marks = {
        each.tag.removeprefix(drawn.SVG): title.text
        for each in drawn.tree(svg).iter()
        for title in each.findall(f"{drawn.SVG}title")
        if title.text.startswith("fraction")
    }
    assert {tag: text.split()[2] for tag, text in marks.items()} == {
        "circle": "elman.l0.gradient,",
        "rect": "lstm.l0.gradient,",
        "polygon": "gru.l0.gradient,",
    }
