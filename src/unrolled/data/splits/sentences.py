"""Training, validation and test split of tagged sentences.

The sample has fixed splits; a split may be a file of its own; the missing ones are split off the training data by
sentence: its words, folded, and the seed decide, so equal sentences are always in the same split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unrolled.config import DataConfig
from unrolled.data.examples.labelled import UNKNOWN_LABEL, unknown_label
from unrolled.data.examples.sentences import Sentences, load_sentences, other_columns, refuse_other_column
from unrolled.data.examples.spans import Scheme, scheme_of
from unrolled.data.reading.addresses import is_sample
from unrolled.data.reading.counts import Skipped, skip
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.reading.rows import SKIP
from unrolled.data.reading.samples import splits_of
from unrolled.data.splitting import HELD_OUT, DataSplits, read_splits, refuse_empty, refuse_one_label
from unrolled.errors import excerpt

__all__ = ["TagSplits", "split_sentences"]


@dataclass(frozen=True)
class TagSplits(DataSplits[Sentences]):
    """The three splits of tagged sentences.

    Args:
        labels: the tags of the training split, sorted: tag k is class k.
    """

    labels: tuple[str, ...]

    @property
    def scheme(self) -> Scheme | None:
        """The scheme of the tags of the training split; None if they are not tags of spans."""
        return scheme_of(self.labels)


def split_sentences(data: object, config: DataConfig, faults: Faults = RAISED) -> TagSplits:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

    Args:
        data: see `load_sentences`.
        config: settings that say how it is read.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: as `load_sentences`; or the validation split is empty, the training split has one tag only, or a tag
            of another split does not occur in it.
        ConfigError: as `refuse_other_column`.
    """
    refuse_other_column(data, config)
    sources: dict[str, object] = {"train": data}
    if is_sample(data):
        sources |= splits_of(data)
    splits = read_splits(
        config,
        sources,
        str(data),
        lambda source, train: load_sentences(source, config, faults=faults),
        lambda sentences: sentences.items.mapped(lambda sentence: sentence.text),
        by="sentence",
        faults=faults,
    )
    labels = tuple(sorted(set(splits.train.tags())))
    fix = "check the column of the tags (--column, or --label for CoNLL-U), and that the file holds all tags"
    if len(labels) == 1 and (flags := other_columns(data)):
        fix = f"choose a column with several tags: {flags}"
    refuse_one_label(labels, splits.train, label="tag", units="sentences", fix=fix, faults=faults)
    held_out = {name: _without_unknown(splits.named()[name], name, labels, config, faults) for name in HELD_OUT}
    if splits.train:
        refuse_empty(held_out["valid"], "sentences", train=splits.train, faults=faults)
    return TagSplits(**vars(splits) | held_out, labels=labels)


def _without_unknown(
    split: Sentences, name: str, labels: Sequence[str], config: DataConfig, faults: Faults
) -> Sentences:
    """Return the split without sentences with a tag unknown in training; the first is a fault, as any bad row."""
    known = set(labels)
    bad = {i: UNKNOWN_LABEL for i, sentence in enumerate(split.items) if not known.issuperset(sentence.tags or ())}
    if not bad:
        return split
    if config.on_bad_row == "stop":
        first = split.items[next(iter(bad))]
        tag = next(tag for tag in first.tags or () if tag not in known)
        problem = f"{unknown_label(tag, labels)}, and this sentence is in the {name} split"
        fix = f"give more sentences with this tag, try another --split-seed, {SKIP}"
        faults.add(split.error_at(first.line_of(tag), first.text, problem, fix))

    def listed(row: int, reason: str) -> Skipped:
        sentence = split.items[row]
        return Skipped(sentence.lines[0], reason, excerpt(sentence.text), split.unit)

    return skip(split, bad, listed)
