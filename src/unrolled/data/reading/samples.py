"""Sample data sets of the package: real data, small enough to train on at once.

`sample:films` names a whole sample, `sample:films/test` one of its splits. The splits are fixed, so that results are
comparable.

Films and products are sentences with a mean human rating from −4 to 4. Clear ratings only are used: above 0.5 is
positive, below −0.5 negative. The split is a column of the file.

films      10,605 sentences read, 562 neutral ones left out, 10,043 used
           train 4,555 negative + 4,473 positive, valid 261 + 259, test 245 + 250; split by the text
products   3,708 sentences read, 765 neutral ones left out, 2,943 used
           train 1,018 negative + 1,535 positive, valid 152 + 85, test 48 + 105; split by the review

Fashion is ten kinds of clothes as images of 28 × 28 grey pixels: the first images of each kind in Fashion-MNIST.

fashion    train 4,500, valid 500 (both from its training split), test 1,000

Shakespeare is 38 plays, one file a split, split by play: *King Lear* and *Much Ado About Nothing* are valid, *Macbeth*
and *Twelfth Night* test.

shakespeare  4,988,764 characters, 81 different ones: train 4,498,519, valid 274,351, test 215,894

Letters are words of the CMU pronouncing dictionary with their sounds: 39 phonemes, stress left out. A word may have
several pronunciations, each a row of its own, all in one split; split by the word. Verses are those of the World
English Bible with Segond's French of 1910, up to 60 words; split by chapter, since neighbouring verses repeat each
other: chapter mod 20 = 7 is valid, 13 test.

letters    135,166 rows read, 1,193 words with other characters than a to z and ' left out, 306 that were equal but for
           stress; 133,667 used: train 120,059, valid 6,846, test 6,762
verses     31,102 read, 145 longer ones left out, 30,957 used: train 27,952, valid 1,799, test 1,206

Tags are Turkish sentences from the web and from Wikipedia in CoNLL-U, one file a split, split by the sentence's id.

tags       4,851 sentences, 81,370 words: train 3,865 sentences, valid 491, test 495
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unrolled.data.reading.addresses import SAMPLE_PREFIX, SYNTHETIC_PREFIX
from unrolled.data.reading.formats import read_rows
from unrolled.data.reading.rows import BadRow, Rows
from unrolled.data.reading.split_names import SPLITS, no_split
from unrolled.errors import DataError, nearest

if TYPE_CHECKING:
    from unrolled.data.reading.synthetic import Draws

__all__ = [
    "SAMPLES",
    "SPLITS",
    "Sample",
    "find",
    "image_folder",
    "named",
    "read_sample",
    "split_file",
    "split_files",
    "splits_of",
    "tagged",
]

SPLIT_COLUMN = "part"  # its name in the files
HUTTO = "MIT, C.J. Hutto 2016 (LICENSE-snippets)"
ZALANDO = "MIT, Zalando SE 2017 (fashion/LICENSE)"
STEWART = "text in the public domain; this edition MIT, Sean Stewart 2019 (LICENSE-shakespeare)"
CMU = "Carnegie Mellon University 1993-2015, as BSD with two clauses (LICENSE-letters)"
PUBLIC = "public domain (LICENSE-verses)"
TWT = "Apache-2.0, Google LLC (LICENSE-tags)"
FOLDER = Path(__file__).parents[1] / "samples"


class Sample(NamedTuple):
    """A sample data set."""

    name: str
    tasks: tuple[str, ...]  # that it serves, the usual one first
    what: str
    size: int  # rows, sentences, or characters of plain text
    licence: str
    columns: tuple[str, ...] = ()  # that the task reads, in its order; empty if it is not a table
    images: bool = False  # whether it has images
    settings: Mapping[str, Any] = {}  # that override the defaults of the tasks that use them
    form: str = "sample"  # for reports
    unit: str = "line"  # in which its rows are counted


SAMPLES = (
    Sample(
        "films", ("classify",), "sentences from film reviews, positive or negative", 10_043, HUTTO, ("text", "label")
    ),
    Sample(
        "products",
        ("classify",),
        "sentences from product reviews, positive or negative",
        2_943,
        HUTTO,
        ("text", "label"),
    ),
    Sample("fashion", ("classify",), "clothes in 28 × 28 grey pixels, ten kinds", 6_000, ZALANDO, images=True),
    Sample("shakespeare", ("generate",), "38 plays by Shakespeare", 4_988_764, STEWART),
    Sample("tags", ("tag",), "Turkish sentences from the web and Wikipedia, with parts of speech", 4_851, TWT),
    Sample(
        "letters",
        ("translate",),
        "English words and their pronunciation in 39 phonemes",
        133_667,
        CMU,
        ("word", "phonemes"),
        settings={"source_tokenizer": "character", "tokenizer": "word"},
    ),
    Sample("verses", ("translate",), "verses of the Bible in English and French", 30_957, PUBLIC, ("en", "fr")),
)


def named(address: str) -> tuple[Sample, str | None]:
    """Return the sample and the split, if any, that `sample:name` or `sample:name/split` names, or a synthetic task.

    Raises:
        DataError: the sample, the task, the split or a parameter is unknown, or its value out of range.
    """
    if address.startswith(SYNTHETIC_PREFIX):
        draws = _draws(address)
        return _sample_of(draws), draws.split
    name, slash, split = address.removeprefix(SAMPLE_PREFIX).partition("/")
    names = [sample.name for sample in SAMPLES]
    if name not in names:
        have = ", ".join(SAMPLE_PREFIX + known for known in names)
        raise DataError(f'there is no sample "{name}"{nearest(name, names)}', fix=f"samples are {have}")
    if slash and split not in SPLITS:
        raise no_split(f"sample {name}", split, (f"{SAMPLE_PREFIX}{name}/{known}" for known in SPLITS))
    return SAMPLES[names.index(name)], split or None


def find(address: str, task: str) -> tuple[Sample, str | None]:
    """Return the sample and the split, if any, that an address names, for a task.

    Raises:
        DataError: as `named`, or the sample serves another task.
    """
    sample, split = named(address)
    if task not in sample.tasks:
        others = [known for known in SAMPLES if task in known.tasks and sample in SAMPLES]
        ours = "".join(f", or {SAMPLE_PREFIX}{known.name}" for known in others)
        raise DataError(
            f"{address} is a {sample.form} for task {' or '.join(sample.tasks)}, not {task}",
            fix=f"use {' or '.join(f'--task {each}' for each in sample.tasks)}{ours}",
        )
    return sample, split


def splits_of(address: str) -> dict[str, str]:
    """Return the addresses of the splits of a sample by name; empty if the address names one of them."""
    if named(address)[1]:
        return {}
    path, mark, parameters = address.partition("?")
    return {name: f"{path}/{name}{mark}{parameters}" for name in SPLITS}


def split_files(address: str, extension: str) -> dict[str, Path]:
    """Return the files of a sample with a file for each split, by address; empty for a synthetic task."""
    if address.startswith(SYNTHETIC_PREFIX):
        return {}
    sample, split = named(address)
    splits = [split] if split else SPLITS
    return {f"{SAMPLE_PREFIX}{sample.name}/{name}": split_file(sample.name, name, extension) for name in splits}


def split_file(name: str, split: str, extension: str) -> Path:
    """Return the file of one split, for a sample with a file for each."""
    return FOLDER / f"{name}.{split}{extension}.xz"


def image_folder(name: str) -> Path:
    """Return the folder with the IDX files of a sample of images."""
    return FOLDER / name


def read_sample(address: str, columns: Sequence[str]) -> Rows:
    """Yield the rows of a sample or of one of its splits, with the values of `columns`.

    Raises:
        DataError: as `named`.
    """
    if address.startswith(SYNTHETIC_PREFIX):
        yield from _draws(address).rows_of(columns)
        return
    sample, split = named(address)
    for row in read_rows(FOLDER / f"{sample.name}.tsv.xz", (*columns, SPLIT_COLUMN), file=address, separator="tab"):
        if isinstance(row, BadRow) or split in (None, row.values[-1]):
            yield row


def tagged(address: str) -> list[tuple[list[str], list[str]]]:
    """Return the words and the tags of each sequence of a synthetic task for task tag.

    Raises:
        DataError: as `named`.
    """
    return list(_draws(address).sequences())


def _draws(address: str) -> Draws:
    """Return the draws that an address of a synthetic task names."""
    from unrolled.data.reading.synthetic import parse  # imports torch, which no other rows need

    return parse(address)


def _sample_of(draws: Draws) -> Sample:
    """Return the sample that the draws of a synthetic task are."""
    return Sample(
        draws.name,
        draws.tasks,
        draws.rule,
        draws.size,
        "generated",
        draws.columns,
        settings=draws.settings,
        form="synthetic task",
        unit="row",
    )
