"""Forms of strings."""

import pytest

from unrolled.strings import comparable, has_visible, normalized, words_of


def test_words_end_at_spaces_tabs_and_line_ends_only() -> None:
    assert words_of("  a\tb \r\n c\n") == ["a", "b", "c"]
    for space in "\u00a0\u2007\u202f\u3000\u0085\u2028\u2029\u001c\u001f\u000b\u000c\u1680":
        assert words_of(f"a{space}b c") == [f"a{space}b", "c"]
    assert words_of(" \t\n") == []


def test_normal_forms() -> None:
    assert normalized("e\u0301\uff41", "none") == "e\u0301\uff41"
    assert normalized("e\u0301\uff41", "nfc") == "\u00e9\uff41"
    assert normalized("e\u0301\uff41", "nfkc") == "\u00e9a"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("caf\u00e9", "CAFE\u0301"),
        ("a\u00a0b", " a  b"),
        ("fine\u200b film\ufeff", "fine film"),
        ("\uff21", "a"),
        ("stra\u00dfe", "STRASSE"),
        ("\u1e9e", "ss"),
        ("\u2764\ufe0f", "\u2764"),
    ],
)
def test_texts_that_compare_equal(first: str, second: str) -> None:
    assert comparable(first) == comparable(second)


def test_texts_that_compare_different() -> None:
    assert len({comparable(text) for text in ("e", "\u00e9", "e f", "ef", "1", "1.0", "\u0915\u094d", "\u0915")}) == 8


def test_visible_characters() -> None:
    for blank in (
        "",
        " \t\n",
        "\u00a0",
        "\u200b\u200d",
        "\u3164",
        "\u2800",
        "\u00ad",
        "\ufe0f",
        "\u202e\u202c",
        "\x1b",
    ):
        assert not has_visible(blank), repr(blank)
    for text in (".", "a\u200b", "\u0301", "\u3042", "\u2764", "\U0001f600"):
        assert has_visible(text), repr(text)
