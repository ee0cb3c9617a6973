"""An interrupted training resumes with the same bits; one that cannot be resumed is refused in a sentence."""

import errno
import itertools
import json
import logging
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from small import SMALL, pairs, write_csv, write_text
from unrolled import api, atomic
from unrolled.errors import CheckpointError, ConfigError, DataError, Interrupted, TrainingError
from unrolled.runs.claim import next_run
from unrolled.training import Run, Trainer, checkpoint
from unrolled.training.partial_run import PartialRun, snapshot_updates, start_partial

UPDATES = 12
SETTINGS = SMALL | {"updates": UPDATES, "evaluate_every": 3, "checkpoint_every": 5, "batch_tokens": 60, "patience": 0}


@pytest.fixture(autouse=True)
def signals_that_are_heard() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which lets Ctrl-C be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def bits(run: Run) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Weights and metrics, without the one field that is a time."""
    weights = {name: value.numpy().tobytes() for name, value in run.model.state_dict().items()}
    return weights, [{k: v for k, v in event.items() if k != "tokens_per_second"} for event in run.metrics]


def files(folder: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """The same, as a run's folder has it."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("tokens_per_second")
    return (folder / "model.safetensors").read_bytes(), lines


def stops_at(monkeypatch: pytest.MonkeyPatch, update: int, stop: Callable[[], None]) -> None:
    """Call `stop` in the middle of an update, once."""
    as_ever = Trainer.update

    def stopping(trainer: Trainer) -> None:
        if trainer.progress.update == update:
            monkeypatch.setattr(Trainer, "update", as_ever)
            stop()
        as_ever(trainer)

    monkeypatch.setattr(Trainer, "update", stopping)


def interrupt() -> None:
    signal.raise_signal(signal.SIGTERM)


class Killed(BaseException):
    """As good as a kill for what has been written: nothing else is."""


def kill() -> None:
    raise Killed


def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch, update: int = 4, **settings: Any) -> Path:
    """Train until an update and be interrupted there; return the folder that the run is to have."""
    data = folder / "data.csv"
    if not data.exists():
        write_csv(data)
    stops_at(monkeypatch, update, interrupt)
    with pytest.raises(Interrupted):
        api.train(data, out=folder / "run", **SETTINGS | settings)
    return folder / "run"


