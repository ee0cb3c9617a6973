import hashlib
import importlib.util
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from unrolled import lineage
from unrolled.config import DataConfig
from unrolled.data import SAMPLES, load_examples
from unrolled.data.samples import find, read_sample
from unrolled.data.splits import fold
from unrolled.errors import DataError

COUNTS = {
    "films/train": {"negative": 4555, "positive": 4473},
    "films/valid": {"negative": 261, "positive": 259},
    "films/test": {"negative": 245, "positive": 250},
    "products/train": {"negative": 1018, "positive": 1535},
    "products/valid": {"negative": 152, "positive": 85},
    "products/test": {"negative": 48, "positive": 105},
}


@pytest.mark.parametrize("part", COUNTS)
def test_the_counts_are_the_documented_ones(part):
    examples = load_examples(f"sample:{part}", DataConfig(text="ignored", label="too"))
    assert Counter(examples.labels()) == COUNTS[part]
    assert (examples.name, examples.source) == (part.split("/")[0], f"sample:{part}")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_the_parts_follow_from_the_hash_and_the_labels_from_the_rating(sample):
    rows = [row.values for row in read_sample(f"sample:{sample.name}", ("id", "label", "rating", "text"))]
    assert len(rows) == sample.rows
    for identity, label, rating, text, part in rows:
        assert label == ("positive" if float(rating) > 0.5 else "negative")
        assert abs(float(rating)) > 0.5
        key = fold(text) if sample.name == "films" else identity.split("_")[0]
        assert part == {0: "valid", 1: "test"}.get(hashlib.sha256(key.encode()).digest()[0] % 20, "train")
    assert sample.task in {task.name for task in lineage.TASKS}


def test_the_script_that_made_them():
    path = Path(__file__).parents[2] / "experiments" / "make_samples.py"
    spec = importlib.util.spec_from_file_location("make_samples", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    sample, counts = script.make("products", "12_1\t0.5\tfine\n12_2\t-0.6\t''bad''\n13_1\t4\tGood  one")
    parts = [script.part_of("12"), script.part_of("13")]
    assert sample.splitlines() == [
        "id\tpart\tlabel\trating\ttext",
        f"12_2\t{parts[0]}\tnegative\t-0.6\t''bad''",
        f"13_1\t{parts[1]}\tpositive\t4\tGood  one",
    ]
    assert (counts["read"], counts["left out"]) == (3, 1)


def test_the_licence_comes_with_the_samples():
    folder = resources.files("unrolled.data") / "samples"
    assert "The MIT License" in (folder / "LICENSE-snippets").read_text()


def test_an_unknown_sample_or_part_names_the_nearest():
    with pytest.raises(
        DataError, match=r'no sample "film" \(did you mean "films"\?\)\n.*sample:films, sample:products'
    ):
        find("sample:film")
    with pytest.raises(DataError, match=r'has no part "tests" \(did you mean "test"\?\)\n.*sample:films/valid'):
        find("sample:films/tests")
    with pytest.raises(DataError, match='has no part ""'):
        find("sample:films/")
