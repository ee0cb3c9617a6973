"""What a finished run answers, and what it says when it cannot."""

import math
from pathlib import Path

import pytest
import torch

from small import SMALL, pairs, trained, write_csv
from unrolled import api
from unrolled.config import from_flat
from unrolled.errors import ConfigError, DataError
from unrolled.tasks.classification import Classify


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "data.csv")


def test_it_answers_in_order_and_as_a_distribution() -> None:
    run = trained()
    texts = [text for text, _ in pairs(30, seed=3)]
    answers = run.decode(iter(texts))
    assert [answer.text for answer in answers] == texts
    for answer in answers:
        assert list(answer.probabilities) == ["neg", "pos"]
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.probability == max(answer.probabilities.values()) == answer.probabilities[answer.label]
    assert run.decode("one text")[0].text == "one text"
    assert run.decode([]) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "text 1 is empty"),
        (" \n", "text 1 is empty"),
        (3, "text 1 is a int, not a string"),
        (None, "text 1 is a NoneType, not a string"),
        ("\udcff", "text 1 holds an unpaired surrogate"),
    ],
)
def test_what_cannot_be_decoded_is_named(text: object, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        trained().decode(["fine", text])


def test_its_own_test_part_gives_the_result_of_the_training(data: Path, tmp_path: Path) -> None:
    run = api.train(data, out=tmp_path / "run", **SMALL)
    assert run.test is not None
    assert run.evaluate() == run.test
    assert api.load(tmp_path / "run").evaluate() == run.test


def test_the_majority_is_that_of_the_training_split(tmp_path: Path) -> None:
    """The other splits have another; the baseline on the test split is that of training."""
    files = {}
    for name, negative, positive in (("train", 20, 5), ("valid", 2, 8), ("test", 1, 3)):
        rows = [(f"film {name} {i}", "neg" if i < negative else "pos") for i in range(negative + positive)]
        files[name] = write_csv(tmp_path / f"{name}.csv", rows)
    run = api.train(files["train"], valid=str(files["valid"]), test=str(files["test"]), **SMALL)
    assert run.record["data"]["majority"] == run.test.majority_label == "neg"
    assert run.test.majority_accuracy == 0.25
    config = from_flat({"class_weights": "balanced", "label_smoothing": 0}, base=run.config)
    loss = Classify.read(str(files["train"]), config).loss(config, torch.device("cpu"))
    for k, weight in enumerate((25 / (2 * 20), 25 / (2 * 5))):
        assert float(loss(torch.zeros(1, 2), torch.tensor([k]))) == pytest.approx(weight * math.log(2))


def test_the_files_of_its_parts_are_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(("train", "valid", "test")):
        write_csv(tmp_path / f"{name}.csv", pairs(20, seed=number))
    monkeypatch.chdir(tmp_path)
    run = api.train("train.csv", valid="valid.csv", test="test.csv", out="run", **SMALL)
    assert run.test is not None
    assert run.test.n == 20
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert api.load(tmp_path / "run").evaluate() == run.test
    (tmp_path / "test.csv").unlink()
    with pytest.raises(DataError, match=r"test\.csv: the data of the training no longer exist"):
        api.load(tmp_path / "run").evaluate()


def test_data_that_have_changed_are_refused(data: Path, tmp_path: Path) -> None:
    run = api.train(data, out=tmp_path / "run", **SMALL)
    changed = {"pos": "neg", "neg": "pos"}
    write_csv(data, [(text, changed[label]) for text, label in pairs()])
    with pytest.raises(
        DataError,
        match=r"(?s)data\.csv: these are not the data.*unrolled evaluate .*run .*data\.csv --test-split`",
    ):
        run.evaluate()
    assert run.evaluate(data).n == 60
    data.unlink()
    with pytest.raises(DataError, match="no longer exist"):
        run.evaluate()


def test_without_data_or_a_test_part_it_says_so() -> None:
    with pytest.raises(DataError, match="trained on Python objects, which are not saved"):
        trained().evaluate()
    alone = api.train(pairs(), test_fraction=0.0, **SMALL)
    assert alone.test is None
    assert alone.record["result"] is None
    with pytest.raises(DataError, match="trained without a test split"):
        alone.evaluate()


def test_other_columns_and_bad_rows(tmp_path: Path) -> None:
    more = write_csv(tmp_path / "more.csv", [("so dull", "neg"), ("", "pos"), ("so fine", "pos")], header="says,is")
    with pytest.raises(DataError, match='no column "text"'):
        trained().evaluate(more)
    with pytest.raises(DataError, match=r"line 3, column 1 \(\"says\"\): the text is empty"):
        trained().evaluate(more, text="says", label="is")
    assert trained().evaluate(more, text="says", label="is", on_bad_row="skip").n == 2
    assert trained().read_texts(more, text="says", on_bad_row="skip") == ["so dull", "so fine"]
    with pytest.raises(ConfigError, match="leave text, label, header, separator and on_bad_row out"):
        trained().evaluate(text="says")
    with pytest.raises(ConfigError, match="on_bad_row should be 'stop' or 'skip'"):
        trained().evaluate(more, on_bad_row="maybe")
    with pytest.raises(ConfigError, match="decimal is for runs of task regress: this run's task is classify"):
        trained().evaluate([("a", "pos")], decimal=",")


def test_an_unknown_label_is_named(tmp_path: Path) -> None:
    more = write_csv(tmp_path / "more.csv", [("so dull", "neg"), ("so so", "neutral")])
    with pytest.raises(DataError, match=r'line 3, .*"neutral" is not one of the 2 labels .* \(neg, pos\)'):
        trained().evaluate(more)


def test_what_was_skipped_is_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_csv(tmp_path / "data.csv", [*pairs(), ("", "pos")])
    with caplog.at_level("INFO", "unrolled"):
        api.train(data, on_bad_row="skip", **SMALL)
    assert "61 rows read = 60 used + 1 skipped (1 empty text)" in caplog.text
    assert "skipped: line 62: empty text" in caplog.text


def test_rows_whose_label_never_occurs_in_training_are_listed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "unrolled"):
        run = api.train([*pairs(), *((f"odd {i}", f"odd {i}") for i in range(20))], on_bad_row="skip", **SMALL)
    assert "unknown label" in caplog.text
    kept = sum(part["rows"] for part in run.record["data"]["splits"].values())
    assert 60 < kept < 80
