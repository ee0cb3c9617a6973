from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss, top_k_accuracy_score

from unrolled.errors import DataError, ShapeError
from unrolled.evaluation import evaluate_classification, wilson
from unrolled.evaluation.classes import macro_f1

LABELS = ("cat", "dog", "eel")

# rows the truth, columns the answer
TABLE = np.array(
    [
        [5, 1, 0],
        [2, 3, 1],
        [0, 0, 8],
    ]
)


def examples(table):
    """Truth and one-hot probabilities with exactly this confusion matrix."""
    truth, answer = (np.repeat(axis.ravel(), table.ravel()) for axis in np.indices(table.shape))
    return truth, np.eye(len(table))[answer]


def evaluate(table, lengths=None, majority=0):
    truth, probabilities = examples(np.asarray(table))
    labels = [f"class {k}" for k in range(len(table))]
    lengths = np.ones(len(truth), int) if lengths is None else lengths
    return evaluate_classification(labels, truth, probabilities, lengths, majority=majority)


def test_a_table_worked_out_by_hand():
    truth, probabilities = examples(TABLE)
    result = evaluate_classification(LABELS, truth, probabilities, np.full(20, 7), majority=1)
    assert result.n == 20
    assert result.accuracy == 16 / 20
    assert result.confusion == ((5, 1, 0), (2, 3, 1), (0, 0, 8))
    scores = {s.label: (s.precision, s.recall, s.f1, s.support) for s in result.classes}
    assert scores["cat"] == pytest.approx((5 / 7, 5 / 6, 10 / 13, 6))
    assert scores["dog"] == pytest.approx((3 / 4, 3 / 6, 6 / 10, 6))
    assert scores["eel"] == pytest.approx((8 / 9, 8 / 8, 16 / 17, 8))
    assert result.macro_f1 == pytest.approx((10 / 13 + 6 / 10 + 16 / 17) / 3)
    assert (result.majority_label, result.majority_accuracy) == ("dog", 6 / 20)
    assert result.accuracy_interval.low < result.accuracy < result.accuracy_interval.high
    assert result.macro_f1_interval.low < result.macro_f1 < result.macro_f1_interval.high
    (only,) = result.by_length
    assert (only.shortest, only.longest, only.n, only.accuracy) == (7, 7, 20, 16 / 20)
    assert only.accuracy_interval == wilson(16, 20)


def test_loss_is_the_mean_negative_log_probability_of_the_truth():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.0, 0.25, 0.75]])
    lengths = [3, 3, 3]
    result = evaluate_classification(LABELS, [0, 1, 1], probabilities, lengths, majority=0)
    assert result.loss_nats == pytest.approx(-(math.log(0.5) + math.log(0.8) + math.log(0.25)) / 3, rel=1e-12)
    uniform = evaluate_classification(LABELS, [0, 1, 2], np.full((3, 3), 1 / 3), lengths, majority=0)
    assert uniform.loss_nats == pytest.approx(math.log(3), rel=1e-12)
    assert uniform.accuracy == 1 / 3  # of equal probabilities the first is the answer


def test_a_probability_of_zero_for_the_truth_keeps_the_loss_a_number():
    probabilities = np.array([[1, 0, 0]], np.float32)
    result = evaluate_classification(LABELS, [2], probabilities, [3], majority=0)
    assert result.loss_nats == pytest.approx(126 * math.log(2), rel=1e-6)  # float32's smallest normal is 2^−126


def test_perfect_answers():
    result = evaluate(np.diag([4, 9, 2]))
    assert result.accuracy == result.macro_f1 == 1.0
    assert result.accuracy_interval == result.macro_f1_interval == wilson(15, 15), "15 of 15 is not certainty"
    assert str(result.loss_nats) == "0.0"
    assert all((s.precision, s.recall, s.f1) == (1.0, 1.0, 1.0) for s in result.classes)


def test_what_is_undefined_is_zero_and_a_class_that_never_occurs_is_left_out_of_macro_f1():
    result = evaluate(
        [
            [3, 0, 1, 0],
            [2, 0, 0, 0],  # never answered: precision undefined
            [0, 0, 0, 0],  # answered, but absent: recall undefined
            [0, 0, 0, 0],  # neither
        ]
    )
    _, unanswered, absent, missing = result.classes
    assert (unanswered.precision, unanswered.recall, unanswered.f1, unanswered.support) == (0, 0, 0, 2)
    assert (absent.precision, absent.recall, absent.f1, absent.support) == (0, 0, 0, 0)
    assert (missing.precision, missing.recall, missing.f1, missing.support) == (0, 0, 0, 0)
    assert result.macro_f1 == pytest.approx((6 / 9 + 0 + 0) / 3)


