"""Numbers and sentences of a report, from made-up scores."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.comparison.report import results, tables
from unrolled.comparison.report.figures import bytes_of, compact, unit_of
from unrolled.comparison.report.forms import Comparison, _html_table, _narrowed
from unrolled.comparison.report.tables import Table, escaped
from unrolled.comparison.report.verdict import verdict
from unrolled.evaluation.baselines import BaselineScores
from unrolled.evaluation.by_example import ByExample
from unrolled.evaluation.difference import holm, paired_difference

FIGURES = [0.3, 0.9, 0.5, 0.7]


def test_the_expected_best_is_the_mean_over_all_draws_with_replacement() -> None:
    found = results.expected_best(FIGURES)
    for k in range(1, len(FIGURES) + 1):
        draws = itertools.product(FIGURES, repeat=k)
        assert found[k - 1] == pytest.approx(np.mean([max(draw) for draw in draws]), rel=1e-12)
    assert results.expected_best([]) == []


def scored(scores: Any, figure: str = "accuracy", *, greater: bool = True) -> ByExample:
    values = np.asarray(scores, dtype=np.float64)
    texts = tuple(f"text {i}" for i in range(len(values)))
    answers = tuple(f"answer {value:g}" for value in values)
    return ByExample(figure, greater, values, np.arange(1, len(values) + 1), texts, texts, answers)


def made(accuracies: dict[str, float], *, seeds: int = 3, N: int = 400) -> dict[str, list[ByExample]]:
    draw = np.random.default_rng(0)
    ease = draw.random(N)
    return {
        label: [scored(ease + draw.normal(0, 0.3, N) < accuracy) for _ in range(seeds)]
        for label, accuracy in accuracies.items()
    }


def report(seeds: dict[str, list[ByExample]], **measured: Any) -> dict[str, Any]:
    """The part of a report that the verdict is made from."""
    first = next(iter(seeds.values()))[0]
    sign = 1.0 if first.greater_is_better else -1.0
    scores = {label: {k: sign * each.scores for k, each in enumerate(found)} for label, found in seeds.items()}
    models = [
        {
            "label": label,
            "mean": float(np.mean([each.mean for each in found])),
            "means": [each.mean for each in found],
            "parameters": 16_500,
        }
        for label, found in seeds.items()
    ]
    ranked = sorted(models, key=lambda each: -sign * each["mean"])
    return {
        "figure": first.figure,
        "greater_is_better": first.greater_is_better,
        "best": ranked[0]["label"],
        "examples": len(first),
        "models": models,
        "baselines": [],
        "against_baselines": [],
        "differences": results._differences(scores, ranked),
        "measured": {"models": {label: {"token_milliseconds": value} for label, value in measured.items()}},
    }


def test_differences_are_paired_tested_against_the_best_alone_and_adjusted() -> None:
    seeds = made({"elman": 0.6, "lstm": 0.8, "gru": 0.795})
    found = report(seeds)["differences"]
    assert [(each["first"], each["second"], each["tested"]) for each in found] == [
        ("lstm", "gru", True),
        ("lstm", "elman", True),
        ("gru", "elman", False),
    ]
    expected = paired_difference(*(np.stack([each.scores for each in seeds[label]]) for label in ("lstm", "elman")))
    assert found[1]["mean"] == expected.mean
    assert found[1]["interval"] == list(expected.interval)
    assert [found[0]["p_holm"], found[1]["p_holm"]] == holm([found[0]["p"], found[1]["p"]])
    assert (found[0]["shown"], found[1]["shown"]) == (False, True)
    assert "shown" not in found[2]


def test_models_whose_trainings_failed_in_part_are_paired_by_seed() -> None:
    """The first seed of one model and the second of the other failed: positions would pair different seeds."""
    draw = np.random.default_rng(1)
    seeds = {seed: draw.random(40) for seed in range(4)}
    first = {seed: seeds[seed] + 0.1 for seed in (1, 2, 3)}
    second = {seed: seeds[seed] for seed in (0, 2, 3)}
    ranked = [{"label": "lstm"}, {"label": "gru"}]
    (found,) = results._differences({"lstm": first, "gru": second}, ranked)
    expected = paired_difference(*(np.stack([each[seed] for seed in (2, 3)]) for each in (first, second)))
    assert found["seeds"] == 2
    assert found["mean"] == pytest.approx(0.1)
    assert found["interval"] == list(expected.interval)
    (apart,) = results._differences({"lstm": {0: seeds[0]}, "gru": {1: seeds[1]}}, ranked)
    assert (apart["seeds"], apart["mean"], apart["interval"], apart["p"]) == (0, None, None, None)
    (one,) = results._differences({"lstm": {0: seeds[0]}, "gru": {0: seeds[1]}}, ranked)
    assert (one["seeds"], one["interval"]) == (1, None)
    assert one["mean"] == pytest.approx((seeds[0] - seeds[1]).mean())


def test_where_less_is_better_the_best_has_the_least_and_a_positive_difference() -> None:
    seeds = {
        label: [scored(np.full(50, bits) + 0.01 * k, "bits_per_character", greater=False) for k in range(3)]
        for label, bits in (("gru", 2.0), ("lstm", 1.5))
    }
    found = report(seeds)
    assert found["best"] == "lstm"
    assert found["differences"][0]["mean"] == pytest.approx(0.5)


def test_a_difference_is_written_so_that_it_is_the_subtraction_it_says() -> None:
    """0.5 bits more: "gru − lstm +0.500", with lstm the better of both."""
    seeds = {
        label: [scored(np.full(50, bits) + 0.01 * k, "bits_per_character", greater=False) for k in range(3)]
        for label, bits in (("gru", 2.0), ("lstm", 1.5))
    }
    found = report(seeds)
    unit = unit_of("bits_per_character")
    assert tables._differences(found, unit).rows[1][:2] == ["gru − lstm", "+0.500"]
    assert "Above 0 the second model is better" in tables._differences(found, unit).note
    found = report(made({"gru": 0.6, "lstm": 0.8}))
    assert tables._differences(found, unit_of("accuracy")).rows[1][0] == "lstm − gru"
    assert "Above 0 the first model is better" in tables._differences(found, unit).note


@pytest.mark.parametrize(("by", "figure", "said"), [("loss", -1.25, "1.25"), ("accuracy", 0.75, "0.75")])
def test_a_loss_is_written_as_a_loss(by: str, figure: float, said: str) -> None:
    trial = {"state": "complete", "figure": figure, "learning_rate": 1e-3, "dropout": 0.1}
    model = {"label": "gru", "trials": [trial], "best": trial}
    assert tables._search({"measured": {"joined": False}, "searched_by": by, "models": [model]}).rows == [
        ["", "trials", "pruned", "failed", "learning rate", "dropout", by],
        ["gru", "1", "0", "0", "0.001", "0.10", said],
    ]


def test_a_narrow_terminal_keeps_the_verdict() -> None:
    rows = [["", "difference", "95 % interval", "p (Holm)", "verdict"]]
    rows += [["lstm − gru", "+12.3 points", "−12.3 to 12.3", "0.123", "difference not shown"]]
    assert _narrowed(Table("Differences", rows, spare=3)) == [[*row[:3], row[4]] for row in rows]
    assert _narrowed(Table("Differences", [row[:4] for row in rows])) == [row[:4] for row in rows]


def test_the_interval_is_that_of_the_difference_from_nothing_within_the_bounds_of_the_figure() -> None:
    seeds = made({"gru": 0.8})["gru"]
    scores = np.stack([each.scores for each in seeds])
    expected = paired_difference(scores, np.zeros_like(scores)).interval
    assert results._interval(seeds) == pytest.approx(list(expected))
    assert results._interval(seeds[:1]) is None
    sure = [scored(np.r_[np.ones(99), k % 2]) for k in range(3)]
    low, high = results._interval(sure) or (0, 0)
    assert low < 1
    assert high == 1


def test_the_verdict_says_what_is_shown_and_what_is_not() -> None:
    seeds = made({"elman": 0.6, "lstm": 0.8, "gru": 0.795})
    found = report(seeds, elman=0.01, lstm=0.2, gru=0.1)
    best = f"{100 * found['models'][1]['mean']:.1f} %"
    assert verdict(found) == [
        f"lstm has the best accuracy, {best}; it is shown to be better than elman; a difference from gru is not shown.",
        "Of those not shown to be worse, gru answers fastest here: 0.1 ms a token and 16.5 k parameters.",
    ]
    all_shown = report(made({"elman": 0.6, "lstm": 0.8}))
    assert verdict(all_shown)[0].endswith(", and is shown to be better than elman.")
    one_seed = report(made({"elman": 0.6, "lstm": 0.8}, seeds=1))
    assert verdict(one_seed)[0].endswith("with one seed no interval can be given, so no difference is shown.")
    assert verdict({**all_shown, "best": None}) == ["No training ended with a figure, so nothing can be compared."]


def test_the_verdict_says_why_there_is_no_interval() -> None:
    one_example = report(made({"elman": 0.6, "lstm": 0.8}, N=1))
    assert verdict(one_example)[0].endswith(
        "with one test example no interval can be given, so no difference is shown."
    )
    alone = report(made({"lstm": 0.8}))
    assert (
        verdict(alone)[0] == f"lstm is the only model with a figure: accuracy {100 * alone['models'][0]['mean']:.1f} %."
    )
    found = report(made({"elman": 0.6, "lstm": 0.8, "gru": 0.3}))
    apart = next(each for each in found["differences"] if each["second"] == "gru")
    apart |= {"p": None, "interval": None, "shown": None}
    assert verdict(found)[0].endswith(
        "it is shown to be better than elman; with fewer than two seeds in common no interval can be given for the "
        "difference from gru."
    )


@pytest.mark.parametrize(
    ("mean", "shown", "said"),
    [
        (0.2, True, "lstm is shown to be better."),
        (-0.2, True, "lstm is shown to be worse."),
        (0.2, False, "no model is shown to be better."),
    ],
)
def test_the_verdict_has_the_best_baseline(mean: float, shown: bool, said: str) -> None:
    found = report(made({"lstm": 0.8, "gru": 0.8}))
    found["baselines"] = [{"name": "majority", "mean": 0.55}]
    found["against_baselines"] = [{"model": "lstm", "baseline": "majority", "mean": mean, "p": 0.02, "shown": shown}]
    assert verdict(found)[1] == f"The best baseline, majority, has 55.0 %; {said}"


def test_models_are_tested_against_the_best_baseline_with_the_correction() -> None:
    seeds = made({"elman": 0.6, "lstm": 0.8, "gru": 0.62})
    baselines = [BaselineScores(name, made({name: a}, seeds=1)[name][0], 0.0) for name, a in (("a", 0.3), ("b", 0.6))]
    scores = {label: {k: each.scores for k, each in enumerate(found)} for label, found in seeds.items()}
    found = results._against(scores, baselines, 1.0)
    assert {each["baseline"] for each in found} == {"b"}
    assert [each["p_holm"] for each in found] == holm([each["p"] for each in found])
    assert [each["shown"] for each in found] == [False, True, False]
    assert found[1]["p_holm"] == pytest.approx(3 * found[1]["p"])


def test_models_disagree_most_where_their_mean_scores_differ_most() -> None:
    first, second = np.ones(6), np.ones(6)
    second[4], first[1] = 0, 0.5
    found = results._disagreements({"a": {0: scored(first)}, "b": {0: scored(second)}}, 1.0)
    assert [each["index"] for each in found] == [4, 1]
    assert found[0]["models"] == {"a": {"answer": "answer 1", "score": 1.0}, "b": {"answer": "answer 0", "score": 0.0}}
    assert results._disagreements({"a": {0: scored(first)}}, 1.0) == []


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.5, "0.5"), (999, "999"), (1_000, "1 k"), (1_234_567, "1.23 M"), (3e12, "3 T")]
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert compact(value) == text


def test_figures_have_their_units() -> None:
    accuracy, bits = unit_of("accuracy"), unit_of("bits_per_character")
    assert accuracy.value(0.9312) == "93.1 %"
    assert accuracy.difference(-0.021) == "−2.1 points"
    assert accuracy.interval([-0.01, 0.9]) == "−1.0 to 90.0"
    assert bits.value(1.5) == "1.500"
    assert bytes_of(512) == "512 B"
    assert bytes_of(1_536) == "1.54 kB"


def test_a_report_escapes_what_a_text_could_break(tmp_path: Path) -> None:
    assert escaped([["a|b\n<c>"]]) == [["a\\|b &lt;c>"]]
    assert "<script>" not in _html_table(Table("x", [["<script>"], ["<script>"]], "<script>"))
    assert Comparison({"best": "gru"}, tmp_path).best == "gru"
