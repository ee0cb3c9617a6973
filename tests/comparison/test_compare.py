"""A whole comparison: the report, an interruption, other processes, runs, cells of the user, and bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import unrolled
from unrolled.comparison.report.forms import Comparison
from unrolled.comparison.study import Study
from unrolled.errors import CheckpointError, ConfigError, DataError, Interrupted

ROWS = [
    (f"{word} film {filler} {n}", label)
    for n in range(40)
    for word, label in (("good", "yes"), ("bad", "no"))
    for filler in ("about a dog", "with a long title")
]
SMALL: dict[str, Any] = {"hidden_size": 64, "embedding_size": 8, "min_frequency": 1}
MODELS = ("feedforward", "elman")
SIZE: dict[str, Any] = {"budget": "12updates", "trials": 3, "seeds": 2, "evaluate_every": 4}


def compared(out: Path, data: object = ROWS, models: Any = MODELS, **settings: Any) -> Comparison:
    return unrolled.compare(data, models, out=out, **{**SIZE, **SMALL, **settings})


def certain(folder: Path) -> dict[str, Any]:
    """The part of a report that is the same wherever and however it was made."""
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    del found["measured"]
    return {**found, "name": ""}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "comparison"
    compared(folder)
    return folder


def test_every_model_has_the_same_budget_search_tables_and_nearly_the_same_parameters(finished: Path) -> None:
    found = json.loads((finished / "report.json").read_text())
    first, second = found["models"]
    assert [each["label"] for each in found["models"]] == list(MODELS)
    assert first["updates"] == second["updates"] == 12
    assert first["tables"] - second["tables"] == 2 * (first["hidden_size"] - second["hidden_size"])  # the heads' inputs
    assert second["matched"]
    assert abs(second["parameters"] / first["parameters"] - 1) <= 0.02
    rates = [[(each["learning_rate"], each["dropout"]) for each in model["trials"][:3]] for model in found["models"]]
    assert rates[0] == rates[1]
    assert len(first["trials"]) == len(second["trials"])
    for model in found["models"]:
        best = max(model["trials"], key=lambda each: (each["figure"], -each["k"]))
        assert model["best"] == {name: best[name] for name in ("learning_rate", "dropout")}
        assert [each["settings"] for each in model["seeds"]] == [model["best"]] * 2
        assert [each["seed"] for each in model["seeds"]] == [1, 2]


def test_its_figures_are_those_of_its_runs(finished: Path) -> None:
    found = json.loads((finished / "report.json").read_text())
    for model in found["models"]:
        runs = [unrolled.load(finished / each["run"]) for each in model["seeds"]]
        assert model["means"] == [run.evaluate(ROWS, test_split=True).accuracy for run in runs]
        assert [run.config.training.seed for run in runs] == [1, 2]
        assert model["means"] == [each["result"]["accuracy"] for each in model["seeds"]]


def test_the_report_has_three_forms_that_say_the_same(finished: Path) -> None:
    comparison = unrolled.compare(ROWS, resume=finished)
    assert comparison.to_dict()["models"] == certain(finished)["models"]
    page, text = ((finished / f"report.{kind}").read_text() for kind in ("html", "md"))
    for sentence in comparison.verdict:
        assert sentence in text
        assert sentence in page
        assert sentence in comparison.text().replace("\n", " ")
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")  # nothing is fetched
    assert max(map(len, comparison.text().splitlines())) <= 80
    assert comparison.best in MODELS
    assert "best" in comparison._repr_html_()


def test_an_interrupted_comparison_ends_with_the_same_report(finished: Path, tmp_path: Path) -> None:
    events = 0

    def report(title: str, event: Any) -> None:
        nonlocal events
        events += 1
        if events % 29 == 0:
            os.kill(os.getpid(), signal.SIGTERM)  # SIGINT is ignored by a job in the background

    interruptions = 0
    with pytest.raises(Interrupted, match="unrolled compare --resume"):
        compared(tmp_path / "comparison", report=report)
    while interruptions < 20:
        try:
            unrolled.compare(ROWS, resume=tmp_path / "comparison", report=report)
            break
        except Interrupted:
            interruptions += 1
    assert 1 <= interruptions < 20
    assert certain(tmp_path / "comparison") == certain(finished)


SHARED = """
import sys, unrolled
from tests.comparison.test_compare import SIZE, SMALL, MODELS
folder, kind = sys.argv[1:]
data = folder + "/rows.csv"
if kind == "begin":
    unrolled.compare(data, MODELS, out=folder + "/both", **SIZE, **SMALL)
