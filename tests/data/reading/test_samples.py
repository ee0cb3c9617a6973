import hashlib
import importlib.util
import lzma
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest

from unrolled import lineage
from unrolled.config import DataConfig, from_flat
from unrolled.data.examples.images import load_images
from unrolled.data.examples.labelled import load_examples
from unrolled.data.reading.samples import FOLDER, SAMPLES, SPLITS, find, image_folder, read_sample, split_file
from unrolled.data.splits.sentences import split_sentences
from unrolled.data.splitting import fold
from unrolled.errors import DataError

COUNTS = {
    "films/train": {"negative": 4555, "positive": 4473},
    "films/valid": {"negative": 261, "positive": 259},
    "films/test": {"negative": 245, "positive": 250},
    "products/train": {"negative": 1018, "positive": 1535},
    "products/valid": {"negative": 152, "positive": 85},
    "products/test": {"negative": 48, "positive": 105},
}


@pytest.mark.parametrize("split", COUNTS)
def test_the_counts_are_the_documented_ones(split):
    examples = load_examples(f"sample:{split}", DataConfig(text="ignored", label="too"))
    assert Counter(examples.labels()) == COUNTS[split]
    assert (examples.name, examples.source) == (split.split("/")[0], f"sample:{split}")


@pytest.mark.parametrize(
    "sample", [s for s in SAMPLES if "classify" in s.tasks and not s.images], ids=lambda sample: sample.name
)
def test_the_splits_follow_from_the_hash_and_the_labels_from_the_rating(sample):
    rows = [row.values for row in read_sample(f"sample:{sample.name}", ("id", "label", "rating", "text"))]
    assert len(rows) == sample.size
    for identity, label, rating, text, split in rows:
        assert label == ("positive" if float(rating) > 0.5 else "negative")
        assert abs(float(rating)) > 0.5
        key = fold(text) if sample.name == "films" else identity.split("_")[0]
        assert split == {0: "valid", 1: "test"}.get(hashlib.sha256(key.encode()).digest()[0] % 20, "train")
    assert {*sample.tasks} <= {task.name for task in lineage.TASKS}


def script():
    path = Path(__file__).parents[3] / "experiments" / "make_samples.py"
    spec = importlib.util.spec_from_file_location("make_samples", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_that_made_them():
    made = script()
    sample, counts = made.make("products", "12_1\t0.5\tfine\n12_2\t-0.6\t''bad''\n13_1\t4\tGood  one")
    splits = [made.split_of("12"), made.split_of("13")]
    assert sample.splitlines() == [
        "id\tpart\tlabel\trating\ttext",
        f"12_2\t{splits[0]}\tnegative\t-0.6\t''bad''",
        f"13_1\t{splits[1]}\tpositive\t4\tGood  one",
    ]
    assert (counts["read"], counts["left out"]) == (3, 1)


def test_the_licence_comes_with_the_samples():
    folder = resources.files("unrolled.data") / "samples"
    assert "The MIT License" in (folder / "LICENSE-snippets").read_text()
    assert "free of charge" in (folder / "LICENSE-shakespeare").read_text()
    assert "Carnegie Mellon University" in (folder / "LICENSE-letters").read_text()
    assert "public domain" in (folder / "LICENSE-verses").read_text()
    assert "Apache License" in (folder / "LICENSE-tags").read_text()


def test_the_sentences_are_where_the_hash_of_their_id_puts_them():
    found = {split: lzma.decompress(split_file("tags", split, ".conllu").read_bytes()).decode() for split in SPLITS}
    ids = {split: re.findall(r"^# sent_id = (.*)$", text, re.M) for split, text in found.items()}
    assert {split: len(these) for split, these in ids.items()} == {"train": 3865, "valid": 491, "test": 495}
    for split, these in ids.items():
        hashes = (hashlib.sha256(identity.encode()).digest()[0] % 10 for identity in these)
        assert {{0: "valid", 1: "test"}.get(number, "train") for number in hashes} == {split}
    splits = split_sentences("sample:tags", from_flat({"task": "tag"}).data)
    assert {name: len([*split.tags()]) for name, split in splits.named().items()} == {
        "train": 64954, "valid": 8172, "test": 8244,
    }  # fmt: skip
    assert len(splits.labels) == 14
    assert splits.how == "the fixed splits of sample:tags"


def test_the_script_that_cut_the_treebank():
    made = script()
    treebank = "".join(f"# sent_id = {i}\n1\tword {i}\n\n" for i in range(40))
    splits = made.sentences(treebank)
    assert sorted(split.count("word") for split in splits.values()) != [0, 0, 40]
    assert sorted("".join(splits.values()).split("\n\n")) == sorted(treebank.split("\n\n"))
    assert "# sent_id = 7\n1\tword 7\n\n" in splits[made.split_of("7", 10)]


def test_the_plays_are_whole_and_each_in_one_split():
    texts = {split: lzma.decompress(split_file("shakespeare", split, ".txt").read_bytes()).decode() for split in SPLITS}
    assert {split: len(text) for split, text in texts.items()} == {"train": 4498519, "valid": 274351, "test": 215894}
    assert sum(map(len, texts.values())) == {sample.name: sample.size for sample in SAMPLES}["shakespeare"]
    assert len(set("".join(texts.values()))) == 81
    for split, titles in {"valid": ("King Lear", "Much Ado"), "test": ("Macbeth", "Twelfth Night")}.items():
        assert all(f" {title}" in texts[split] for title in titles)
        assert texts[split].count("\n ACT I\n") == 2
    assert texts["train"].count("\n ACT I\n") == 34


@pytest.mark.parametrize("name", ["letters", "verses"])
def test_pairs_are_counted_and_in_their_splits(name):
    sample = next(sample for sample in SAMPLES if sample.name == name)
    first = {"letters": (), "verses": ("verse",)}[name]
    rows = [row.values for row in read_sample(f"sample:{name}", (*first, *sample.columns))]
    assert len(rows) == sample.size == len(set(rows))
    for *identity, source, target, split in rows:
        key = int(identity[0].split(".")[1]) % 20 if identity else hashlib.sha256(source.encode()).digest()[0] % 20
        assert split == {"letters": {0: "valid", 1: "test"}, "verses": {7: "valid", 13: "test"}}[name].get(key, "train")
        if name == "letters":
            assert set(source) <= set("abcdefghijklmnopqrstuvwxyz'")
        else:
            assert 0 < len(source.split()) <= 60 >= len(target.split()) > 0
    if name == "letters":
        assert len({phoneme for _, target, _ in rows for phoneme in target.split(" ")}) == 39


def test_the_script_counts_what_it_leaves_out():
    made = script()
    text, counts = made.letters("a AH0\na(2) EY1\na(3) AH1 # in a hurry\nb.c B IY1\n")
    split = made.split_of("a")
    assert text == f"word\tpart\tphonemes\na\t{split}\tAH\na\t{split}\tEY\n"
    assert counts == {"read": 4, split: 2, "left out: equal but for stress": 1, "left out: other characters": 1}
    text, counts = made.verses(f"verse\ten\tfr\n1.7.1\ta\tb\n1.1.2\tc\t{'d ' * 61}\n2.33.1\te\tf\n2.1.1\t\tg\n")
    assert text == "verse\tpart\ten\tfr\n1.7.1\tvalid\ta\tb\n2.33.1\ttest\te\tf\n"
    assert counts == {"read": 4, "valid": 1, "test": 1, "left out: more than 60 words": 1, "left out: empty": 1}


def test_all_samples_together_are_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) <= 10_000_000


