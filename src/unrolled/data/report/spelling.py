"""Issues of spelling: labels that mean the same or hold several labels, texts that differ though they look alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from unrolled.config import DataConfig
from unrolled.config.data import LABEL_SEPARATOR
from unrolled.data.examples.labelled import meaning_of
from unrolled.data.examples.labels import label_form
from unrolled.data.report.issues import SHOWN, Issue, IssueExample
from unrolled.errors import excerpt
from unrolled.strings import has_visible

__all__ = ["label_spelling_issues", "quoted", "similar", "text_spelling_issues"]

SEPARATORS = ";|,/+&\t"
QUOTES = " \"'[](){}<>"
NAMED = 8  # labels in a sentence
GROUPS = 4  # of labels, in a sentence
SAME = "write them the same way"

P = TypeVar("P")


def similar(labels: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of labels that differ only in case, spaces, Unicode form or the digits of a number."""
    groups: dict[str | Fraction, list[str]] = {}
    for label in labels:
        groups.setdefault(meaning_of(label), []).append(label)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def label_spelling_issues(labels: Sequence[str], *, flags: bool = True, texts: bool = False) -> Iterator[Issue]:
    """Yield the issues of labels that mean the same, or hold several labels.

    Args:
        labels: the different labels.
        flags: whether the task has --strip-labels and --fold-labels.
        texts: whether they are labels of texts, which may have several.
    """
    if groups := similar(labels):
        shown = "; ".join(map(quoted, groups[:GROUPS]))
        more = f"; and {len(groups) - GROUPS:,} more groups" if len(groups) > GROUPS else ""
        yield Issue(
            "similar labels",
            sum(map(len, groups)),
            f"labels that differ only in case, spaces, Unicode form or the digits of a number: {shown}{more}",
            (),
            f"{_remedy(groups) if flags else SAME}, if they mean the same: each is a class of its own",
        )
    spaced = [label for label in labels if label != label.strip()]
    if spaced:
        yield Issue(
            "spaces around labels",
            len(spaced),
            "labels that begin or end with a space: " + quoted(spaced),
            (),
            "add --strip-labels: the spaces are part of the label" if flags else "remove the spaces",
        )
    for separator in SEPARATORS:
        if joint := _joint(labels, separator):
            yield Issue(
                "joint labels",
                len(joint),
                f'labels that seem to be several, with "{excerpt(separator)}" between them: {quoted(joint)}',
                (),
                f"each is a class of its own: {_flags(separator) if texts else 'keep one label for each'}, unless the "
                "combinations are meant as classes",
            )


def _remedy(groups: Iterable[Sequence[str]]) -> str:
    """Return the advice that makes the labels of each group equal: flags, or else another spelling."""
    for flags in (("strip_labels",), ("fold_labels",), ("strip_labels", "fold_labels")):
        form = label_form(DataConfig(**dict.fromkeys(flags, True)))
        if all(len(set(map(form, group))) == 1 for group in groups):
            return "add " + " ".join(f"--{flag.replace('_', '-')}" for flag in flags)
    return SAME


def _flags(separator: str) -> str:
    """Return the flags that read several labels a text with this separator."""
    written = separator.replace("\t", "\\t")
    other = f' --label-separator "{written}"' if separator != LABEL_SEPARATOR else ""
    return f"to answer several labels a text, add --multi-label{other}"


def text_spelling_issues(
    splits: Mapping[str, P],
    texts: Callable[[P], Iterable[str]],
    issue_example: Callable[[P, int], IssueExample],
    *,
    units: str,
    normalize: str,
) -> Iterator[Issue]:
    """Yield the issues of texts without a visible character, and of texts that Unicode's normal form would change.

    Args:
        splits: the splits by name.
        texts: split -> the text of each row.
        issue_example: (split, index of a row) -> example.
        units: plural noun for the texts.
        normalize: the form to which the tokenizer brings texts: none, nfc or nfkc.
    """
    blank, decomposed = _Found(), _Found()
    for split in splits.values():
        for index, text in enumerate(texts(split)):
            if not has_visible(text):
                blank.add(split, index, issue_example)
            if normalize == "none" and not unicodedata.is_normalized("NFC", text):
                decomposed.add(split, index, issue_example)
    if blank.count:
        yield Issue(
            "invisible texts",
            blank.count,
            f"{blank.of(units)} of invisible characters only, as U+00A0 or U+200B",
            tuple(blank.examples),
            "remove these rows: they are used as if they had content",
        )
    if decomposed.count:
        yield Issue(
            "Unicode forms",
            decomposed.count,
            f"{decomposed.of(units)} with decomposed characters: e and an accent, in place of é",
            tuple(decomposed.examples),
            "add --normalize nfc, so that both spellings are read, split and compared as one",
        )


class _Found:
    """Number of rows with a fault, and the first ones as examples."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[IssueExample] = []

    def of(self, units: str) -> str:
        """Return the number of rows in words.

        Args:
            units: plural noun for the rows.
        """
        return f"{self.count:,} {units.removesuffix('s') if self.count == 1 else units}"

    def add(self, split: P, index: int, issue_example: Callable[[P, int], IssueExample]) -> None:
        """Count a row."""
        self.count += 1
        if self.count <= SHOWN:
            self.examples.append(issue_example(split, index))


def _joint(labels: Sequence[str], separator: str) -> list[str]:
    """Return the labels that a separator divides into parts, all of which occur in other labels, too."""
    parts = {label: [part.strip(QUOTES) for part in label.split(separator)] for label in labels}
    labels_with: dict[str, set[str]] = {}
    for label, each in parts.items():
        for part in each:
            labels_with.setdefault(part, set()).add(label)
    return [
        label
        for label, each in parts.items()
        if len(each) > 1 and all(part and len(labels_with[part]) > 1 for part in each)
    ]


def quoted(labels: Sequence[str]) -> str:
    """Return the first labels in quotes, and the number of the others."""
    shown = ", ".join(f'"{excerpt(label, 30)}"' for label in labels[:NAMED])
    return shown + (f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else "")
