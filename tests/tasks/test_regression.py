"""The task regress from end to end: answers in the user's unit, recorded, resumed, continued."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from options import OF_TRAINING, WILD, identity, left_by, missing_or_unknown
from small import OWN, SMALL, number_run, rated, write_csv
from unrolled import api, laws, lineage
from unrolled.errors import CheckpointError, ConfigError, DataError, Interrupted
from unrolled.laws import Option

MODELS = [architecture.name for architecture in lineage.architectures_for("regress")]
OPTIONS = [
    Option("cache", "elsewhere", changes=False),
    Option("text", "other_text"),
    Option("label", "other_label"),
    Option("header", False, {"data": "numbered.csv", "text": "1", "label": "2"}),
    Option("separator", "semicolon", {"data": "either.csv", "header": False, "text": "1", "label": "2"}),
    Option("decimal", ",", {"label": "sometimes", "on_bad_row": "skip"}),
    Option("valid", "valid.csv"),
    Option("test", "test.csv"),
    Option("valid_fraction", 0.3),
    Option("test_fraction", 0.3),
    Option("split_seed", 1),
    Option("on_bad_row", "skip", {"label": "sometimes"}),
    Option("tokenizer", "character"),
    Option("vocabulary_size", 20),
    Option("min_frequency", 2),
    Option("lowercase", False),
    Option("normalize", "nfkc", {"tokenizer": "character", "text": "accents"}),
    Option("updates", 3),
    Option("epochs", 2.0, {"updates": None, "epochs": 3.0}),
    Option("batch_tokens", 40),
    Option("accumulate", 2, {"batch_tokens": 40}),
    Option("learning_rate", 1e-3),
    Option("best_by", "r2", WILD, changes=False),  # R² is a falling function of the loss
    *(option for option in OF_TRAINING if option.name != "label_smoothing"),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "data.csv", rated())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("valid.csv", "test.csv"), start=1):
        write_csv(tmp_path / name, [(f"{text} {name}", value) for text, value in rated(12, seed=number)])
    write_csv(tmp_path / "numbered.csv", rated(), header="1,2")
    rows = "".join(f"{number};{value},{value * 2}\n" for number, (_, value) in enumerate(rated()))
    (tmp_path / "either.csv").write_text(rows)


def build(settings: Mapping[str, Any]) -> dict[str, Tensor]:
    rows = [
        {
            "text": text,
            "label": value,
            "other_text": text[::-1],
            "other_label": -value * number,
            "sometimes": value if number % 9 else "1,5",
            "accents": f"{text} caf\u00e9 cafe\u0301",
        }
        for number, (text, value) in enumerate(rated())
    ]
    settings = dict(settings)
    data = settings.pop("data", rows)
    return left_by(lambda: api.train(data, task="regress", runs="runs", **SMALL | settings))


def test_the_table_has_every_option() -> None:
    assert not missing_or_unknown(OPTIONS, "regress")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("option", OPTIONS, ids=identity)
def test_it_matters(option: Option) -> None:
    assert laws.options_matter(build, [option]).compared == 1


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_in_the_unit_of_the_data(name: str) -> None:
    settings = {"hidden_size": 8, "embedding_size": 8, "learning_rate": 0.02, "dropout": 0.0, "updates": 40}
    settings |= {"read": "mean"} if lineage.architecture(name).mixers else {}
    run = api.train(rated(200), task="regress", model=name, min_frequency=2, **settings | OWN.get(name, {}))
    assert run.test.r2 > 0.3
    assert run.test.mae < run.test.mean_mae
    texts, values = zip(*rated(40, seed=9), strict=True)
    answers = run.decode(texts)
    assert [answer.text for answer in answers] == list(texts)
    assert np.corrcoef([answer.value for answer in answers], values)[0, 1] > 0.5
    assert run.evaluate(rated(40, seed=9)).pearson > 0.5


def test_a_saved_run_answers_the_same(data: Path, tmp_path: Path) -> None:
    run = api.train(data, task="regress", out=tmp_path / "run", **SMALL)
    again = api.load(tmp_path / "run")
    texts = [text for text, _ in rated(9, seed=5)]
    assert again.decode(texts) == run.decode(texts)
    assert run.evaluate() == run.test == again.evaluate() == again.evaluate(data, test_split=True)
    values = np.array([value for _, value in rated()])
    assert 20 < again.scale.mean < 40
    assert again.scale.deviation == pytest.approx(values.std(), rel=0.2)
    assert run.metrics[-1].keys() >= {"valid_loss_nats", "valid_r2"}
    card = (tmp_path / "run" / "README.md").read_text()
    assert "mean absolute error" in card
    (tmp_path / "run" / "SHA256SUMS").write_text("")
    with pytest.raises(CheckpointError):
        api.load(tmp_path / "run")


def test_the_unit_of_the_data_changes_nothing_but_the_unit() -> None:
    run = number_run()
    other = api.train([(text, 1000 * value - 7) for text, value in rated()], task="regress", **SMALL)
    texts = [text for text, _ in rated(9, seed=5)]
    for here, there in zip(run.decode(texts), other.decode(texts), strict=True):
        assert there.value == pytest.approx(1000 * here.value - 7, rel=1e-4)
    assert other.test.r2 == pytest.approx(run.test.r2, rel=1e-3)


def test_a_training_from_a_run_begins_with_its_predictions() -> None:
    run, rows = number_run(), [(text, value / 10 + 3) for text, value in rated(60, seed=4)]
    still = {"learning_rate": 1e-12, "updates": 1, "warmup": 0.0}
    further = api.train(rows, start=run, **still)
    assert further.scale != run.scale
    texts = [text for text, _ in rated(9, seed=5)]
    for here, there in zip(run.decode(texts), further.decode(texts), strict=True):
        assert there.value == pytest.approx(here.value, rel=1e-4)


def test_an_interrupted_training_ends_with_the_same_bits(data: Path, tmp_path: Path) -> None:
    import signal

    def stop(event: Any) -> None:
        if event.update == 2:
            signal.raise_signal(signal.SIGTERM)

    whole = api.train(data, task="regress", out=tmp_path / "whole", **SMALL)
    with pytest.raises(Interrupted):
        api.train(data, task="regress", out=tmp_path / "run", report=stop, **SMALL)
    resumed = api.resume(tmp_path / "run")
    assert resumed.scale == whole.scale
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name])
    assert resumed.test == whole.test


def test_the_number_is_explained() -> None:
    run = number_run("lstm")
    trace = run.explain("a superb film", gradient=True)
    (answer,) = run.decode("a superb film")
    assert trace["value"].tolist() == pytest.approx([answer.value])
    assert trace.about.answers == (f"{answer.value:.6g}",)
    assert "log_prob" not in trace
    assert trace.unit("occlusion") == trace.unit("gradient_norm") == trace.unit("lstm.l0.gradient") == ""
    assert trace.unit("path_length") == "steps"


def test_classes_and_constants_are_refused() -> None:
    with pytest.raises(DataError, match="the training split has one number only"):
        api.train([(text, 3) for text, _ in rated()], task="regress", **SMALL)
    with pytest.raises(DataError, match="--task classify"):
        api.train([(text, "good") for text, _ in rated()], task="regress", **SMALL)
    with pytest.raises(ConfigError, match="class_weights only applies to tasks"):
        api.train(rated(), task="regress", class_weights="balanced", **SMALL)
    with pytest.raises(ConfigError, match="keeps its network and tokeniser: task is"):
        api.train(rated(), start=number_run(), task="classify")
    with pytest.raises(ConfigError, match="unknown option"):
        number_run().decode("a", beams=3)