OPTIONS: list[dict[str, Any]] = [
    {"model": "gru"},
    {"model": "feedforward"},
    {"model": "lstm", "num_layers": 2, "dropout": 0.5, "variational": True, "recurrent_dropout": 0.3},
    {"model": "elman", "average": 0.9, "accumulate": 2},
    {"model": "gru", "average_best": 3, "evaluate_every": 1, "learning_rate": 0.1, "average": 0.5},
    {"model": "gru", "schedule": "plateau", "plateau_patience": 1, "evaluate_every": 1, "learning_rate": 0.5},
    {"model": "gru", "patience": 2, "evaluate_every": 2, "learning_rate": 0.03, "updates": 60},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("stop", [interrupt, kill], ids=["interrupted", "killed"])
def test_resumed_it_ends_with_the_same_bits(
    options: dict[str, Any], stop: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_csv(tmp_path / "data.csv")
    alone = api.train(data, out=tmp_path / "alone", **SETTINGS | options)
    at = [update for update in (5, 6, 9) if update < alone.record["training"]["updates"] - 1]
    assert at
    for update in at:
        stops_at(monkeypatch, update, stop)
        if update == at[0]:
            with pytest.raises((Interrupted, Killed)):
                api.train(data, out=tmp_path / "run", **SETTINGS | options)
        else:
            with pytest.raises((Interrupted, Killed)):
                api.resume(tmp_path / "run")
    run = api.resume(tmp_path / "run")
    assert bits(run) == bits(alone)
    assert files(tmp_path / "run") == files(tmp_path / "alone")
    assert run.test == alone.test == api.load(tmp_path / "run").evaluate()
    training = run.record["training"]
    assert training["best_update"] == alone.record["training"]["best_update"]
    assert training["stopped"] == alone.record["training"]["stopped"]
    assert training["resumed"]
    assert all(resumed["changed"] == [] for resumed in training["resumed"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "data.csv", "run"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "README.md", "SHA256SUMS", "config.json", "metrics.jsonl", "model.safetensors", "run.json", "tokenizer.json",
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["gru", "lstm", "feedforward"])
@pytest.mark.parametrize("stop", [interrupt, kill], ids=["interrupted", "killed"])
def test_a_language_model_resumed_ends_with_the_same_bits(
    model: str, stop: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_text(tmp_path / "text.txt")
    settings = SMALL | {
        "task": "generate",
        "model": model,
        "updates": UPDATES,
        "checkpoint_every": 5,
        "evaluate_every": 3,
    }
    settings |= {"streams": 3, "chunk": 8, "patience": 0}
    alone = api.train(data, out=tmp_path / "alone", **settings)
    stops_at(monkeypatch, 8, stop)
    with pytest.raises((Interrupted, Killed)):
        api.train(data, out=tmp_path / "run", **settings)
    run = api.resume(tmp_path / "run")
    assert bits(run) == bits(alone)
    assert files(tmp_path / "run") == files(tmp_path / "alone")
    assert run.test == alone.test == api.load(tmp_path / "run").evaluate()
    assert run.decode("the ", length=30) == alone.decode("the ", length=30)


def test_killed_before_its_first_checkpoint_it_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = api.train(pairs(), out=tmp_path / "alone", **SETTINGS)
    monkeypatch.setattr("unrolled.training.partial_run.shutil.rmtree", lambda *_, **__: None)  # a kill clears nothing
    stops_at(monkeypatch, 4, kill)
    with pytest.raises(Killed):
        api.train(pairs(), out=tmp_path / "run", **SETTINGS)
    monkeypatch.undo()
    assert bits(api.resume(tmp_path / "run.partial", pairs())) == bits(alone)


def test_every_checkpoint_interval_gives_the_same_bits(tmp_path: Path) -> None:
    runs = [api.train(pairs(), out=tmp_path / str(n), **SETTINGS | {"checkpoint_every": n}) for n in (1, 7, None)]
    assert bits(runs[0]) == bits(runs[1]) == bits(runs[2])


def test_the_newest_two_checkpoints_are_there_and_metrics_are_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(tmp_path, monkeypatch, 10).with_name("run.partial")
    assert checkpoint.updates(folder / "checkpoints") == [11, 10]
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["update"] for line in lines] == list(range(1, len(lines) + 1))


def test_the_message_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "data.csv")
    stops_at(monkeypatch, 4, interrupt)
    with pytest.raises(Interrupted) as left:
        api.train(tmp_path / "data.csv", out=tmp_path / "run", **SETTINGS)
    assert left.value.signal == signal.SIGTERM
    assert left.value.folder == tmp_path / "run.partial"
    assert str(left.value).splitlines()[1:] == [
        f"  resume:  unrolled train --resume {tmp_path}/run",
        f"  or end:  unrolled train --resume {tmp_path}/run --finish   (a run with the best model so far of update 3)",
    ]
    with pytest.raises(
        CheckpointError, match="run is not finished: its training is saved in .*run.partial. Resume it with"
    ):
        api.load(tmp_path / "run")
    with pytest.raises(CheckpointError, match="run.partial is not finished"):
        api.load(tmp_path / "run.partial")


def test_it_can_be_ended_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = api.resume(interrupted(tmp_path, monkeypatch), finish=True)
    training = run.record["training"]
    assert (training["updates"], training["planned"]) == (6, UPDATES)
    assert training["stopped"] == "ended early, as requested"
    assert run.metrics[-1]["valid_loss_nats"] > 0
    assert api.load(tmp_path / "run").decode("so fine")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 9}, "is resumed with the settings it began with: hidden_size was 5, is 9. Remove them"),
        ({"updates": 99, "model": "lstm"}, "updates was 12, is 99; model was 'gru', is 'lstm'"),
        ({"hiden_size": 9}, 'unknown setting "hiden_size"'),
    ],
)
def test_other_settings_are_refused(
    settings: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match=message):
        api.resume(folder, **settings)
    assert api.resume(folder, hidden_size=5, checkpoint_every=2, threads=1).record["training"]["updates"] == UPDATES


