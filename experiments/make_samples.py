"""Make the sample data sets that the package carries.

    python experiments/make_samples.py --snippets SNIPPETS --plays PLAYS src/unrolled/data/samples

SNIPPETS makes films.tsv.xz and products.tsv.xz. It is a folder with `movieReviewSnippets_GroundTruth.txt`,
`amazonReviewSnippets_GroundTruth.txt` (each line an id, a mean rating from −4 to 4 and a sentence, separated by tabs)
and their `LICENSE`. A rating above 0.5 is positive, one below −0.5 negative; what lies between is left out and counted.
Nothing in a text is changed. The part of a row is decided by a hash: of the text, lower case and with single spaces,
for the films; of the review's number for the products, whose sentences come from reviews (so that a review is never
torn apart). SHA-256, first byte modulo 20: 0 is valid, 1 is test, the rest train.

PLAYS makes shakespeare.train.txt.xz, shakespeare.valid.txt.xz and shakespeare.test.txt.xz. It is a folder with one text
a play, `king-lear.txt`; the `LICENSE` is in the folder above. Each part is its plays, unchanged, in the order of their
names, with an empty line between two. No play is torn apart.

The same source gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import shutil
import sys
from collections import Counter
from pathlib import Path

SOURCES = {"films": "movieReviewSnippets_GroundTruth.txt", "products": "amazonReviewSnippets_GroundTruth.txt"}
PLAYS = {"valid": ("king-lear", "much-ado-about-nothing"), "test": ("macbeth", "twelfth-night")}  # the rest is train
COLUMNS = ("id", "part", "label", "rating", "text")
NEUTRAL = 0.5  # a mean rating this near to zero says neither


def part_of(key: str) -> str:
    """Return the part that a text or review number falls into."""
    return {0: "valid", 1: "test"}.get(hashlib.sha256(key.encode()).digest()[0] % 20, "train")


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


def pack(path: Path, text: str) -> int:
    """Write a text as .xz, as small as it gets; return its bytes."""
    packed = lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)
    path.write_bytes(packed)
    return len(packed)


def main() -> None:
    """Read the sources that are given, write their samples and licences, and say the counts."""
    parser = argparse.ArgumentParser(description="Make the sample data sets of the package.")
    parser.add_argument("--snippets", type=Path, help="folder with the two snippet files and their LICENSE")
    parser.add_argument("--plays", type=Path, help="folder with one text a play; their LICENSE is in the one above")
    parser.add_argument("target", type=Path, help="folder to write into")
    asked = parser.parse_args()
    if asked.snippets:
        for name, file in SOURCES.items():
            sample, counts = make(name, (asked.snippets / file).read_text(encoding="utf-8"))
            size = pack(asked.target / f"{name}.tsv.xz", sample)
            sys.stdout.write(f"{name}: {size:,} bytes, {dict(sorted(counts.items()))}\n")
        shutil.copyfile(asked.snippets / "LICENSE", asked.target / "LICENSE-snippets")
    if asked.plays:
        texts = {path.stem: path.read_text(encoding="utf-8") for path in asked.plays.glob("*.txt")}
        for part, text in plays(texts).items():
            size = pack(asked.target / f"shakespeare.{part}.txt.xz", text)
            sys.stdout.write(f"shakespeare {part}: {size:,} bytes, {len(text):,} characters\n")
        shutil.copyfile(asked.plays.parent / "LICENSE", asked.target / "LICENSE-shakespeare")


if __name__ == "__main__":
    main()
