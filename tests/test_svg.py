import re
import struct
import xml.etree.ElementTree as ET
import zlib
from base64 import b64decode

import numpy as np
import pytest

from unrolled import svg
from unrolled.palette import ABOVE, BELOW, CARD, DARK, INK, INVERTED, KEEP, MEMORY, RESET, SHOW, SOFT, WRITE
from unrolled.svg import UNIT, Drawing, Scale

GREY = np.array([0.21, 0.72, 0.07])


@pytest.mark.parametrize("scale", [Scale(0, 1), Scale.gate(KEEP), Scale(1e-6, 1, log=True)])
def test_a_scale_keeps_its_order_in_grey(scale):
    light = scale.palette() @ GREY
    steps = np.diff(light)
    assert (steps <= 0.5).all() or (steps >= -0.5).all(), "rounding alone may turn back"
    assert abs(light[-1] - light[0]) > 150


def test_a_scale_with_a_sign_is_pale_at_zero():
    light = Scale.signed(2).palette() @ GREY
    assert light.argmax() in (127, 128)
    assert light.max() > 240
    assert (np.diff(light[:128]) >= -0.5).all()
    assert (np.diff(light[128:]) <= 0.5).all()
    assert max(light[0], light[-1]) < 60


def test_dark_rules_are_those_of_the_colours_that_are_used():
    drawn = svg.document(9, 9, [svg.box(0, 0, 5, 5, KEEP, stroke="#123456")], paper=CARD)
    assert f'[fill="{KEEP}"]{{fill:{DARK[KEEP]}}}' in drawn
    assert f'[fill="{CARD}"]{{fill:{DARK[CARD]}}}' in drawn
    assert "#123456]" not in drawn
    assert BELOW not in drawn
    assert "invert" not in drawn
    assert "invert" in svg.document(9, 9, [svg.raster(0, 0, 5, 5, np.eye(2), Scale(0, 1), label="x")])
    photo = Scale(0, 1, photo=True)
    assert "invert" not in svg.document(9, 9, [svg.raster(0, 0, 5, 5, np.eye(2), photo, label="x")])


def test_a_scale_without_numbers_is_the_dark_card_where_a_reader_prefers_dark():
    white = 255 * INVERTED + (1 - 2 * INVERTED) * 255  # of CSS: invert()
    card = [int(DARK[CARD][i : i + 2], 16) for i in (1, 3, 5)]
    assert max(abs(white - channel) for channel in card) < 16, "no black hole in the card"


