"""What is known of pairs before anything is trained on them: what `unrolled data FILE --task translate` prints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from unrolled.config import DataConfig
from unrolled.data.assign import fold
from unrolled.data.encoding.pairs import PairSequences, PairTokenizers
from unrolled.data.encoding.tokenizers import UNK
from unrolled.data.examples.pairs import SIDES, TASK, Pair, PairedTexts
from unrolled.data.reading.counts import Counts, Skipped
from unrolled.data.reading.objects import PYTHON
from unrolled.data.reading.rows import Row
from unrolled.data.reading.sources import DataSource, open_source
from unrolled.data.report.charts import Bins, Histogram, Panel, bins
from unrolled.data.report.checks import Repeats, unknown_issues
from unrolled.data.report.issues import SHOWN, Issue, IssueExample, Report, spread, table
from unrolled.data.splits.pairs import split_pairs
from unrolled.errors import DataError, excerpt

__all__ = ["PairReport", "PairSplitReport", "inspect_pairs"]

GUESSED_FROM = 200  # rows
SHOWN_EXAMPLES = 3
UNLIKE = 9  # times as many characters on one side as on the other, from which they are hardly each other's translation
SHORT = 20  # characters; below it such a ratio says nothing


@dataclass(frozen=True)
class PairSplitReport:
    """One part of the split; what is said by side has the keys "source" and "target"."""

    pairs: int
    sources: int  # different ones
    several: int  # of these, with more than one target
    tokens: dict[str, dict[str, float]]  # by side, of a text: min, median, mean, 95 %, max
    unknown_rate: dict[str, float]  # by side, share of the tokens that are <unk>


@dataclass(frozen=True)
class PairReport(Report):
    """What is understood of pairs; where the columns that were asked for are missing, what to ask for instead."""

    source: str
    format: str
    columns: tuple[str, ...]  # all there are, where they have names
    problem: str | None = None  # why the rest is empty
    likely: dict[str, str] = field(default_factory=dict)  # {"source": column, "target": column}, a guess
    how: str = ""  # the split, in a sentence
    loaded: dict[str, Counts] = field(default_factory=dict)  # by file
    skipped: tuple[tuple[str, Skipped], ...] = ()  # (file, row), the first of each file
    splits: dict[str, PairSplitReport] = field(default_factory=dict)
    tokenizers: dict[str, str] = field(default_factory=dict)  # by side
    vocabulary_sizes: dict[str, int] = field(default_factory=dict)  # by side
    shared_vocabulary: bool = False
    lengths: dict[str, Bins] = field(default_factory=dict)  # by side, in tokens
    repeats: dict[str, int] = field(default_factory=dict)  # pairs whose source stood before
    examples: tuple[dict[str, str], ...] = ()  # source and target, each also decoded back from its ids
    issues: tuple[Issue, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the columns, the counts, the parts, the first pairs; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths of both sides; see `Report`."""
        return [
            Histogram(f"{self.source}: length of the {side}s", "tokens", found) for side, found in self.lengths.items()
        ]


class SourceRepeats(Repeats[PairedTexts]):
    """Sources that stand in several rows, which is no conflict: each target is a reference."""

    ONE, MANY = "a source", "sources"

    def keys(self, part: PairedTexts) -> Iterator[int]:
        """The first 64 bits of each source's SHA-256."""
        for text in part.sources():
            yield int.from_bytes(hashlib.sha256(fold(text).encode()).digest()[:8])

    def classes(self, part: PairedTexts) -> Iterator[int]:
        """All the same."""
        return (0 for _ in range(len(part)))

    def issue_example(self, part: PairedTexts, index: int) -> IssueExample:
        """With both sides."""
        return _issue_example(part, part.items[index])


