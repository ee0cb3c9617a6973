"""The benchmarks say what is so: no speed beside a red twin test, and a picture of the figures that are kept."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unrolled.kernels import native
from unrolled.scan import fused

ROOT = Path(__file__).parents[1]


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
    assert "gru" in kernels.row(found)
    assert 10 <= found["kept"]["ours"] < 12  # r z n h_n y of both directions, and the states they begin with
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
    found = benchmark_named("backends").measure(pairs, settings, [0, 1])
    losses = [figures["loss_nats_at_equal_updates"] for figures in found["backends"].values()]
    assert len(losses) == 3
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], abs=1e-4)
    assert losses[0][0] != losses[0][1]


def test_the_picture_is_drawn_from_the_figures() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "plot_kernels.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
