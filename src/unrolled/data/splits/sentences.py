"""Training, validation and test split of sentences, and the tags: as `splits` makes them of texts.

A sample has its fixed splits; a part may be a file of its own; what is left is split off the main file, by sentence: its
words, folded, and the seed decide, so equal sentences never stand in two parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unrolled.config import DataConfig
from unrolled.data.assign import read_splits, refuse_empty
from unrolled.data.examples.labelled import UNKNOWN_LABEL, unknown_label
from unrolled.data.examples.sentences import TASK, Sentences, load_sentences
from unrolled.data.reading.counts import LISTED, Skipped
from unrolled.data.reading.objects import PYTHON
from unrolled.data.reading.rows import SKIP
from unrolled.data.reading.samples import PREFIX, SPLITS, find
from unrolled.errors import DataError, excerpt

__all__ = ["TagSplits", "split_sentences"]


@dataclass(frozen=True)
class TagSplits:
    """The three parts of a data set of sentences."""

    train: Sentences
    valid: Sentences
    test: Sentences  # may be empty, if no share was asked for
    labels: tuple[str, ...]  # the tags, sorted, of the training split only: tag k is class k
    how: str  # one sentence: what the parts are and why
    loaded: tuple[Sentences, ...]  # what was read, file by file: counts and bad sentences before the split

    def named(self) -> dict[str, Sentences]:
        """Return the parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def split_sentences(data: object, config: DataConfig) -> TagSplits:
    """Read `data` and the files that `config.valid` and `config.test` name, and split off what they do not give.

    Raises:
        DataError: as `load_sentences`; or a part that is needed has no sentences, the training split has one tag only,
            or a tag of the other splits never occurs in training.
    """
    given: dict[str, object] = {"train": data}
    if isinstance(data, str) and data.startswith(PREFIX) and find(data, TASK)[1] is None:
        given = {part: f"{data}/{part}" for part in SPLITS}
    parts, loaded, how = read_splits(
        config,
        given,
        str(data),
        lambda given, train: load_sentences(given, config),
        lambda sentences: [sentence.text for sentence in sentences.items],
        by="sentence",
    )
    train = parts["train"]
    labels = tuple(sorted(set(parts["train"].tags())))
    if len(labels) < 2:
        raise DataError(
            f'the training split has one tag only: "{excerpt(labels[0], 40)}" ({len(parts["train"]):,} sentences); a '
            "tagger needs two",
            file=train.source,
            fix="check that the column with the tags was named (--label, of CoNLL-U) and that the file holds all tags",
        )
    parts |= {name: _without_unknown(parts[name], name, labels, config) for name in ("valid", "test")}
    refuse_empty(parts, "sentences")
    return TagSplits(parts["train"], parts["valid"], parts["test"], labels, how, loaded)


def _without_unknown(part: Sentences, name: str, labels: Sequence[str], config: DataConfig) -> Sentences:
    """Leave out the sentences with a tag that never occurs in training, or stop at the first, as for any bad row."""
    known = set(labels)
    bad = [sentence for sentence in part.items if not known.issuperset(sentence.tags or ())]
    if not bad:
        return part
    if config.on_bad_row == "stop":
        tag = next(tag for tag in bad[0].tags or () if tag not in known)
        raise DataError(
            f"{unknown_label(tag, labels)}, and this sentence is in the {name} split",
            file=None if part.source == PYTHON else part.source,
            line=bad[0].line_of(tag),
            unit=part.unit,
            row=bad[0].text,
            fix=f"give more sentences with this tag, try another --split-seed, {SKIP}",
        )
    listed = [Skipped(sentence.lines[0], UNKNOWN_LABEL, excerpt(sentence.text), part.unit) for sentence in bad[:LISTED]]
    items = [sentence for sentence in part.items if known.issuperset(sentence.tags or ())]
    counts = part.counts.without({UNKNOWN_LABEL: len(bad)})
    return replace(part, items=items, counts=counts, skipped=[*part.skipped, *listed])
