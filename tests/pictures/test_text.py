"""The text token by token: bars to both sides of zero, and words before tensor names."""

import torch

import drawn
import small
from unrolled.inside import Trace
from unrolled.palette import ABOVE, BELOW
from unrolled.pictures import draw


def test_negative_bars_go_to_the_left() -> None:
    traced = small.trained("elman").explain("fine film")
    tensors = {name: value for name, value in traced.items() if name != "gradient_norm"}
    tensors["occlusion"] = torch.tensor([[-2.0, 1.0]])
    svg = draw("text", [Trace(traced.about, tensors)])
    bars = [rect for rect in drawn.tree(svg).iter(f"{drawn.SVG}rect") if "occlusion[0" in "".join(rect.itertext())]
    ends = {(rect.get("fill"), float(rect.get("width"))) for rect in bars if rect.get("height") == "5.0"}
    tokens = {text.content: text for text in drawn.texts(svg)}
    left, right = (next(b for b in bars if b.get("height") == "5.0" and b.get("fill") == c) for c in (BELOW, ABOVE))
    middle = [(tokens[word].left + tokens[word].right) / 2 - 20 for word in ("fine", "film")]
    assert abs(float(left.get("x")) + float(left.get("width")) - middle[0]) < 1, ends
    assert abs(float(right.get("x")) - middle[1]) < 1, ends
    assert "occlusion; the longest bar is 2 bits" in tokens
