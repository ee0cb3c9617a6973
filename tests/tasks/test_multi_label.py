"""The task classify with several labels a text, from end to end."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from small import OWN, SMALL, trained
from unrolled import api, lineage
from unrolled.errors import ConfigError, DataError
from unrolled.runs.multi_label import MultiLabelRun
from unrolled.training.multi_label import loss_nats

MODELS = [architecture.name for architecture in lineage.architectures_for("classify")]
WORDS = {"joy": ("fine", "warm"), "anger": ("dull", "flat"), "fear": ("dark", "cold")}


def rows(n: int = 80, *, seed: int = 0) -> list[tuple[str, str]]:
    """Texts with a word for each of their labels, and other words; no two are equal."""
    draw = random.Random(seed)
    made = []
    for i in range(n):
        labels = [label for label in WORDS if draw.random() < 0.4]
        words = [*(draw.choice(WORDS[label]) for label in labels), *draw.choices(("the", "film", "a"), k=2), f"no{i}"]
        draw.shuffle(words)
        made.append((" ".join(words), ";".join(labels)))
    return made


def made(name: str = "gru", **settings: Any) -> MultiLabelRun:
    run = api.train(rows(), multi_label=True, model=name, **SMALL | OWN.get(name, {}) | settings)
    assert isinstance(run, MultiLabelRun)
    return run


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns(name: str) -> None:
    settings: dict[str, Any] = {
        "hidden_size": 8,
        "embedding_size": 8,
        "learning_rate": 0.03,
        "dropout": 0.0,
        "updates": 30,
    }
    if lineage.architecture(name).mixers:
        settings |= {"read": "mean", "hidden_size": 16, "learning_rate": 0.02, "updates": 60, "patience": 0}
        settings |= {"convolution": 1} if name in ("mamba2", "gated_deltanet", "hybrid") else {}
    run = made(name, min_frequency=2, **settings)
    assert run.labels == ("anger", "fear", "joy")
    assert run.evaluate(rows(60, seed=3)).mean_average_precision > 0.6
    (answer,) = run.decode("the warm film")
    assert max(answer.probabilities, key=lambda label: answer.probabilities[label]) == "joy"


def test_a_saved_run_answers_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"{text},{labels}\n" for text, labels in rows()))
    run = api.train(path, multi_label=True, out=tmp_path / "run", **SMALL)
    again = api.load(tmp_path / "run")
    texts = [text for text, _ in rows(9, seed=5)]
    assert again.decode(texts) == run.decode(texts)
    assert again.evaluate() == run.test
    assert run.metrics[-1].keys() >= {"valid_loss_nats", "valid_micro_f1"}
    assert "micro-F1" in (tmp_path / "run" / "README.md").read_text()
    further = api.train(path, start=run, updates=1)
    assert isinstance(further, MultiLabelRun)
    with pytest.raises(ConfigError, match="keeps its network and tokeniser: multi_label is True there"):
        api.train(path, start=run, multi_label=False)


def test_the_threshold_decides_and_the_probabilities_stay() -> None:
    run, text = made(), "the warm flat film"
    (answer,) = run.decode(text)
    all_of_them = sorted(answer.probabilities, key=lambda label: -answer.probabilities[label])
    for threshold in (0.001, answer.probabilities[all_of_them[1]], 0.999):
        (other,) = run.decode(text, threshold=threshold)
        assert other.probabilities == answer.probabilities
        assert list(other.labels) == [label for label in all_of_them if answer.probabilities[label] >= threshold]
    assert answer.shown().count("\t") == 2
    everything = run.evaluate(rows(20, seed=2), threshold=0.001)
    assert everything.micro_recall == 1
    assert run.evaluate(rows(20, seed=2)).threshold == 0.5
    with pytest.raises(ConfigError, match="threshold must be above 0 and below 1: got 1"):
        run.decode(text, threshold=1)
    with pytest.raises(ConfigError, match="threshold is for runs that were trained with --multi-label"):
        trained().decode(text, threshold=0.3)
    with pytest.raises(ConfigError, match="threshold is for runs that were trained with --multi-label"):
        trained().evaluate(rows(), threshold=0.3)


def test_the_loss_is_binary_cross_entropy() -> None:
    logits, targets = torch.randn(4, 3, dtype=torch.float64), torch.tensor([[1.0, 0, 1]] * 4, dtype=torch.float64)
    expected = -(targets * F.logsigmoid(logits) + (1 - targets) * F.logsigmoid(-logits)).sum()
    torch.testing.assert_close(loss_nats(logits, targets), expected)
    smooth = -(0.9 * F.logsigmoid(logits) + 0.1 * F.logsigmoid(-logits))
    other = -(0.1 * F.logsigmoid(logits) + 0.9 * F.logsigmoid(-logits))
    expected = torch.where(targets > 0, smooth, other).sum()
    torch.testing.assert_close(loss_nats(logits, targets, label_smoothing=0.2), expected)


def test_the_baseline_answers_the_most_frequent_labels_of_training() -> None:
    data = [*((f"a{i}", "x;y") for i in range(40)), *((f"b{i}", "x;z") for i in range(20))]
    run = api.train(data, multi_label=True, valid_fraction=0.1, test_fraction=0.2, **SMALL)
    assert run.record["data"]["usual"] == ["x", "y"]
    assert run.test.usual_labels == ("x", "y")


def test_answers_are_explained_one_by_one() -> None:
    run = made("lstm")
    run.model.head.bias.data.copy_(torch.tensor([9.0, -9.0, 9.0]))
    trace = run.explain("the warm film", gradient=True)
    (answer,) = run.decode("the warm film")
    assert trace.about.answers == answer.labels
    assert len(answer.labels) == 2
    expected = np.log([answer.probabilities[label] for label in answer.labels])
    assert trace["log_prob"].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert trace["occlusion"].shape == (2, 3)
    assert "entropy" not in trace
    run.model.head.bias.data.copy_(torch.tensor([-9.0, -8.0, -9.0]))
    assert run.decode("the film")[0].labels == ()
    assert run.explain("the film").about.answers == ("fear",)


def test_what_has_no_use_or_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="label_separator only applies with multi_label"):
        api.train(rows(), label_separator="|")
    with pytest.raises(ConfigError, match="class_weights does not apply to texts with several labels"):
        made(class_weights="balanced")
    with pytest.raises(ConfigError, match="multi_label only applies to task classify"):
        api.train(rows(), task="tag", multi_label=True)
    with pytest.raises(ConfigError, match="multi_label does not apply to images"):
        api.train("sample:fashion", multi_label=True)
    with pytest.raises(DataError, match="one set of labels only"):
        api.train([(text, "x;y") for text, _ in rows()], multi_label=True, **SMALL)
    with pytest.raises(DataError, match='"odd" is not one of the 3 labels'):
        made().evaluate([("a text", "joy;odd")])
