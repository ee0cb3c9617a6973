"""Rows of every format with their answers: each once, in order, as `decode` answers them."""

import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

import unrolled
from here import Here
from small import SMALL, number_run, tag_run, text_run, trained, translation_run, translations
from unrolled.errors import CheckpointError, ConfigError, DataError
from unrolled.runs.run import Run
from unrolled.scoring import lazy, session
from unrolled.scoring.lazy import LazyRun

TEXTS = ["a fine film", 'dull, and "thin"', "two\nlines", "warm", "boring plot", "Film ü", "funny a the", "it"] * 3


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "Pool", Here)
    monkeypatch.setattr(session, "ROWS", 5)  # so that every file has several portions


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained().save(tmp_path_factory.mktemp("runs") / "gru").path


@cache
def expected(text: str) -> dict[str, Any]:
    (answer,) = trained().decode(text)
    return answer.to_dict()


def check(texts: list[str], labels: list[Any], probabilities: list[Any]) -> None:
    assert labels == [expected(text)["label"] for text in texts]
    assert [float(value) for value in probabilities] == pytest.approx([expected(text)["probability"] for text in texts])


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.xz", ".csv.bz2"])
def test_a_table_keeps_its_columns(ending: str, run: Path, tmp_path: Path) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=";").writerows([["id", "text"], *enumerate(TEXTS)])
    data = file.getvalue().encode()
    opened: Any = {".csv": open, ".csv.gz": gzip.open, ".csv.xz": lzma.open, ".csv.bz2": bz2.open}[ending]
    with opened(tmp_path / f"in{ending}", "wb") as target:
        target.write(data)
    result = unrolled.decode_files(run, tmp_path / f"in{ending}", tmp_path / "out")
    assert (result.rows, result.errors, result.answered) == (len(TEXTS), 0, len(TEXTS))
    with opened(tmp_path / "out" / f"in{ending}", "rt", newline="", encoding="utf-8") as source:
        rows = list(csv.DictReader(source, delimiter=";"))
    assert list(rows[0]) == ["id", "text", "label", "probability", "probabilities", "error"]
    assert [row["id"] for row in rows] == [str(i) for i in range(len(TEXTS))]
    assert [row["text"] for row in rows] == TEXTS
    check(TEXTS, [row["label"] for row in rows], [row["probability"] for row in rows])
    assert json.loads(rows[3]["probabilities"]) == pytest.approx(expected(TEXTS[3])["probabilities"])


