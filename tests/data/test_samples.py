import hashlib
import importlib.util
import lzma
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from unrolled import lineage
from unrolled.config import DataConfig
from unrolled.data import SAMPLES, load_examples
from unrolled.data.samples import PARTS, find, read_sample, text_file
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


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.task == "classify"], ids=lambda sample: sample.name)
def test_the_parts_follow_from_the_hash_and_the_labels_from_the_rating(sample):
    rows = [row.values for row in read_sample(f"sample:{sample.name}", ("id", "label", "rating", "text"))]
    assert len(rows) == sample.size
    for identity, label, rating, text, part in rows:
        assert label == ("positive" if float(rating) > 0.5 else "negative")
        assert abs(float(rating)) > 0.5
        key = fold(text) if sample.name == "films" else identity.split("_")[0]
        assert part == {0: "valid", 1: "test"}.get(hashlib.sha256(key.encode()).digest()[0] % 20, "train")
    assert sample.task in {task.name for task in lineage.TASKS}


def script():
    path = Path(__file__).parents[2] / "experiments" / "make_samples.py"
    spec = importlib.util.spec_from_file_location("make_samples", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_that_made_them():
    made = script()
    sample, counts = made.make("products", "12_1\t0.5\tfine\n12_2\t-0.6\t''bad''\n13_1\t4\tGood  one")
    parts = [made.part_of("12"), made.part_of("13")]
    assert sample.splitlines() == [
        "id\tpart\tlabel\trating\ttext",
        f"12_2\t{parts[0]}\tnegative\t-0.6\t''bad''",
        f"13_1\t{parts[1]}\tpositive\t4\tGood  one",
    ]
    assert (counts["read"], counts["left out"]) == (3, 1)


def test_the_licence_comes_with_the_samples():
    folder = resources.files("unrolled.data") / "samples"
    assert "The MIT License" in (folder / "LICENSE-snippets").read_text()
    assert "free of charge" in (folder / "LICENSE-shakespeare").read_text()


def test_the_plays_are_whole_and_each_in_one_part():
    texts = {part: lzma.decompress(text_file("shakespeare", part).read_bytes()).decode() for part in PARTS}
    assert {part: len(text) for part, text in texts.items()} == {"train": 4498519, "valid": 274351, "test": 215894}
    assert sum(map(len, texts.values())) == SAMPLES[-1].size
    assert len(set("".join(texts.values()))) == 81
    for part, titles in {"valid": ("King Lear", "Much Ado"), "test": ("Macbeth", "Twelfth Night")}.items():
        assert all(f" {title}" in texts[part] for title in titles)
        assert texts[part].count("\n ACT I\n") == 2
    assert texts["train"].count("\n ACT I\n") == 34


def test_the_script_puts_whole_plays_into_their_part():
    parts = script().plays(
        {"king-lear": "Howl\n", "macbeth": "Out\n", "a": "1\n", "b": "2\n"}
        | dict.fromkeys(("much-ado-about-nothing", "twelfth-night"), "x\n")
    )
    assert parts == {"train": "1\n\n2\n", "valid": "Howl\n\nx\n", "test": "Out\n\nx\n"}


def test_a_sample_of_another_task_is_refused():
    with pytest.raises(DataError, match="sample:shakespeare is a sample for task generate, not classify\n.*say --task"):
        find("sample:shakespeare", "classify")
    with pytest.raises(DataError, match="take sample:shakespeare"):
        find("sample:films", "generate")


def test_an_unknown_sample_or_part_names_the_nearest():
    with pytest.raises(
        DataError, match=r'no sample "film" \(did you mean "films"\?\)\n.*sample:films, sample:products'
    ):
        find("sample:film", "classify")
    with pytest.raises(DataError, match=r'has no part "tests" \(did you mean "test"\?\)\n.*sample:films/valid'):
        find("sample:films/tests", "classify")
    with pytest.raises(DataError, match='has no part ""'):
        find("sample:films/", "classify")