def inspect_pairs(data: object, config: DataConfig) -> PairReport:
    """Read, split and tokenise pairs as a training would, and say what comes of it.

    Raises:
        DataError: as `split_pairs`, but for a column that a file does not have: then the report says which there are.
    """
    data_source = open_source(data, TASK)
    columns = data_source.columns()
    missing = [
        name for name in (config.source, config.target) if columns and not data_source.fixed and name not in columns
    ]
    if missing:
        problem = " and ".join(f'no column "{name}"' for name in missing)
        return PairReport(data_source.source, data_source.form, columns, problem, _likely(data_source, columns))
    splits = split_pairs(data, config)
    tokenizers = PairTokenizers.learn(splits.train, config)
    sides = dict(zip(SIDES, (tokenizers.source, tokenizers.target), strict=True))
    parts = {name: part for name, part in splits.named().items() if part}
    cut = {name: PairSequences(tokenizers, part) for name, part in parts.items()}
    lengths = {name: dict(zip(SIDES, pairs.tokens.numpy().T, strict=True)) for name, pairs in cut.items()}
    reports = {name: _part(part, cut[name]) for name, part in parts.items()}
    repeats = SourceRepeats(parts, ("",))
    return PairReport(
        data_source.source,
        data_source.form,
        columns,
        how=splits.how,
        loaded={loaded.source: loaded.counts for loaded in splits.loaded},
        skipped=tuple((loaded.source, row) for loaded in splits.loaded for row in loaded.skipped),
        splits=reports,
        tokenizers={side: tokenizer.kind for side, tokenizer in sides.items()},
        vocabulary_sizes={side: tokenizer.vocabulary_size for side, tokenizer in sides.items()},
        shared_vocabulary=tokenizers.shared,
        lengths={side: bins({name: found[side] for name, found in lengths.items()}) for side in SIDES},
        repeats=repeats.counts(),
        examples=tuple(
            {side: getattr(pair, side) for side in SIDES}
            | {f"{side}_decoded": sides[side].decode(*sides[side].encode([getattr(pair, side)])) for side in SIDES}
            for pair in splits.train.items[:SHOWN_EXAMPLES]
        ),
        issues=(
            *repeats.issues(),
            *_twice(parts),
            *_odd(parts),
            *_unfit(parts, cut, config.max_length),
            *unknown_issues(
                {f"the {side}s of {name}": part.unknown_rate[side] for name, part in reports.items() for side in SIDES}
            ),
        ),
    )


def _part(part: PairedTexts, pairs: PairSequences) -> PairSplitReport:
    references = part.references()
    return PairSplitReport(
        pairs=len(part),
        sources=len(references),
        several=sum(len(targets) > 1 for targets in references.values()),
        tokens={side: spread(lengths) for side, lengths in zip(SIDES, pairs.tokens.numpy().T, strict=True)},
        unknown_rate={
            side: int((found.ids == UNK).sum()) / int(count)
            for side, found, count in zip(SIDES, (pairs.sources, pairs.targets), pairs.tokens.sum(dim=0), strict=True)
        },
    )


def _likely(data_source: DataSource, columns: Sequence[str]) -> dict[str, str]:
    """Guess: source and target are the two columns with the longest texts, in their order."""
    once = [name for name in columns if list(columns).count(name) == 1]
    rows = (row.values for row in data_source.rows(once) if isinstance(row, Row))
    try:
        values = dict(zip(once, zip(*islice(rows, GUESSED_FROM), strict=True), strict=False))
    except DataError:
        return {}
    texts = {name: sum(map(len, column)) for name, column in values.items() if all(isinstance(v, str) for v in column)}
    longest = sorted(texts, key=lambda name: -texts[name])[:2]
    return dict(zip(SIDES, (name for name in texts if name in longest), strict=True)) if len(longest) == 2 else {}


def _twice(parts: Mapping[str, PairedTexts]) -> Iterator[Issue]:
    """Yield pairs that stand in a part more than once."""
    found: list[tuple[PairedTexts, Pair]] = []
    for part in parts.values():
        seen: set[bytes] = set()
        for pair in part.items:
            key = hashlib.sha256(f"{len(pair.source)} {pair.source}{pair.target}".encode()).digest()[:8]
            if key in seen:
                found.append((part, pair))
            seen.add(key)
    yield from _issue("repeated pairs", found, "stand there more than once", "leave the repetitions out")


def _odd(parts: Mapping[str, PairedTexts]) -> Iterator[Issue]:
    """Yield pairs whose sides are the same, or of very unlike length."""
    checks: tuple[tuple[str, Callable[[Pair], bool], str, str], ...] = (
        (
            "identical sides",
            lambda pair: pair.source == pair.target,
            "have a target that is the source",
            "leave them out, unless copying is to be learned",
        ),
        (
            "unlike lengths",
            lambda pair: _unlike(len(pair.source), len(pair.target)),
            f"have a side with more than {UNLIKE} times the characters of the other",
            "look whether they belong together: a row that slipped shifts all after it",
        ),
    )
    for kind, odd, what, advice in checks:
        found = [(part, pair) for part in parts.values() for pair in part.items if odd(pair)]
        yield from _issue(kind, found, what, advice)