def test_other_data_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interrupted(tmp_path, monkeypatch)
    write_csv(tmp_path / "data.csv", [*pairs(), ("one more that was not there", "pos")])
    with pytest.raises(DataError, match=r"data.csv: these are not the data of the training: [\d,]+ bytes, not"):
        api.resume(folder)
    (tmp_path / "data.csv").unlink()
    with pytest.raises(DataError, match="the data of the training no longer exist"):
        api.resume(folder)
    write_csv(tmp_path / "data.csv")
    assert api.resume(folder).path == folder


def test_python_objects_are_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = api.train(pairs(), **SETTINGS)
    stops_at(monkeypatch, 7, interrupt)
    with pytest.raises(Interrupted):
        api.train(pairs(), out=tmp_path / "run", **SETTINGS)
    with pytest.raises(DataError, match=r"(?s)Python objects, which are not saved.*unrolled.resume\(folder, data\)"):
        api.resume(tmp_path / "run")
    with pytest.raises(DataError, match="split is not the one that the training began with"):
        api.resume(tmp_path / "run", pairs(50))
    assert bits(api.resume(tmp_path / "run", pairs())) == bits(alone)


def test_another_build_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = interrupted(tmp_path, monkeypatch)
    monkeypatch.setattr("unrolled.machine.versions", lambda *_: {"torch": "1.0"})
    with caplog.at_level(logging.WARNING, "unrolled"):
        run = api.resume(folder)
    assert "results may differ in the last bits from an uninterrupted training: " in caplog.text
    assert f"torch was {torch.__version__}, is 1.0" in caplog.text
    assert run.record["training"]["resumed"][0]["update"] == 5
    assert f"torch was {torch.__version__}, is 1.0" in run.record["training"]["resumed"][0]["changed"]


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alone = api.train(write_csv(tmp_path / "data.csv"), out=tmp_path / "alone", **SETTINGS)
    folder = interrupted(tmp_path, monkeypatch, 7)
    (tmp_path / "run.partial" / "checkpoints" / "update-8" / "progress.json").write_text("{}")
    with caplog.at_level(logging.WARNING, "unrolled"):
        assert bits(api.resume(folder)) == bits(alone)
    assert "checkpoint update-8 is not used: " in caplog.text


@pytest.mark.parametrize("name", ["plan.json", "tokenizer.json", "SHA256SUMS"])
def test_a_damaged_plan_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interrupted(tmp_path, monkeypatch)
    path = tmp_path / "run.partial" / "plan" / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(CheckpointError, match=r"plan.json|tokenizer.json|SHA256SUMS"):
        api.resume(folder)


def test_the_checkpoint_of_another_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path, monkeypatch)
    (tmp_path / "run.partial").rename(tmp_path / "gru.partial")
    interrupted(tmp_path, monkeypatch, model="lstm")
    for folder in (tmp_path / "run.partial" / "checkpoints").iterdir():
        folder.rename(tmp_path / "gru.partial" / "checkpoints" / "update-99")
        break
    with pytest.raises(CheckpointError, match="checkpoints does not hold the weights of this model: "):
        api.resume(tmp_path / "gru")


def test_what_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no training to resume: .*nothing.partial does not exist"):
        api.resume(tmp_path / "nothing")
    api.train(pairs(), out=tmp_path / "run", **SMALL)
    with pytest.raises(ConfigError, match="run is finished: there is nothing to resume"):
        api.resume(tmp_path / "run")
    (tmp_path / "early.partial").mkdir()
    with pytest.raises(
        ConfigError, match="was interrupted before its training began: there is nothing to resume; train again"
    ):
        api.resume(tmp_path / "early")
    assert api.train(pairs(), out=tmp_path / "early", **SMALL).path == tmp_path / "early"