def test_single_marks_in_colours_of_a_scale_turn_dark_with_its_legend():
    mark = svg.scaled(svg.dot(4, 4, 3, Scale(0, 1).colour(0.7)))
    assert "[data-scale]{filter:invert" in svg.document(9, 9, [mark])


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours."""
    values = np.array([[int(each[i : i + 2], 16) / 255 for i in (1, 3, 5)] for each in (one, other)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ np.array([0.2126, 0.7152, 0.0722]) + 0.05)
    return high / low


@pytest.mark.parametrize("colour", [INK, SOFT, MEMORY, KEEP, WRITE, SHOW, RESET, ABOVE, BELOW])
def test_texts_are_legible_on_both_backgrounds(colour):
    assert contrast(colour, CARD) >= 4.8
    assert contrast(DARK[colour], DARK[CARD]) >= 4.8


def test_indices_on_a_scale():
    values = np.array([-9, -1, 0, 1, 9, np.nan, np.inf, -np.inf])
    assert Scale.signed(1).indices(values).tolist() == [0, 0, 128, 255, 255, 0, 255, 0]
    assert Scale(1e-4, 1, log=True).indices(np.array([0, 1e-4, 1e-2, 1])).tolist() == [0, 0, 128, 255]
    assert Scale(3, 3).indices(np.array([3.0])).tolist() == [0]
    assert Scale(0, 1).colour(0) == "#ffffff"


def test_a_raster_is_the_matrix_as_pixels():
    values = np.arange(6.0).reshape(2, 3) / 5
    image = ET.fromstring(svg.raster(1, 2, 30, 20, values, Scale(0, 1), label="<x>", rows="0-1"))
    assert image.get("data-rows") == "0-1"
    assert image.findtext("title") == "<x>"
    png = b64decode(image.get("href").removeprefix("data:image/png;base64,"))
    found, at = {}, 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + data)
        found[kind], at = data, at + 12 + size
    assert struct.unpack(">II", found[b"IHDR"][:8]) == (3, 2)
    lines = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(2, 4)
    assert (lines[:, 0] == 0).all()
    colours = np.frombuffer(found[b"PLTE"], np.uint8).reshape(-1, 3)
    assert (colours[lines[:, 1:]] == Scale(0, 1).palette()[Scale(0, 1).indices(values)]).all()
    assert svg.raster(0, 0, 1, 1, np.zeros((0, 3)), Scale(0, 1), label="") == ""


def test_texts_are_shortened_and_wrapped_by_their_columns():
    assert svg.shorten("short", 100) == "short"
    assert svg.shorten("x" * 50, 10 * UNIT) == "x" * 9 + "…"
    assert svg.columns("日本e\u0301") == 5
    lines = svg.wrapped("one two three four", 9 * UNIT)
    assert lines == ["one two", "three", "four"]
    assert "\x1b" not in svg.text(0, 0, "\x1b[0m")


def test_drawings_side_by_side_and_stacked():
    a, b = Drawing(10, 5, "<a/>"), Drawing(20, 8, "<b/>")
    assert svg.side_by_side([a, b], 3)[:2] == (33, 8)
    assert svg.stack([a, b], 3)[:2] == (20, 16)
    assert re.findall(r"translate\((.*?)\)", svg.stack([a, b], 3).body) == ["0 0", "0 8"]
    assert svg.stack([])[:2] == (0, 0)


def test_a_document_has_a_title_and_a_description_for_screen_readers():
    root = ET.fromstring(
        svg.document(10, 5, [svg.dot(1, 1, 1, "#000000", name="a < b")], title="T & U", description="D")
    )
    names = [element.text for element in root if element.tag.endswith(("title", "desc"))]
    assert names == ["T & U", "D"]
    assert root.get("role") == "img"
    assert root[-1][0].text == "a < b"


def test_lines_end_in_arrows_and_boxes_without_area_are_none():
    assert svg.box(0, 0, 0, 5, "#000000") == ""
    assert svg.line([(0, 0), (10, 0)], arrow=True).count("polygon") == 1
    assert "10.0,0.0" in svg.line([(0, 0), (10, 0)], arrow=True)
    assert svg.curve((0, 0), (10, 20)).count("C0.0 10.0 10.0 10.0 10.0 20.0") == 1


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("\U0001f469\u200d\U0001f467", "\U0001f469\u200d\U0001f467"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\u200d", "\\u200d"),
        ("a \u200d", "a \\u200d"),
        ("\ufe0f", "\\ufe0f"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("\u0301", "◌\u0301"),
    ],
)
def test_joiners_stay_between_characters_and_lone_marks_are_visible(words: str, shown: str) -> None:
    assert svg.visible(words) == shown


def test_texts_without_spaces_are_broken_to_fit() -> None:
    lines = svg.wrapped("忘" * 28 + " end", 10 * svg.UNIT)
    assert [len(line) for line in lines] == [5, 5, 5, 5, 5, 3 + 4]


def test_a_subscript_is_lowered_and_what_follows_is_not():
    drawn = svg.subscripts(svg.text(0, 10, "W_x x + b_1"))
    tree = ET.fromstring(drawn)
    assert "".join(tree.itertext()).replace("\u200b", "") == "Wx x + b1"
    assert [(part.text, part.get("dy")) for part in tree] == [
        ("x", "3"), ("\u200b", "-3"), ("1", "3"), ("\u200b", "-3"),
    ]  # fmt: skip
