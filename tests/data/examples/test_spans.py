"""Spans of tags, equal to seqeval's on random sequences, malformed ones included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from unrolled.data.examples.spans import ROLES, Scheme, Span, scheme_of, spans
from unrolled.errors import DataError

TYPES = ("PER", "LOC", "A-B")
SCHEMES = list(ROLES)


def tags_of(scheme: Scheme) -> list[str]:
    return ["O", *(f"{letter}-{kind}" for letter in ROLES[scheme] for kind in TYPES)]


def seqevals(tags: list[str], scheme: Scheme) -> list[Span]:
    """Return seqeval's spans; it knows the letters of IOBES only."""
    known = [tag if tag == "O" else ROLES[scheme][tag[0]] + tag[1:] for tag in tags]
    return [Span(kind, start, last + 1) for kind, start, last in get_entities(known)]


@given(st.data(), st.sampled_from(SCHEMES))
def test_any_sequence_has_the_spans_of_seqeval(data: st.DataObject, scheme: Scheme) -> None:
    tags = data.draw(st.lists(st.sampled_from(tags_of(scheme)), max_size=12))
    assert spans(tags, scheme) == seqevals(tags, scheme)


@given(st.lists(st.sampled_from("OBI"), max_size=12))
def test_letters_alone_are_spans_of_one_type(tags: list[str]) -> None:
    assert spans(tags, "IOB2") == [span._replace(type="") for span in seqevals(tags, "IOB2")]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        (("I-PER", "O", "I-LOC", "B-LOC"), "IOB1"),  # CoNLL-2003 as published: no B-PER
        (("I-PER", "O"), "IOB1"),
        (("O", "B-NP", "I-NP", "B-VP"), "IOB2"),
        (("B_PER", "I_PER", "O"), "IOB2"),
        (("B-A", "I-A", "E-A", "S-A", "O"), "IOBES"),
        (("B-A", "E-A", "S-B"), "IOBES"),
        (("B-A", "I-A", "L-A", "U-A", "O"), "BILOU"),
        (("B", "M", "E", "S"), "BMES"),
        (("B-A", "M-A", "E-A", "W-A", "O"), "BMES"),
        (("I-A", "E-A", "O"), "IOE"),
        (("B", "I", "O"), "IOB2"),
        (("NOUN", "VERB", "O"), None),
        (("O",), None),
        ((), None),
        (("S", "O"), None),  # subject, object
        (("B", "O"), None),
        (("B-A", "L-A", "M-A"), None),
        (("B-A", "I-A", "-A"), None),
        (("B-", "I-"), None),
        (("b-A", "i-A", "O"), None),
    ],
)
def test_the_scheme_follows_from_the_letters(tags: tuple[str, ...], scheme: Scheme | None) -> None:
    assert scheme_of(tags) == scheme
    assert scheme_of(reversed(tags * 2)) == scheme


def test_underscores_stand_for_hyphens() -> None:
    assert spans(["B_PER", "I_PER", "O", "B_A_B"], "IOB2") == [Span("PER", 0, 2), Span("A_B", 3, 4)]


def test_a_tag_of_another_scheme_is_refused() -> None:
    with pytest.raises(DataError, match="'U-PER' is not of the scheme IOB2"):
        spans(["O", "U-PER"], "IOB2")
