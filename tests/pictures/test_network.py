"""The network rolled up and unrolled: marks of answers, what is drawn of a decoder, and time that runs down."""

import pytest

import drawn
import small
from unrolled.inside import Trace
from unrolled.pictures import draw


@pytest.fixture(scope="module")
def attention() -> Trace:
    return small.translation_run("attention").explain(("abc", "CBA"))


def words(svg: str) -> list[str]:
    return [text.content for text in drawn.texts(svg)]


def test_answers_are_marked_where_the_truth_is_known(attention: Trace) -> None:
    svg = draw("network", [attention], truth={attention.about.source_text: ["C", "A"]})
    assert {"C ✓", "B ✗", "A"} <= set(words(svg)), "an answer beyond the truth has no mark"
    assert "✗ a wrong one; the truth is “C A”." in " ".join(words(svg))
    assert not [each for each in words(draw("network", [attention])) if "✓" in each or "✗" in each]


def test_a_recurrent_decoder_reads_its_own_answers_so_that_its_input_is_not_drawn(attention: Trace) -> None:
    shown = words(draw("network", [attention]))
    assert "<bos>" not in shown
    assert shown.count("B") == 1


def test_the_weights_stand_once_and_time_runs_down_in_a_narrow_drawing(attention: Trace) -> None:
    wide, narrow = (drawn.texts(draw("network", [attention], width=width)) for width in (760, 320))
    for texts, along in ((wide, lambda box: box.left), (narrow, lambda box: box.top)):
        by_word = {each.content: each for each in texts}
        assert "rolled up" in by_word
        assert along(by_word["x"]) < along(by_word["a"]) < along(by_word["b"]) < along(by_word["c"])