def test_a_table_without_a_header_has_none_afterwards(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_text("".join(f"{i}\t{text}\n" for i, text in enumerate(["fine", "dull", "warm"] * 4)))
    unrolled.decode_files(run, tmp_path / "in.tsv", tmp_path / "out", text="2", header=False)
    rows = [line.split("\t") for line in (tmp_path / "out" / "in.tsv").read_text().splitlines()]
    assert [row[0] for row in rows] == [str(i) for i in range(12)]
    check([row[1] for row in rows], [row[2] for row in rows], [row[3] for row in rows])


def test_objects_stay_as_they_are_written(run: Path, tmp_path: Path) -> None:
    written = [f'{{"big": 1e400,  "text":{json.dumps(text)}, "n": 0.10 }}' for text in TEXTS]
    (tmp_path / "in.jsonl").write_text("\n\n".join(written))
    result = unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out")
    lines = (tmp_path / "out" / "in.jsonl").read_text(encoding="utf-8").splitlines()
    assert result.rows == len(lines) == len(TEXTS)
    for line, before in zip(lines, written, strict=True):
        assert line.startswith(before[:-2] + ", ")
    check(TEXTS, [json.loads(line)["label"] for line in lines], [json.loads(line)["probability"] for line in lines])


def test_a_parquet_file_keeps_its_types(run: Path, tmp_path: Path) -> None:
    before = pa.table({"id": pa.array(range(24), pa.int16()), "text": TEXTS, "more": [[1, 2], None, []] * 8})
    parquet.write_table(before, tmp_path / "in.parquet", row_group_size=7)
    unrolled.decode_files(run, tmp_path / "in.parquet", tmp_path / "out")
    after = parquet.read_table(tmp_path / "out" / "in.parquet")
    assert after.select(before.column_names).equals(before)
    check(TEXTS, after["label"].to_pylist(), after["probability"].to_pylist())
    assert dict(after["probabilities"].to_pylist()[0]) == pytest.approx(expected(TEXTS[0])["probabilities"])
    assert parquet.ParquetFile(tmp_path / "out" / "in.parquet").num_row_groups == 1


def test_a_text_a_line_is_answered_by_a_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a fine film\n\ndull\nwarm\nit\nplot\nlast without an end")
    result = unrolled.decode_files(run, tmp_path / "in.txt", tmp_path / "out")
    assert (result.rows, result.errors, result.blank) == (7, 0, 1)
    labels = (tmp_path / "out" / "in.txt").read_text().split("\n")
    texts = ["a fine film", "", "dull", "warm", "it", "plot", "last without an end"]
    assert labels == [*(expected(text)["label"] if text else "" for text in texts), ""]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet", "txt"])
def test_a_format_that_is_requested_is_written(form: Any, run: Path, tmp_path: Path) -> None:
    rows = [{"id": i, "text": text} for i, text in enumerate(TEXTS)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    keep = None if form == "txt" else ["id"]
    unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out", format=form, keep_columns=keep)
    path = tmp_path / "out" / f"in.{form}"
    if form == "txt":
        assert path.read_text().splitlines() == [expected(text)["label"] for text in TEXTS]
        return
    if form == "parquet":
        found = parquet.read_table(path).to_pylist()
    elif form == "jsonl":
        found = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        found = list(csv.DictReader(io.StringIO(path.read_text()), delimiter="\t" if form == "tsv" else ","))
    assert list(found[0]) == ["id", "label", "probability", "probabilities", "error"]
    assert [int(row["id"]) for row in found] == list(range(24))
    check(TEXTS, [row["label"] for row in found], [row["probability"] for row in found])


BAD = '{"text": "fine"}\n{"text": " "}\n{"no": 1}\nnot json\n{"text": 5}\n{"text": "\\ud800"}\n{"text": "warm"}\n'


def test_a_row_that_cannot_be_answered_says_why(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(BAD)
    result = unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "out", answer_prefix="my_")
    assert (result.rows, result.errors) == (7, 5)
    found = [json.loads(line) for line in (tmp_path / "out" / "in.jsonl").read_text().splitlines()]
    assert [row["my_error"] for row in found] == [
        None,
        "the text is empty",
        'no key "text"; the keys are "no"',
        "not JSON: Expecting value",
        "text is expected, got a number",
        "the text holds an unpaired surrogate, which is not Unicode",
        None,
    ]
    assert [row["my_label"] is None for row in found] == [False, *[True] * 5, False]
    with pytest.raises(DataError, match=r"in.jsonl, line (2|6): the text .*\n  fix:  correct the row"):
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "other", on_bad_row="stop")


def test_a_bad_row_of_a_table_is_one_row(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b'id,text\n1,"two\nlines"\n2\n3,\xe9\n\n4,"fine"x\n5,,\n6,warm\n')
    result = unrolled.decode_files(run, tmp_path / "in.csv", tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "in.csv").read_text(encoding="utf-8"), newline="")))
    assert (result.rows, result.errors) == (len(rows), 4) == (6, 4)
    assert [row["id"] for row in rows] == ["1", "", "", "", "", "6"]
    assert [row["error"].split(" (")[0] for row in rows] == [
        "",
        "2 fields are expected, as in the header; got 1",
        "byte 0xe9 at offset 2 of the line is not UTF-8",
        "the quotes of the row that starts here are broken",
        "2 fields are expected, as in the header; got 3",
        "",
    ]


@cache
def labelled() -> Run:
    texts = [(f"{'fine' if i % 2 else 'dull'} no{i}", ["good"] * (i % 2) + ["odd"] * (i % 3 == 0)) for i in range(40)]
    return unrolled.train(texts, multi_label=True, model="gru", **SMALL)