else:
    unrolled.compare(join=folder + "/both")
"""


def test_two_processes_share_the_trainings_and_a_killed_one_loses_only_its_own(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS))

    def process(kind: str) -> subprocess.Popen[bytes]:
        where = Path(__file__).parents[2]
        return subprocess.Popen([sys.executable, "-c", SHARED, str(tmp_path), kind], cwd=where)

    first = process("begin")
    while not (tmp_path / "both" / "study.json").exists():
        assert first.poll() is None, "the first process has ended"
        time.sleep(0.05)
    time.sleep(0.5)
    killed, second = process("join"), process("join")
    while not _taken(tmp_path / "both", killed.pid):
        if killed.poll() is not None:  # it came too late to train anything
            break
        time.sleep(0.02)
    killed.kill()
    assert first.wait(300) == second.wait(300) == 0
    killed.wait(10)
    study = Study(f"sqlite:///{tmp_path / 'both' / 'study.db'}", "both")
    owners = set()
    for label in MODELS:
        for kind in ("trial", "seed"):
            done = [t for t in study._trials(label, kind) if t.state.name in ("COMPLETE", "PRUNED")]  # type: ignore[arg-type]
            assert set(Counter(each.user_attrs["k"] for each in done).values()) == {1}
            owners |= {each.user_attrs["worker"] for each in done}
    both, alone = certain(tmp_path / "both"), certain(finished)
    shared, single = ((folder / "report.md").read_text() for folder in (tmp_path / "both", finished))
    assert ("Several processes shared the trainings, in no fixed order" in shared) == bool(study.kept("joined"))
    assert study.kept("joined") or len(owners) == 1  # the others may come too late to train anything
    assert "Several processes" not in single
    for report in (both, alone):
        for model in report["models"]:
            model["trials"] = [{**each, "curve": None} for each in model["trials"] if each["state"] == "complete"]
    assert [model["means"] for model in both["models"]] == [model["means"] for model in alone["models"]]


def _taken(folder: Path, process: int) -> bool:
    study = Study(f"sqlite:///{folder / 'study.db'}", "both")
    trials = [trial for label in MODELS for trial in study._trials(label, "trial")]
    return any(str(trial.user_attrs.get("worker", "")).endswith(f":{process}") for trial in trials)


def test_the_folder_of_a_comparison_is_taken_and_says_what_differs(finished: Path) -> None:
    with pytest.raises(ConfigError, match="has this comparison: continue it with `unrolled compare --resume"):
        compared(finished)
    with pytest.raises(ConfigError) as refused:
        compared(finished, seeds=3, embedding_size=6, models=("feedforward", "gru"))
    assert "seeds 2, not 3" in str(refused.value)
    assert "models feedforward, elman, not feedforward, gru" in str(refused.value)
    assert "embedding_size 8, not 6" in str(refused.value)
    with pytest.raises(ConfigError, match="other data"):
        compared(finished, data=[*ROWS, ("a film more", "yes")] * 2)


def test_a_comparison_goes_on_with_its_own_data_only(finished: Path) -> None:
    with pytest.raises(DataError, match="Python objects, which are not saved"):
        unrolled.compare(resume=finished)
    with pytest.raises(DataError, match="the train split is not the one that the training began with"):
        unrolled.compare(ROWS[:80], resume=finished)


def test_trained_runs_are_compared_as_they_are(finished: Path, tmp_path: Path) -> None:
    runs = sorted((finished / "runs").iterdir())
    found = unrolled.compare(ROWS, runs, out=tmp_path / "runs").to_dict()
    assert [len(model["means"]) for model in found["models"]] == [2, 2]
    before = {model["model"]: model["means"] for model in certain(finished)["models"]}
    assert {model["model"]: model["means"] for model in found["models"]} == before
    assert found["differences"][0]["interval"] == certain(finished)["differences"][0]["interval"]
    assert [model["label"] for model in found["models"]] == ["run elman", "run feedforward"]
    assert {model["model"]: model["flops"] for model in found["models"]} == {
        model["model"]: model["flops"] for model in certain(finished)["models"]
    }
    assert "Nothing was matched" in (tmp_path / "runs" / "report.md").read_text()
    with pytest.raises(ConfigError, match="are runs with the same settings and seed: remove one of them"):
        unrolled.compare(ROWS, [runs[0], *runs], out=tmp_path / "no")
    numbers = unrolled.train(
        [(text, str(len(text))) for text, _ in ROWS], task="regress", epochs=1, out=tmp_path / "numbers"
    )
    with pytest.raises(ConfigError, match="is a run of task regress: the others are of task classify"):
        unrolled.compare(ROWS, [runs[0], numbers.path], out=tmp_path / "no")
    other = unrolled.train(ROWS[:120], epochs=1, **SMALL, baseline=False, out=tmp_path / "other")
    with pytest.raises(DataError, match="was tested on another split"):
        unrolled.compare(ROWS, [runs[0], other.path], out=tmp_path / "no")


def test_held_out_files_are_named_by_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("train", ROWS[:100]), ("valid", ROWS[100:130]), ("test", ROWS[130:])):
        lines = ["text,label", *(f"{text},{label}" for text, label in rows)]
        Path(f"{name}.csv").write_text("\n".join(lines) + "\n")
    options = {"data": "train.csv", "valid": "valid.csv", "test": "test.csv", "trials": 0, "seeds": 1}
    assert compared(Path("out"), **options).to_dict()["examples"] == len(ROWS[130:])
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    unrolled.compare(resume=tmp_path / "out")


def test_images_are_compared(tmp_path: Path) -> None:
    from small import pictures  # here: a process of this file's own does not find it

    small: dict[str, Any] = {"budget": "3updates", "trials": 0, "seeds": 1, "hidden_size": 8}
    found = unrolled.compare(pictures(), MODELS, out=tmp_path / "images", **small).to_dict()
    times = found["measured"]["models"].values()
    assert all(each["answer_milliseconds"] > 0 for each in times)


def test_a_cell_of_the_user_is_compared_and_named_again_to_resume(tmp_path: Path) -> None:
    from tests.runs.test_own_cells import SOURCE

    cell = tmp_path / "leaky.py"
    cell.write_text(SOURCE)
    address = f"{cell}:Leaky"
    comparison = compared(tmp_path / "own", models=["gru", address], trials=0, seeds=1)
    assert [each["label"] for each in comparison.to_dict()["models"]] == ["gru", "Leaky"]
    with pytest.raises(ConfigError, match="name it again with --models"):
        unrolled.compare(ROWS, resume=tmp_path / "own")
    unrolled.compare(ROWS, [address], resume=tmp_path / "own")
    cell.write_text(SOURCE.replace("/ 2", "/ 4"))
    with pytest.raises(ConfigError, match="is not the file that the comparison began with"):
        unrolled.compare(ROWS, [address], resume=tmp_path / "own")


def test_one_seed_has_no_interval_and_no_search_keeps_the_settings(tmp_path: Path) -> None:
    comparison = compared(tmp_path / "one", trials=0, seeds=1, learning_rate=5e-3, match=None)
    found = comparison.to_dict()
    assert [model["interval"] for model in found["models"]] == [None, None]
    assert [model["hidden_size"] for model in found["models"]] == [64, 64]
    assert {model["seeds"][0]["settings"]["learning_rate"] for model in found["models"]} == {5e-3}
    assert "with one seed no interval can be given" in comparison.verdict[0]


def test_models_are_matched_by_measured_seconds(tmp_path: Path) -> None:
    """The measurement ends, and the first model, whose seconds are the target, keeps its width."""
    options = {"trials": 0, "seeds": 1, "match": "seconds", "hidden_size": 24}
    found = compared(tmp_path / "timed", models=["gru", "elman"], **options).to_dict()
    assert found["models"][0]["hidden_size"] == 24
    assert found["models"][0]["matched"]
    seconds = [each["update_seconds"] for each in found["measured"]["models"].values()]
    assert min(seconds) > 0


def test_models_have_settings_of_their_own(tmp_path: Path) -> None:
    models = ["gru", "gru num_layers=2", "gru bidirectional=true read=mean"]
    found = compared(tmp_path / "own", models=models, trials=0, seeds=1, match="state").to_dict()
    assert [model["label"] for model in found["models"]] == models
    assert [model["settings"].get("num_layers") for model in found["models"]] == [None, 2, None]
    assert len({model["state"] for model in found["models"][:2]}) == 1
    assert found["models"][1]["hidden_size"] == 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["gru"]}, "a comparison needs at least two models: got 1"),
        ({"models": ["gru", "gru"]}, 'models has "gru" twice'),
        ({"models": ["gru", "lstn"]}, 'model "lstn" is unknown (did you mean "lstm"?)'),
        ({"models": ["gru", "attention"]}, 'model "attention" does not serve task "classify"'),
        ({"models": ["gru", "runs/none"]}, "which is no run of unrolled, nor the name of a model"),
        ({"models": ["gru", "gru layers"]}, "a setting of a model is written name=value: got 'layers'"),
        ({"models": ["gru", "gru num_layer=2"]}, 'unknown setting "num_layer" (did you mean "num_layers"?)'),
        ({"models": ["gru", 'gru "x']}, "whose quotes do not match"),
        ({"match_to": 3.0}, "the nearest is"),
        ({"match_to": 3.0, "match": None}, "match_to is an amount to match"),
        ({"seeds": 0}, "seeds should be from 1 to 10,000: got 0"),
        ({"trials": -1}, "trials should be from 0 to 10,000: got -1"),
        ({"budget": "soon"}, "budget should be a time"),
        ({"epochs": 3}, "epochs is decided by the comparison"),
        ({"learning_rate": 1e-3}, "learning_rate is searched: remove it, or use 0 trials"),
        ({"test_fraction": 0.0}, "these data have none"),
        ({"num_heads": 2}, "none of the models uses num_heads"),
        ({"data": "-"}, "a comparison reads its data once for each training"),
        ({"data": None}, "no data: give a file"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((ConfigError, DataError)) as refused:
        compared(tmp_path / "no", **options)
    assert message in str(refused.value)
    assert not (tmp_path / "no").exists()


def test_folders_that_are_no_comparison_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(ConfigError, match="exists already and is no comparison"):
        compared(tmp_path / "full")
    with pytest.raises(ConfigError, match="has no study.json, so it is no comparison"):
        unrolled.compare(resume=tmp_path / "none")
    with pytest.raises(ConfigError, match="is named after a #"):
        unrolled.compare(join="sqlite:///x.db", out=tmp_path / "x")
    with pytest.raises(CheckpointError, match="cannot be reached or written"):
        compared(tmp_path / "db", storage="postgresql://me@127.0.0.1:1/db")
    assert not (tmp_path / "db").exists()


def test_a_disk_that_is_full_loses_nothing(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy

    left = 6

    def finish(self: Study, *args: Any, **options: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            from unrolled.comparison.study import storage_errors

            with storage_errors(self.url):
                raise sqlalchemy.exc.OperationalError("INSERT", {}, Exception("database or disk is full"))
        original(self, *args, **options)

    original = Study.finish
    with monkeypatch.context() as patch:
        patch.setattr(Study, "finish", finish)
        with pytest.raises(CheckpointError, match="database or disk is full. What is in it is kept"):
            compared(tmp_path / "comparison")
    unrolled.compare(ROWS, resume=tmp_path / "comparison")
    assert certain(tmp_path / "comparison") == certain(finished)


@pytest.mark.parametrize(
    "flags", [["--trials", "4"], ["--seeds", "2"], ["--match", "none"], ["--no-prune"], ["--out", "x"]]
)
def test_a_comparison_that_goes_on_takes_no_other_settings(flags: list[str], finished: Path) -> None:
    from unrolled.cli.main import app

    with pytest.raises(ConfigError, match="a comparison goes on with its settings: remove the others"):
        app(["compare", "--resume", str(finished), *flags], exit_on_error=False)
