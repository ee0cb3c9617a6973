"""The most probable answers of each step: the words before the first one drawn."""

import pytest

import drawn
import small
from unrolled.pictures import draw


@pytest.mark.parametrize(("first", "lead"), [(4, "after “t h e ␣”"), (8, "after “… e ␣ f i l m”")])
def test_the_answers_before_are_those_left_out(first: int, lead: str) -> None:
    svg = draw("tree", [small.text_run("gru").explain("the film a plot")], step=first)
    assert any(lead in text.content for text in drawn.texts(svg))
