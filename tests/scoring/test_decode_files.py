"""Files as a whole: names, resumed work, other settings, kills; nothing lost, nothing twice, nothing mixed."""

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import unrolled
from here import Here
from small import trained
from unrolled import atomic
from unrolled.cli.main import run as command
from unrolled.errors import ConfigError, DataError, Interrupted, WorkerError
from unrolled.scoring import pool, session, worker
from unrolled.scoring.pool import Pool
from unrolled.scoring.worker import Failed, Written

WORDS = ["the", "film", "was", "fine", "dull", "warm", "a", "plot", "of", "it"]
UNROLLED = [sys.executable, "-c", "from unrolled.cli.main import main; main()"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = trained().save(tmp_path_factory.mktemp("runs") / "gru").path
    assert path is not None
    return path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "Pool", Here)
    monkeypatch.setattr(session, "ROWS", 5)


def write(path: Path, rows: int = 23, start: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (f"no{i} {WORDS[i % 10]} {WORDS[i // 3 % 10]}" for i in range(start, start + rows))
    path.write_text("".join(json.dumps({"id": start + i, "text": text}) + "\n" for i, text in enumerate(texts)))
    return path


def ids(path: Path) -> list[int]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def outputs(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "_unrolled" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.usefixtures("here")
def test_files_folders_and_patterns_keep_their_relative_names(run: Path, tmp_path: Path) -> None:
    for i, name in enumerate(["in/a.jsonl", "in/x/b.jsonl", "in/x/y/c.jsonl", "in/_SUCCESS", "in/.d.jsonl", "e.jsonl"]):
        write(tmp_path / name, 3, 10 * i)
    result = unrolled.decode_files(run, [tmp_path / "in", tmp_path / "e.jsonl"], tmp_path / "in" / "out")
    assert sorted(outputs(result.out)) == ["a.jsonl", "e.jsonl", "x/b.jsonl", "x/y/c.jsonl"]
    assert ids(result.out / "x" / "b.jsonl") == [10, 11, 12]
    assert (result.shards, result.rows) == (4, 12)
    again = unrolled.decode_files(run, [tmp_path / "in", tmp_path / "e.jsonl"], tmp_path / "in" / "out")
    assert (again.rows, again.answered) == (12, 0), "answers are not answered, and finished files stay"
    by_pattern = unrolled.decode_files(run, str(tmp_path / "in" / "x" / "**" / "*.jsonl"), tmp_path / "pattern")
    assert sorted(outputs(by_pattern.out)) == ["b.jsonl", "y/c.jsonl"]


@pytest.mark.usefixtures("here")
def test_a_file_that_changed_is_answered_again_and_no_other(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "ab":
        write(tmp_path / "in" / f"{name}.jsonl")
    unrolled.decode_files(run, tmp_path / "in", tmp_path / "out")
    write(tmp_path / "in" / "b.jsonl", 7, 100)
    (tmp_path / "out" / "a.jsonl").touch()
    with caplog.at_level("INFO", "unrolled"):
        result = unrolled.decode_files(run, tmp_path / "in", tmp_path / "out")
    assert (result.rows, result.answered) == (30, 7)
    assert "b.jsonl has changed since it was answered: it is answered again" in caplog.text
    assert ids(tmp_path / "out" / "b.jsonl") == list(range(100, 107))
    (tmp_path / "out" / "a.jsonl").unlink()
    assert unrolled.decode_files(run, tmp_path / "in", tmp_path / "out").answered == 23


@pytest.mark.usefixtures("here")
def test_other_settings_and_other_folders_are_refused(run: Path, tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl")
    unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out")
    before = outputs(tmp_path / "out")
    with pytest.raises(ConfigError, match=r'holds answers of other settings: options was {}, is {"top": 1}. Choose'):
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out", top=1)
    other = trained(seed=1).save(tmp_path / "other").path
    assert other is not None
    with pytest.raises(ConfigError, match="holds answers of other settings: runs was"):
        unrolled.decode_files(other, tmp_path / "in.jsonl", tmp_path / "out")
    with pytest.raises(ConfigError, match="is not empty, and not a folder of answers"):
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path)
    with pytest.raises(ConfigError, match="is a file: name a folder"):
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "in.jsonl")
    with (
        atomic.lock(tmp_path / "out" / "_unrolled"),
        pytest.raises(ConfigError, match="another process is writing"),
    ):
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out")
    assert outputs(tmp_path / "out") == before


@pytest.mark.usefixtures("here")
def test_two_files_of_one_name_are_refused(run: Path, tmp_path: Path) -> None:
    both = [write(tmp_path / name / "a.jsonl") for name in "xy"]
    with pytest.raises(ConfigError, match="would have the same name, a.jsonl: name a folder above both"):
        unrolled.decode_files(run, both, tmp_path / "out")
    write(tmp_path / "x" / "a.ndjson")
    with pytest.raises(DataError, match="its answers would have the name of those of .*a.jsonl, a.csv"):
        unrolled.decode_files(run, tmp_path / "x", tmp_path / "two", format="csv", keep_columns=["id"])
    with pytest.raises(DataError, match="there is no such file"):
        unrolled.decode_files(run, tmp_path / "nothing.jsonl", tmp_path / "three")
    with pytest.raises(DataError, match="no file matches this pattern"):
        unrolled.decode_files(run, str(tmp_path / "*.csv"), tmp_path / "three")
    assert sorted(outputs(tmp_path / "two")) == ["a.csv"], "the first is finished"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file that can be read"):
        unrolled.decode_files(run, tmp_path / "empty", tmp_path / "four")


@pytest.mark.usefixtures("here")
def test_a_torn_file_leaves_the_others_finished(run: Path, tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / "in" / f"{name}.jsonl")
    data = gzip.compress((tmp_path / "in" / "b.jsonl").read_bytes())
    torn = tmp_path / "in" / "b.jsonl.gz"
    torn.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"jsonl.gz: the compressed data is damaged.*\n.*other files are finished"):
        unrolled.decode_files(run, tmp_path / "in", tmp_path / "out")
    assert sorted(outputs(tmp_path / "out")) == ["a.jsonl", "b.jsonl", "c.jsonl"]
    torn.write_bytes(data)
    assert unrolled.decode_files(run, tmp_path / "in", tmp_path / "out").answered == 23
    assert ids(tmp_path / "out" / "b.jsonl") == list(range(23))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("change", ["grows", "vanishes"])
def test_a_file_that_changes_meanwhile_is_refused(
    change: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "in.jsonl")
    as_ever = worker._answer

    def answer(job: Any) -> Written:
        path.unlink(missing_ok=True) if change == "vanishes" else write(path, 24)
        return as_ever(job)

    monkeypatch.setattr(worker, "_answer", answer)
    with pytest.raises(DataError, match="has changed while it was read" if change == "grows" else "no such file"):
        unrolled.decode_files(run, path, tmp_path / "out")
    assert outputs(tmp_path / "out") == {}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), KeyboardInterrupt(signal.SIGTERM)])
