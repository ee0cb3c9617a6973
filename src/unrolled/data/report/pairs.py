"""Report on pairs: columns, lengths, vocabularies, repeats (`unrolled data FILE --task translate`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from unrolled.config import DataConfig
from unrolled.data.encoding.pairs import PairSequences, PairTokenizers, bad_rows, first_fault
from unrolled.data.encoding.tokenizers import UNK
from unrolled.data.examples.pairs import SIDES, TASK, Pair, PairedTexts
from unrolled.data.reading.faults import Faults
from unrolled.data.reading.sources import DataSource, open_source
from unrolled.data.report.charts import Bins, Histogram, Panel, bins
from unrolled.data.report.checks import Repeats, key_of, unknown_issues
from unrolled.data.report.columns import (
    ColumnReport,
    form_of,
    is_numeric,
    missing_columns,
    open_table,
    sample,
    table_issues,
    text_lengths,
)
from unrolled.data.report.issues import SHOWN, Issue, IssueExample, Report, location
from unrolled.data.report.refused import EmptyReport, refusals
from unrolled.data.report.spelling import text_spelling_issues
from unrolled.data.report.tables import SplitTable, duplicates, skipped_rows, spread
from unrolled.data.splits.pairs import PairSplits, split_pairs
from unrolled.display import Displayed
from unrolled.errors import ConfigError, excerpt

__all__ = ["PairReport", "PairSplitReport", "inspect_pairs", "ruinous_issues"]

SHOWN_EXAMPLES = 3
UNLIKE = 9  # ratio of the lengths of source and target, above which they are hardly translations
SHORT = 20  # characters; the ratio of shorter texts is not checked


@dataclass(frozen=True, repr=False)
class PairSplitReport(Displayed):
    """Statistics of a split; values by side have the keys "source" and "target"."""

    pairs: int
    sources: int  # different sources
    several: int  # of these, with more than one target
    tokens: dict[str, dict[str, float]]  # by side, of a text: min, median, mean, 95 %, max
    unknown_rate: dict[str, float]  # by side, fraction of the tokens that are <unk>


@dataclass(frozen=True, repr=False)
class PairReport(ColumnReport):
    """Report on pairs of texts."""

    splits: dict[str, PairSplitReport] = field(default_factory=dict)
    tokenizers: dict[str, str] = field(default_factory=dict)  # by side
    vocabulary_sizes: dict[str, int] = field(default_factory=dict)  # by side
    shared_vocabulary: bool = False
    lengths: dict[str, Bins] = field(default_factory=dict)  # by side, in tokens
    repeats: dict[str, int] = field(default_factory=dict)  # pairs with a repeated source
    examples: tuple[dict[str, str], ...] = ()  # source and target, and both decoded from their ids
    issues: tuple[Issue, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield columns, counts, splits, the first pairs; see `Report`."""
        return _lines(self)

    def panels(self) -> list[Panel]:
        """Return the lengths of both sides; see `Report`."""
        return [
            Histogram(f"{self.source}: length of the {side}s", "tokens", lengths)
            for side, lengths in self.lengths.items()
        ]


class SourceRepeats(Repeats[PairedTexts]):
    """Repeated sources. They are no conflict: each target is a reference."""

    ONE, MANY = "a source", "sources"

    def keys(self, split: PairedTexts) -> Iterator[int]:
        """Yield the first 64 bits of each source's SHA-256."""
        return map(key_of, split.sources())

    def classes(self, split: PairedTexts) -> Iterator[int]:
        """Yield 0 for each pair."""
        return (0 for _ in range(len(split)))

    def issue_example(self, split: PairedTexts, index: int) -> IssueExample:
        """Return a pair with both sides."""
        return _issue_example(split, split.items[index])


