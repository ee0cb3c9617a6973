"""Cards of architectures: each answer is marked by the true one, and the token that counts most is named."""

import re

import drawn
import small
from unrolled.lineage import architecture
from unrolled.pictures import draw
from unrolled.pictures.lineage import answer_of

TEXT = f"{small.GOOD[0]} {small.FILLER[0]} {small.FILLER[1]}"


def said(svg: str) -> list[str]:
    return [each.content for each in drawn.texts(svg)]


def test_a_card_has_the_lineages_words_and_the_answer_is_marked() -> None:
    traces = [small.trained(name).explain(TEXT) for name in ("gru", "elman")]
    label, other = traces[0].about.answers[0], {"good": "bad", "bad": "good"}.get(traces[0].about.answers[0], "other")
    right = said(draw("lineage", traces[:1], truth={TEXT: [label]}))
    assert "✓ right" in right
    assert "✗ wrong" not in right
    assert "✗ wrong" in said(draw("lineage", traces[:1], truth={TEXT: [other]}))
    words = said(draw("lineage", traces))
    assert not {"✓ right", "✗ wrong"} & set(words), "no verdict without a true answer"
    assert words.index("Elman") < words.index("GRU"), "in the order of the lineage"
    text = " ".join(words)
    for name in ("elman", "gru"):
        known = architecture(name)
        assert str(known.year) in words
        assert known.title in words
        for sentence in (known.adds, known.cannot):
            assert all(word in text for word in sentence.split())


def test_the_named_token_is_the_one_without_which_the_answer_loses_most_bits() -> None:
    trace = small.trained("lstm").explain(TEXT)
    lost = trace["occlusion"][-1]
    svg = draw("lineage", [trace])
    bold = re.findall(r'font-size="11" font-weight="bold">([^<]+)</text>', svg)
    assert bold == [trace.about.tokens[int(lost.argmax())]]
    widths = [float(each) for each in re.findall(r'stroke-width="([\d.]+)"><title>occlusion', svg)]
    assert widths.index(max(widths)) == int(lost.abs().argmax())


def test_a_translations_answer_is_its_text() -> None:
    trace = small.translation_run("attention").explain("abc")
    assert answer_of(trace) == trace.about.text
    assert "✓ right" in said(draw("lineage", [trace], truth={"abc": [trace.about.text]}))


def test_narrow_cards_stand_in_two_columns() -> None:
    traces = [small.trained(name).explain(TEXT) for name in ("elman", "gru", "lstm")]
    width, height = drawn.size(draw("lineage", traces, width=320))
    wide, low = drawn.size(draw("lineage", traces))
    assert width == 336 < wide
    assert height > low


def test_a_long_input_is_shortened_visibly() -> None:
    svg = draw("lineage", [small.trained("gru").explain(" ".join([TEXT] * 40))])
    lines = [each for each in said(svg) if len(each) > 40 and small.FILLER[0] in each][:3]
    assert [line.endswith("…") for line in lines] == [False, False, True]


def test_unknown_tokens_are_named_below_the_picture() -> None:
    trace = small.trained("gru").explain(f"{TEXT} 忘 れ")
    words = " ".join(said(draw("text", [trace])))
    assert "2 of 5 tokens are unknown to the network: “忘”, “れ”." in words
    assert "unknown" not in " ".join(said(draw("text", [small.trained("gru").explain(TEXT)])))


def test_an_input_is_written_once_above_all_of_its_cards() -> None:
    texts = (TEXT, f"{small.BAD[0]} {small.FILLER[0]}")
    traces = [small.trained(name).explain(text) for name in ("elman", "gru") for text in texts]
    words = said(draw("lineage", traces))
    assert [word for word in words if word.startswith("“")][:2] == [f"“{text}”" for text in texts]
    assert [word for word in words if word in ("Elman", "GRU")] == ["Elman", "GRU"] * 2
