"""The study: trainings are taken once, given up by the dead, kept whole, and never lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from unrolled.comparison import study as study_module
from unrolled.comparison.study import Lost, Study
from unrolled.errors import CheckpointError, ConfigError

POINT = {"learning_rate": 1e-3, "dropout": 0.25}


def opened(folder: Path) -> Study:
    return Study(f"sqlite:///{folder / 'study.db'}", "films")


def taken(study: Study, k: int = 0, **options: Any) -> Any:
    return study.take("gru", "trial", k, POINT, options.pop("warm", None))


def test_a_training_is_taken_once_and_kept_with_all_its_values(tmp_path: Path) -> None:
    study, other = opened(tmp_path), opened(tmp_path)
    job = taken(study)
    assert (job.label, job.kind, job.k, dict(job.trial.params)) == ("gru", "trial", 0, POINT)
    assert study.status("gru", "trial", 0) == other.status("gru", "trial", 0) == "running"
    assert study.status("gru", "trial", 1) == "free"
    values = {"text": "ä" * 100_000, "curve": [[1, 0.5, None]]}  # longer than a database's texts
    study.finish(job, 0.75, values)
    assert other.status("gru", "trial", 0) == "done"
    (done,) = other.done("gru", "trial")
    assert (done.k, done.state, done.params, done.figure, done.values) == (0, "complete", POINT, 0.75, values)


def test_two_processes_that_take_the_same_training_do_it_once(tmp_path: Path) -> None:
    study, other = opened(tmp_path), opened(tmp_path)
    first, second = taken(study), taken(other)
    assert first is not None
    assert second is None
    study.finish(first, 0.5, {})
    assert taken(other) is None  # done
    assert [each.figure for each in other.done("gru", "trial")] == [0.5]


def test_a_training_that_waits_is_taken_by_whoever_asks(tmp_path: Path) -> None:
    """A process was killed between the two halves of taking."""
    study = opened(tmp_path)
    study._optuna("films/gru/trial").enqueue_trial(POINT, user_attrs={"k": 3})
    assert study.status("gru", "trial", 3) == "free"
    job = taken(study, 3)
    assert job.k == 3
    study.finish(job, 1.0, {})
    assert [each.k for each in study.done("gru", "trial")] == [3]


def test_a_training_of_a_dead_process_is_free_again(tmp_path: Path) -> None:
    code = (
        "import sys; from unrolled.comparison.study import Study\n"
        "s = Study(sys.argv[1], 'films'); s.take('gru', 'trial', 0, {'learning_rate': 1e-3, 'dropout': 0.25}, None)\n"
    )
    url = f"sqlite:///{tmp_path / 'study.db'}"
    subprocess.run([sys.executable, "-c", code, url], check=True, timeout=120)
    study = opened(tmp_path)
    assert study.status("gru", "trial", 0) == "free"
    job = taken(study)
    assert job.k == 0
    assert study.status("gru", "trial", 0) == "running"
    study.finish(job, 0.5, {})
    assert len(study.done("gru", "trial")) == 1


def test_a_process_elsewhere_is_dead_after_a_long_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = opened(tmp_path)
    job = taken(study)
    job.trial.set_user_attr("worker", f"another.host:{os.getpid()}")
    assert study.status("gru", "trial", 0) == "running"
    job.trial.set_user_attr("alive", time.time() - study_module.DEAD - 1)
    assert study.status("gru", "trial", 0) == "free"


def test_failures_and_pruned_trials_are_kept_and_interrupted_ones_begin_again(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.finish(taken(study, 0), None, {"error": "the loss is not finite"})
    study.finish(taken(study, 1), 0.4, {}, pruned=True)
    study.give_up(taken(study, 2))
    assert [(each.k, each.state, each.figure) for each in study.done("gru", "trial")] == [
        (0, "failed", None),
        (1, "pruned", 0.4),
    ]
    assert [study.status("gru", "trial", k) for k in range(3)] == ["done", "done", "free"]


def test_a_trial_below_the_median_is_pruned_after_its_warm_updates(tmp_path: Path) -> None:
    study = opened(tmp_path)
    for k, figure in enumerate((0.6, 0.7, 0.8, 0.9)):
        job = taken(study, k, warm=10)
        job.trial.report(figure, 20)
        study.finish(job, figure, {})
    worse = taken(study, 4, warm=10)
    worse.trial.report(0.1, 10)
    assert not worse.trial.should_prune()
    worse.trial.report(0.1, 20)
    assert worse.trial.should_prune()


def test_the_plan_and_values_of_all_are_kept_once(tmp_path: Path) -> None:
    study = opened(tmp_path)
    assert not study.exists
    with pytest.raises(ConfigError, match='has no comparison "films"; it has none'):
        study.plan()
    study.begin("{}")
    study.keep("examples", [1])
    study.keep("examples", [2])
    assert study.exists
    assert (study.plan(), study.kept("examples"), study.kept("other")) == ("{}", [1], None)
    assert study.names() == ["films"]


def test_a_storage_that_cannot_be_reached_is_one_sentence_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be reached or written") as refused:
        Study(f"sqlite:///{tmp_path / 'none' / 'study.db'}", "films")
    assert "unable to open database file" in str(refused.value)
    with pytest.raises(CheckpointError) as refused:
        Study("postgresql://me:secret@127.0.0.1:1/db", "films")
    assert "secret" not in str(refused.value)
    (tmp_path / "study.db").write_bytes(b"no database at all, but long enough to be read as one" * 40)
    with pytest.raises(CheckpointError, match="cannot be reached or written"):
        opened(tmp_path)


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"install unrolled\[compare\]"):
        opened(tmp_path)


RACE = """
import sys, time
from unrolled.comparison.study import Study
study, start = Study(sys.argv[1], "films"), float(sys.argv[2])
for k in range(25):
    time.sleep(max(0, start + 0.05 * k - time.time()))
    job = study.take("gru", "trial", k, {"learning_rate": 1e-3, "dropout": 0.25}, None)
    print(job.trial.number if job else "", job.k if job else "", sep=":", flush=True)
sys.stdin.read()  # alive until all are through
"""


def test_processes_that_take_at_the_same_moment_never_share_a_trial(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.begin("{}")
    study._optuna("films/gru/trial")
    url, start = f"sqlite:///{tmp_path / 'study.db'}", str(time.time() + 6)
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", RACE, url, start], **pipes) for _ in range(3)]
    said = [[process.stdout.readline().strip() for _ in range(25)] for process in processes if process.stdout]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    taken = [each for lines in said for each in lines if each != ":"]
    assert len(taken) == len(set(taken))
    assert sorted({int(each.partition(":")[2]) for each in taken}) == list(range(25))
    assert len({each.partition(":")[2] for each in taken}) == len(taken)  # nor a training


def test_a_training_that_was_taken_over_is_given_up(tmp_path: Path) -> None:
    study, other = opened(tmp_path), opened(tmp_path)
    job = taken(study)
    job.trial.set_user_attr("alive", time.time() - study_module.DEAD - 1)  # as after a night of standby
    assert other.status("gru", "trial", 0) == "free"
    assert taken(other).k == 0
    for tell in (
        lambda: study.report(job, 0.5, 1),
        lambda: study.beat(job.trial, now=True),
        lambda: study.finish(job, 0.5, {"curve": []}),
    ):
        with pytest.raises(Lost):
            tell()
    study.give_up(job)
    assert study.status("gru", "trial", 0) == "running"