def test_an_interrupted_work_goes_on(
    interrupt: BaseException, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in.jsonl")
    unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "alone")
    as_ever, left = worker._answer, [1, 1]

    def answer(job: Any) -> Written:
        if not left:
            raise interrupt
        left.pop()
        return as_ever(job)

    monkeypatch.setattr(worker, "_answer", answer)
    with pytest.raises(
        Interrupted, match="after 10 rows, with 0 of 1 files complete; all that is finished is kept"
    ) as caught:
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out")
    assert caught.value.signal == (signal.SIGTERM if interrupt.args else signal.SIGINT)
    monkeypatch.setattr(worker, "_answer", as_ever)
    with (tmp_path / "out" / "_unrolled" / "journal.jsonl").open("a") as file:
        file.write('{"shard": "in.jso')  # cut by a kill
    result = unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out")
    assert (result.rows, result.answered) == (23, 13)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "alone")
    assert not (tmp_path / "out" / "_unrolled" / "parts").exists()


@pytest.mark.usefixtures("here")
def test_a_full_disk_is_one_sentence(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in.jsonl")
    as_ever = atomic._write

    def full(path: Path, data: bytes) -> None:
        if "parts" in path.parts:
            raise OSError(28, "No space left on device")
        as_ever(path, data)

    monkeypatch.setattr(atomic, "_write", full)
    arguments = ["decode", str(run), "--file", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out")]
    assert command(arguments) == 2
    assert "cannot be written: No space left on device" in capsys.readouterr().err.replace("\n", " ")
    monkeypatch.setattr(atomic, "_write", as_ever)
    assert command(arguments) == 0
    assert ids(tmp_path / "out" / "in.jsonl") == list(range(23))


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a process of its own, with a sentence for each wrong use."""
    write(tmp_path / "in" / "a.jsonl", 300)
    (tmp_path / "in" / "b.jsonl").write_text('{"text": " "}\n')
    arguments = ["decode", str(run), "--file", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert command([*arguments, "--workers", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{tmp_path / 'out'}: 2 files, 301 rows, ")
    assert said[1] == "1 row has no answer: the column error says why"
    assert ids(tmp_path / "out" / "a.jsonl") == list(range(300))
    assert command([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answered"] == 0
    for more, message in {
        "--threads 1": "use --workers in place of --threads",
        "text": "pass either texts or --file",
    }.items():
        assert command([*arguments, *more.split()]) == 2
        assert message in capsys.readouterr().err.replace("\n", " ")
    assert command(["decode", str(run), "--out", "x"]) == 2
    assert "--out needs files" in capsys.readouterr().err
    assert command(["decode", str(run), "text", "--workers", "2"]) == 2
    assert "only --out uses --workers" in capsys.readouterr().err


def test_a_worker_that_is_killed_is_replaced_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "in.jsonl", 40)
    monkeypatch.setattr(session, "ROWS", 10)
    as_ever, left = Pool._begin, [1]

    def begin(self: Pool, task: Any) -> None:
        as_ever(self, task)
        if left:
            left.pop()
            (each,) = (each for each in self._workers if each.task is task)
            each.process.kill()

    monkeypatch.setattr(Pool, "_begin", begin)
    result = unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out", workers=1)
    assert (result.rows, result.answered) == (40, 40)
    assert "a worker ended (signal 9) with" in caplog.text
    assert "in.jsonl, rows from line 1, which another one does again" in caplog.text
    assert ids(tmp_path / "out" / "in.jsonl") == list(range(40))
    left.extend([1, 1])
    with pytest.raises(WorkerError, match=r"two workers ended \(signal 9\) with .*in.jsonl, rows from line 1:"):
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "other", workers=1)


def test_killed_as_a_whole_it_goes_on(run: Path, tmp_path: Path) -> None:
    """SIGKILL of the command: its workers end, and the same command ends with the same bytes."""
    write(tmp_path / "in" / "a.jsonl", 5_000)
    write(tmp_path / "in" / "b.jsonl", 100)
    arguments = [*UNROLLED, "decode", str(run), "--file", "in", "--out", "out", "--workers", "1"]
    process = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = tmp_path / "out" / "_unrolled" / "journal.jsonl"
    while process.poll() is None and not (journal.exists() and journal.stat().st_size):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not outputs(tmp_path / "out")
    done = subprocess.run([*arguments, "--json"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert 0 < json.loads(done.stdout)["answered"] < 5_100
    assert ids(tmp_path / "out" / "a.jsonl") == list(range(5_000))
    assert ids(tmp_path / "out" / "b.jsonl") == list(range(100))


def test_a_bug_of_ours_has_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="a worker failed with in.csv:\nTraceback of it"):
        raise pool._error(Failed("", "Traceback of it"), pool._Task(None, "in.csv"))  # type: ignore[arg-type]
