"""Span metrics, equal to seqeval's on random tags, malformed ones included."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report

from unrolled.data.examples.spans import ROLES, Scheme
from unrolled.evaluation import evaluate_tagging
from unrolled.evaluation.spans import NO_TYPE, score_spans

SCHEMES: list[Scheme] = ["IOB2", "IOBES", "IOE", "BILOU", "BMES"]


def labels_of(scheme: Scheme, types: tuple[str, ...] = ("LOC", "PER")) -> list[str]:
    return ["O", *(f"{letter}-{kind}" for letter in ROLES[scheme] for kind in types)]


def seqevals(labels: list[str], truth: np.ndarray, answers: np.ndarray, lengths: list[int], scheme: Scheme) -> dict:
    """Return seqeval's report; it knows the letters of IOBES only."""
    known = [label if label == "O" else ROLES[scheme][label[0]] + label[1:] for label in labels]
    ends = np.cumsum(lengths)[:-1]
    sentences = [[[known[k] for k in part] for part in np.split(tags, ends)] for tags in (truth, answers)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # metrics that are undefined
        return classification_report(*sentences, output_dict=True, zero_division=0)


@given(st.data(), st.sampled_from(SCHEMES))
def test_they_are_those_of_seqeval(data: st.DataObject, scheme: Scheme) -> None:
    labels = labels_of(scheme)
    lengths = data.draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))
    tags = st.lists(st.integers(0, len(labels) - 1), min_size=sum(lengths), max_size=sum(lengths))
    truth = np.array(data.draw(tags))
    same = np.array(data.draw(st.lists(st.booleans(), min_size=sum(lengths), max_size=sum(lengths))))
    answers = np.where(same, truth, data.draw(tags))
    ours = score_spans(labels, truth, answers, np.array(lengths))
    assert ours is not None
    assert ours.scheme == scheme
    if not (truth.any() or answers.any()):
        assert (ours.spans, ours.f1, ours.types) == (0, 0, ())
        return
    theirs = seqevals(labels, truth, answers, lengths, scheme)
    names = ("precision", "recall", "f1-score", "support")
    whole = (ours.precision, ours.recall, ours.f1, ours.spans)
    assert whole == pytest.approx([theirs["micro avg"][name] for name in names])
    for scores in ours.types:
        expected = [theirs[scores.label][name] for name in names]
        assert (scores.precision, scores.recall, scores.f1, scores.support) == pytest.approx(expected)
    assert len(ours.types) == len(theirs) - 3  # besides its three averages


def test_the_interval_resamples_sentences() -> None:
    """200 sentences of two spans, both found or both missed: F1 of a resample with a fraction p of the first is p."""
    labels = labels_of("IOB2")
    truth = np.tile([1, 0, 1], 200)
    found = np.repeat(np.arange(200) % 2 == 0, 3)
    wrong = np.where(truth == 1, 2, truth)  # of another type
    scores = score_spans(labels, truth, np.where(found, truth, wrong), np.full(200, 3))
    assert scores is not None
    assert scores.f1 == 0.5
    half = 1.96 * (0.5 * 0.5 / 200) ** 0.5
    assert scores.f1_interval == pytest.approx((0.5 - half, 0.5 + half), abs=0.01)


def test_other_tags_have_no_spans() -> None:
    assert score_spans(["NOUN", "VERB"], np.array([0, 1]), np.array([0, 1]), np.array([2])) is None


def test_they_stand_in_the_result_of_a_tagger() -> None:
    labels, truth = ["B", "I", "O"], np.array([0, 1, 2, 0])
    fixed = {"seen": np.ones(4, dtype=bool), "baseline": truth}
    result = evaluate_tagging(labels, truth, np.eye(3)[[0, 1, 2, 2]], [3, 1], **fixed)
    spans = json.loads(json.dumps(result.to_dict()))["spans"]
    assert (spans["scheme"], spans["spans"], spans["precision"], spans["recall"]) == ("IOB2", 2, 1, 0.5)
    assert spans["f1"] == pytest.approx(2 / 3)
    assert [kind["label"] for kind in spans["types"]] == [NO_TYPE]
    text = result.text()
    assert "Spans (IOB2): 2 spans; right where type, start and end are" in text
    assert "F1                 66.7%" in text
    assert max(map(len, text.splitlines())) <= 80
    plain = evaluate_tagging(["NOUN", "VERB", "O"], truth, np.eye(3)[truth], [3, 1], **fixed)
    assert plain.to_dict()["spans"] is None
    assert "Spans" not in plain.text()
