"""Synthetic tasks by address: rows that follow the rule, splits that share no draw, errors that name the remedy."""

import re
import statistics
from pathlib import Path

import pytest

from unrolled.config import DataConfig, from_flat
from unrolled.data.examples.labelled import load_examples
from unrolled.data.reading import samples
from unrolled.data.reading.synthetic import parse
from unrolled.data.splits.labelled import load_splits
from unrolled.data.splits.numbers import split_numbers
from unrolled.data.splits.pairs import split_pairs
from unrolled.data.splits.sentences import split_sentences
from unrolled.data.synthetic import TASKS, make
from unrolled.errors import DataError

DOCS = Path(__file__).parents[3] / "docs" / "data.md"


def rows(address: str) -> list[tuple[str, str]]:
    draws = parse(address)
    return [row.values for row in draws.rows_of(draws.columns)]


def last_open(brackets: list[str]) -> str:
    stack: list[str] = []
    for bracket in brackets:
        if bracket.islower():
            stack.append(bracket)
        else:
            assert stack.pop() == bracket.lower()
    return stack[-1].upper()


def majority(words: list[str]) -> str:
    key, *bits = words
    more = bits.count("1") > len(bits) / 2
    return {True: "yes", False: "no"}[more if key == "P" else not more]


def products(words: list[str]) -> str:
    """The products so far: the letters of one permutation, in the places that the next one names."""
    found = [sorted(words[0])]
    for word in words:
        found.append([found[-1]["abcde".index(letter)] for letter in word])
    return " ".join(map("".join, found[1:]))


def values(words: list[str]) -> str:
    pairs = words[:14]
    table = dict(zip(pairs[::2], pairs[1::2], strict=True))
    return " ".join(table[word] for word in words[14:] if word != ".")


RULES = {
    "recall": lambda words: words[0],
    "parity": lambda words: ("even", "odd")[words.count("1") % 2],
    "keyed_majority": majority,
    "temporal_order": lambda words: "".join(word for word in words if word in "XY"),
    "agreement": lambda words: "plural" if words[0].startswith("nouns") else "singular",
    "dyck": last_open,
    "associative_recall": lambda words: dict(zip(words[:-1:2], words[1::2], strict=True))[words[-1]],
    "copy": lambda words: " ".join(word for word in words if word != "."),
    "reverse": lambda words: " ".join(word for word in words[::-1] if word != "."),
    "selective_copy": lambda words: " ".join(word for word in words if word != "."),
    "mqar": values,
    "induction": lambda words: words[words.index("X") + 1],
    "s3": products,
    "a5": products,
    "adding": lambda words: str(sum(int(word[1:]) for word in words if word[0] == "x") / 10),
}


@pytest.mark.parametrize("name", TASKS)
def test_the_answer_follows_from_the_words(name: str) -> None:
    found = rows(f"synthetic:{name}?length=7&rows=300")
    assert len(found) == 2300
    for text, answer in found:
        assert RULES[name](text.split(" ")) == answer
    assert len({text for text, _ in found}) > 100, "the rows differ"


def test_words_are_those_of_the_ids() -> None:
    task = make("temporal_order", 5, symbols=30, seed=4)
    ids = task.batch(0, 256).inputs - 5
    names = [*"abcdefghijklmnopqrstuvwxyz", "aa", "ab", "ac", "ad", "X", "Y"]
    expected = [" ".join(names[i] for i in row) for row in ids.tolist()]
    assert [text for text, _ in rows("synthetic:temporal_order/train?length=5&symbols=30&seed=4&rows=256")] == expected
    digits = (10 * make("adding", 4).batch(0, 256).inputs[:, :, 0].double()).long()
    shown = [re.findall(r"\d", text) for text, _ in rows("synthetic:adding/train?length=4&rows=256")]
    assert [list(map(int, each)) for each in shown] == digits.tolist()


def test_adding_has_its_chance() -> None:
    """The sum of two digits from 0 to 9, divided by ten: mean 0.9, variance 2 · 8.25 / 100."""
    numbers = [float(answer) for _, answer in rows("synthetic:adding?length=5&rows=20000")]
    assert statistics.mean(numbers) == pytest.approx(0.9, abs=0.01)
    assert statistics.pvariance(numbers) == pytest.approx(0.165, abs=0.005)


def test_splits_have_draws_of_their_own_and_more_rows_change_none() -> None:
    splits = {split: rows(f"synthetic:recall/{split}?length=3&symbols=20&rows=700") for split in samples.SPLITS}
    assert [len(split) for split in splits.values()] == [700, 1000, 1000]
    assert rows("synthetic:recall?length=3&symbols=20&rows=700") == [
        *splits["train"],
        *splits["valid"],
        *splits["test"],
    ]
    assert len({text for split in splits.values() for text, _ in split}) == 2700
    assert rows("synthetic:recall/train?length=3&symbols=20&rows=900")[:700] == splits["train"]
    assert rows("synthetic:recall/test?length=3&symbols=20&rows=900&valid_rows=5") == splits["test"]
    assert rows("synthetic:recall/test?length=3&symbols=20&seed=1") != splits["test"]