TASKS: dict[str, tuple[Any, str, list[str], dict[str, Any]]] = {
    "multi_label": (labelled, "text", ["fine film", "dull"], {"threshold": 0.4}),
    "regress": (number_run, "text", ["fine film", "dull"], {}),
    "tag": (tag_run, "text", ["the fine film", "a plot is dull"], {"top": 2}),
    "translate": (translation_run, "source", [source for source, _ in translations(3)], {"beam": 2, "n_best": 2}),
    "generate": (text_run, "prompt", ["the", "a film"], {"length": 4, "temperature": 0.0}),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_every_task_gives_the_fields_of_its_json(task: str, form: Any, tmp_path: Path) -> None:
    make, column, inputs, options = TASKS[task]
    made = make()
    folder = made.save(tmp_path / "run").path
    parquet.write_table(pa.table({column: inputs}), tmp_path / "in.parquet")
    unrolled.decode_files(folder, tmp_path / "in.parquet", tmp_path / "out", format=form, answer_prefix="_", **options)
    answers = [json.loads(json.dumps(answer.to_dict())) for answer in made.decode(inputs, **options)]
    for answer in answers:
        answer.pop("text" if task != "generate" else "prompt", None)
        answer.pop("source", None)
    if form == "jsonl":
        found = [json.loads(line) for line in (tmp_path / "out" / "in.jsonl").read_text().splitlines()]
    else:
        found = parquet.read_table(tmp_path / "out" / "in.parquet").to_pylist(maps_as_pydicts="strict")
    for row, answer, text in zip(found, answers, inputs, strict=True):
        assert row.pop(column) == text
        assert row.pop("_error") is None
        assert {name[1:]: value for name, value in row.items()} == close(answer)


def close(value: Any) -> Any:
    """The value, with numbers that may differ in their last bits, as batches differ."""
    if isinstance(value, dict):
        return {name: close(each) for name, each in value.items()}
    if isinstance(value, list):
        return [close(each) for each in value]
    return pytest.approx(value, rel=1e-5) if isinstance(value, float) else value


def test_a_lazy_run_is_small_and_loads_the_run_that_was_named(run: Path, tmp_path: Path) -> None:
    folder = trained().save(tmp_path / "run").path
    sent = pickle.dumps(lazy.lazy(folder, options={"top": 1}))
    assert len(sent) < 8_000
    loaded: LazyRun = pickle.loads(sent)
    assert loaded.run is pickle.loads(sent).run, "loaded once a process"
    table = loaded.appended(pa.table({"text": TEXTS}))
    check(TEXTS, table["label"].to_pylist(), table["probability"].to_pylist())
    trained(seed=1).save(folder, overwrite=True)
    lazy._loaded.cache_clear()
    with pytest.raises(CheckpointError, match="is another run than when this work began"):
        loaded.appended(pa.table({"text": TEXTS}))


def test_what_cannot_work_is_refused_at_once(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,label\nfine,pos\n")
    with pytest.raises(DataError, match='in.csv: has a column "label", which is also the name of a column of the ans'):
        unrolled.decode_files(run, tmp_path / "in.csv", tmp_path / "out")
    with pytest.raises(DataError, match='no column "review"'):
        unrolled.decode_files(run, tmp_path / "in.csv", tmp_path / "a", text="review")
    with pytest.raises(ConfigError, match="does not use beam"):
        unrolled.decode_files(run, tmp_path / "in.csv", tmp_path / "b", beam=3)
    with pytest.raises(ConfigError, match="workers must be at least 1: got 0"):
        unrolled.decode_files(run, tmp_path / "in.csv", tmp_path / "c", workers=0)
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n')
    with pytest.raises(DataError, match="name the columns of the csv with --keep-columns"):
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "d", format="csv")
    with pytest.raises(ConfigError, match="format txt has the answers alone"):
        unrolled.decode_files(run, tmp_path / "in.jsonl", tmp_path / "e", format="txt", keep_columns=["text"])