def test_the_script_puts_whole_plays_into_their_split():
    splits = script().plays(
        {"king-lear": "Howl\n", "macbeth": "Out\n", "a": "1\n", "b": "2\n"}
        | dict.fromkeys(("much-ado-about-nothing", "twelfth-night"), "x\n")
    )
    assert splits == {"train": "1\n\n2\n", "valid": "Howl\n\nx\n", "test": "Out\n\nx\n"}


def test_a_sample_of_another_task_is_refused():
    with pytest.raises(DataError, match="sample:shakespeare is a sample for task generate, not classify\n.*use --task"):
        find("sample:shakespeare", "classify")
    with pytest.raises(DataError, match=", or sample:shakespeare"):
        find("sample:films", "generate")


def test_the_clothes_are_as_many_of_each_kind_and_those_of_the_script(tmp_path):
    splits = {split: load_images(f"sample:fashion/{split}", DataConfig()) for split in SPLITS}
    for split, images in splits.items():
        each = {"train": 450, "valid": 50, "test": 100}[split]
        assert images.shape == (28, 28, 1)
        assert Counter(images.labels[k] for k in images.classes) == dict.fromkeys(sorted(script().CLOTHES), each)
    assert sum(map(len, splits.values())) == next(s.size for s in SAMPLES if s.name == "fashion")
    made = script()
    folder = image_folder("fashion")
    for split in ("images-idx3", "labels-idx1"):
        array = made.idx(folder / f"t10k-{split}-ubyte.gz")
        made.pack_idx(tmp_path / "again.gz", array)
        assert (tmp_path / "again.gz").read_bytes() == (folder / f"t10k-{split}-ubyte.gz").read_bytes()
    assert "Zalando" in (folder / "LICENSE").read_text()


def test_texts_and_images_are_not_confused():
    with pytest.raises(DataError, match="sample:fashion is a sample of images, not texts"):
        load_examples("sample:fashion", DataConfig())
    with pytest.raises(DataError, match="sample:films/test is a sample of texts, not images"):
        load_images("sample:films/test", DataConfig())


def test_an_unknown_sample_or_split_names_the_nearest():
    with pytest.raises(
        DataError, match=r'no sample "film" \(did you mean "films"\?\)\n.*sample:films, sample:products'
    ):
        find("sample:film", "classify")
    with pytest.raises(DataError, match=r'has no split "tests" \(did you mean "test"\?\)\n.*sample:films/valid'):
        find("sample:films/tests", "classify")
    with pytest.raises(DataError, match='has no split ""'):
        find("sample:films/", "classify")
