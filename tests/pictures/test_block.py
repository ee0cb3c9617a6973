"""The picture of a Transformer's block: its lengths and weights are those of the trace, and a mask is drawn."""

import re
from itertools import pairwise

import pytest

import drawn
import small
from unrolled.errors import ConfigError
from unrolled.pictures import draw, sentences

LAYER = "decoder.transformer.l0"


def trace(**settings):
    return small.translation_run("transformer", **settings).explain(("abcd", "DCBA"), attribution=False)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_lengths_are_those_of_the_vectors(norm: str) -> None:
    one = trace(norm=norm)
    words = [text.content for text in drawn.texts(draw("block", [one], step=2, layer=LAYER))]
    adds = [float(each.removeprefix("adds ")) for each in words if each.startswith("adds ")]
    for name, length in zip(("attention_output", "cross.output", "feedforward_output"), adds, strict=True):
        assert length == pytest.approx(float(one[f"{LAYER}.{name}"][2].norm()), abs=0.006)
    lengths = [float(each.removeprefix("length ")) for each in words if each.startswith("length ")]
    assert len(lengths) == 4
    assert lengths[0] == pytest.approx(float(one[f"{LAYER}.x"][2].norm()), abs=0.006)
    assert lengths[-1] == pytest.approx(float(one[f"{LAYER}.y"][2].norm()), abs=0.006)
    assert words.count("norm") == 3


def test_a_norm_after_the_addition_stands_on_the_belt() -> None:
    def norms(norm: str) -> set[float]:
        texts = drawn.texts(draw("block", [trace(norm=norm)], layer=LAYER))
        plus = next(text for text in texts if text.content == "+")
        return {round(text.left + text.right - plus.left - plus.right) for text in texts if text.content == "norm"}

    assert norms("post") == {0}
    assert norms("pre") != {0}


def test_the_weights_are_those_of_the_requested_head_or_their_mean() -> None:
    one = trace(hidden_size=8, num_heads=2)
    for head, expected in ((None, one[f"{LAYER}.weights"].mean(dim=0)), (1, one[f"{LAYER}.weights"][1])):
        found = re.findall(
            rf"{LAYER}.weights\[.,3,(\d)\] = ([\d.]+)", draw("block", [one], layer=LAYER, step=3, head=head)
        )
        assert len(found) >= 4
        for key, shown in found:
            assert float(shown) == pytest.approx(float(expected[3, int(key)]), abs=0.006)


def test_a_later_step_is_drawn_as_hidden_in_a_causal_block_only() -> None:
    one = trace()
    assert ">hidden<" in draw("block", [one], step=1, layer=LAYER)
    assert ">hidden<" not in draw("block", [one], step=4, layer=LAYER), "the last step has none after it"
    assert ">hidden<" not in draw("block", [one], step=1, layer="encoder.transformer.l0")


def test_a_narrow_block_fits() -> None:
    one = trace()
    wide, narrow = drawn.size(draw("block", [one])), drawn.size(draw("block", [one], width=320))
    assert narrow[0] <= 360 < wide[0]
    for left, right in pairwise(sorted(drawn.texts(draw("block", [one], width=320)), key=lambda each: each.top)):
        assert not left.overlaps(right), (left, right)


def test_a_block_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'there is no block "decoder.transformer.l7" .did you mean'):
        draw("block", [trace()], layer="decoder.transformer.l7")


def test_its_sentences() -> None:
    assert sentences.block([("attention", 2.09, 5.28), ("feedforward", 5.97, 11.62)], [("attention", "not", 0.48)]) == [
        "A number beside a double wire is the length of its vector.",
        "Attention reads most from “not” (0.48).",
        "Attention adds 2.09 and makes it 5.28; feedforward adds 5.97 and makes it 11.62.",
    ]
