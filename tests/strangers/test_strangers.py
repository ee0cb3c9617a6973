"""Every case, as a test."""

from pathlib import Path

import pytest

from strangers import CASES
from strangers.cases import Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.name}")
def test_holds(case: Case, tmp_path: Path) -> None:
    case.run(tmp_path)


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
