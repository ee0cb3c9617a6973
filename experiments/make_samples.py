"""Make the sample data sets that the package carries.

    python experiments/make_samples.py --snippets SNIPPETS --plays PLAYS --words WORDS --verses VERSES \
        --fashion FASHION --treebank TREEBANK src/unrolled/data/samples

SNIPPETS makes films.tsv.xz and products.tsv.xz. It is a folder with `movieReviewSnippets_GroundTruth.txt`,
`amazonReviewSnippets_GroundTruth.txt` (each line an id, a mean rating from −4 to 4 and a sentence, separated by tabs)
and their `LICENSE`. A rating above 0.5 is positive, one below −0.5 negative; what lies between is left out and counted.
Nothing in a text is changed. The part of a row is decided by a hash: of the text, lower case and with single spaces,
for the films; of the review's number for the products, whose sentences come from reviews (so that a review is never
torn apart). SHA-256, first byte modulo 20: 0 is valid, 1 is test, the rest train.

PLAYS makes shakespeare.train.txt.xz, shakespeare.valid.txt.xz and shakespeare.test.txt.xz. It is a folder with one text
a play, `king-lear.txt`; the `LICENSE` is in the folder above. Each part is its plays, unchanged, in the order of their
names, with an empty line between two. No play is torn apart.

WORDS makes letters.tsv.xz. It is a folder with `cmudict.dict` (each line a word, perhaps with the number of a variant
as in `read(2)`, and its phonemes; a comment follows ` #`) and its `LICENSE`. The digits of stress are taken off, then
equal rows are left out and counted, and so are words with other characters than a to z and '. The part is decided by
the hash of the word.

VERSES makes verses.tsv.xz. It is a folder with `en-fr.tsv` (verse as book.chapter.verse, English, French) and its
`LICENSE`. Verses with more than 60 words on either side are left out and counted, and those that are empty on one. The
part is decided by the chapter's number, modulo 20: 7 is valid, 13 is test.

FASHION makes the folder fashion. It is a folder with Fashion-MNIST as it is published: four gzipped IDX files, and its
LICENSE. Of each of the ten classes the first 450 training images are train, the next 50 valid; the first 100 test
images are test. They keep their order, and no pixel is changed.

TREEBANK makes tags.train.conllu.xz, tags.valid.conllu.xz and tags.test.conllu.xz. It is a folder with
`turkish-web.conllu`, `turkish-wiki.conllu` and their `LICENSE`. Each part is its sentences, unchanged, in their order,
web first. SHA-256 of a sentence's sent_id, first byte modulo 10: 0 is valid, 1 is test, the rest train.

The same source gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import lzma
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SOURCES = {"films": "movieReviewSnippets_GroundTruth.txt", "products": "amazonReviewSnippets_GroundTruth.txt"}
PLAYS = {"valid": ("king-lear", "much-ado-about-nothing"), "test": ("macbeth", "twelfth-night")}  # the rest is train
COLUMNS = ("id", "part", "label", "rating", "text")
MOST_WORDS = 60  # of a verse
CLOTHES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
IMAGES = {"train": ("train", 0, 450), "valid": ("train", 450, 500), "t10k": ("t10k", 0, 100)}  # of each class
TREEBANK = ("turkish-web.conllu", "turkish-wiki.conllu")
NEUTRAL = 0.5  # a mean rating this near to zero says neither


def part_of(key: str, of: int = 20) -> str:
    """Return the part that a text, a review number or a sentence's id falls into: one in `of` is valid, one test."""
    return {0: "valid", 1: "test"}.get(hashlib.sha256(key.encode()).digest()[0] % of, "train")


def make(name: str, source: str) -> tuple[str, Counter[str]]:
    """Return the sample as TSV and how many rows went where."""
    rows = ["\t".join(COLUMNS)]
    counts: Counter[str] = Counter()
    for line in source.removesuffix("\n").split("\n"):
        identity, rating, text = line.split("\t")
        counts["read"] += 1
        if abs(float(rating)) <= NEUTRAL:
            counts["left out"] += 1
            continue
        label = "positive" if float(rating) > 0 else "negative"
        key = " ".join(text.casefold().split()) if name == "films" else identity.split("_")[0]
        part = part_of(key)
        counts[f"{part} {label}"] += 1
        rows.append("\t".join((identity, part, label, rating, text)))
    return "\n".join(rows) + "\n", counts


def plays(texts: dict[str, str]) -> dict[str, str]:
    """Return the text of each part, from the plays by name."""
    held_out = {name for names in PLAYS.values() for name in names}
    parts = {"train": [name for name in sorted(texts) if name not in held_out], **PLAYS}
    return {part: "\n".join(texts[name] for name in names) for part, names in parts.items()}


def letters(source: str) -> tuple[str, Counter[str]]:
    """Return the words with their phonemes as TSV, and how many rows went where."""
    rows: dict[tuple[str, str], str] = {}
    counts: Counter[str] = Counter()
    for line in source.removesuffix("\n").split("\n"):
        counts["read"] += 1
        word, phonemes = line.partition(" #")[0].split(" ", 1)
        word = re.sub(r"\(\d+\)$", "", word)
        key = word, re.sub(r"\d", "", phonemes.strip())
        if re.fullmatch("[a-z']+", word) is None:
            counts["left out: other characters"] += 1
        elif key in rows:
            counts["left out: equal but for stress"] += 1
        else:
            rows[key] = part_of(word)
            counts[rows[key]] += 1
    lines = ["word\tpart\tphonemes", *(f"{word}\t{part}\t{phonemes}" for (word, phonemes), part in rows.items())]
    return "\n".join(lines) + "\n", counts


