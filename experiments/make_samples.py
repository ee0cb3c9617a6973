"""Make the sample data sets that the package carries.

    python experiments/make_samples.py --snippets SNIPPETS --plays PLAYS --words WORDS --verses VERSES \
        --fashion FASHION --treebank TREEBANK src/unrolled/data/samples

SNIPPETS makes films.tsv.xz and products.tsv.xz. It is a folder with `movieReviewSnippets_GroundTruth.txt`,
`amazonReviewSnippets_GroundTruth.txt` (each line an id, a mean rating from −4 to 4 and a sentence, separated by tabs)
and their `LICENSE`. A rating above 0.5 is positive, one below −0.5 negative; what lies between is left out and counted.
Nothing in a text is changed. The split of a row is decided by a hash: of the text, lower case and with single spaces,
for the films; of the review's number for the products, whose sentences come from reviews (so that a review is never
divided). SHA-256, first byte modulo 20: 0 is valid, 1 is test, the rest train.

PLAYS makes shakespeare.train.txt.xz, shakespeare.valid.txt.xz and shakespeare.test.txt.xz. It is a folder with one text
a play, `king-lear.txt`; the `LICENSE` is in the folder above. Each split is its plays, unchanged, in the order of their
names, with an empty line between two. No play is divided.

WORDS makes letters.tsv.xz. It is a folder with `cmudict.dict` (each line a word, perhaps with the number of a variant
as in `read(2)`, and its phonemes; a comment follows ` #`) and its `LICENSE`. The digits of stress are taken off, then
equal rows are left out and counted, and so are words with other characters than a to z and '. The split is decided by
the hash of the word.

VERSES makes verses.tsv.xz. It is a folder with `en-fr.tsv` (verse as book.chapter.verse, English, French) and its
`LICENSE`. Verses with more than 60 words on either side are left out and counted, and those that are empty on one. The
split is decided by the chapter's number, modulo 20: 7 is valid, 13 is test.

FASHION makes the folder fashion. It is a folder with Fashion-MNIST as it is published: four gzipped IDX files, and its
LICENSE. Of each of the ten classes the first 450 training images are train, the next 50 valid; the first 100 test
images are test. They keep their order, and no pixel is changed.

TREEBANK makes tags.train.conllu.xz, tags.valid.conllu.xz and tags.test.conllu.xz. It is a folder with
`turkish-web.conllu`, `turkish-wiki.conllu` and their `LICENSE`. Each split is its sentences, unchanged, in their order,
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
NEUTRAL = 0.5  # a mean rating this near to zero is neither


def split_of(key: str, of: int = 20) -> str:
    """Return the split of a text, a review number or a sentence's id: one in `of` is valid, one test."""
    return {0: "valid", 1: "test"}.get(hashlib.sha256(key.encode()).digest()[0] % of, "train")


def make(name: str, source: str) -> tuple[str, Counter[str]]:
    """Return the sample as TSV, and the number of rows by split and label."""
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
        split = split_of(key)
        counts[f"{split} {label}"] += 1
        rows.append("\t".join((identity, split, label, rating, text)))
    return "\n".join(rows) + "\n", counts


def plays(texts: dict[str, str]) -> dict[str, str]:
    """Return the text of each split, from the plays by name."""
    held_out = {name for names in PLAYS.values() for name in names}
    splits = {"train": [name for name in sorted(texts) if name not in held_out], **PLAYS}
    return {split: "\n".join(texts[name] for name in names) for split, names in splits.items()}


def letters(source: str) -> tuple[str, Counter[str]]:
    """Return the words with their phonemes as TSV, and the number of rows by split."""
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
            rows[key] = split_of(word)
            counts[rows[key]] += 1
    lines = ["word\tpart\tphonemes", *(f"{word}\t{split}\t{phonemes}" for (word, phonemes), split in rows.items())]
    return "\n".join(lines) + "\n", counts


def verses(source: str) -> tuple[str, Counter[str]]:
    """Return the verses of two languages as TSV, and the number of verses by split."""
    header, *lines = source.removesuffix("\n").split("\n")
    rows = ["\t".join(("verse", "part", *header.split("\t")[1:]))]
    counts: Counter[str] = Counter(read=len(lines))
    for line in lines:
        verse, *texts = line.split("\t")
        words = [len(text.split()) for text in texts]
        if min(words) == 0 or max(words) > MOST_WORDS:
            counts["left out: empty" if min(words) == 0 else f"left out: more than {MOST_WORDS} words"] += 1
            continue
        split = {7: "valid", 13: "test"}.get(int(verse.split(".")[1]) % 20, "train")
        counts[split] += 1
        rows.append("\t".join((verse, split, *texts)))
    return "\n".join(rows) + "\n", counts


