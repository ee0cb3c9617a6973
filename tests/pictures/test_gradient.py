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


def test_a_panel_a_run_and_a_curve_an_update():
    svg = draw("gradient", [trace(1), trace(1000), trace(None), trace(None, "gru")])
    texts = [text.content for text in drawn.texts(svg)]
    for words in ("elman", "gru", "update 1", "update 1,000", "at the end"):
        assert words in texts
    assert "mean of elman.l0.gradient, 3 steps back = 0.50" in drawn.titles(svg)