def verses(source: str) -> tuple[str, Counter[str]]:
    """Return the verses of two languages as TSV, and how many went where."""
    header, *lines = source.removesuffix("\n").split("\n")
    rows = ["\t".join(("verse", "part", *header.split("\t")[1:]))]
    counts: Counter[str] = Counter(read=len(lines))
    for line in lines:
        verse, *texts = line.split("\t")
        words = [len(text.split()) for text in texts]
        if min(words) == 0 or max(words) > MOST_WORDS:
            counts["left out: empty" if min(words) == 0 else f"left out: more than {MOST_WORDS} words"] += 1
            continue
        part = {7: "valid", 13: "test"}.get(int(verse.split(".")[1]) % 20, "train")
        counts[part] += 1
        rows.append("\t".join((verse, part, *texts)))
    return "\n".join(rows) + "\n", counts


def sentences(treebank: str) -> dict[str, str]:
    """Return the CoNLL-U of each part."""
    parts = {"train": "", "valid": "", "test": ""}
    for sentence in treebank.strip("\n").split("\n\n"):
        (identity,) = (line.removeprefix("# sent_id = ") for line in sentence.split("\n") if "# sent_id = " in line)
        parts[part_of(identity, 10)] += f"{sentence}\n\n"
    return parts


def pack(path: Path, text: str) -> int:
    """Write a text as .xz, as small as it gets; return its bytes."""
    packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
    path.write_bytes(packed)
    return len(packed)


def keep(target: Path, name: str, sample: str, counts: Counter[str]) -> None:
    """Write a sample of rows and say its counts."""
    size = pack(target / f"{name}.tsv.xz", sample)
    sys.stdout.write(f"{name}: {size:,} bytes, {dict(sorted(counts.items()))}\n")


def idx(path: Path) -> NDArray[np.uint8]:
    """Return the array of a gzipped IDX file of bytes."""
    data = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def pack_idx(path: Path, array: NDArray[np.uint8]) -> int:
    """Write an array of bytes as a gzipped IDX file; return its bytes."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    packed = gzip.compress(header + array.tobytes(), 9, mtime=0)
    path.write_bytes(packed)
    return len(packed)


def fashion(source: Path, target: Path) -> str:
    """Write the sample of images and return what was written, in a sentence."""
    target.mkdir(exist_ok=True)
    size = 0
    for part, (file, start, end) in IMAGES.items():
        images = idx(source / f"{file}-images-idx3-ubyte.gz")
        labels = idx(source / f"{file}-labels-idx1-ubyte.gz")
        rows = np.sort(np.concatenate([np.flatnonzero(labels == k)[start:end] for k in range(len(CLOTHES))]))
        size += pack_idx(target / f"{part}-images-idx3-ubyte.gz", images[rows])
        size += pack_idx(target / f"{part}-labels-idx1-ubyte.gz", labels[rows])
    (target / "labels.txt").write_text("\n".join(CLOTHES) + "\n", encoding="utf-8")
    shutil.copyfile(source / "LICENSE", target / "LICENSE")
    return f"fashion: {size:,} bytes\n"


def main() -> None:
    """Read the sources that are given, write their samples and licences, and say the counts."""
    parser = argparse.ArgumentParser(description="Make the sample data sets of the package.")
    parser.add_argument("--snippets", type=Path, help="folder with the two snippet files and their LICENSE")
    parser.add_argument("--plays", type=Path, help="folder with one text a play; their LICENSE is in the one above")
    parser.add_argument("--words", type=Path, help="folder with cmudict.dict and its LICENSE")
    parser.add_argument("--verses", type=Path, help="folder with en-fr.tsv and its LICENSE")
    parser.add_argument("--fashion", type=Path, help="folder with Fashion-MNIST's four files and its LICENSE")
    parser.add_argument("--treebank", type=Path, help="folder with the two CoNLL-U files and their LICENSE")
    parser.add_argument("target", type=Path, help="folder to write into")
    asked = parser.parse_args()
    if asked.snippets:
        for name, file in SOURCES.items():
            keep(asked.target, name, *make(name, (asked.snippets / file).read_text(encoding="utf-8")))
        shutil.copyfile(asked.snippets / "LICENSE", asked.target / "LICENSE-snippets")
    if asked.plays:
        texts = {path.stem: path.read_text(encoding="utf-8") for path in asked.plays.glob("*.txt")}
        for part, text in plays(texts).items():
            size = pack(asked.target / f"shakespeare.{part}.txt.xz", text)
            sys.stdout.write(f"shakespeare {part}: {size:,} bytes, {len(text):,} characters\n")
        shutil.copyfile(asked.plays.parent / "LICENSE", asked.target / "LICENSE-shakespeare")
    for name, folder, file, make_rows in (
        ("letters", asked.words, "cmudict.dict", letters),
        ("verses", asked.verses, "en-fr.tsv", verses),
    ):
        if folder:
            keep(asked.target, name, *make_rows((folder / file).read_text(encoding="utf-8")))
            shutil.copyfile(folder / "LICENSE", asked.target / f"LICENSE-{name}")
    if asked.fashion:
        sys.stdout.write(fashion(asked.fashion, asked.target / "fashion"))
    if asked.treebank:
        whole = "".join((asked.treebank / file).read_text(encoding="utf-8").strip("\n") + "\n\n" for file in TREEBANK)
        for part, text in sentences(whole).items():
            size = pack(asked.target / f"tags.{part}.conllu.xz", text)
            sys.stdout.write(f"tags {part}: {size:,} bytes, {text.count(chr(10) * 2):,} sentences\n")
        shutil.copyfile(asked.treebank / "LICENSE", asked.target / "LICENSE-tags")


if __name__ == "__main__":
    main()
