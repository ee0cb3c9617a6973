"""A run with a fitted temperature: every probability of it is that of the divided logits, and no answer changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional as F

import unrolled
from small import SMALL, image_run, pairs, sentences, tag_run, trained
from unrolled.errors import ConfigError
from unrolled.runs.run import Run

SETTINGS: dict[str, Any] = {"updates": 12, "learning_rate": 0.02}
TASKS = {
    "classify": (trained, "a fine film no3", pairs(30, seed=3)),
    "tag": (tag_run, "the no3 is no3", sentences(10, seed=3)),
}


def logits_of(run: Run, text: str) -> torch.Tensor:
    """The logits of the answers to a text, (A, K), from the model alone."""
    ids = run.example(text).inputs
    with torch.no_grad():
        logits, _ = run.model(ids)
    return (logits if run.answer == "once" else logits[0, run.example(text).steps]).double()


@pytest.mark.parametrize("task", TASKS)
def test_answers_evaluation_and_explanation_use_it(task: str) -> None:
    make, text, held_out = TASKS[task]
    plain, run = make(**SETTINGS), make(**SETTINGS, temperature_scale=True)
    T = run.temperature
    assert T == run.record["temperature"] != 1 == plain.temperature
    for name, weight in plain.model.state_dict().items():
        assert torch.equal(weight, run.model.state_dict()[name])
    expected = (logits_of(run, text) / T).softmax(dim=1).max(dim=1)
    (answer,) = run.decode(text)
    of_words = [answer] if task == "classify" else answer.words
    assert [each.probability for each in of_words] == pytest.approx(expected.values.tolist(), rel=1e-6)
    trace = run.explain(text)
    torch.testing.assert_close(trace["log_prob"].double().exp(), expected.values, rtol=1e-5, atol=0)
    ratio = plain.explain(text)["logits"] / trace["logits"]
    torch.testing.assert_close(ratio, torch.full_like(ratio, T))
    before, after = plain.evaluate(held_out), run.evaluate(held_out)
    assert (after.accuracy, after.macro_f1) == (before.accuracy, before.macro_f1)
    assert (after.calibration.temperature, after.calibration.unscaled_error) == (T, before.calibration.error)
    assert after.loss_nats != before.loss_nats


def test_the_attribution_is_that_of_the_divided_logits() -> None:
    plain, run = trained(**SETTINGS), trained(**SETTINGS, temperature_scale=True)
    text = "a fine film no3"
    for found in (plain, run):
        trace, model = found.explain(text), found.model
        ids = found.example(text).inputs
        vectors = model.embedding(ids).detach().requires_grad_()
        handle = model.embedding.register_forward_hook(lambda *_, vectors=vectors: vectors)
        logits, _ = model(ids)
        handle.remove()
        chosen = int(trace["answers"][0])
        F.log_softmax(logits / found.temperature, dim=1)[0, chosen].backward()
        torch.testing.assert_close(trace["gradient_norm"][0], vectors.grad[0].norm(dim=1), rtol=1e-4, atol=1e-7)


def test_it_minimises_the_loss_of_the_validation_split(tmp_path: Path) -> None:
    """The test split has other labels, so that a fit on it would find another temperature."""
    valid = [(text, label) for text, label in pairs(40, seed=8)]
    swapped = {"pos": "neg", "neg": "pos"}
    test = [(text, swapped[label]) for text, label in pairs(40, seed=9)]
    for name, made in (("valid", valid), ("test", test)):
        lines = [json.dumps({"text": text, "label": label}) for text, label in made]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("valid", "test")}
    run = unrolled.train(pairs(), **SMALL | SETTINGS | files, temperature_scale=True, out=tmp_path / "run")
    logits = torch.cat([logits_of(run, text) for text, _ in valid]).numpy()
    truth = torch.tensor([run.labels.index(label) for _, label in valid])

    def loss(inverse: float) -> float:
        return float(F.cross_entropy(torch.from_numpy(logits * inverse), truth))

    best = minimize_scalar(loss, bounds=(1 / 20, 20), method="bounded", options={"xatol": 1e-10})
    assert 1 / run.temperature == pytest.approx(best.x, rel=1e-3)
    loaded = unrolled.load(tmp_path / "run")
    assert loaded.temperature == run.temperature
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    found = run.test.calibration
    assert f"calibrated by temperature {run.temperature:.3g}, fitted on the validation split" in card
    assert f"calibration error {found.error:.3f}, {found.unscaled_error:.3f} without it." in card


def test_images_have_one_too() -> None:
    plain, run = image_run(**SETTINGS), image_run(**SETTINGS, temperature_scale=True)
    pixels = np.random.default_rng(0).integers(0, 255, (5, 6, 5), dtype=np.uint8)
    for before, after in zip(plain.decode(pixels), run.decode(pixels), strict=True):
        p = np.array([*before.probabilities.values()]) ** (1 / run.temperature)
        assert [*after.probabilities.values()] == pytest.approx((p / p.sum()).tolist())
        assert after.label == before.label


def test_snapshots_have_none(tmp_path: Path) -> None:
    run = unrolled.train(pairs(), **SMALL | SETTINGS, temperature_scale=True, keep="snapshots", out=tmp_path / "run")
    assert run.temperature != 1
    assert {snapshot.temperature for snapshot in run.snapshots()} == {1.0}


def test_a_task_without_classes_refuses_it() -> None:
    with pytest.raises(ConfigError, match="temperature_scale only applies to tasks"):
        unrolled.train([("a b", "b a")] * 40, task="translate", temperature_scale=True)
