"""`unrolled explain` in a terminal and a pipe: its output, formats and errors."""

import json
from pathlib import Path

import pytest

import small
import unrolled
from unrolled import pictures
from unrolled.cli.main import run
from unrolled.inside import Trace


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    small.trained("gru").save(folder / "films")
    small.trained("elman").save(folder / "elman")
    small.text_run("gru").save(folder / "text")
    small.tag_run("gru").save(folder / "tags")
    small.translation_run("attention").save(folder / "pairs")
    return folder


def test_a_label_and_its_attribution(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(runs / "films"), "the film is warm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    answer = small.trained("gru").decode("the film is warm")[0]
    assert lines[0] == "films: model gru, task classify"
    assert lines[1] == "1 of 4 tokens is unknown to the network: “is”."
    assert lines[2] == f"{answer.label}  {answer.probability:.3f}"
    assert lines[3].startswith("the film is warm   bits for")
    assert lines[4].split("  ")[1:] == ["occlusion, bits", "input × gradient, nats", "gradient norm, nats"]
    rows = [line.split() for line in lines[5:]]
    assert sorted(row[0] for row in rows) == ["film", "is", "the", "warm"]
    sizes = [abs(float(row[1])) for row in rows]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("name", "text", "first"),
    [("text", "the film", "t"), ("tags", "the plot", "the:"), ("pairs", "abcd", None)],
)
def test_a_table_with_a_row_for_each_answer(name: str, text: str, first: str | None, runs: Path, capsys) -> None:
    assert run(["explain", str(runs / name), text]) == 0
    out = capsys.readouterr().out
    assert "surprise, bits" in out
    assert "largest occlusion, bits" in out
    table = out[out.index("largest occlusion, bits") :].splitlines()[1:]
    assert first is None or table[0].split()[0] == first


def test_colours_in_a_terminal_and_none_without(runs: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert run(["explain", str(runs / "films"), "the film"]) == 0
    assert "\x1b[30;48;2;" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(["explain", str(runs / "films"), "the film"]) == 0
    assert "48;2" not in capsys.readouterr().out


def test_control_characters_are_escaped(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(runs / "films"), "the \x1b[2J film"]) == 0
    assert "\x1b[2J" not in capsys.readouterr().out


def test_json_has_the_answers_and_their_attribution(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(runs / "pairs"), "abc", "--target", "CBA", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answers"] == ["C", "B", "A", "<eos>"]
    assert said["log_prob"] == small.translation_run("attention").explain(("abc", "CBA"))["log_prob"].tolist()
    assert said["source"] == ["a", "b", "c"]
    assert len(said["source.occlusion"]) == len(said["answers"])
    assert said["tensors"]["attention.weights"]["shape"] == [4, 3]


def test_a_trace_is_kept(runs: Path, tmp_path: Path) -> None:
    assert run(["explain", str(runs / "films"), "the film", "--save", str(tmp_path / "t.safetensors")]) == 0
    kept = Trace.load(tmp_path / "t.safetensors")
    assert kept.about.run == "films"
    assert "gradient_norm" in kept
    assert run(["explain", str(runs / "films"), "the film", "--fast", "--save", str(tmp_path / "f")]) == 0
    assert "gradient_norm" not in Trace.load(tmp_path / "f")


def test_several_runs_one_after_the_other(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(runs / "films"), "the film", "--compare-with", str(runs / "elman")]) == 0
    out = capsys.readouterr().out
    assert out.index("films: model gru") < out.index("elman: model elman")


def test_tokens_stand_between_spaces(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", str(runs / "films"), "no3,warm film", "--tokens", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == ["no3", ",", "warm", "film"]


def test_snapshots_of_the_training(tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unrolled.train(small.pairs(), model="elman", keep="snapshots", out=tmp_path / "snapshot_updates", **small.SMALL)
    assert run(["explain", str(tmp_path / "snapshot_updates"), "the film", "--snapshots", "--fast"]) == 0
    out = capsys.readouterr().out
    assert out.count("after update") == len(list((tmp_path / "snapshot_updates" / "snapshots").iterdir()))
    assert run(["explain", str(runs / "films"), "the film", "--snapshots"]) == 2
    assert "train with --keep snapshots and --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["films", "the film", "--target", "b"], "--target is for runs of task translate: this run's task is classify"),
        (["films", ""], "the text is empty"),
        (["films", "the film", "--max-length", "0"], "max_length must be at least 1: got 0"),
        (["films", "the film", "--save", "t", "--compare-with", "elman"], "--save writes one trace"),
        (["nowhere", "the film"], "nowhere does not exist"),
        (["text", "ÿ"], "tokens that the run does not know"),
        (["films", "the film", "--unit", "3"], "--unit needs --picture NAME"),
        (["films", "the film", "--picture", "cel"], 'there is no picture "cel" (did you mean "cell"?)'),
        (["films", "the film", "--picture", "attention"], 'picture "attention"'),
        (["films", "the film", "--picture", "cell", "--unit", "99"], "99"),
        (
            ["films", "the film", "--export", "no/where.html"],
            "no/where.html cannot be written: there is no folder no; make it, or change --export",
        ),
        (["films", "the film", "--save", "films"], "films cannot be written: it is a folder; add"),
        (["films", "the film", "--export", "page.png"], "--export writes HTML, so its name must end in .html"),
        (["films", "the film", "--picture", "cell", "--out", "a.png"], "--out writes SVG"),
        (["pairs", "abc", "--target", "ÿ"], "the target contains a token that the run does not know"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], said: str, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(runs)
    assert run(["explain", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_one_picture(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["explain", str(runs / "films"), "the film is warm", "--picture", "cell", "--unit", "3", "--step", "2"]
    assert run(asked) == 0
    said = capsys.readouterr().out
    assert said.startswith("<svg")
    assert "step 2 (is), unit 3" in said
    assert run([*asked, "--out", str(tmp_path / "cell.svg")]) == 0
    assert (tmp_path / "cell.svg").read_text(encoding="utf-8") == said.removesuffix("\n")
    assert not capsys.readouterr().out


def test_an_answer_is_marked_by_the_truth(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["explain", str(runs / "films"), "the film is warm", "--picture", "lineage", "--truth"]
    assert run([*asked, "no such label"]) == 0
    assert "✗ wrong" in capsys.readouterr().out
    assert run(["explain", str(runs / "films"), "the film is warm", "--truth", "x"]) == 2
    assert "--truth needs --picture NAME" in capsys.readouterr().err


def test_a_narrow_picture(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["explain", str(runs / "films"), "the film is warm", "--picture", "gates"]
    assert run([*asked, "--width", "320"]) == 0
    assert 'width="336"' in capsys.readouterr().out.splitlines()[0]
    assert run([*asked, "--width", "200"]) == 2
    assert "a picture is at least 320 pixels wide: got 200" in capsys.readouterr().err


def test_the_list_of_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "nowhere", "--picture", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(pictures.PICTURES)


def test_all_pictures_in_one_file(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "both.html"
    both = [str(runs / "films"), "the film is warm", "--compare-with", str(runs / "elman")]
    assert run(["explain", *both, "--export", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "films" in text
    assert "elman" in text
    assert not capsys.readouterr().out
