"""The package's own verbs, as a notebook calls them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import unrolled
from small import MODELS, SMALL, pairs, trained, write_csv
from unrolled.cells import CELLS
from unrolled.config import Config, DataConfig
from unrolled.errors import BackendError, CheckpointError, ConfigError, DataError, UnrolledError
from unrolled.scan import BACKENDS, conditions


def as_generator() -> Iterator[tuple[str, str]]:
    yield from pairs()


def as_frame() -> object:
    import pandas

    return pandas.DataFrame(pairs(), columns=["text", "label"])


@pytest.mark.parametrize(
    "make",
    [
        pairs,
        as_generator,
        as_frame,
        lambda: [{"text": text, "label": label, "more": 3} for text, label in pairs()],
        lambda: {"text": [text for text, _ in pairs()], "label": [label for _, label in pairs()]},
        lambda: tuple(list(pair) for pair in pairs()),
    ],
    ids=["pairs", "generator", "data frame", "dicts", "mapping of lists", "lists"],
)
def test_python_objects_are_all_the_same_data(make: Callable[[], object]) -> None:
    run = unrolled.train(make(), **SMALL)
    assert run.path is None
    for name, value in trained().model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value)
    assert run.test == trained().test


@pytest.mark.parametrize("kind", [str, Path], ids=["str", "Path"])
def test_a_path(kind: type, tmp_path: Path) -> None:
    run = unrolled.train(kind(write_csv(tmp_path / "data.csv")), out=kind(tmp_path / "run"), **SMALL)
    assert run.path == tmp_path / "run"
    assert unrolled.evaluate(run.path) == run.test == unrolled.evaluate(str(run.path)) == unrolled.evaluate(run)
    assert unrolled.evaluate(run.path, [("so fine", 3), ("so dull", "neg")], on_bad_row="skip").n == 1
    assert unrolled.decode(run.path, "so fine") == run.decode("so fine")
    assert unrolled.load(run.path).path == tmp_path / "run"


def test_a_sample() -> None:
    run = unrolled.train("sample:products/valid", updates=1, hidden_size=4, embedding_size=4)
    assert run.record["data"]["name"] == "products"
    assert run.evaluate("sample:products/test").n == 153
    assert run.evaluate() == run.test


@pytest.mark.parametrize("name", MODELS)
def test_every_row_learns(name: str) -> None:
    settings: dict[str, Any] = {"learning_rate": 0.02, "updates": 60, "dropout": 0.0, "batch_tokens": 300}
    if name in ("mamba2", "gated_deltanet", "hybrid"):  # by a convolution, they learn 300 texts by heart
        settings |= {"convolution": 1, "weight_decay": 0.5, "updates": 100}
    run = unrolled.train(pairs(300), model=name, hidden_size=16, embedding_size=16, min_frequency=2, **settings)
    assert run.test is not None
    assert run.test.accuracy > 0.95
    assert run.decode("the film fine")[0].label == "pos"
    assert run.decode(["dull"])[0].label == "neg"


def test_results_are_frozen_and_go_into_json() -> None:
    run = trained()
    assert run.test is not None
    report = unrolled.inspect(pairs(), min_frequency=1)
    for result in (run.test, run.decode("so fine")[0], report):
        assert json.loads(json.dumps(result.to_dict(), allow_nan=False))
        with pytest.raises(AttributeError):
            result.anything = 1
    assert report.splits["train"].rows == run.record["data"]["splits"]["train"]["rows"]
    with pytest.raises(AttributeError):
        run.labels = ()
    assert json.loads(json.dumps(run.record, allow_nan=False)) == run.record


def test_inspect_takes_a_config() -> None:
    data = [(f"text {i}", "even" if i % 2 else "odd") for i in range(100)]
    config = Config(data=DataConfig(valid_fraction=0.1, test_fraction=0.4))
    assert "test 40 %" in unrolled.inspect(data, config=config).text()
    assert "test 10 %" in unrolled.inspect(data).text()


def test_backends() -> None:
    found = unrolled.backends()
    assert json.loads(json.dumps(found)) == found
    assert set(found["auto"]) == set(CELLS)
    assert set(found["backends"]) == {"reference", "torch", "fused"}
    assert found["backends"]["reference"]["cells"] == list(CELLS)
    assert trained().record["backend"] == found["auto"]["gru"]
    assert trained("feedforward").record["backend"] == "none: no recurrence"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_a_forced_backend_is_the_one_that_trains(name: str, backend: str) -> None:
    if not all(condition.holds for condition in conditions(backend)):
        with pytest.raises(BackendError, match="compiled"):
            unrolled.train(pairs(), model=name, backend=backend, **SMALL)
        return
    run = unrolled.train(pairs(), model=name, backend=backend, **SMALL)
    assert run.record["backend"] == backend
    assert run.record["config"]["training"]["backend"] == backend


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"hiden_size": 4}, ConfigError, 'unknown setting "hiden_size" (did you mean "hidden_size"?)'),
        ({"model": "gpt"}, ConfigError, 'model "gpt" does not serve task "classify"'),
        ({"model": "feedforward", "read": "last"}, ConfigError, "model feedforward has no last state to read"),
        ({"zoneout": 0.1, "backend": "torch"}, BackendError, 'backend "torch" cannot run here: it needs no zoneout'),
        (
            {"model": "feedforward", "backend": "torch"},
            ConfigError,
            "backend only applies to models elman, lstm, gru, mi",
        ),
        (
            {"model": "lstm", "nonlinearity": "relu"},
            ConfigError,
            "nonlinearity only applies to models feedforward, tra",
        ),
        ({"backend": "torch", "recurrent_dropout": 0.5}, BackendError, 'backend "torch" cannot run here'),
        ({"device": "mps"}, ConfigError, 'device "mps" is not available here; use cpu'),
    ],
)
def test_a_mistake_is_refused_before_any_data_is_read(
    settings: dict[str, object], error: type[UnrolledError], message: str
) -> None:
    def never() -> Iterator[tuple[str, str]]:
        raise AssertionError("data were read")
        yield

    with pytest.raises(error) as refused:
        unrolled.train(never(), **settings)
    assert str(refused.value).startswith(message)


def test_a_folder_that_is_there_is_refused_before_any_data_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists already"):
        unrolled.train(iter(()), out=tmp_path)


def test_runs_get_the_next_free_folder(tmp_path: Path) -> None:
    first = unrolled.train(pairs(), runs=tmp_path, **SMALL)
    second = unrolled.train(pairs(), runs=tmp_path, model="elman", overwrite=False, **SMALL)
    third = unrolled.train(pairs(), runs=tmp_path, **SMALL)
    assert [run.path.name for run in (first, second, third)] == ["data-gru-1", "data-elman-1", "data-gru-2"]


def test_an_error_in_a_report_ends_the_training_and_leaves_nothing(tmp_path: Path) -> None:
    def broken(event: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        unrolled.train(pairs(), out=tmp_path / "run", report=broken, **SMALL)
    assert not any(tmp_path.iterdir())


def test_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    run = unrolled.train(pairs(), threads=1, **SMALL)
    assert run.record["machine"]["threads"] == 1
    assert torch.get_num_threads() == before


def test_data_of_no_kind_we_know() -> None:
    with pytest.raises(DataError, match="cannot be read from a Python int"):
        unrolled.train(3)
    with pytest.raises(CheckpointError, match="does not exist"):
        unrolled.load("nowhere")


def test_the_package_says_what_it_has_and_loads_it_when_used() -> None:
    code = (
        "import sys, unrolled\n"
        "assert 'torch' not in sys.modules\n"
        "assert set(unrolled.__all__) <= set(dir(unrolled))\n"
        "assert all(getattr(unrolled, name) for name in unrolled.__all__)\n"
        "try: unrolled.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
