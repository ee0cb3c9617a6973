"""Cross-validation: a training for each fold, the figures of all, and what is left of it after an interruption."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unrolled
from small import SMALL, pairs, sentences, write_csv, write_text
from unrolled.cli.main import run as command
from unrolled.config import DataConfig
from unrolled.data.splits.labelled import load_splits
from unrolled.errors import ConfigError, UnrolledError
from unrolled.evaluation.folds import cross_validation

FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]


def test_the_figures_are_those_of_trainings_on_each_fold(tmp_path: Path) -> None:
    figures = unrolled.cross_validate(pairs(), folds=3, out=tmp_path / "folds", **SMALL)
    runs = [unrolled.train(pairs(), folds=3, fold=fold, **SMALL) for fold in (1, 2, 3)]
    accuracies = [run.test.accuracy for run in runs]
    assert [fold["accuracy"] for fold in figures.folds] == accuracies
    assert figures.examples == len(pairs())
    right = sum(round(run.test.accuracy * run.test.n) for run in runs)
    assert figures.pooled == pytest.approx(right / len(pairs()))
    assert figures.mean["accuracy"] == pytest.approx(np.mean(accuracies))
    assert figures.deviation["macro_f1"] == pytest.approx(np.std([run.test.macro_f1 for run in runs], ddof=1))
    assert json.loads((tmp_path / "folds" / "summary.json").read_text(encoding="utf-8")) == figures.to_dict()
    for fold in (1, 2, 3):
        loaded = unrolled.load(tmp_path / "folds" / f"fold-{fold}")
        test = load_splits(pairs(), DataConfig(folds=3, fold=fold)).test
        assert loaded.record["data"]["splits"]["test"]["fingerprint"] == test.fingerprint
    assert unrolled.cross_validate(pairs(), folds=3, **SMALL) == figures  # in memory


def test_the_pooled_interval_is_that_of_the_binomial_distribution() -> None:
    """With intervals of p ± 1.96 √(p (1 − p) / n) in each fold of n, the pooled one is nearly that of p and N."""
    draw = np.random.default_rng(0)
    results = []
    for n in (300, 500, 400, 450):
        p = draw.binomial(n, 0.8) / n
        half = statistics.NormalDist().inv_cdf(0.975) * math.sqrt(p * (1 - p) / n)
        results.append({"n": n, "accuracy": p, "accuracy_interval": [p - half, p + half], "loss_nats": 0.5})
    figures = cross_validation(results)
    half = statistics.NormalDist().inv_cdf(0.975) * math.sqrt(figures.pooled * (1 - figures.pooled) / 1_650)
    low, high = figures.pooled_interval
    assert low == pytest.approx(figures.pooled - half, abs=1e-3)
    assert high == pytest.approx(figures.pooled + half, abs=1e-3)


def test_taggers_count_words() -> None:
    figures = unrolled.cross_validate(sentences(), task="tag", folds=2, **SMALL | {"tokenizer": "character"})
    assert figures.examples == sum(len(words) for words, _ in sentences())
    assert [fold["words"] for fold in figures.folds]
    assert "accuracy" in figures.text()


def test_an_interrupted_one_goes_on_and_keeps_its_finished_folds(tmp_path: Path) -> None:
    csv, out = write_csv(tmp_path / "a.csv"), tmp_path / "folds"
    whole = unrolled.cross_validate(csv, folds=3, **SMALL)

    def interrupt(event: Any) -> None:
        if (out / "fold-1").is_dir() and event.update >= 2:  # in the second fold
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, UnrolledError)):
        unrolled.cross_validate(csv, folds=3, out=out, report=interrupt, checkpoint_every=1, **SMALL)
    first = (out / "fold-1" / "model.safetensors").stat()
    assert (out / "fold-2.partial").is_dir()
    assert command(["train", "--resume", str(out), "--quiet"]) == 0
    assert (out / "fold-1" / "model.safetensors").stat().st_mtime_ns == first.st_mtime_ns
    figures = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert figures == whole.to_dict()
    assert unrolled.cross_validate(out=out, resume=True) == whole  # all is there: nothing is trained


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", str(write_csv(tmp_path / "a.csv")), "--folds", "2", "--quiet", *FLAGS]
    assert command([*arguments, "--out", str(tmp_path / "one")]) == 0
    shown = capsys.readouterr().out
    assert "standard deviation" in shown
    assert "over all 60 examples, each tested once" in shown
    assert all(len(line) <= 80 for line in shown.splitlines() if not line.startswith("saved:"))
    assert command([*arguments, "--json", "--out", str(tmp_path / "two")]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 60


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--folds needs a new folder, as in --out runs/folds"),
        (["--out", "folds", "--overwrite"], "no --overwrite or --from"),
        (["--out", "folds", "--task", "generate"], "--folds only applies to tasks"),
        (["--out", "folds", "--test", "a.csv"], "folds make the test split, and a.csv is one already"),
    ],
)
def test_it_is_refused_and_leaves_nothing(
    flags: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "a.txt") if "generate" in flags else write_csv(tmp_path / "a.csv")
    before = set(tmp_path.iterdir())
    assert command(["train", "a.txt" if "generate" in flags else "a.csv", "--folds", "2", *flags]) == 2
    assert message in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


def test_wrong_calls_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folds without fold are a cross-validation"):
        unrolled.train(pairs(), folds=3)
    with pytest.raises(ConfigError, match="remove fold"):
        unrolled.cross_validate(pairs(), folds=3, fold=1)
    with pytest.raises(ConfigError, match="name a file or Python objects"):
        unrolled.cross_validate("-", folds=3)
    with pytest.raises(ConfigError, match="it is no cross-validation"):
        unrolled.cross_validate(out=tmp_path, resume=True)
