"""Make the two sample data sets that the package carries: films.tsv.xz and products.tsv.xz.

    python experiments/make_samples.py SNIPPETS src/unrolled/data/samples

SNIPPETS is a folder with `movieReviewSnippets_GroundTruth.txt`, `amazonReviewSnippets_GroundTruth.txt` (each line an
id, a mean rating from −4 to 4 and a sentence, separated by tabs) and their `LICENSE`. A rating above 0.5 is positive,
one below −0.5 negative; what lies between is left out and counted. Nothing in a text is changed.

The part of a row is decided by a hash: of the text, lower case and with single spaces, for the films; of the review's
number for the products, whose sentences come from reviews (so that a review is never torn apart). SHA-256, first byte
modulo 20: 0 is valid, 1 is test, the rest train. The same source gives the same bytes.
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


def main() -> None:
    """Read both sources, write both samples and the licence, and say the counts."""
    parser = argparse.ArgumentParser(description="Make the sample data sets of the package.")
    parser.add_argument("source", type=Path, help="folder with the two snippet files and their LICENSE")
    parser.add_argument("target", type=Path, help="folder to write into")
    arguments = parser.parse_args()
    for name, file in SOURCES.items():
        sample, counts = make(name, (arguments.source / file).read_text(encoding="utf-8"))
        packed = lzma.compress(sample.encode(), preset=9 | lzma.PRESET_EXTREME)
        (arguments.target / f"{name}.tsv.xz").write_bytes(packed)
        sys.stdout.write(f"{name}: {len(packed):,} bytes, {dict(sorted(counts.items()))}\n")
    shutil.copyfile(arguments.source / "LICENSE", arguments.target / "LICENSE-snippets")


if __name__ == "__main__":
    main()
