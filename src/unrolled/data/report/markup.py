"""Issues of texts that other programs left behind: UTF-8 read as Windows-1252 (naÃ¯ve), tags and entities of HTML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from unrolled.data.examples.labelled import Examples
from unrolled.data.reading.remedies import rewriting
from unrolled.data.report.checks import issue_example
from unrolled.data.report.issues import SHOWN, Issue

__all__ = ["markup_issues"]

FREQUENT = 0.02  # of the texts; fewer may be about such characters
WINDOWS = (
    r"\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    r"\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
)
NEXT = rf"[\x80-\xbf{WINDOWS}]"
"""A byte of UTF-8 that continues a character, as Latin-1 or Windows-1252 reads it."""
TWICE = rf"[\xc2\xc3]{NEXT}|\xe2[\x80\x82\x84\u20ac\u201a\u201e]{NEXT}|\xf0[\x9f\u0178]{NEXT}{NEXT}"
"""Accented letters, quotes, signs and emoji encoded twice; what other characters become may be meant, as in French."""
TAG = r"</?(br|p|b|i|u|a|em|strong|div|span|li|ul|ol|img|h[1-6]|table|tr|td|font|blockquote)(\s[^<>\n]*)?/?>"
ENTITY = r"&(amp|lt|gt|quot|apos|nbsp|#[0-9]{1,5}|#x[0-9a-fA-F]{1,4});"
READ_ONCE = (
    f'import sys, re; print(end=re.sub(r"{TWICE}", lambda m: b"".join(c.encode("latin-1" if c < "\\u0100" else '
    '"cp1252") for c in m[0]).decode("utf-8", "replace"), sys.stdin.read()))'
)
WITHOUT_HTML = (  # no quote or line end is written, which would divide a row
    f'import sys, re, html; text = re.sub(r"(?i){TAG}|&#(9|10|13);", " ", sys.stdin.read()); '
    'print(end=html.unescape(re.sub("&(quot|#34);", "\\x27", text)))'
)
ISSUES = (  # kind, pattern, the rest of the sentence, part of the new file's name, program that writes it
    ("encoded twice", TWICE, "that seem to be UTF-8, read as Windows-1252 and written again", "once", READ_ONCE),
    ("HTML", f"(?i){TAG}|{ENTITY}", "with tags or entities of HTML, which are read as text", "plain", WITHOUT_HTML),
)


def markup_issues(splits: Mapping[str, Examples]) -> Iterator[Issue]:
    """Yield the issues of texts that seem to be encoded twice, and of texts with HTML, where they are frequent.

    Args:
        splits: the splits by name.
    """
    for kind, pattern, rest, part, program in ISSUES:
        search = re.compile(pattern).search
        found = [
            (split, index) for split in splits.values() for index, text in enumerate(split.texts()) if search(text)
        ]
        if len(found) > FREQUENT * sum(map(len, splits.values())):
            yield Issue(
                kind,
                len(found),
                f"{len(found):,} {'text' if len(found) == 1 else 'texts'} {rest}",
                tuple(issue_example(split, index) for split, index in found[:SHOWN]),
                f"write them anew: {rewriting(f'python -c {shlex.quote(program)}', found[0][0].source, part)}",
            )
