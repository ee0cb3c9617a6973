"""One attention step: scores to both sides of zero, weights that sum to 1, and the wires that carry them."""

import pytest
import torch

import drawn
import small
from unrolled.inside import Trace
from unrolled.palette import BELOW
from unrolled.pictures import draw


@pytest.fixture(scope="module")
def trace() -> Trace:
    traced = small.translation_run("attention").explain(("abc", "CBA"))
    tensors = {name: value.clone() for name, value in traced.items()}
    tensors["attention.score"][1] = torch.tensor([-1.0, 2, 0.5])
    tensors["attention.weights"][1] = tensors["attention.score"][1].softmax(0)
    return Trace(traced.about, tensors)


def bars(svg: str, tensor: str) -> dict[str, tuple[float, float]]:
    """Return the left and right end of each bar by its element."""
    return {
        title.text.split(" = ")[0]: (float(rect.get("x")), float(rect.get("x")) + float(rect.get("width")))
        for rect in drawn.tree(svg).iter(f"{drawn.SVG}rect")
        for title in rect.findall(f"{drawn.SVG}title")
        if title.text.startswith(tensor)
    }


@pytest.mark.parametrize("width", [760, 320])
def test_negative_scores_are_drawn_to_the_left(trace: Trace, width: int) -> None:
    svg = draw("attention-step", [trace], step=1, width=width)
    scores = bars(svg, "attention.score")
    (left, zero), (start, end) = scores["attention.score[1,0]"], scores["attention.score[1,1]"]
    assert zero == pytest.approx(start, abs=0.2)
    assert end - start == pytest.approx(2 * (zero - left), abs=0.4), "twice the score, twice the length"
    assert f'fill="{BELOW}"' in svg
    texts = [text.content for text in drawn.texts(svg)]
    assert {"−1.00", "+2.00", "+0.50", "score", "weight", "context"} <= set(texts)


def test_a_weight_is_as_long_as_its_number(trace: Trace) -> None:
    weights = bars(draw("attention-step", [trace], step=1), "attention.weights")
    lengths = torch.tensor([end - start for start, end in weights.values()])
    assert torch.allclose(lengths / lengths.sum(), trace["attention.weights"][1], atol=0.01)
