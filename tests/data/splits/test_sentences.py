"""Splits of sentences, and their tags."""

from pathlib import Path

import pytest

from small import sentences, write_conllu
from unrolled.config import from_flat
from unrolled.data.splits.sentences import split_sentences
from unrolled.errors import DataError

CONFIG = from_flat({"task": "tag"}).data
SKIP = CONFIG.model_copy(update={"on_bad_row": "skip"})


def test_a_split_keeps_equal_sentences_together_and_knows_its_tags(tmp_path: Path) -> None:
    path = write_conllu(tmp_path / "a.conllu", sentences(40) + sentences(40))
    splits = split_sentences(path, CONFIG)
    assert sum(len(split) for split in splits.named().values()) == 80
    assert splits.labels == ("ADJ", "DET", "NOUN", "VERB")
    texts = {name: set(split.words()) for name, split in splits.named().items()}
    assert not texts["train"] & (texts["valid"] | texts["test"])
    odd = [*sentences(20), *((["x", f"odd{i}"], ["ADJ", f"T{i}"]) for i in range(20))]
    path = write_conllu(tmp_path / "b.conllu", odd)
    with pytest.raises(DataError, match=r'line \d+: "T\d+" is not one of the .* is in the (valid|test) split') as no:
        split_sentences(path, CONFIG)
    assert path.read_text().splitlines()[no.value.line - 1].split("\t")[1].startswith("odd")
    counts = split_sentences(path, SKIP)
    assert {"unknown label"} == {reason for split in counts.named().values() for reason in split.counts.skipped}


def test_splits_of_their_own(tmp_path: Path) -> None:
    train, valid = write_conllu(tmp_path / "a.conllu"), write_conllu(tmp_path / "v.conllu", sentences(5, seed=1))
    splits = split_sentences(train, CONFIG.model_copy(update={"valid": str(valid), "test_fraction": 0.0}))
    assert {name: len(split) for name, split in splits.named().items()} == {"train": 40, "valid": 5, "test": 0}
