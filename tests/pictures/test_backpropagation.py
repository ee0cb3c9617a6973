"""The picture of backpropagation through time: gradients of the trace, relative to the last step, in order."""

import re

import pytest
import torch

import drawn
import small
from unrolled.inside import Trace
from unrolled.pictures import draw, sentences

TEXT = "the film is warm"


def shown(trace: Trace, **request) -> list[str]:
    words = drawn.texts(draw("backpropagation", [trace], **request))
    return [
        text.content for text in sorted(words, key=lambda text: text.left) if re.fullmatch(r"[<\d. ]+%", text.content)
    ]


def changed(trace: Trace, norms: list[float]) -> Trace:
    return Trace(trace.about, dict(trace) | {"lstm.l0.gradient": torch.tensor([norms])})


def test_a_box_is_the_gradient_relative_to_the_last_step() -> None:
    trace = changed(small.trained("lstm").explain(TEXT, gradient=True), [0.02, 0.1, 0.6, 0.4])
    assert shown(trace) == ["5 %", "25 %", "150 %", "100 %"]
    assert "lstm.l0.gradient[0,1] = 0.10" in drawn.titles(draw("backpropagation", [trace]))


def test_a_gradient_below_a_thousandth_is_dashed() -> None:
    trace = small.trained("lstm").explain(TEXT, gradient=True)
    assert "stroke-dasharray" not in draw("backpropagation", [changed(trace, [0.01, 0.1, 0.5, 1])])
    assert "stroke-dasharray" in draw("backpropagation", [changed(trace, [0.0001, 0.1, 0.5, 1])])


def test_a_layer_that_reads_from_the_end_is_drawn_in_its_own_order() -> None:
    trace = small.trained("gru", bidirectional=True).explain(TEXT, gradient=True)
    norms = trace["gru.l0.reverse.gradient"][0]
    order = shown(trace, layer="gru.l0.reverse")
    expected = [sentences.percent(float(norm / norms[0])) for norm in reversed(norms)]
    assert order == expected
    assert "gru.l0 " in draw("backpropagation", [trace]).replace("<", " "), "by default the layer that reads forwards"


@pytest.mark.parametrize("width", [760, 320])
def test_a_long_text_keeps_its_first_and_last_steps(width: int) -> None:
    trace = small.trained("lstm").explain(" ".join(["film"] * 40), gradient=True)
    svg = draw("backpropagation", [trace], width=width)
    count = len(shown(trace, width=width))
    assert f"{40 - count} steps" in [text.content for text in drawn.texts(svg)]
    assert drawn.size(svg)[0] <= width + 40


def test_the_answers_own_step_is_the_last_one() -> None:
    trace = small.text_run("gru").explain("the film", gradient=True)
    assert len(shown(trace, step=2)) == 3


def test_its_sentences() -> None:
    assert [sentences.percent(part) for part in (1.61, 0.334, 0.08, 0.0004, 1e-5, 0)] == [
        "161 %", "33 %", "8 %", "0.04 %", "< 0.01 %", "0 %",
    ]  # fmt: skip
    assert sentences.way_back("lstm", "it", 0.11) == (
        "Model lstm: at the first token, “it”, the gradient is 11 % of that at the last one."
    )
