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
from typing import NamedTuple

from unrolled.data.reading.addresses import SAMPLE_PREFIX
from unrolled.data.reading.formats import read_rows
from unrolled.data.reading.rows import BadRow, Rows
from unrolled.data.reading.split_names import SPLITS
from unrolled.errors import DataError, nearest

__all__ = ["SAMPLES", "SPLITS", "Sample", "find", "image_folder", "named", "read_sample", "split_file"]

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
    task: str
    what: str
    size: int  # rows, sentences, or characters of plain text
    licence: str
    columns: tuple[str, ...] = ()  # that the task reads, in its order; empty if it is not a table
    images: bool = False  # whether it has images
    settings: Mapping[str, str] = {}  # that override the defaults of the task


SAMPLES = (
    Sample("films", "classify", "sentences from film reviews, positive or negative", 10_043, HUTTO, ("text", "label")),
    Sample(
        "products", "classify", "sentences from product reviews, positive or negative", 2_943, HUTTO, ("text", "label")
    ),
    Sample("fashion", "classify", "clothes in 28 × 28 grey pixels, ten kinds", 6_000, ZALANDO, images=True),
    Sample("shakespeare", "generate", "38 plays by Shakespeare", 4_988_764, STEWART),
    Sample("tags", "tag", "Turkish sentences from the web and Wikipedia, with parts of speech", 4_851, TWT),
    Sample(
        "letters",
        "translate",
        "English words and their pronunciation in 39 phonemes",
        133_667,
        CMU,
        ("word", "phonemes"),
        settings={"source_tokenizer": "character", "tokenizer": "word"},
    ),
    Sample("verses", "translate", "verses of the Bible in English and French", 30_957, PUBLIC, ("en", "fr")),
)


def named(address: str) -> tuple[Sample, str | None]:
    """Return the sample and the split, if any, that `sample:name` or `sample:name/split` names.

    Raises:
        DataError: the sample or split is unknown; the message gives the nearest.
    """
    name, slash, split = address.removeprefix(SAMPLE_PREFIX).partition("/")
    names = [sample.name for sample in SAMPLES]
    if name not in names:
        have = ", ".join(SAMPLE_PREFIX + known for known in names)
        raise DataError(f'there is no sample "{name}"{nearest(name, names)}', fix=f"samples are {have}")
    if slash and split not in SPLITS:
        have = ", ".join(f"{SAMPLE_PREFIX}{name}/{known}" for known in SPLITS)
        raise DataError(f'sample {name} has no split "{split}"{nearest(split, SPLITS)}', fix=f"its splits are {have}")
    return SAMPLES[names.index(name)], split or None


def find(address: str, task: str) -> tuple[Sample, str | None]:
    """Return the sample and the split, if any, that an address names, for a task.

    Raises:
        DataError: as `named`, or the sample serves another task.
    """
    sample, split = named(address)
    if sample.task != task:
        ours = "".join(f", or {SAMPLE_PREFIX}{known.name}" for known in SAMPLES if known.task == task)
        raise DataError(
            f"{SAMPLE_PREFIX}{sample.name} is a sample for task {sample.task}, not {task}",
            fix=f"use --task {sample.task}{ours}",
        )
    return sample, split


def split_file(name: str, split: str, extension: str) -> Path:
    """Return the file of one split, for a sample with a file for each."""
    return FOLDER / f"{name}.{split}{extension}.xz"


def image_folder(name: str) -> Path:
    """Return the folder with the IDX files of a sample of images."""
    return FOLDER / name


def read_sample(address: str, columns: Sequence[str]) -> Rows:
    """Yield the rows of a sample or of one of its splits, with the values of `columns` and the name of the split.

    Raises:
        DataError: the sample or split is unknown.
    """
    sample, split = named(address)
    for row in read_rows(FOLDER / f"{sample.name}.tsv.xz", (*columns, SPLIT_COLUMN), file=address, separator="tab"):
        if isinstance(row, BadRow) or split in (None, row.values[-1]):
            yield row
