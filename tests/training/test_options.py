"""Every option of the data and training sections matters, or keeps its promise to change nothing."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from small import SMALL, pairs, write_csv
from unrolled import api, laws
from unrolled.config import DataConfig, TrainingConfig
from unrolled.errors import DataError
from unrolled.laws import Option
from unrolled.tasks.classification import Classify

SLOW = {"updates": 6, "evaluate_every": 1, "learning_rate": 1.0}  # a rate at which some evaluations are worse
ROUNDING = 1e-5
"""Relative: one update of AdamW moves each weight by about the rate, 2e-3, however small its gradient; another order
of float32 sums moves that by some units of 1e-7 of the largest weight, of order 1, and this is ten times more."""

OPTIONS = [
    Option("text", "other_text"),
    Option("label", "other_label"),
    Option("valid", "valid.csv"),
    Option("test", "test.csv"),
    Option("valid_share", 0.3),
    Option("test_share", 0.3),
    Option("split_seed", 1),
    Option("on_bad_row", "skip", {"text": "sometimes"}),
    Option("tokenizer", "character"),
    Option("vocabulary_size", 20),
    Option("min_frequency", 2),
    Option("lowercase", False),
    Option("updates", 3),
    Option("epochs", 2.0, {"updates": None, "epochs": 3.0}),
    Option("time_limit", "0.001s"),
    Option("batch_tokens", 40),
    Option("accumulate", 2, {"batch_tokens": 40}),
    Option("learning_rate", 1e-3),
    Option("warmup", 0.5),
    Option("schedule", "constant"),
    Option("plateau_patience", 3, SLOW | {"schedule": "plateau", "plateau_patience": 1}),
    Option("plateau_factor", 0.1, SLOW | {"schedule": "plateau", "plateau_patience": 1}),
    Option("weight_decay", 0.5),
    Option("label_smoothing", 0.2),
    Option("class_weights", "balanced"),
    Option("average", 0.9),
    Option("precision", "bf16"),
    Option("clip", 1e-3),
    Option("evaluate_every", 1),
    Option("patience", 1, SLOW),
    Option("keep", "probes"),
    Option("tensorboard", True),
    Option("seed", 1),
    Option("checkpoint_every", 1, changes=False),
    Option("device", "cpu", changes=False),
    Option("threads", 1, {"updates": 1}, changes=False, within=ROUNDING),
    Option("backend", "reference", {"updates": 1}, changes=False, within=ROUNDING),
]


@pytest.fixture
def folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("valid.csv", "test.csv"), start=1):
        more = pairs(12, seed=number)
        write_csv(tmp_path / name, [(f"{text} {name}", label) for text, label in more], header="text,label")


def build(settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """A tiny training: its weights, its events, its result; or that it was refused."""
    rows = [
        {
            "text": text,
            "label": label,
            "other_text": text[::-1],
            "other_label": "pos" if number % 3 else "neg",
            "sometimes": text if number % 9 else "",
        }
        for number, (text, label) in enumerate(pairs())
    ]
    try:
        run = api.train(rows, runs="runs", **SMALL | dict(settings))
    except DataError:
        return {"refused": torch.ones(1)}
    assert run.test is not None
    assert run.path is not None
    events = [list(event.values()) for event in run.metrics for _ in [event.pop("tokens_per_second")]]
    return {
        **run.model.state_dict(),
        "metrics": torch.tensor([float(value) for event in events for value in event], dtype=torch.float64),
        "folders": torch.tensor([sum(1 for path in run.path.iterdir() if path.is_dir())]),
        "result": torch.tensor([run.test.n, run.test.loss_nats], dtype=torch.float64),
    }


def test_the_table_has_every_option() -> None:
    names = [option.name for option in OPTIONS]
    assert set(names) == {*DataConfig.model_fields, *TrainingConfig.model_fields} - Classify.unused
    assert len(names) == len(set(names))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_it_matters(option: Option) -> None:
    assert laws.options_matter(build, [option]).compared == 1
