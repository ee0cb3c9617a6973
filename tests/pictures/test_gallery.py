"""Every picture of every kind of run, at 5 and at 200 tokens: nothing outside, no overlapping words, right numbers."""

import random
import re
from functools import cache
from pathlib import Path

import pytest
import torch

import drawn
import small
from unrolled.errors import ConfigError, TraceError
from unrolled.inside import Trace
from unrolled.inside.trace import Header
from unrolled.pictures import PICTURES, available, draw, wiring

WORDS = small.FILLER + small.GOOD + small.BAD


def words(count: int) -> str:
    return " ".join(random.Random(0).choices(WORDS, k=count))


def letters(count: int) -> tuple[str, str]:
    source = "".join(random.Random(0).choices("abcdef", k=count))
    return source, source[::-1].upper()


def prose(count: int) -> str:
    return " ".join(random.Random(0).choices(small.FILLER, k=count))[: count - 1]


MADE = {
    "lstm": lambda T: small.trained("lstm", num_layers=2).explain(words(T), gradient=True),
    "gru": lambda T: small.trained("gru", bidirectional=True).explain(words(T)),
    "elman": lambda T: small.trained("elman").explain(words(T), gradient=True),
    "bag": lambda T: small.trained("feedforward", num_layers=2).explain(words(T)),
    "image": lambda T: small.image_run("feedforward").explain(small.pictures()[0][0]),
    "transformer": lambda T: small.trained("transformer", hidden_size=8, num_heads=2, num_layers=2).explain(words(T)),
    "number": lambda T: small.number_run("lstm").explain(words(T), gradient=True),
    "tags": lambda T: small.tag_run("lstm").explain(words(min(T, 60))),
    "text": lambda T: small.text_run("gru").explain(prose(T)),
    "gpt": lambda T: small.text_run("gpt").explain(prose(min(T, 60))),
    "fixed": lambda T: small.translation_run("encoder_decoder", bidirectional=True).explain(letters(T)),
    "attention": lambda T: small.translation_run("attention").explain(letters(T)),
    "searched": lambda T: small.translation_run("attention").explain(letters(T)[0]),
    "dot": lambda T: small.translation_run("attention", score="dot", bidirectional=False).explain(letters(T)),
    "one-sequence": lambda T: small.translation_run("gpt").explain(letters(min(T, 60))),
    "cross": lambda T: small.translation_run("transformer").explain(letters(min(T, 60))),
}


@cache
def traced(name: str, T: int) -> Trace:
    return MADE[name](T)


CASES = [(name, kind, T) for T in (5, 200) for name in MADE for kind in available([traced(name, 5)])]


def check(svg: str) -> None:
    width, height = drawn.size(svg)
    words, marks = drawn.texts(svg), drawn.shapes(svg)
    for each in [*words, *marks]:
        assert -0.5 <= each.left <= each.right <= width + 0.5, each
        assert -0.5 <= each.top <= each.bottom <= height + 0.5, each
    words.sort(key=lambda each: each.top)
    for i, each in enumerate(words):
        for other in words[i + 1 :]:
            if other.top >= each.bottom:
                break
            assert not each.overlaps(other), (each, other)


@pytest.mark.parametrize(("name", "kind", "T"), CASES, ids=lambda value: str(value))
def test_nothing_is_outside_and_no_words_overlap(name: str, kind: str, T: int) -> None:
    svg = draw(kind, [traced(name, T)])
    check(svg)
    assert svg == draw(kind, [traced(name, T)]), "the same trace gives the same bytes"
    assert len(svg) < 1_000_000


@pytest.mark.parametrize("kind", PICTURES)
def test_several_traces_share_a_picture(kind: str) -> None:
    many = [traced(name, 5) for name in MADE]
    svg = draw(kind, many)
    check(svg)
    fit = [trace for trace in many if PICTURES[kind].can_draw(trace)]
    texts = " ".join(text.content for text in drawn.texts(svg))
    assert len(fit) < 2 or all(trace.about.model_name in texts for trace in fit)


def test_every_picture_is_drawn_of_some_run() -> None:
    assert {kind for _, kind, _ in CASES} == set(PICTURES)


def test_the_documents_name_every_picture() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", page, re.M)[: len(PICTURES)] == [
        (name, picture.summary) for name, picture in PICTURES.items()
    ]


ELEMENT = re.compile(r"(exp |−)?([a-z_0-9.]+)\[([\d,]+)\] = (.+)")


@pytest.mark.parametrize(("name", "kind"), sorted({(name, kind) for name, kind, _ in CASES}))
def test_numbers_under_the_pointer_are_those_of_the_trace(name: str, kind: str) -> None:
    trace, checked = traced(name, 5), 0
    for title in drawn.titles(draw(kind, [trace])):
        if match := ELEMENT.fullmatch(title):
            change, tensor, index, shown = match.groups()
            value = trace[tensor][tuple(map(int, index.split(",")))]
            value = {"exp ": value.exp(), "−": -value}.get(change, value)
            assert float(shown.replace("−", "-")) == pytest.approx(float(value), rel=0.06, abs=6e-4), title
            checked += 1
    assert checked or kind in ("attention", "heads", "attribution", "network", "gates", "gradient", "block"), (
        "no elements"
    )


def test_a_caption_names_the_run_and_the_truncation() -> None:
    trace = traced("lstm", 5)
    header = Header(
        **{**vars(trace.about), "run": "films-lstm-1", "truncated": "truncated after the first 5 of 9 tokens"}
    )
    texts = " ".join(text.content for text in drawn.texts(draw("gates", [Trace(header, trace)])))
    for words in ("films-lstm-1", "model lstm", "truncated after the first 5 of 9 tokens"):
        assert words in texts


