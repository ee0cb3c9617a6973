import json

import pytest

from unrolled import lineage
from unrolled.data.sample_report import inspect_sample
from unrolled.errors import DataError


@pytest.fixture(autouse=True)
def not_built(monkeypatch):
    monkeypatch.setattr(lineage, "TASKS", tuple(task._replace(kind=None) for task in lineage.TASKS))


def test_a_sample_that_cannot_be_trained_on_says_what_it_is():
    report = inspect_sample("sample:letters")
    assert json.loads(json.dumps(report.to_dict()))["parts"] == {"train": 120_059, "valid": 6_846, "test": 6_762}
    text = report.text()
    for part in ("translate, which is not built yet", "Carnegie Mellon", '"word", "phonemes"', "test 6,762"):
        assert part in text
    assert len(report.examples) == 5
    assert inspect_sample("sample:verses/test").parts == {"test": 1_206}


def test_all_else_is_for_the_task(monkeypatch):
    monkeypatch.undo()
    for data in ("sample:films", "sample:shakespeare", "letters.csv", [("a", "b")]):
        assert inspect_sample(data) is None
    with pytest.raises(DataError, match='did you mean "letters"'):
        inspect_sample("sample:leters")