def _unlike(one: int, other: int) -> bool:
    return max(one, other) > max(SHORT, UNLIKE * min(one, other))


def _unfit(parts: Mapping[str, PairedTexts], cut: Mapping[str, PairSequences], most: int) -> Iterator[Issue]:
    """Yield pairs that a training would refuse."""
    for kind, rows, what, advice in (
        (
            "long sequences",
            {name: pairs.longer(most).any(dim=1) for name, pairs in cut.items()},
            f"have a side of more tokens than the limit of {most:,}",
            "cut them with --truncate, allow more with --max-length, or leave them out with --on-bad-row skip",
        ),
        (
            "unknown sources",
            {name: pairs.unknown() for name, pairs in cut.items()},
            "have a source of unknown tokens only",
            "try --source-tokenizer bpe or byte, or leave them out with --on-bad-row skip",
        ),
    ):
        found = [(parts[name], parts[name].items[int(row)]) for name, these in rows.items() for row in these.nonzero()]
        yield from _issue(kind, found, what, advice)


def _issue(kind: str, found: Sequence[tuple[PairedTexts, Pair]], what: str, advice: str) -> Iterator[Issue]:
    """Yield a issue about pairs, if there are any."""
    if found:
        said = f"{len(found):,} pair{'s'[: len(found) > 1]} {what if len(found) > 1 else _one(what)}"
        yield Issue(kind, len(found), said, tuple(_issue_example(*each) for each in found[:SHOWN]), advice)


def _one(what: str) -> str:
    """What is said of many, of one."""
    verb, _, rest = what.partition(" ")
    return f"{'has' if verb == 'have' else verb + 's'} {rest}"


def _issue_example(part: PairedTexts, pair: Pair) -> IssueExample:
    file = "" if part.source == PYTHON else f"{part.source}, "
    return IssueExample(f"{file}{part.unit} {pair.line}", f"{excerpt(pair.source, 38)} | {excerpt(pair.target, 38)}")


def _lines(report: PairReport) -> Iterator[str]:
    columns = ", ".join(f'"{excerpt(name, 40)}"' for name in report.columns)
    yield f"{report.source}: {report.format}" + (f" with the columns {columns}" if columns else "")
    if report.problem:
        yield f"{report.problem} to read from"
        options = " ".join(f'--{side} "{excerpt(name, 40)}"' for side, name in report.likely.items())
        yield f"likely: {options}" if options else "say which columns to read with --source and --target"
        return
    for source, counts in report.loaded.items():
        yield f"{source}: {counts}"
    for source, row in report.skipped:
        yield f"  skipped: {source}, {row}"
    yield f"split: {report.how}"
    yield ""
    parts = list(report.splits.values())
    rows = [["", *report.splits], ["pairs", *(f"{part.pairs:,}" for part in parts)]]
    rows.append(["different sources", *(f"{part.sources:,}" for part in parts)])
    rows.append(["  with several targets", *(f"{part.several:,}" for part in parts)])
    for side in SIDES:
        for name in parts[0].tokens[side]:
            rows.append([f"tokens of a {side}, {name}", *(f"{part.tokens[side][name]:,.4g}" for part in parts)])
        rows.append([f"unknown tokens of {side}s", *(f"{part.unknown_rate[side]:.1%}" for part in parts)])
    yield from table(rows)
    yield ""
    sizes, kinds = report.vocabulary_sizes, report.tokenizers
    said = {side: f"{sizes[side]:,} tokens ({kinds[side]})" for side in SIDES}
    both = f"{said['source']} of both sides" if report.shared_vocabulary else " to ".join(said.values())
    yield f"vocabulary: {both}, learned from the training split"
    again = ", ".join(f"{count:,} {where}" for where, count in report.repeats.items() if count)
    yield f"pairs whose source stood before: {again or 'none'}"
    yield "the first pairs, and what a model sees of them:"
    for example in report.examples:
        yield f"  {excerpt(example['source'], 50)} | {excerpt(example['target'], 50)}"
        yield f"    {excerpt(example['source_decoded'], 50)} | {excerpt(example['target_decoded'], 50)}"
