"""Every example runs, says something, and is short enough to read at a glance."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not any(tmp_path.iterdir()), "an example leaves nothing behind"


def test_a_cell_of_your_own_takes_at_most_thirty_lines() -> None:
    path = next(path for path in EXAMPLES if path.stem == "my_cell")
    classes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    lines = sum(node.end_lineno - node.lineno + 1 for node in classes)
    assert 0 < lines <= 30
