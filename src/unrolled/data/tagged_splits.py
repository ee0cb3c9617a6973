"""Training, validation and test part of sentences, and the tags: as `splits` makes them of texts.

A sample has its fixed parts; a part may be a file of its own; what is left is split off the main file, by sentence: its
words, folded, and the seed decide, so equal sentences never stand in two parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unrolled.config import DataConfig
from unrolled.data.counts import LISTED, Counts, Skipped
from unrolled.data.examples import UNKNOWN_LABEL, unknown_label
from unrolled.data.objects import PYTHON
from unrolled.data.rows import SKIP
from unrolled.data.samples import PARTS, PREFIX, find
from unrolled.data.splits import assign, fold, how_split, shares
from unrolled.data.tagged import SENTENCES, TASK, Sentences, load_sentences
from unrolled.data.tagged_lines import Sentence
from unrolled.errors import DataError, excerpt

__all__ = ["TagSplits", "split_sentences"]


@dataclass(frozen=True)
class TagSplits:
    """The three parts of a data set of sentences."""

    train: Sentences
    valid: Sentences
    test: Sentences  # may be empty, if no share was asked for
    labels: tuple[str, ...]  # the tags, sorted, of the training part only: tag k is class k
    how: str  # one sentence: what the parts are and why
    loaded: tuple[Sentences, ...]  # what was read, file by file: counts and bad sentences before the split

    def parts(self) -> dict[str, Sentences]:
        """Return the parts by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def split_sentences(data: object, config: DataConfig) -> TagSplits:
    """Read `data` and the files that `config.valid` and `config.test` name, and split off what they do not give.

    Raises:
        DataError: as `load_sentences`; or a part that is needed has no sentences, the training part has one tag only,
            or a tag of the other parts never occurs in training.
    """
    files = {name: given for name, given in (("valid", config.valid), ("test", config.test)) if given is not None}
    fixed: dict[str, object] = {}
    if isinstance(data, str) and data.startswith(PREFIX) and find(data, TASK)[1] is None:
        fixed = {part: f"{data}/{part}" for part in PARTS}
    loaded = {name: load_sentences(given, config) for name, given in ({"train": data} | fixed | files).items()}
    train = loaded["train"]
    wanted = {name: share for name, share in shares(config).items() if name not in loaded}
    parts = loaded | _split(train, wanted, config)
    labels = tuple(sorted(set(parts["train"].tags())))
    if len(labels) < 2:
        raise DataError(
            f'the training part has one tag only: "{excerpt(labels[0], 40)}" ({len(parts["train"]):,} sentences); a '
            "tagger needs two",
            file=train.source,
            fix="check that the column with the tags was named (--label, of CoNLL-U) and that the file holds all tags",
        )
    parts |= {name: _without_unknown(parts[name], name, labels, config) for name in ("valid", "test")}
    if not parts["valid"]:
        raise DataError(
            "the validation part has no sentences",
            file=train.source,
            fix="give a file with --valid, or a --valid-share above 0",
        )
    how = [f"the fixed parts of {data}"] if fixed else [how_split(train.source, "sentence", wanted, config.split_seed)]
    how += [f"{name} is {parts[name].source}" for name in files]
    return TagSplits(parts["train"], parts["valid"], parts["test"], labels, "; ".join(how), tuple(loaded.values()))


def _split(main: Sentences, wanted: Mapping[str, float], config: DataConfig) -> dict[str, Sentences]:
    """Cut the parts that are wanted off the training part; every part, empty where no share was asked for."""
    keys = [fold(sentence.text) for sentence in main.items]
    part_of: dict[str, str] | None = {}
    if any(wanted.values()):
        part_of = assign(set(keys), wanted, config.split_seed)
    if part_of is None:
        raise DataError(
            f"{len(set(keys)):,} different sentences are too few for a training part beside the others",
            file=main.source,
            fix="give more sentences, smaller shares, or the other parts as files with --valid and --test",
        )
    items: dict[str, list[Sentence]] = {name: [] for name in ("train", *wanted)}
    for key, sentence in zip(keys, main.items, strict=True):
        items[part_of.get(key, "train")].append(sentence)
    return {
        name: replace(main, items=these, counts=Counts(len(these), len(these), {}, SENTENCES), skipped=())
        for name, these in items.items()
    }


def _without_unknown(part: Sentences, name: str, labels: Sequence[str], config: DataConfig) -> Sentences:
    """Leave out the sentences with a tag that never occurs in training, or stop at the first, as for any bad row."""
    known = set(labels)
    bad = [sentence for sentence in part.items if not known.issuperset(sentence.tags or ())]
    if not bad:
        return part
    if config.on_bad_row == "stop":
        tag = next(tag for tag in bad[0].tags or () if tag not in known)
        raise DataError(
            f"{unknown_label(tag, labels)}, and this sentence is in the {name} part",
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
