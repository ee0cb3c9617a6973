"""Names of numeric labels: in every answer and table, and read from no file that a run records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from small import SMALL, pairs, write_images
from unrolled.config import DataConfig
from unrolled.data.examples.class_names import class_names
from unrolled.errors import CheckpointError, ConfigError, DataError

NAMES = ["bad\t", "good"]


def numbered(n: int = 60, *, seed: int = 0) -> list[tuple[str, int]]:
    return [(text, int(label == "pos")) for text, label in pairs(n, seed=seed)]


def train(path: Path, names: Any, **more: Any) -> Any:
    return unrolled.train(numbered(), **SMALL | more, class_names=names, out=path)


def test_a_run_answers_with_names_and_reads_numbers_and_names(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("bad\t\ngood\n\n", encoding="utf-8")
    run = train(tmp_path / "run", str(tmp_path / "names.txt"))
    (tmp_path / "names.txt").unlink()
    loaded = unrolled.load(tmp_path / "run")
    plain = unrolled.train(numbered(), **SMALL)
    (answer,), (without,) = loaded.decode("a fine film"), plain.decode("a fine film")
    assert answer.probabilities == dict(zip(NAMES, without.probabilities.values(), strict=True))
    assert {scores.label for scores in run.test.classes} == {*NAMES}
    assert run.record["data"]["majority"] in NAMES
    assert run.record["data"]["labels"] == ["0", "1"]
    assert "labels" not in plain.record["data"]
    of_numbers = loaded.evaluate(numbered(20, seed=5))
    named = [(text, NAMES[k]) for text, k in numbered(20, seed=5)]
    assert of_numbers == loaded.evaluate(named)
    assert of_numbers.accuracy == plain.evaluate(numbered(20, seed=5)).accuracy
    assert "`good`" in loaded.card()["answers"]
    assert loaded.explain("a fine film").about.answers[0] in NAMES
    with pytest.raises(DataError, match='"2" is not one of the'):
        loaded.evaluate([("a fine film", 2)])
    again = unrolled.train(numbered(seed=2), start=loaded, updates=2)
    assert again.labels == run.labels


def test_names_of_idx_images(tmp_path: Path) -> None:
    path = write_images(tmp_path / "set")
    settings = {"hidden_size": 4, "updates": 2, "evaluate_every": 2}
    run = unrolled.train(str(path), class_names=["below", "above"], **settings, out=tmp_path / "run")
    assert run.labels == ("below", "above")
    result = unrolled.load(tmp_path / "run").evaluate(str(path))
    assert [(scores.label, scores.support > 0) for scores in result.classes] == [("below", True), ("above", True)]
    assert unrolled.inspect(str(path), class_names=["below", "above"]).splits["train"].labels.keys() == {
        "below", "above",
    }  # fmt: skip


def test_the_report_shows_them() -> None:
    report = unrolled.inspect(numbered(), class_names=["bad", "good"], min_frequency=1)
    plain = unrolled.inspect(numbered(), min_frequency=1)
    assert [*report.splits["train"].labels.values()] == [*plain.splits["train"].labels.values()]
    assert '"good"' in report.text()
    assert report.majority == {"0": "bad", "1": "good"}[plain.majority]


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        (("1", "10", "2"), ["one", "two", "ten"], ("one", "ten", "two")),  # numeric order
        (("-1", "0", "1"), ["less", "same", "more"], ("less", "same", "more")),
        (("1", "3"), ["a", "b", "c", "d"], ("b", "d")),  # 0 and 2 do not occur
        (("1.0", "2.5"), ["low", "high"], ("low", "high")),
        (("x", "y"), None, ("x", "y")),
    ],
)
def test_names_follow_the_numbers(labels: tuple[str, ...], names: list[str] | None, expected: tuple[str, ...]) -> None:
    found = class_names(labels, DataConfig(class_names=names))
    assert tuple(found) == labels
    assert tuple(found.values()) == expected


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        (("no", "yes"), ["a", "b"], '--class-names names labels that are numbers, and "no" is a label'),
        (("1", "2", "3"), ["a", "b"], "--class-names has 2 names, and the training split 3 labels, from 1 to 3"),
        (("0", "1"), "names.txt", "class_names should be names here, not a file: got 'names.txt'"),
    ],
)
def test_names_that_do_not_fit_are_refused(labels: tuple[str, ...], names: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        class_names(labels, DataConfig(class_names=names))


def test_bad_files_of_names_are_refused_with_their_line(tmp_path: Path) -> None:
    for content, message in (("a\n\nb\n", "line 2: the name of a class is empty"), ("a\na\n", 'line 2: "a" is the')):
        (tmp_path / "names.txt").write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            train(tmp_path / "run", tmp_path / "names.txt")
    assert not (tmp_path / "run").exists()


def test_a_record_that_disagrees_is_refused(tmp_path: Path) -> None:
    run = train(tmp_path / "run", NAMES)
    run.record["data"]["labels"] = ["0", "1", "2"]
    run.save(tmp_path / "other")
    with pytest.raises(CheckpointError, match="disagrees with the settings of the run about the number of labels"):
        unrolled.load(tmp_path / "other")


def test_a_training_that_names_a_file_is_not_resumed_with_it(tmp_path: Path) -> None:
    """A partial training may come from anybody: its settings hold names, and no file of it is read."""
    (tmp_path / "secret.txt").write_text("one\ntwo\n", encoding="utf-8")
    config = json.loads(json.dumps({"class_names": str(tmp_path / "secret.txt")}))
    with pytest.raises(ConfigError, match="class_names should be names here, not a file"):
        class_names(("0", "1"), DataConfig(**config))


def test_arrays_of_images_take_a_list() -> None:
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 255, (60, 4, 4), dtype=np.uint8), draw.integers(0, 2, 60)
    run = unrolled.train((images, labels), class_names=["no", "yes"], hidden_size=4, updates=2)
    assert run.decode(images[0], top=2)[0].probabilities.keys() == {"no", "yes"}