def inspect_pairs(data: object, config: DataConfig) -> Report:
    """Read, split and tokenize pairs as a training does, and return the report.

    Raises:
        DataError: no row can be read.
    """
    data_source, headerless = open_table(data, TASK, config)
    columns = data_source.columns()
    if problem := missing_columns(data_source, (config.source, config.target)):
        table = open_source(data, TASK, config.model_copy(update={"header": False})) if headerless else data_source
        return PairReport(
            data_source.source,
            form_of(data_source),
            columns,
            problem,
            _likely(table),
            headerless,
            numeric=is_numeric(data_source),
        )
    faults = Faults(collect=True)
    splits = split_pairs(data, config, faults)
    loaded = {table.source: table for table in splits.loaded}
    if not splits.train:
        return EmptyReport.of(loaded, faults)
    try:
        tokenizers = PairTokenizers.learn(splits.train, config)
    except ConfigError as error:
        return EmptyReport.of(loaded, faults, error)
    sides = dict(zip(SIDES, (tokenizers.source, tokenizers.target), strict=True))
    pairs = {name: split for name, split in splits.named().items() if split}
    encoded = {name: PairSequences(tokenizers, split) for name, split in pairs.items()}
    lengths = {name: dict(zip(SIDES, ids.tokens.numpy().T, strict=True)) for name, ids in encoded.items()}
    reports = {name: _split_report(split, encoded[name]) for name, split in pairs.items()}
    repeats = SourceRepeats(pairs, ("",))
    for name, split in pairs.items():
        if found := first_fault(split, tokenizers, _bad_rows(encoded[name], config), config):
            faults.add(found)
    return PairReport(
        data_source.source,
        form_of(data_source),
        columns,
        how=splits.how,
        loaded={name: table.counts for name, table in loaded.items()},
        skipped=skipped_rows(loaded),
        refusals=refusals(faults),
        splits=reports,
        tokenizers={side: tokenizer.kind for side, tokenizer in sides.items()},
        vocabulary_sizes={side: tokenizer.vocabulary_size for side, tokenizer in sides.items()},
        shared_vocabulary=tokenizers.shared,
        lengths={side: bins({name: sides[side] for name, sides in lengths.items()}) for side in SIDES},
        repeats=repeats.counts(),
        examples=tuple(
            {side: getattr(pair, side) for side in SIDES}
            | {f"{side}_decoded": sides[side].decode(*sides[side].encode([getattr(pair, side)])) for side in SIDES}
            for pair in splits.train.items[:SHOWN_EXAMPLES]
        ),
        issues=(
            *ruinous_issues(data, config, splits),
            *repeats.issues(),
            *_repeated_pairs(pairs),
            *_unlike_sides(pairs),
            *_refused(pairs, encoded, config.max_length),
            *unknown_issues(
                {
                    f"the {side}s of {name}": report.unknown_rate[side]
                    for name, report in reports.items()
                    for side in SIDES
                }
            ),
        ),
    )


def _bad_rows(encoded: PairSequences, config: DataConfig) -> list[int]:
    """Return the indices of the pairs that a model refuses; truncated ones are not too long."""
    return bad_rows(encoded, int(encoded.tokens.max()) if config.truncate else config.max_length)


def ruinous_issues(data: object, config: DataConfig, splits: PairSplits) -> Iterator[Issue]:
    """Yield the issues that ruin a training and are found quickly; a training logs them.

    Raises:
        DataError: as `open_source`.
    """
    yield from table_issues(data, TASK, config)
    for units, texts in (("sources", PairedTexts.sources), ("targets", PairedTexts.targets)):
        yield from text_spelling_issues(
            splits.named(),
            texts,
            lambda split, index: _issue_example(split, split.items[index]),
            units=units,
            normalize=config.normalize,
        )


def _split_report(split: PairedTexts, pairs: PairSequences) -> PairSplitReport:
    references = split.references()
    return PairSplitReport(
        pairs=len(split),
        sources=len(references),
        several=sum(len(targets) > 1 for targets in references.values()),
        tokens={side: spread(lengths) for side, lengths in zip(SIDES, pairs.tokens.numpy().T, strict=True)},
        unknown_rate={
            side: int((sequences.ids == UNK).sum()) / int(count)
            for side, sequences, count in zip(
                SIDES, (pairs.sources, pairs.targets), pairs.tokens.sum(dim=0), strict=True
            )
        },
    )


def _likely(data_source: DataSource) -> dict[str, str]:
    """Guess that source and target are the two columns with the longest texts, in their order."""
    texts = text_lengths(sample(data_source))
    longest = sorted(texts, key=lambda name: -texts[name])[:2]
    return dict(zip(SIDES, (name for name in texts if name in longest), strict=True)) if len(longest) == 2 else {}