def test_the_run_is_one_line_of_small_print() -> None:
    trace = traced("lstm", 5)
    header = Header(**{**vars(trace.about), "run": "films-lstm-1"})
    small = [text for text in drawn.texts(draw("gates", [Trace(header, trace)])) if "films-lstm-1" in text.content]
    assert [text.content for text in small] == ["films-lstm-1 · model lstm · accuracy 25.0% on 4 held-out examples"]
    assert small[0].bottom - small[0].top < 0.8 * 11


def test_the_request_is_drawn() -> None:
    trace = traced("lstm", 5)
    assert "step 2 (" in draw("cell", [trace], layer="lstm.l0", step=2, unit=3)
    assert "unit 3 of 5, lstm.l0" in draw("cell", [trace], layer="lstm.l0", step=2, unit=3)
    assert "lstm.l0.f[2,3]" in draw("cell", [trace], layer="lstm.l0", step=2, unit=3)
    assert "lstm.l1.f[4,3]" in draw("gates", [trace], unit=3)
    whole, forget = draw("cell", [trace]), draw("cell", [trace], gate="f")
    assert "The forget gate of the LSTM cell" in forget
    assert "lstm.l1.f[" in forget
    assert "lstm.l1.o[" in whole
    assert "lstm.l1.o[" not in forget, "what another gate does is faded, without numbers"


NARROW = (
    "cell",
    "network",
    "gates",
    "attention-step",
    "text",
    "feedforward",
    "attention",
    "alignment",
    "heads",
    "attribution",
    "gradient",
    "tree",
)
SHALLOW = ("elman", "attention", "fixed", "gru", "text")  # one layer a stack, which fits side by side


@pytest.mark.parametrize(
    ("name", "kind"),
    sorted({(name, kind) for name, kind, _ in CASES if kind in NARROW and (kind != "network" or name in SHALLOW)}),
)
def test_a_narrow_picture_is_a_layout_of_its_own(name: str, kind: str) -> None:
    for T in (5, 200):
        svg = draw(kind, [traced(name, T)], width=320)
        check(svg)
        assert drawn.size(svg)[0] <= 360, "pixels, margins included"
    wide, narrow = (drawn.titles(draw(kind, [traced(name, 5)], width=width)) for width in (760, 320))
    assert sorted(narrow) == sorted(wide) if kind != "tree" else set(narrow) <= set(wide), "a tree has fewer steps"


@pytest.mark.parametrize(
    ("kind", "request_", "message"),
    [
        ("cel", {}, 'no picture "cel" (did you mean "cell"?)'),
        ("cell", {"unit": 5}, "unit 5 does not exist: there are 5, from 0 to 4"),
        ("cell", {"step": 9}, "step 9 does not exist: there are 5"),
        ("cell", {"layer": "lstm.l7"}, 'there is no layer "lstm.l7"'),
        ("cell", {"width": 300}, "a picture is at least 320 pixels wide: got 300"),
        ("cell", {"gate": "z"}, 'there is no gate "z" in this cell: lstm has f, i, g, o'),
    ],
)
def test_a_request_that_does_not_exist_is_refused(kind: str, request_: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        draw(kind, [traced("lstm", 5)], **request_)


def test_a_trace_without_the_tensors_lists_the_available_pictures() -> None:
    with pytest.raises(
        TraceError,
        match=r'"attention" .* cannot be drawn from a trace of model lstm; available pictures: lineage, network',
    ):
        draw("attention", [traced("lstm", 5)])
    with pytest.raises(TraceError, match="needs a trace: got none"):
        draw("cell", [])


def test_every_colour_of_a_scale_turns_dark_with_the_legend() -> None:
    image = draw("feedforward", [traced("image", 5)])
    units = re.findall(r'<g data-scale="">\n<circle [^>]*><title>feedforward\.l\d', image)
    assert len(units) == image.count("<title>feedforward.l") > 0


def test_a_token_that_is_a_space_can_be_seen() -> None:
    assert [wiring.visible(token) for token in (" ", " the", "row 3")] == ["␣", "␣the", "row 3"]
    assert ">␣</text>" in wiring.word(0, 0, " ")


def test_strange_words_are_escaped() -> None:
    about = Header(
        run="<&>\"'", model_name="lstm", tokens=("\x1b[31m", "<b>", "日本語のとても長い言葉", "", "\n"), answers=("x",)
    )
    tensors = {name: value for name, value in traced("lstm", 5).items() if name not in ("tokens", "spans")}
    for kind in ("text", "gates", "network", "cell"):
        svg = draw(kind, [Trace(about, tensors)])
        assert "\x1b" not in svg
        check(svg)


def test_a_trace_of_nan_and_infinity_can_be_drawn() -> None:
    trace = traced("cross", 5)
    odd = {name: value.clone() for name, value in trace.items()}
    odd["decoder.transformer.l0.weights"][0, 0, 0] = torch.nan
    check(draw("heads", [Trace(trace.about, odd)]))


def test_where_one_sequence_holds_source_and_target_no_step_looks_ahead() -> None:
    svg = draw("network", [small.translation_run("gpt").explain(("abcd", "DCBA"))])
    drawn = re.findall(r"decoder\.transformer\.l\d+\.weights\[(\d+),(\d+),(\d+)\]", svg)
    assert any(int(s) < 5 for _, _, s in drawn), "the source and <sep> are looked at"
    assert any(int(s) > 5 for _, _, s in drawn), "and the target"
    assert all(int(s) <= 5 + int(t) for _, t, s in drawn)