def test_a_folder_that_another_run_is_writing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = interrupted(tmp_path, monkeypatch)
    with atomic.lock(tmp_path / "run.partial"):
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match="another process is training .*run in .*run.partial: wait"):
                api.train(pairs(), out=folder, overwrite=overwrite, **SMALL)
        with pytest.raises(ConfigError, match="another process is training"):
            api.resume(folder)
    with pytest.raises(
        ConfigError, match="is a training that was interrupted: resume it with `unrolled train --resume"
    ):
        api.train(pairs(), out=folder, **SMALL)
    assert api.train(pairs(), out=folder, overwrite=True, **SMALL).path == folder
    assert not (tmp_path / "run.partial").exists()


def test_the_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="exists and is no training of unrolled"):
            api.train(pairs(), out=tmp_path / "run", overwrite=overwrite, **SMALL)
    assert (tmp_path / "run.partial" / "thesis.txt").read_text() == "years of work"


def test_the_run_that_is_there_stays_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = api.train(pairs(), out=tmp_path / "run", **SMALL)
    folder = interrupted(tmp_path, monkeypatch, overwrite=True, model="lstm")
    assert api.load(folder).config.model.name == "gru"
    assert bits(api.load(folder))[0] == bits(first)[0]
    assert api.resume(folder).config.model.name == "lstm"
    assert api.load(folder).config.model.name == "lstm"


def test_an_error_before_the_first_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    def fails() -> None:
        with start_partial(tmp_path / "run", overwrite=False) as partial:
            (partial.folder / "metrics.jsonl").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not any(tmp_path.iterdir())


def test_a_name_of_trainings_under_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has the ending of partial runs: choose another --out"):
        api.train(pairs(), out=tmp_path / "run.partial", **SMALL)
    assert not any(tmp_path.iterdir())


def test_the_next_free_folder(tmp_path: Path) -> None:
    assert next_run(tmp_path / "runs", "films", "gru") == tmp_path / "runs" / "films-gru-1"
    assert next_run(tmp_path / "runs", "films", "gru") == tmp_path / "runs" / "films-gru-2", "the first is claimed"
    (tmp_path / "films-gru-1").mkdir()
    assert next_run(tmp_path, "films", "gru") == tmp_path / "films-gru-2"
    assert next_run(tmp_path, "../../etc/pass wd", "gru") == tmp_path / "etc-pass-wd-gru-1"
    assert next_run(tmp_path, "…", "gru") == tmp_path / "data-gru-1"
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        next_run(tmp_path / "file", "films", "gru")


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file that the second checkpoint writes is the one for which there is no more room, in turn."""
    alone = api.train(write_csv(tmp_path / "data.csv"), out=tmp_path / "alone", **SETTINGS)
    as_ever, save = os.fsync, PartialRun.save
    calls: Iterator[int] = iter(())

    def save_with_little_room(partial: PartialRun, trainer: Trainer) -> None:
        nonlocal calls
        calls = iter(range(room, -1, -1) if trainer.progress.update == 10 else range(100, 0, -1))
        save(partial, trainer)
        calls = iter(())

    def fsync(descriptor: int) -> None:
        if next(calls, 1) == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        as_ever(descriptor)

    room = 0
    while room < 5:
        with monkeypatch.context() as patch:
            patch.setattr(PartialRun, "save", save_with_little_room)
            patch.setattr(os, "fsync", fsync)
            with pytest.raises(CheckpointError) as refused:
                api.train(tmp_path / "data.csv", out=tmp_path / "run", overwrite=True, **SETTINGS)
        assert "update-10 cannot be written: No space left on device" in str(refused.value)
        assert "The checkpoint after update 5 is untouched: resume from it with `unrolled train --resume " in str(
            refused.value
        )
        assert bits(api.resume(tmp_path / "run")) == bits(alone)
        room += 1


def test_a_limit_on_the_size_of_files_is_met_like_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system itself refuses here, in the middle of a file."""
    folder = interrupted(tmp_path, monkeypatch, 6)
    save, before = PartialRun.save, resource.getrlimit(resource.RLIMIT_FSIZE)

    def limited(partial: PartialRun, trainer: Trainer) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
        try:
            save(partial, trainer)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    with monkeypatch.context() as patch:
        patch.setattr(PartialRun, "save", limited)
        with pytest.raises(
            CheckpointError, match="update-10 cannot be written: File too large; .* after update 7 is unt"
        ):
            api.resume(folder)
    assert api.resume(folder).path == folder