@given(
    st.integers(1, 5).flatmap(
        lambda K: st.tuples(
            st.lists(st.lists(st.integers(0, 9), min_size=K, max_size=K), min_size=K, max_size=K).filter(
                lambda table: sum(map(sum, table)) > 0
            ),
            st.permutations(range(K)),
        )
    )
)
@settings(max_examples=60)
def test_renaming_the_classes_permutes_the_table_and_changes_no_figure(case):
    table, order = np.array(case[0]), list(case[1])
    result, renamed = evaluate(table), evaluate(table[np.ix_(order, order)], majority=order.index(0))
    assert renamed.confusion == tuple(tuple(result.confusion[i][j] for j in order) for i in order)
    for position, k in enumerate(order):
        before, after = result.classes[k], renamed.classes[position]
        assert (after.precision, after.recall, after.f1, after.support) == (
            before.precision,
            before.recall,
            before.f1,
            before.support,
        )
    assert renamed.macro_f1 == pytest.approx(result.macro_f1, rel=1e-12)
    assert (renamed.accuracy, renamed.accuracy_interval) == (result.accuracy, result.accuracy_interval)
    assert renamed.majority_accuracy == result.majority_accuracy
    assert 0 <= result.macro_f1_interval.low <= result.macro_f1_interval.high <= 1


@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=4, max_size=4))
@settings(max_examples=60)
def test_macro_f1_of_cells_equals_its_formula_on_each_matrix(tables):
    counts = np.array(tables) + np.array([[1, 0, 0, 0]])  # (R, 4); no matrix is empty
    truth, answer = np.array([0, 0, 2, 5]), np.array([0, 2, 2, 0])  # classes 1, 3 and 4 do not exist
    for value, cells in zip(macro_f1(counts, truth, answer), counts, strict=True):
        scores = []
        for k in (0, 2, 5):
            whole = cells[truth == k].sum() + cells[answer == k].sum()
            if whole:
                scores.append(2 * cells[(truth == k) & (answer == k)].sum() / whole)
        assert value == pytest.approx(np.mean(scores), rel=1e-12)


def test_half_the_intervals_width_with_four_times_the_examples():
    small, large = evaluate(TABLE * 20), evaluate(TABLE * 80)
    for name in ("accuracy_interval", "macro_f1_interval"):
        widths = [getattr(r, name).high - getattr(r, name).low for r in (small, large)]
        # Each end has a standard error of 0.06 sd (see test_intervals), an interval is 3.92 sd wide: four errors of two
        # ends of two intervals are 4 · 0.06 · 2 / 3.92 = 12 % of the ratio; the rest is the step of 1/N.
        assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)


def test_lengths_fall_into_fifths_and_no_length_is_split():
    lengths = np.repeat(np.arange(1, 51), 20)  # 1,000 examples, lengths 1 … 50
    truth = np.zeros(1000, int)
    right = lengths <= 25
    result = evaluate_classification(["a", "b"], truth, np.eye(2)[np.where(right, 0, 1)], lengths, majority=0)
    found = [(b.shortest, b.longest, b.n, b.accuracy) for b in result.by_length]
    assert found == [(1, 10, 200, 1), (11, 20, 200, 1), (21, 30, 200, 0.5), (31, 40, 200, 0), (41, 50, 200, 0)]
    assert result.by_length[2].accuracy_interval == wilson(100, 200)


def test_to_dict_survives_json_and_its_keys_are_stable():
    result = evaluate(TABLE)
    figures = result.to_dict()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert list(figures) == [
        "n",
        "accuracy",
        "accuracy_interval",
        "macro_f1",
        "macro_f1_interval",
        "top_k",
        "loss_nats",
        "brier",
        "calibration",
        "majority_label",
        "majority_accuracy",
        "classes",
        "confusion",
        "by_length",
    ]
    assert list(figures["classes"][0]) == ["label", "precision", "recall", "f1", "support"]
    assert list(figures["by_length"][0]) == ["shortest", "longest", "n", "accuracy", "accuracy_interval"]
    assert figures["confusion"] == TABLE.tolist()
    assert figures["accuracy_interval"] == list(result.accuracy_interval)


