"""Large data are read once, and then opened from the cache."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import unrolled
from unrolled import tasks
from unrolled.config import from_flat
from unrolled.data.reading import arrays
from unrolled.errors import DataError
from unrolled.tasks import cached, session

SMALL = {"model": "gru", "hidden_size": 4, "updates": 3, "evaluate_every": 3, "baseline": False}


def write(folder: Path, task: str) -> Path:
    """Sixty examples of a task."""
    folder.mkdir(exist_ok=True)
    chance = np.random.default_rng(0)
    words = [
        " ".join(f"w{k}" for k in chance.integers(0, 9, n)) + f" {i}" for i, n in enumerate(chance.integers(1, 9, 60))
    ]
    path = folder / {"tag": "data.conllu", "translate": "data.tsv"}.get(task, "data.csv")
    if task == "tag":
        blocks = (
            "\n".join(
                f"{k}\t{word}\t_\t{'AB'[int(word[-1]) % 2]}" + "\t_" * 6 for k, word in enumerate(text.split(), 1)
            )
            for text in words
        )
        path.write_text("\n\n".join(blocks) + "\n")
    elif task == "translate":
        path.write_text("source\ttarget\n" + "".join(f"{text}\t{text[::-1]}\n" for text in words))
    else:
        labels = {"regress": "{}", "multi-label": "a;l{}"}.get(task, "l{}")
        path.write_text("text,label\n" + "".join(f"{text},{labels.format(i % 3)}\n" for i, text in enumerate(words)))
    return path


def settings_of(task: str) -> dict[str, object]:
    settings = {**SMALL, "task": "classify" if task == "multi-label" else task}
    if task == "multi-label":
        settings |= {"multi_label": True, "label_separator": ";"}
    if task == "translate":
        settings |= {"model": "encoder_decoder"}
    if task in ("translate", "regress", "multi-label"):
        del settings["baseline"]
    return settings


@pytest.fixture(params=[8, arrays.IN_MEMORY], ids=["mapped", "in memory"])
def stored(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cached, "CACHED_FROM", 1)
    monkeypatch.setattr(arrays, "IN_MEMORY", request.param)
    return tmp_path / "cache"


def weights(run):
    return b"".join(tensor.numpy().tobytes() for tensor in run.model.state_dict().values())


@pytest.mark.parametrize("task", ["classify", "regress", "multi-label", "tag", "translate"])
def test_a_second_training_reads_no_row(task, stored, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "unrolled")
    data, settings = write(tmp_path / "data", task), settings_of(task)
    with monkeypatch.context() as plain:
        plain.setattr(cached, "CACHED_FROM", 10**9)
        expected = unrolled.train(data, **settings)
    first = unrolled.train(data, **settings, cache=str(stored))
    assert "read from the cache" not in caplog.text
    kind = tasks.find(from_flat(settings))
    caplog.clear()
    with monkeypatch.context() as unread:
        unread.setattr(kind, "read", None)
        second = unrolled.train(data, **settings, cache=str(stored))
    assert "read from the cache" in caplog.text
    assert "60 " in caplog.text
    for run in (first, second):
        assert weights(run) == weights(expected)
        assert run.record["result"] == expected.record["result"]
        assert run.record["data"] == expected.record["data"]
    assert [path.name for path in stored.iterdir()] == ["examples"]


def test_texts_of_the_test_split_are_in_it(stored, tmp_path):
    data, config = write(tmp_path / "data", "classify"), from_flat(settings_of("classify") | {"cache": str(stored)})
    (built, _), (found, _) = session.read(data, config), session.read(data, config)
    assert (
        list(found.test_inputs())
        == list(built.test_inputs())
        == list(tasks.find(config).read(data, config).test_inputs())
    )
    assert found.baselines()[1].scores.scores.tolist() == built.baselines()[1].scores.scores.tolist()


def test_all_that_decides_the_ids_is_in_the_key(stored, tmp_path):
    data, base = write(tmp_path / "data", "classify"), from_flat(settings_of("classify") | {"cache": str(stored)})

    def folders():
        return len([path for path in (stored / "examples").iterdir() if path.is_dir()])

    learned = session.read(data, base).task.preprocessor
    session.read(data, base, learned)
    assert folders() == 1, "the tokenizer that was learned decides nothing else"
    session.read(data, from_flat({"split_seed": 1}, base=base))
    other = session.read(data, from_flat({"vocabulary_size": 9}, base=base)).task.preprocessor
    assert folders() == 3
    session.read(data, base, other)
    assert folders() == 4
    data.write_text(data.read_text() + "one more,l1\n")
    session.read(data, base)
    assert folders() == 5


def test_small_data_and_folds_leave_no_litter(tmp_path, monkeypatch):
    data = write(tmp_path / "data", "classify")
    config = from_flat(settings_of("classify") | {"cache": str(tmp_path / "cache")})
    session.read(data, config)
    monkeypatch.setattr(cached, "CACHED_FROM", 1)
    session.read(data, from_flat({"folds": 3, "fold": 1}, base=config))
    session.read([(f"text {i}", "ab"[i % 2]) for i in range(60)], config)
    assert not (tmp_path / "cache").exists()


def test_a_damaged_folder_is_reported_and_built_again(stored, tmp_path, caplog):
    data, config = write(tmp_path / "data", "classify"), from_flat(settings_of("classify") | {"cache": str(stored)})
    built, _ = session.read(data, config)
    (folder,) = (path for path in (stored / "examples").iterdir() if path.is_dir())
    for name in ("train-ids-ids.array", "manifest.json", "train-rows.array"):
        caplog.clear()
        path = folder / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        found, _ = session.read(data, config)
        assert "the cached ids are damaged, and are built again" in caplog.text
        assert name in caplog.text
        assert torch.equal(found.sequences["train"].lengths, built.sequences["train"].lengths)
    caplog.clear()
    session.read(data, config)
    assert not caplog.text


def test_a_folder_of_other_data_is_not_used(stored, tmp_path, caplog):
    one, two = write(tmp_path / "one", "classify"), write(tmp_path / "two", "classify")
    two.write_text(two.read_text().replace("w1", "v1"))
    config = from_flat(settings_of("classify") | {"cache": str(stored)})
    session.read(one, config)
    (folder,) = (path for path in (stored / "examples").iterdir() if path.is_dir())
    expected = tasks.find(config).read(two, config).record()["splits"]
    session.read(two, config)
    (other,) = (path for path in (stored / "examples").iterdir() if path.is_dir() and path != folder)
    for path in other.iterdir():
        path.unlink()
    other.rmdir()
    folder.rename(other)
    assert session.read(two, config).task.record()["splits"] == expected
    assert "has other data than its name says" in caplog.text


def test_data_that_change_while_they_are_read(stored, tmp_path, monkeypatch):
    data, config = write(tmp_path / "data", "classify"), from_flat(settings_of("classify") | {"cache": str(stored)})
    kind = tasks.find(config)
    read = kind.read

    def changed(*arguments):
        task = read(*arguments)
        data.write_text(data.read_text() + "one more,l1\n")
        return task

    monkeypatch.setattr(kind, "read", changed)
    with pytest.raises(DataError, match="the data have changed while they were read"):
        session.read(data, config)
    assert not [path for path in (stored / "examples").iterdir() if path.is_dir()]


@pytest.mark.parametrize("at", ["lock", "array"])
def test_a_cache_that_cannot_be_written_is_said(at, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cached, "CACHED_FROM", 1)
    data, config = (
        write(tmp_path / "data", "classify"),
        from_flat(settings_of("classify") | {"cache": str(tmp_path / "c")}),
    )

    def full(*args):
        raise OSError(28, "No space left on device")

    if at == "lock":
        (tmp_path / "c").write_text("a file")
    else:
        monkeypatch.setattr(cached, "write_array", full)
    task, _ = session.read(data, config)
    assert len(task.splits.train) > 30
    assert "the training goes on without a cache" in caplog.text
    assert at == "lock" or not [path for path in (tmp_path / "c" / "examples").iterdir() if path.is_dir()]


READ = """
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO, format="%(message)s")
from unrolled.config import from_flat
from unrolled.tasks import cached, session
cached.CACHED_FROM = 1
session.read(Path(sys.argv[1]), from_flat({"task": "classify", "model": "gru", "cache": sys.argv[2]}))
"""


def test_two_processes_that_start_together_build_once(tmp_path):
    data = write(tmp_path / "data", "classify")
    command = [sys.executable, "-c", READ, str(data), str(tmp_path / "cache")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) for _ in range(2)]
    logs = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], logs
    assert sorted("read from the cache" in log for log in logs) == [False, True]