def sentences(treebank: str) -> dict[str, str]:
    """Return the CoNLL-U of each split."""
    splits = {"train": "", "valid": "", "test": ""}
    for sentence in treebank.strip("\n").split("\n\n"):
        (identity,) = (line.removeprefix("# sent_id = ") for line in sentence.split("\n") if "# sent_id = " in line)
        splits[split_of(identity, 10)] += f"{sentence}\n\n"
    return splits


def pack(path: Path, text: str) -> int:
    """Write a text as .xz with the strongest compression; return its bytes."""
    packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
    path.write_bytes(packed)
    return len(packed)


def write_rows(target: Path, name: str, sample: str, counts: Counter[str]) -> None:
    """Write a sample of rows and print its counts."""
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
    """Write the sample of images and return a line with its size."""
    target.mkdir(exist_ok=True)
    size = 0
    for split, (file, start, end) in IMAGES.items():
        images = idx(source / f"{file}-images-idx3-ubyte.gz")
        labels = idx(source / f"{file}-labels-idx1-ubyte.gz")
        chosen = np.sort(np.concatenate([np.flatnonzero(labels == k)[start:end] for k in range(len(CLOTHES))]))
        size += pack_idx(target / f"{split}-images-idx3-ubyte.gz", images[chosen])
        size += pack_idx(target / f"{split}-labels-idx1-ubyte.gz", labels[chosen])
    (target / "labels.txt").write_text("\n".join(CLOTHES) + "\n", encoding="utf-8")
    shutil.copyfile(source / "LICENSE", target / "LICENSE")
    return f"fashion: {size:,} bytes\n"


def main() -> None:
    """Read the sources on the command line, write their samples and licences, and print the counts."""
    parser = argparse.ArgumentParser(description="Make the sample data sets of the package.")
    parser.add_argument("--snippets", type=Path, help="folder with the two snippet files and their LICENSE")
    parser.add_argument("--plays", type=Path, help="folder with one text a play; their LICENSE is in the one above")
    parser.add_argument("--words", type=Path, help="folder with cmudict.dict and its LICENSE")
    parser.add_argument("--verses", type=Path, help="folder with en-fr.tsv and its LICENSE")
    parser.add_argument("--fashion", type=Path, help="folder with Fashion-MNIST's four files and its LICENSE")
    parser.add_argument("--treebank", type=Path, help="folder with the two CoNLL-U files and their LICENSE")
    parser.add_argument("target", type=Path, help="folder to write into")
    options = parser.parse_args()
    if options.snippets:
        for name, file in SOURCES.items():
            write_rows(options.target, name, *make(name, (options.snippets / file).read_text(encoding="utf-8")))
        shutil.copyfile(options.snippets / "LICENSE", options.target / "LICENSE-snippets")
    if options.plays:
        texts = {path.stem: path.read_text(encoding="utf-8") for path in options.plays.glob("*.txt")}
        for split, text in plays(texts).items():
            size = pack(options.target / f"shakespeare.{split}.txt.xz", text)
            sys.stdout.write(f"shakespeare {split}: {size:,} bytes, {len(text):,} characters\n")
        shutil.copyfile(options.plays.parent / "LICENSE", options.target / "LICENSE-shakespeare")
    for name, folder, file, make_rows in (
        ("letters", options.words, "cmudict.dict", letters),
        ("verses", options.verses, "en-fr.tsv", verses),
    ):
        if folder:
            write_rows(options.target, name, *make_rows((folder / file).read_text(encoding="utf-8")))
            shutil.copyfile(folder / "LICENSE", options.target / f"LICENSE-{name}")
    if options.fashion:
        sys.stdout.write(fashion(options.fashion, options.target / "fashion"))
    if options.treebank:
        whole = "".join((options.treebank / file).read_text(encoding="utf-8").strip("\n") + "\n\n" for file in TREEBANK)
        for split, text in sentences(whole).items():
            size = pack(options.target / f"tags.{split}.conllu.xz", text)
            sys.stdout.write(f"tags {split}: {size:,} bytes, {text.count(chr(10) * 2):,} sentences\n")
        shutil.copyfile(options.treebank / "LICENSE", options.target / "LICENSE-tags")


if __name__ == "__main__":
    main()