def test_the_test_split_may_be_longer() -> None:
    splits = load_splits("synthetic:parity?length=9&test_length=40&rows=50&test_rows=70&valid_rows=30", DataConfig())
    words = {name: {len(text.split()) for text in split.texts()} for name, split in splits.named().items()}
    assert words == {"train": {9}, "valid": {9}, "test": {40}}
    assert {name: len(split) for name, split in splits.named().items()} == {"train": 50, "valid": 30, "test": 70}
    assert splits.how == (
        "the fixed splits of synthetic:parity?length=9&test_length=40&rows=50&test_rows=70&valid_rows=30"
    )
    assert (splits.train.name, splits.train.unit) == ("parity", "row")
    assert splits.test.source == "synthetic:parity/test?length=9&test_length=40&rows=50&test_rows=70&valid_rows=30"


def test_each_task_reads_its_own() -> None:
    pairs = split_pairs("synthetic:reverse?length=3&gap=2&rows=9", from_flat({"task": "translate"}).data)
    for source, target in zip(pairs.train.sources(), pairs.train.targets(), strict=True):
        *symbols, first, second = source.split(" ")
        assert (first, second, symbols[::-1]) == (".", ".", target.split(" "))
    sentences = split_sentences("synthetic:reverse?length=3&gap=2&rows=9", from_flat({"task": "tag"}).data)
    assert (len(sentences.train), sentences.train.source) == (9, "synthetic:reverse/train?length=3&gap=2&rows=9")
    for sentence, source, target in zip(
        sentences.train.items, pairs.train.sources(), pairs.train.targets(), strict=True
    ):
        assert sentence.text == f"{source} | . . ."
        assert sentence.tags == (*"------", *target.split(" "))
    numbers = split_numbers("synthetic:adding?length=3&rows=9", from_flat({"task": "regress"}).data)
    assert all(0 <= float(label) <= 1.8 for label in numbers.train.labels())


def test_the_documented_rows_are_those_of_the_address() -> None:
    table = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|.*\| `([^`]+)` → `([^`]+)` \|$", DOCS.read_text("utf-8"), re.M)
    assert [name for name, *_ in table] == list(TASKS)
    for name, tasks, *row in table:
        draws = parse(f"synthetic:{name}?length=6{'&symbols=4' * TASKS[name].has_symbols}")
        assert tasks.split(", ") == list(draws.tasks)
        assert list(next(draws.rows_of(draws.columns)).values) == row


@pytest.mark.parametrize(
    ("address", "problem", "fix"),
    [
        ("synthetic:recal", 'no synthetic task "recal" (did you mean "recall"?)', "synthetic:parity"),
        ("synthetic:", 'no synthetic task ""', "tasks are synthetic:recall"),
        ("synthetic:copy/tst", 'task copy has no split "tst" (did you mean "test"?)', "synthetic:copy/valid"),
        ("synthetic:recall?lenght=3", 'recall has no parameter "lenght" (did you mean "length"?)', "symbols, seed"),
        ("synthetic:parity?gap=100", 'parity has no parameter "gap"', "its length is the distance"),
        ("synthetic:parity?symbols=3", 'parity has no parameter "symbols"', "length, test_length, seed"),
        ("synthetic:associative_recall?test_length=9", 'no parameter "test_length"', "length, symbols, seed"),
        ("synthetic:recall?length=", 'length must be a whole number between 0 and 100,000: got ""', "?length=40"),
        ("synthetic:recall?length=-1", 'got "-1"', "as in synthetic:recall/test?length=40"),
        ("synthetic:recall?length=5/test", 'got "5/test"', "recall/test?length=40"),
        ("synthetic:recall?length=100001", 'got "100001"', ""),
        ("synthetic:recall?length=" + "9" * 5000, "must be a whole number", ""),
        ("synthetic:adding?length=1", "length must be a whole number between 2 and", ""),
        ("synthetic:recall?symbols=1", "symbols must be a whole number between 2 and", ""),
        ("synthetic:recall?rows=0", "rows must be a whole number between 1 and 10,000,000", ""),
        ("synthetic:recall?seed=1&seed=2", "seed is given twice", "remove one"),
        ("synthetic:copy?rows=10000000&length=100", "10,000,000 rows of up to 309 words", "fewer or shorter rows"),
        ("synthetic:copy?test_rows=10000000&test_length=100", "the test split has", "fewer or shorter rows"),
    ],
)
def test_a_bad_address_is_refused(address: str, problem: str, fix: str) -> None:
    with pytest.raises(DataError) as raised:
        parse(address)
    assert problem in raised.value.problem
    assert fix in str(raised.value.fix)


def test_a_task_that_it_does_not_serve_is_named() -> None:
    with pytest.raises(DataError, match="synthetic:copy is a synthetic task for task translate or tag, not classify"):
        load_examples("synthetic:copy", DataConfig())
    with pytest.raises(DataError, match="fix:  use --task regress$"):
        load_examples("synthetic:adding", DataConfig())
    assert samples.find("synthetic:copy/test", "tag")[1] == "test"


def test_the_gap_of_recall_is_its_length() -> None:
    assert parse("synthetic:recall?gap=100").task("train") == parse("synthetic:recall?length=100").task("train")
    with pytest.raises(DataError, match="length is given twice"):
        parse("synthetic:recall?gap=100&length=5")