def _repeated_pairs(splits: Mapping[str, PairedTexts]) -> Iterator[Issue]:
    """Yield the issue of pairs that occur more than once in a split."""
    repeated: list[tuple[PairedTexts, Pair]] = []
    for split in splits.values():
        seen: set[bytes] = set()
        for pair in split.items:
            key = hashlib.sha256(f"{len(pair.source)} {pair.source}{pair.target}".encode()).digest()[:8]
            if key in seen:
                repeated.append((split, pair))
            seen.add(key)
    yield from _issue("repeated pairs", repeated, "occur", "more than once in a split", "remove the repetitions")


def _unlike_sides(splits: Mapping[str, PairedTexts]) -> Iterator[Issue]:
    """Yield the issues of pairs whose sides are equal, or of very different length."""
    checks: tuple[tuple[str, Callable[[Pair], bool], str, str], ...] = (
        (
            "identical sides",
            lambda pair: pair.source == pair.target,
            "a target that equals the source",
            "remove them, unless copying is to be learned",
        ),
        (
            "unlike lengths",
            lambda pair: _unlike(len(pair.source), len(pair.target)),
            f"a side with more than {UNLIKE} times the characters of the other",
            "check whether they belong together: a missing row shifts all rows after it",
        ),
    )
    for kind, matches, object_, advice in checks:
        found = [(split, pair) for split in splits.values() for pair in split.items if matches(pair)]
        yield from _issue(kind, found, "have", object_, advice)


def _unlike(one: int, other: int) -> bool:
    return max(one, other) > max(SHORT, UNLIKE * min(one, other))


def _refused(
    splits: Mapping[str, PairedTexts], encoded: Mapping[str, PairSequences], max_length: int
) -> Iterator[Issue]:
    """Yield the issues of pairs that a training refuses."""
    for kind, masks, object_, advice in (
        (
            "long sequences",
            {name: pairs.longer(max_length).any(dim=1) for name, pairs in encoded.items()},
            f"a side with more than {max_length:,} tokens",
            "truncate them with --truncate, allow more tokens with --max-length, or skip them with --on-bad-row skip",
        ),
        (
            "unknown sources",
            {name: pairs.unknown() for name, pairs in encoded.items()},
            "a source of unknown tokens only",
            "try --source-tokenizer bpe or byte, or skip them with --on-bad-row skip",
        ),
    ):
        found = [(splits[name], splits[name].items[int(i)]) for name, mask in masks.items() for i in mask.nonzero()]
        yield from _issue(kind, found, "have", object_, advice)


def _issue(
    kind: str, pairs: Sequence[tuple[PairedTexts, Pair]], verb: str, object_: str, advice: str
) -> Iterator[Issue]:
    """Yield an issue about pairs, if there are any; `verb` is a plural form."""
    if pairs:
        if len(pairs) == 1:
            verb = "has" if verb == "have" else f"{verb}s"
        sentence = f"{len(pairs):,} pair{'s'[: len(pairs) > 1]} {verb} {object_}"
        yield Issue(kind, len(pairs), sentence, tuple(_issue_example(*pair) for pair in pairs[:SHOWN]), advice)


def _issue_example(split: PairedTexts, pair: Pair) -> IssueExample:
    text = f"{excerpt(pair.source, 38)} | {excerpt(pair.target, 38)}"
    return IssueExample(location(pair.file or split.source, split.unit, pair.line), text)


def _lines(report: PairReport) -> Iterator[str]:
    yield from report.header("--source and --target")
    if report.problem:
        return
    table = SplitTable(report.splits)
    table.add("pairs", (split.pairs for split in table.splits))
    table.add("different sources", (split.sources for split in table.splits))
    table.add("  with several targets", (split.several for split in table.splits))
    for side in SIDES:
        table.add_spread(f"tokens of a {side}", [split.tokens[side] for split in table.splits])
        table.add(f"unknown tokens of {side}s", (split.unknown_rate[side] for split in table.splits), ".1%")
    yield from table.lines()
    sizes, kinds = report.vocabulary_sizes, report.tokenizers
    sides = {side: f"{sizes[side]:,} tokens ({kinds[side]})" for side in SIDES}
    both = f"{sides['source']} of both sides" if report.shared_vocabulary else " to ".join(sides.values())
    yield f"vocabulary: {both}, learned from the training split"
    yield f"pairs with a repeated source: {duplicates(report.repeats)}"
    yield "the first pairs, and both sides decoded from the ids:"
    for example in report.examples:
        yield f"  {excerpt(example['source'], 50)} | {excerpt(example['target'], 50)}"
        yield f"    {excerpt(example['source_decoded'], 50)} | {excerpt(example['target_decoded'], 50)}"
