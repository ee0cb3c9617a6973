"""Runs of format version 2 are read, and answer as they did: tests/format_2 has one of each kind."""

import json
from pathlib import Path

import numpy as np
import pytest

import unrolled

FOLDER = Path(__file__).parents[1] / "format_2"
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
RENAMED = {"cut": "truncated"}
ADDED = {"probabilities"}  # of all tags of a word


def close(found: object, expected: object) -> None:
    """Equal, but for the last digits of numbers: another machine adds in another order."""
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        names = {RENAMED.get(key, key) for key in expected}
        assert names <= set(found) <= names | ADDED
        for key, value in expected.items():
            close(found[RENAMED.get(key, key)], value)
    elif isinstance(expected, list):
        assert isinstance(found, list | tuple)
        for one, other in zip(found, expected, strict=True):
            close(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    else:
        assert found == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_a_run_of_version_2_answers_as_it_did(name: str) -> None:
    run, case = unrolled.load(FOLDER / name), EXPECTED[name]
    asked = np.zeros((2, 4, 4), np.uint8) if case["asked"] == "zeros" else case["asked"]
    close([answer.to_dict() for answer in run.decode(asked, **case["options"])], case["answers"])
    assert run.config.model.name == name.partition("-")[2] or name == "images-elman"
    assert set(run.record["data"]["splits"]) == {"train", "valid", "test"}


def test_it_is_written_as_the_present_version(tmp_path: Path) -> None:
    run = unrolled.load(FOLDER / "translate-transformer")
    assert run.config.data.truncate
    again = unrolled.load(run.save(tmp_path / "run").path)
    assert json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["format_version"] == 3
    assert again.decode("a b c") == run.decode("a b c")
