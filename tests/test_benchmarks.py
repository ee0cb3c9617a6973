"""Benchmarks: no speed next to a red twin test, a picture of the recorded figures, no number changed by a renaming."""

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unrolled.config import chosen, from_toml
from unrolled.kernels import native
from unrolled.scan import fused

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
BEFORE = "105f944"  # the last commit whose results have the names of format version 2


@pytest.fixture
def benchmark_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
def test_kernels_are_measured_once_they_are_right(benchmark_named, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = benchmark_named("kernels")
    shape = kernels.Shape(2, 3, 4, 5, "both directions")
    found = kernels.measure("gru", shape, 0.0, 1, 1.0)
    assert "gru" in kernels.line_of(found)
    assert 10 <= found["saved"]["ours"] < 12  # r z n h_n y of both directions, and the states they begin with
    right = fused.scan

    def wrong(*arguments: object, **options: object):
        y, state = right(*arguments, **options)
        return y * 1.001, state

    monkeypatch.setattr(fused, "scan", wrong)
    with pytest.raises(SystemExit, match="the twin test is red: gru"):
        kernels.measure("gru", shape, 0.0, 1, 1.0)


@pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")
def test_trainings_with_each_backend_learn_the_same(benchmark_named) -> None:
    pairs = [(f"{word} {k}", label) for k in range(20) for word, label in (("fine", "pos"), ("dull", "neg"))]
    settings = {"model": "gru", "hidden_size": 8, "updates": 4, "evaluate_every": 2}
    measured = benchmark_named("backends").measure(pairs, settings, [0, 1])
    losses = [figures["loss_nats_at_equal_updates"] for figures in measured["backends"].values()]
    assert len(losses) == 3
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], abs=1e-4)
    assert losses[0][0] != losses[0][1]


def test_the_charts_are_drawn_from_the_figures() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "charts.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def rename_results() -> ModuleType:
    """The script that renamed the results, where git and the commit before it are there."""
    spec = importlib.util.spec_from_file_location("rename_results", ROOT / "experiments" / "rename_results.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    try:
        known = subprocess.run(["git", "cat-file", "-e", f"{BEFORE}^{{commit}}"], cwd=ROOT, capture_output=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if known.returncode:
        pytest.skip(f"commit {BEFORE} is not there: a source archive, or a shallow clone")
    return script


def dates(value: object) -> list[str]:
    """Every date that a result records: its own, or one for each of its parts."""
    if not isinstance(value, dict):
        return []
    own = [value["date"]] if isinstance(value.get("date"), str) else []
    return own + [date for inner in value.values() for date in dates(inner)]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_renaming_changed_no_number(path: Path, rename_results: ModuleType) -> None:
    before, now = rename_results.before(path, BEFORE), json.loads(path.read_text(encoding="utf-8"))
    if before is None or dates(before) != dates(now):
        pytest.skip("measured since then")
    assert list(rename_results.numbers(now)) == list(rename_results.numbers(before))
    assert now == rename_results.renamed(before)


OF_ONE_RUN = sorted({*(ROOT / "experiments").glob("*.toml")} - {ROOT / "experiments" / "recurrence.toml"})
"""All but the table of predictions, which has many models and is read by its own script."""


@pytest.mark.parametrize("path", OF_ONE_RUN, ids=lambda path: path.stem)
def test_the_settings_of_an_experiment_are_valid(path: Path) -> None:
    assert chosen(path)["model"] == from_toml(path).model.name
