"""Registered claims: files, cells, data, analyses at and beside their thresholds, results of changed files."""

from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unrolled import laws
from unrolled.config import from_flat
from unrolled.errors import ConfigError

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments" / "claims").glob("*.toml"))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "experiments")

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


# Files ----------------------------------------------------------------------------------------------------------------


def test_there_are_at_least_25_claims_in_the_short_set(named) -> None:
    assert len(named("claims").claims(chosen="short")) >= 25
    assert named("claims").claims(chosen="full")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_claim_can_be_run(named, path: Path) -> None:
    claim, cells = named("claims").read_claim(path), named("cells")
    jobs = list(claim.jobs())
    assert len(jobs) == len(claim.seeds) * len(claim.fields["arms"])
    assert len({job["data"].get("test") for job in jobs}) == 1, "arms are compared on equally many examples"
    for job in jobs[: len(claim.fields["arms"])]:
        own = {name: value for name, value in job["settings"].items() if name not in ("positions", "vocabulary")}
        if own["model"] in cells.CELLS:
            own["model"] = "gru"
        from_flat(own)
        if "synthetic" in job["data"] or "sample" in job["data"]:
            assert {"train", "valid", "test"} <= job["data"].keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_claim_comes_to_a_verdict(named, path: Path) -> None:
    claim, analyses, random = named("claims").read_claim(path), named("claim_analyses"), np.random.default_rng(0)
    arms: dict[str, Any] = {arm: random.random((len(claim.seeds), 30)) for arm in claim.fields["arms"]}
    if claim.measured:
        arms = {arm: {"bytes": [1, 2], "milliseconds": [1.0, 2.0]} for arm in arms}
    found = analyses.ANALYSES[claim.fields["analysis"]].run(arms, claim.fields["limits"], claim.unit)
    assert found.verdict in ("shown", "refuted", "not shown")
    assert found.figure


