"""What is known of a plain text before anything is trained on it: what `unrolled data TEXT --task generate` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from unrolled.config import DataConfig
from unrolled.data.corpus import load_corpus
from unrolled.errors import excerpt

__all__ = ["TextPartReport", "TextReport", "inspect_text"]

SHOWN_TOKENS = 12
SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class TextPartReport:
    """One part of the split."""

    files: int
    characters: int
    tokens: int
    unknown: int  # tokens that are <unk>
    begins: str  # its first characters, as a model sees them


@dataclass(frozen=True)
class TextReport:
    """What is understood of a text."""

    source: str
    how: str  # the split, in a sentence
    tokenizer: str
    vocabulary_size: int
    frequent: dict[str, float]  # the most frequent tokens of the training part, and their share of it
    parts: dict[str, TextPartReport]
    problem: str | None = None  # nothing that is readable has one

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)

    def text(self) -> str:
        """Return the report as lines to print."""
        return "\n".join(_lines(self))


def inspect_text(data: object, config: DataConfig) -> TextReport:
    """Read, split and tokenise a text as a training would, and say what comes of it.

    Raises:
        DataError: as `load_corpus`.
    """
    corpus = load_corpus(data, config)
    total = max(1, int(corpus.counts.sum()))
    order = [int(i) for i in (-corpus.counts).argsort(kind="stable")[:SHOWN_TOKENS] if corpus.counts[i]]
    return TextReport(
        corpus.source,
        corpus.how,
        config.tokenizer,
        corpus.tokenizer.vocabulary_size,
        {token: int(corpus.counts[i]) / total for i, token in zip(order, corpus.tokenizer.tokens(order), strict=True)},
        {
            name: TextPartReport(
                part.files,
                part.characters,
                len(part),
                part.unknown,
                corpus.tokenizer.decode(part.ids[:SHOWN_CHARACTERS].tolist()),
            )
            for name, part in corpus.parts.items()
        },
    )


def _lines(report: TextReport) -> Iterator[str]:
    yield f"{report.source}: plain text"
    yield f"split: {report.how}"
    yield ""
    parts = report.parts.values()
    rows = [["", *report.parts]]
    rows += [[what, *(f"{getattr(part, what):,}" for part in parts)] for what in ("files", "characters", "tokens")]
    rows.append(["unknown tokens", *(f"{part.unknown:,}" for part in parts)])
    rows.append(["characters a token", *(f"{part.characters / max(1, part.tokens):.2f}" for part in parts)])
    for cells in rows:
        yield f"{cells[0]:<34}" + "".join(f"{cell:>12}" for cell in cells[1:])
    yield ""
    yield f"vocabulary: {report.vocabulary_size:,} tokens ({report.tokenizer}), learned from the training part"
    often = ", ".join(f'"{excerpt(token, 20)}" {share:.1%}' for token, share in report.frequent.items())
    yield f"most frequent: {often}"
    yield "how the parts begin, as a model sees them:"
    for name, part in report.parts.items():
        yield f"  {name}: {excerpt(part.begins)}"
