"""Issues of tags of spans: tags that break their scheme, and tags of several schemes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from unrolled.data.examples.sentences import Sentences
from unrolled.data.examples.spans import OUTSIDE, ROLES, TAG, Scheme
from unrolled.data.report.issues import SHOWN, Issue, IssueExample, location
from unrolled.data.report.spelling import quoted
from unrolled.errors import excerpt

__all__ = ["scheme_issues"]

SCHEMES: tuple[Scheme, ...] = ("IOB2", "IOBES", "BILOU", "BMES", "IOE")  # from which the nearest is taken
MOSTLY = 0.5  # fraction of the words with a tag other than O, above which a data set has tags of spans
RULES: dict[Scheme, str] = {
    "IOB1": "B- only after a word of the same type",
    "IOB2": "B- at the first word of each span",
    **dict.fromkeys(("IOBES", "BILOU", "BMES"), "each span is closed by its last word"),
}
"""A rule of each scheme that is checked, in words."""

Word = tuple[Sentences, int, int]  # split, index of the sentence, index of the word


def scheme_issues(splits: Mapping[str, Sentences], scheme: Scheme | None) -> Iterator[Issue]:
    """Yield the issues of tags of spans.

    Args:
        splits: the splits by name, train first.
        scheme: scheme of the tags of the training split; None: they have none.
    """
    if scheme is None:
        yield from _mixed(splits)
        return
    candidates: tuple[Scheme, ...] = ("IOB2", "IOB1") if scheme in ("IOB1", "IOB2") else (scheme,)
    found = {each: list(_breaks(splits, each)) for each in candidates if each in RULES}
    if not found or not any(found.values()):
        return
    nearest = min(found, key=lambda each: len(found[each]))
    if words := found[nearest]:
        yield Issue(
            "inconsistent tags",
            len(words),
            f"{len(words):,} word{'s have tags' if len(words) > 1 else ' has a tag'} that break{'s'[len(words) > 1 :]} "
            f"{nearest} ({RULES[nearest]})",
            tuple(_example(*word) for word in words[:SHOWN]),
            "correct them: spans are read from them as by conlleval, which may not be what was meant",
        )


def _mixed(splits: Mapping[str, Sentences]) -> Iterator[Issue]:
    """Yield the issue of tags that fit no scheme, where most of them look like tags of spans."""
    tags = Counter(tag for split in splits.values() for tag in split.tags() if tag != OUTSIDE)
    letters = Counter[str]()
    for tag, count in tags.items():
        if (match := TAG.fullmatch(tag)) and match[2]:
            letters[match[1]] += count
    if letters.total() <= MOSTLY * tags.total() or not letters:
        return
    nearest = max(SCHEMES, key=lambda scheme: sum(letters[letter] for letter in ROLES[scheme]))
    odd = [tag for tag in tags if not ((match := TAG.fullmatch(tag)) and match[2] and match[1] in ROLES[nearest])]
    words = [
        (split, row, index)
        for split in splits.values()
        for row, sentence in enumerate(split.items)
        for index, tag in enumerate(sentence.tags or ())
        if tag in odd
    ]
    yield Issue(
        "mixed tags",
        len(words),
        f"most tags are those of spans in {nearest}, and others are not: {quoted(odd)}",
        tuple(_example(*word) for word in words[:SHOWN]),
        f"write all tags in one scheme, with O and the letters {', '.join(ROLES[nearest])}",
    )


def _breaks(splits: Mapping[str, Sentences], scheme: Scheme) -> Iterator[Word]:
    """Yield the words whose tags break a scheme."""
    for split in splits.values():
        for row, sentence in enumerate(split.items):
            yield from ((split, row, index) for index in sorted({*_broken(sentence.tags or (), scheme)}))


def _broken(tags: Sequence[str], scheme: Scheme) -> Iterator[int]:
    """Yield the indices of the tags of a sentence that break a scheme."""
    before, of = "", ""  # letter and type of the last word; "" after O
    for index, tag in enumerate([*tags, OUTSIDE]):
        match = TAG.fullmatch(tag) if tag != OUTSIDE else None
        letter, kind = (ROLES[scheme].get(match[1], ""), match[2] or "") if match else ("", "")
        opened, same = before in ("B", "I"), kind == of
        if scheme == "IOB1":
            broken = letter == "B" and not (opened and same)
        elif scheme == "IOB2":
            broken = letter == "I" and not (opened and same)
        else:
            broken = letter in ("I", "E") and not (opened and same)
            if opened and not (same and letter in ("I", "E")):
                yield index - 1  # it is not closed
        if broken:
            yield index
        before, of = letter, kind


def _example(split: Sentences, row: int, index: int) -> IssueExample:
    """Return a word with its tag, and those before and after it."""
    sentence = split.items[row]
    words = [f"{word}/{tag}" for word, tag in zip(sentence.words, sentence.tags or (), strict=True)]
    where = location(split.source, split.unit, sentence.lines[index])
    return IssueExample(where, excerpt(" ".join(words[max(0, index - 1) : index + 2])))