def test_arms_of_a_claim_about_equal_parameters_are_within_two_percent(named) -> None:
    from unrolled import api
    from unrolled.models import Features, Ids, Pairs

    for claim in named("claims").claims():
        if "equal parameters" not in claim.fields["claim"].lower():
            continue
        sizes = []
        for arm in claim.fields["arms"]:
            settings = claim.job(arm, 0)["settings"]
            config = from_flat(settings).model
            inputs = Ids(40) if "images" not in claim.fields["data"] else Features(28)
            inputs = Pairs(40, 40) if settings.get("task") == "translate" else inputs
            model = api.build(config.name, inputs, 40, config, answer="each")
            outside = [p for name, p in model.named_parameters() if "embedding" not in name and "head" not in name]
            sizes.append(sum(p.numel() for p in outside))
        assert max(sizes) <= 1.02 * min(sizes), (claim.name, sizes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claim": None}, "claim must be of type str"),
        ({"seeds": 2}, "seeds must be at least 3: got 2"),
        ({"analysis": "best"}, "analysis must be one of better"),
        ({"set": "long"}, "set must be one of short, full"),
        ({"extra": 1}, "there is no field extra"),
        ({"limits": {"margins": 1}}, "limits of better are margin"),
    ],
)
def test_bad_claims_are_refused(named, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        named("claims").read_claim(_written(tmp_path, change))


def _written(folder: Path, change: dict[str, Any]) -> Path:
    """A claim of two arms, three seeds and three examples, with some fields changed; None: left out."""
    fields: dict[str, Any] = {
        "claim": "A is better than B.", "source": "a paper, section 1", "threshold": "by more than 0 points",
        "analysis": "better", "set": "short", "seeds": 3, "limits": {"margin": 0.0},
        "data": {"sample": "films", "train": 1, "valid": 1, "test": 3},
        "arms": {"a": {"model": "gru"}, "b": {"model": "lstm"}},
    } | change  # fmt: skip
    lines = [f"{name} = {_toml(value)}" for name, value in fields.items() if value is not None]
    path = folder / "made.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert tomllib.loads(path.read_text()) is not None
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    return json.dumps(value)


# Results --------------------------------------------------------------------------------------------------------------


def test_a_result_is_written_from_trainings_and_refused_once_the_claim_changes(
    named, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    claims, trainings = named("claims"), named("claim_trainings")
    monkeypatch.setattr(claims, "RESULTS", tmp_path)
    claim = claims.read_claim(_written(tmp_path, {}))
    scores = {"gru": "111111111110", "lstm": "000010000000"}
    done = {}
    for job in claim.jobs():
        key = trainings.key_of(job)
        done[key] = {"key": key, **job, "scores": scores[job["settings"]["model"]], "parameters": 1, "updates": 1,
                     "seconds": 1.0, "date": "2026-11-30", "machine": {}, "versions": {}}  # fmt: skip
    assert not claims.missing(claim, done)
    assert len(claims.missing(claim, {})) == 6
    lines = "".join(json.dumps(line) + "\n" for line in done.values())
    (tmp_path / "trainings.jsonl").write_text(lines + '{"key": "cut off by a kill')
    claims.run([claim], workers=1)
    result = json.loads((tmp_path / "made.json").read_text())
    assert result["verdict"] == "shown"
    assert result["numbers"]["difference"]["mean"] == pytest.approx(10 / 12)
    assert "+83.3 points" in claims.table([claim])
    changed = claims.read_claim(_written(tmp_path, {"limits": {"margin": 0.1}}))
    with pytest.raises(ConfigError, match="has changed since its result was written"):
        claims.table([changed])
    with pytest.raises(ConfigError, match="has changed since its result was written"):
        claims.run([changed], workers=1)


def test_a_claim_of_another_setting_needs_its_own_trainings(named) -> None:
    key_of = named("claim_trainings").key_of
    job = {"settings": {"model": "gru", "epochs": 2}, "data": {"sample": "films"}, "seed": 0}
    assert key_of(job) == key_of(json.loads(json.dumps(job)))
    assert (
        len({key_of(job), key_of({**job, "seed": 1}), key_of({**job, "settings": {"model": "gru", "epochs": 3}})}) == 3
    )


def test_scores_are_packed_without_loss(named) -> None:
    trainings = named("claim_trainings")
    assert trainings.packed([1.0, 0.0, 1.0]) == "101"
    for scores in ([1.0, 0.0, 0.0], [0.5, 1.0], [-1.234, -2.0]):
        assert trainings.unpacked(trainings.packed(scores)) == scores


def test_the_table_of_the_page_is_that_of_the_results(named) -> None:
    claims = named("claims")
    page = claims.PAGE.read_text(encoding="utf-8")
    assert claims.filled(page, claims.claims()) == page


# Cells, data ----------------------------------------------------------------------------------------------------------


def test_cells_obey_the_laws_and_their_equations(named) -> None:
    cells = named("cells")
    x = torch.randn(4, 3, dtype=torch.float64)
    for cell in cells.CELLS.values():
        laws.check(cell(3, 5))
    gates = {}
    for name in ("NoInputGate", "NoForgetGate", "NoOutputGate", "NoOutputActivation", "TiedGates"):
        cell = cells.CELLS[name](3, 5).double()
        state = cell.State(torch.randn(4, 5).double(), torch.randn(4, 5).double())
        gates[name] = g = cell.gates(cell.project(x[:, None])[:, 0], state)
        h, after = cell.advance(g, state)
        assert torch.equal(after.c, g.f * state.c + g.i * g.g)
        assert torch.equal(h, g.o * (after.c if name == "NoOutputActivation" else after.c.tanh()))
    assert (gates["NoInputGate"].i == 1).all()
    assert (gates["NoForgetGate"].f == 1).all()
    assert (gates["NoOutputGate"].o == 1).all()
    assert torch.equal(gates["TiedGates"].i, 1 - gates["TiedGates"].f)
    assert ((gates["NoOutputActivation"].i > 0) & (gates["NoOutputActivation"].i < 1)).all()
    assert cells.SmallElman(3, 400).weight_h.abs().max() <= 0.05


def test_synthetic_examples_have_their_answers(named) -> None:
    draw = named("claim_data").draw
    sizes = {"train": 20, "valid": 5, "test": 10}
    sums = draw({"synthetic": "adding", "length": 6, **sizes}, "regress", 0)
    for text, total in sums["test"]:
        marked = [int(token[:-1]) for token in text.split() if token.endswith("*")]
        assert len(marked) == 2
        assert float(total) == pytest.approx(sum(marked) / 10)
    tagged = draw({"synthetic": "copy", "length": 3, "gap": 2, **sizes}, "tag", 0)
    for tokens, tags in tagged["test"]:
        assert tokens[3:6] == ["_", "_", "|"]
        assert tags == ["-"] * 6 + tokens[:3]
    pairs = draw({"synthetic": "reverse", "length": 3, **sizes}, "translate", 0)
    assert all(source.split()[::-1] == target.split() for source, target in pairs["test"])
    recalled = draw({"synthetic": "recall", "length": 2, **sizes}, "classify", 0)
    assert all(text.split()[0] == f"s{label}" and text.endswith(" _ _") for text, label in recalled["test"])
    order = draw({"synthetic": "temporal_order", "length": 9, "symbols": 3, **sizes}, "classify", 0)
    assert all(sum(token in ("s3", "s4") for token in text.split()) == 2 for text, _ in order["test"])
    other = draw({"synthetic": "recall", "length": 2, **sizes}, "classify", 1)
    assert other["test"] == recalled["test"]
    assert other["train"] != recalled["train"]


def test_pooled_samples_do_not_overlap_and_words_are_removed(named) -> None:
    draw = named("claim_data").draw
    data = {"sample": "products", "pool": True, "train": 200, "valid": 50, "test": 100}
    splits = draw(data, "classify", 0)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 200, "valid": 50, "test": 100}
    texts = [text for rows in splits.values() for text, _ in rows]
    assert len(set(texts)) == 350
    without = draw({**data, "remove": "last", "words": 3}, "classify", 0)
    assert without["train"] == splits["train"]
    for (text, _), (short, _) in zip(splits["test"], without["test"], strict=True):
        assert short.split() == text.split()[: max(1, len(text.split()) - 3)]


# Analyses -------------------------------------------------------------------------------------------------------------

UNIFORM = np.tile([0.0, 1.0], (3, 20))  # mean ½, and no difference between seeds


def shifted(by: float) -> np.ndarray:
    return UNIFORM + by


def verdict(named, analysis: str, arms: dict[str, Any], **limits: Any) -> str:
    analyses = named("claim_analyses")
    return analyses.ANALYSES[analysis].run(arms, limits, analyses.POINTS).verdict


NOISE = np.random.default_rng(0).normal(0, 0.5, (3, 40))


@pytest.mark.parametrize(("by", "expected"), [(0.1875, "shown"), (0.125, "refuted"), (0.0625, "refuted")])
def test_better_at_and_beside_its_threshold(named, by: float, expected: str) -> None:
    one = np.zeros((3, 40))
    assert verdict(named, "better", {"a": one + by, "b": one}, margin=0.125) == expected
    assert verdict(named, "better", {"a": one + by, "between": one - 9, "b": one}, margin=0.125) == expected
    assert verdict(named, "better", {"a": one - by, "b": one}, margin=-0.125) == {0.0625: "shown"}.get(by, "refuted")
    assert verdict(named, "better", {"a": one + by + NOISE, "b": one}, margin=0.125) == "not shown"


@pytest.mark.parametrize(("by", "expected"), [(0.31, "shown"), (0.29, "refuted")])
def test_contrast_at_and_beside_its_threshold(named, by: float, expected: str) -> None:
    zero = np.zeros((3, 40))
    arms = {"a": zero + 0.2 + by, "b": zero, "c": zero + 0.7, "d": zero + 0.5}
    assert verdict(named, "contrast", arms, margin=0.3) == expected
    assert verdict(named, "contrast", arms | {"a": arms["a"] + NOISE}, margin=0.3) == "not shown"


def test_reaches_at_and_beside_its_thresholds(named) -> None:
    level = np.full((3, 40), 0.5)
    assert verdict(named, "reaches", {"a": level}, at_least=0.5) == "shown"
    assert verdict(named, "reaches", {"a": level}, at_least=0.51) == "refuted"
    assert verdict(named, "reaches", {"a": level}, at_most=0.5) == "shown"
    assert verdict(named, "reaches", {"a": level}, at_most=0.49) == "refuted"
    assert verdict(named, "reaches", {"a": level + 0.375, "b": level}, at_least=0.875, at_most=0.5) == "shown"
    assert verdict(named, "reaches", {"a": level + 0.375, "b": level + 0.125}, at_least=0.875, at_most=0.5) == "refuted"
    assert verdict(named, "reaches", {"a": level + NOISE}, at_least=0.5) == "not shown"


def test_crosses_needs_both_ends(named) -> None:
    analyses = named("claim_analyses")
    zero = np.zeros((3, 40))

    def arms(*differences: float) -> dict[str, Any]:
        return {f"a{k}": zero + d for k, d in enumerate(differences)} | {f"z{k}": zero for k in range(len(differences))}

    found = analyses.crosses(arms(-0.1, 0.1), {"positions": [100, 10_000]}, analyses.POINTS)
    assert found.verdict == "shown"
    assert found.numbers["crossing"] == pytest.approx(1_000)
    assert verdict(named, "crosses", arms(0.0, 0.1), positions=[100, 1_000]) == "refuted"
    assert verdict(named, "crosses", arms(-0.1, -0.1, 0.0), positions=[1, 10, 100]) == "refuted"
    noisy = arms(-0.1, 0.1)
    noisy["a1"] = noisy["a1"] + NOISE
    assert verdict(named, "crosses", noisy, positions=[100, 1_000]) == "not shown"


@pytest.mark.parametrize(
    ("constant", "growing", "expected"),
    [(1.2, 2.0, "shown"), (1.21, 2.0, "refuted"), (1.2, 1.99, "refuted")],
)
def test_costs_at_and_beside_its_thresholds(named, constant: float, growing: float, expected: str) -> None:
    arms = {
        "gru": {"bytes": [100, 100], "milliseconds": [1.0, constant]},
        "gpt": {"bytes": [100, 3_200], "milliseconds": [1.0, growing]},
    }
    assert verdict(named, "costs", arms, at_most=1.2, at_least=2.0) == expected


# Trainings ------------------------------------------------------------------------------------------------------------

SMALL = {"tokenizer": "word", "min_frequency": 1, "embedding_size": 4, "hidden_size": 4, "updates": 3}


@pytest.mark.parametrize(
    ("settings", "data"),
    [
        ({"model": "TiedGates"}, {"synthetic": "recall", "length": 1, "symbols": 5}),
        ({"model": "gru", "task": "regress"}, {"synthetic": "adding", "length": 3}),
        ({"model": "gru", "task": "tag", "whole_words": 0}, {"synthetic": "copy", "length": 2, "gap": 1, "symbols": 3}),
        ({"model": "attention", "task": "translate"}, {"synthetic": "reverse", "length": 3, "symbols": 3}),
    ],
)
def test_a_training_scores_each_test_example_and_is_repeatable(named, settings: Any, data: Any) -> None:
    trainings = named("claim_trainings")
    job = {"settings": SMALL | settings, "data": data | {"train": 40, "valid": 10, "test": 12}, "seed": 1}
    line = json.loads(json.dumps(trainings.run_job(job)))
    scores = trainings.unpacked(line["scores"])
    assert len(scores) == 12
    assert all(0 <= score <= 1 for score in scores)
    assert line["key"] == trainings.key_of(job)
    assert line["updates"] == 3
    assert trainings.run_job(job)["scores"] == line["scores"]


def test_a_measured_cost_has_a_figure_for_each_position(named) -> None:
    settings = {
        "task": "generate",
        "model": "gpt",
        "num_layers": 1,
        "window": 64,
        "embedding_size": 8,
        "hidden_size": 8,
    }
    job = {"settings": settings | {"vocabulary": 9, "positions": [32, 64]}, "data": {}, "seed": 0}
    found = named("claim_trainings").run_job(job)
    assert len(found["bytes"]) == len(found["milliseconds"]) == 2
    assert found["bytes"][1] > 1.9 * found["bytes"][0]


class Answering:
    """A run with known answers."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def decode(self, inputs: list[Any]) -> list[Any]:
        return [self.answers["-".join(each) if isinstance(each, list) else each] for each in inputs]


def test_scores_of_answers(named) -> None:
    scores = named("claim_trainings").SCORES
    label, number = lambda text: SimpleNamespace(label=text), lambda value: SimpleNamespace(value=value)
    assert scores["classify"](Answering(a=label("x"), b=label("y")), [("a", "x"), ("b", "x")]) == [1, 0]
    assert scores["regress"](Answering(a=number(0.46), b=number(0.56)), [("a", "0.5"), ("b", "0.5")]) == [1, 0]
    words = SimpleNamespace(words=[SimpleNamespace(tag=tag) for tag in ("-", "x", "y", "-")])
    assert scores["tag"](Answering(**{"p-q-r-s": words}), [(["p", "q", "r", "s"], ["-", "x", "x", "y"])]) == [1 / 3]
    target = SimpleNamespace(targets=[SimpleNamespace(text="a b c d")])
    run = Answering(one=target, two=target)
    assert scores["translate"](run, [("one", "a b d"), ("one", "a b c x"), ("two", "z")]) == [0.75, 0.75, 0]
