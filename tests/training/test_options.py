"""Every option of the data and training sections matters, or keeps its promise to change nothing."""

from collections.abc import Mapping
from typing import Any

import pytest
from torch import Tensor

from options import OF_TRAINING, WILD, identity, left_by, missing_or_unknown
from small import SMALL, pairs, write_csv
from unrolled import api, laws
from unrolled.laws import Option

OPTIONS = [
    Option("cache", "elsewhere", changes=False),
    Option("text", "other_text"),
    Option("label", "other_label"),
    Option("multi_label", True),
    Option("label_separator", "|", {"multi_label": True, "label": "several"}),
    Option("strip_labels", True, {"label": "spelled"}),
    Option("fold_labels", True, {"label": "spelled"}),
    Option("header", False, {"data": "numbered.csv", "text": "1", "label": "2"}),
    Option("separator", "semicolon", {"data": "either.csv", "header": False, "text": "1", "label": "2"}),
    Option("valid", "valid.csv"),
    Option("test", "test.csv"),
    Option("valid_fraction", 0.3),
    Option("test_fraction", 0.3),
    Option("split_seed", 1),
    Option("on_bad_row", "skip", {"text": "sometimes"}),
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
    Option("class_weights", "balanced"),
    Option("best_by", "loss", WILD),
    Option("baseline", False, changes=False),
    Option("temperature_scale", True),
    Option("class_names", ["bad", "good"], {"label": "number"}, changes=False),
    *OF_TRAINING,
]


@pytest.fixture
def folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("valid.csv", "test.csv"), start=1):
        more = pairs(12, seed=number)
        write_csv(tmp_path / name, [(f"{text} {name}", label) for text, label in more], header="text,label")
    write_csv(tmp_path / "numbered.csv", header="1,2")
    either = [f"{text};so {label},{label}\n" for text, label in pairs()]  # a table with commas, and one with semicolons
    (tmp_path / "either.csv").write_text("".join(either))


def build(settings: Mapping[str, Any]) -> dict[str, Tensor]:
    rows = [
        {
            "text": text,
            "label": label,
            "other_text": text[::-1],
            "other_label": "pos" if number % 3 else "neg",
            "spelled": (label, f" {label}", label.upper())[number % 3],
            "number": int(label == "pos"),
            "several": f"{label}|{number % 2};x" if number % 3 else "",
            "sometimes": text if number % 9 else "",
            "accents": f"{text} caf\u00e9 cafe\u0301",
        }
        for number, (text, label) in enumerate(pairs())
    ]
    settings = dict(settings)
    data = settings.pop("data", rows)
    return left_by(lambda: api.train(data, runs="runs", **SMALL | settings))


def test_the_table_has_every_option() -> None:
    assert not missing_or_unknown(OPTIONS, "classify")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("option", OPTIONS, ids=identity)
def test_it_matters(option: Option) -> None:
    assert laws.options_matter(build, [option]).compared == 1