@pytest.mark.parametrize("what", ["metrics.jsonl", "the run"])
def test_a_disk_that_is_full_elsewhere_loses_nothing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = interrupted(tmp_path, monkeypatch, 6)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if what == "metrics.jsonl":
            as_ever = Path.open
            patch.setattr(
                Path, "open", lambda path, mode="r", *a, **o: full() if mode == "ab" else as_ever(path, mode, *a, **o)
            )
        else:
            patch.setattr("unrolled.atomic.replace", full)
        with pytest.raises(CheckpointError, match="cannot be written: No space left on device"):
            api.resume(folder)
    assert api.resume(folder).path == folder


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_leaves_the_checkpoint_before(
    bad: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_ever = Trainer.update

    def broken(trainer: Trainer) -> None:
        if trainer.progress.update == 8:
            with torch.no_grad():
                next(trainer.model.parameters()).fill_(bad)
        as_ever(trainer)

    monkeypatch.setattr(Trainer, "update", broken)
    with pytest.raises(TrainingError) as refused:
        api.train(pairs(), out=tmp_path / "run", **SETTINGS)
    assert str(refused.value).startswith("update 9: ")
    assert "The checkpoint after update 5 is untouched: resume from it with `unrolled train --resume " in str(
        refused.value
    )
    assert checkpoint.updates(tmp_path / "run.partial" / "checkpoints") == [5]
    monkeypatch.undo()
    assert api.resume(tmp_path / "run", pairs(), finish=True).record["training"]["updates"] == 6


def test_snapshots_are_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = api.train(write_csv(tmp_path / "data.csv"), out=tmp_path / "alone", keep="snapshots", **SETTINGS)
    assert snapshot_updates(UPDATES) == {1, 2, 3, 4, 5, 7, 9, 12}
    assert len(snapshot_updates(10_000)) == 10
    saved = {path.name: path.read_bytes() for path in (tmp_path / "alone" / "snapshots").iterdir()}
    assert saved.keys() == {f"update-{update}.safetensors" for update in snapshot_updates(UPDATES)}
    last = safetensors.torch.load(saved["update-12.safetensors"])
    assert {name: value.shape for name, value in last.items()} == {
        name: value.shape for name, value in alone.model.state_dict().items()
    }
    assert all(value.dtype == torch.float16 for value in last.values())
    sums = (tmp_path / "alone" / "SHA256SUMS").read_text()
    assert all(f"  snapshots/{name}" in sums for name in saved)
    folder = interrupted(tmp_path, monkeypatch, 7, keep="snapshots")
    api.resume(folder)
    assert {path.name: path.read_bytes() for path in (folder / "snapshots").iterdir()} == saved


def test_checkpoints_take_their_share_of_the_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, saves = 0.0, []
    as_ever = Trainer.update

    def update(trainer: Trainer) -> None:
        nonlocal now
        now += 1.0
        as_ever(trainer)

    def save(parent: Path, found: checkpoint.Checkpoint) -> None:
        nonlocal now
        now += 3.0 if saves else 0.5
        saves.append(found.progress.update)

    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr(Trainer, "update", update)
    monkeypatch.setattr(checkpoint, "write", save)
    settings = SETTINGS | {"checkpoint_every": None, "updates": 1000, "evaluate_every": 1000}
    run = api.train(pairs(), out=tmp_path / "run", **settings)
    assert saves[0] == 10, "the first ones are cheap"
    assert saves[1] == 50, "0.5 seconds and as many again are 2 % of 50"
    assert all(later - sooner >= 100 for sooner, later in itertools.pairwise(saves[1:]))
    training = run.record["training"]
    assert 0.01 < training["seconds"]["checkpoint"] / training["total_seconds"] <= 0.02