def test_the_same_examples_give_the_same_result():
    assert evaluate(TABLE) == evaluate(TABLE)


GOOD = {"truth": [0, 1], "probabilities": np.eye(3)[:2], "lengths": [4, 5], "majority": 0}


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("truth", [0], r"truth must have shape \(N=2,\)"),
        ("truth", [[0], [1]], r"truth must have shape \(N=2,\)"),
        ("truth", [0.0, 1.0], "truth must be integers: got float64"),
        ("lengths", [4, 5, 6], r"lengths must have shape \(N=2,\).*: got \(3,\)"),
        ("lengths", [4.0, 5.0], "lengths must be integers: got float64"),
        ("probabilities", np.eye(2), r"probabilities must have shape \(N, K=3\).*: got \(2, 2\)"),
        ("probabilities", np.ones(2), r"probabilities must have shape \(N, K=3\)"),
        ("probabilities", np.eye(3, dtype=int)[:2], "probabilities must be floats: got int64"),
    ],
)
def test_a_wrong_shape_or_dtype_names_its_argument(argument, value, message):
    with pytest.raises(ShapeError, match=f"^{message}"):
        evaluate_classification(LABELS, **{**GOOD, argument: value})


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("truth", [0, 3], "truth must hold class indices from 0 to 2: got 0 to 3"),
        ("truth", [-1, 2], "truth must hold class indices from 0 to 2: got -1 to 2"),
        ("lengths", [4, -5], "lengths must not be negative: got -5"),
        ("majority", 3, "majority must be a class index from 0 to 2: got 3"),
        ("probabilities", np.array([[1, 0, 0], [2.0, 1, 0]]), "probabilities of example 1 .*sum 3\n.*logits"),
        ("probabilities", np.array([[1, 0, 0], [-1.0, 1, 1]]), "probabilities of example 1 .*smallest -1, sum 1"),
        ("probabilities", np.full((2, 3), np.nan), "probabilities of example 0 .*sum nan"),
    ],
)
def test_a_value_that_cannot_be_is_refused(argument, value, message):
    with pytest.raises(DataError, match=f"^{message}"):
        evaluate_classification(LABELS, **{**GOOD, argument: value})


def test_no_example_and_no_label():
    with pytest.raises(DataError, match="there is no example to evaluate on"):
        evaluate_classification(LABELS, [], np.zeros((0, 3)), [], majority=0)
    with pytest.raises(ShapeError, match="probabilities must have shape"):
        evaluate_classification([], [], np.zeros((0, 0)), [], majority=0)


def drawn(K, N=300, seed=0):
    """Truth (N,) and probabilities (N, K) that lean towards it."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(K, size=N)
    return truth, softmax(draw.normal(size=(N, K)) * 2 + np.eye(K)[truth], axis=1)


@pytest.mark.parametrize("K", [2, 3, 4, 5, 6, 9])
def test_top_k_loss_and_brier_are_those_of_scikit_learn(K):
    truth, probabilities = drawn(K)
    labels = [str(k) for k in range(K)]
    result = evaluate_classification(labels, truth, probabilities, np.ones(300, int), majority=0)
    assert [top.k for top in result.top_k] == [k for k in (2, 3, 5) if k < K]
    for top in result.top_k:
        expected = top_k_accuracy_score(truth, probabilities, k=top.k, labels=range(K))
        assert top.accuracy == pytest.approx(expected)
        assert top.accuracy_interval.low < top.accuracy < top.accuracy_interval.high
        assert f"top-{top.k}     {100 * top.accuracy:>5.1f} %" in result.text()
    assert result.loss_nats == pytest.approx(log_loss(truth, probabilities, labels=range(K)))
    multi = brier_score_loss(truth, probabilities, labels=range(K), scale_by_half=False)
    assert result.brier == pytest.approx(multi)
    assert max(map(len, result.text().splitlines())) <= 80


def test_of_equal_probabilities_the_first_is_the_more_probable():
    result = evaluate_classification("abcd", [0, 1, 2, 3], np.full((4, 4), 0.25), [1] * 4, majority=0)
    assert (result.accuracy, [top.accuracy for top in result.top_k]) == (0.25, [0.5, 0.75])
