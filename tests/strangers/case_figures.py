"""Figures that users of classify and tag expect: spans, macro-F1, top-k, calibration, probabilities, class names."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from seqeval.metrics import f1_score as span_f1
from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score

import unrolled
from small import pairs, sentences, write_images
from strangers.cases import case
from strangers.commands import SMALL, command, reviews, table
from unrolled.runs.run import Run

TINY: dict[str, Any] = {
    "hidden_size": 6, "embedding_size": 6, "updates": 12, "learning_rate": 0.02, "min_frequency": 1, "dropout": 0,
}  # fmt: skip
PEOPLE = [(f"n{i} of p{i % 3} went home".split(), ["B-PER", "I-PER", "I-PER", "O", "B-LOC"]) for i in range(60)]


@cache
def tagger() -> Run:
    return unrolled.train(PEOPLE, task="tag", tokenizer="character", **TINY)


@cache
def four_classes(**more: Any) -> Run:
    rows = [(text, f"{label}{i % 2}") for i, (text, label) in enumerate(pairs(80))]
    return unrolled.train(rows, **TINY, **more)


@case("E")
def spans_are_measured_as_seqeval_does(folder: Path) -> None:
    """evaluate of BIO tags gives precision, recall and F1 of spans, equal to seqeval's."""
    run = tagger()
    answers = run.decode([words for words, _ in PEOPLE])
    theirs = span_f1([tags for _, tags in PEOPLE], [[word.tag for word in answer.words] for answer in answers])
    spans = run.evaluate(PEOPLE).to_dict()["spans"]
    assert abs(spans["f1"] - theirs) < 1e-12
    assert {kind["label"] for kind in spans["types"]} <= {"LOC", "PER"}
    assert "Spans (IOB2): 120 spans" in run.evaluate(PEOPLE).text()


@case("E")
def parts_of_speech_are_no_spans(folder: Path) -> None:
    """Tags that are no scheme of spans have no span metrics, and say nothing of them."""
    result = unrolled.train(sentences(), task="tag", tokenizer="character", **TINY).test
    assert result.spans is None
    assert "Spans" not in result.text()


@case("E")
def other_schemes_have_spans(folder: Path) -> None:
    """BILOU and letters without a type are schemes, too."""
    made = [(f"a{i} b c d".split(), ["B-X", "L-X", "O", "U-Y"]) for i in range(40)]
    letters = [(f"a{i} b c d".split(), ["B", "M", "E", "S"]) for i in range(40)]
    for rows, scheme in ((made, "BILOU"), (letters, "BMES")):
        result = unrolled.train(rows, task="tag", tokenizer="character", **TINY).evaluate(rows)
        assert (result.spans.scheme, result.spans.spans) == (scheme, 80)


@case("E")
def tags_have_a_macro_f1(folder: Path) -> None:
    """evaluate of tags gives macro-F1, equal to scikit-learn's."""
    answers = [word.tag for answer in tagger().decode([words for words, _ in PEOPLE]) for word in answer.words]
    truth = [tag for _, tags in PEOPLE for tag in tags]
    assert abs(tagger().evaluate(PEOPLE).macro_f1 - f1_score(truth, answers, average="macro")) < 1e-12


@case("E")
def top_k_and_loss_are_those_of_scikit_learn(folder: Path) -> None:
    """evaluate of four classes gives top-2 and top-3 accuracy and log loss, equal to scikit-learn's."""
    run = four_classes()
    rows = [(text, f"{label}{i % 2}") for i, (text, label) in enumerate(pairs(40, seed=3))]
    result = run.evaluate(rows)
    answers = run.decode([text for text, _ in rows])
    scores = np.array([[*answer.probabilities.values()] for answer in answers])
    truth = [label for _, label in rows]
    assert [top.k for top in result.top_k] == [2, 3]
    for top in result.top_k:
        assert abs(top.accuracy - top_k_accuracy_score(truth, scores, k=top.k, labels=run.labels)) < 1e-12
    assert abs(result.loss_nats - log_loss(truth, scores, labels=run.labels)) < 1e-9


@case("E")
def a_temperature_calibrates_and_changes_no_answer(folder: Path) -> None:
    """--temperature-scale: same labels and accuracy, the error before and after, in run.json and in the card."""
    data = table(folder / "reviews.csv", reviews(200))
    found = command("train", data, *SMALL, "--out", folder / "plain")
    scaled = command("train", data, *SMALL, "--temperature-scale", "--out", folder / "scaled")
    assert found.code == scaled.code == 0
    plain, run = unrolled.load(folder / "plain"), unrolled.load(folder / "scaled")
    assert run.record["temperature"] == run.temperature != plain.temperature == 1
    assert "before temperature" in scaled.out
    assert "before temperature" not in found.out
    before, after = plain.record["result"], run.record["result"]
    assert after["confusion"] == before["confusion"]
    assert after["calibration"]["unscaled_error"] == before["calibration"]["error"]
    assert "calibrated by temperature" in (folder / "scaled" / "README.md").read_text(encoding="utf-8")
    texts = [text for text, _ in reviews(20)]
    for one, other in zip(plain.decode(texts), run.decode(texts), strict=True):
        assert one.label == other.label
        assert one.probability != other.probability


@case("E")
def a_reliability_picture_is_written(folder: Path) -> None:
    """evaluate --picture FILE.svg writes a reliability diagram; another suffix and another task are refused."""
    data = table(folder / "reviews.csv", reviews(80))
    assert command("train", data, *SMALL, "--out", folder / "run").code == 0
    assert command("evaluate", folder / "run", data, "--picture", folder / "r.svg").code == 0
    words = "".join(ElementTree.fromstring((folder / "r.svg").read_text(encoding="utf-8")).itertext())
    assert "confidence" in words
    assert "calibration error" in words
    refused = command("evaluate", folder / "run", data, "--picture", folder / "r.png")
    assert refused.code == 2
    assert "must end in .svg" in refused.err
    assert not (folder / "r.png").exists()
    for name, words in (("no/r.svg", "there is no folder"), ("run", "is a folder")):
        for verb in (("evaluate", folder / "run", data), ("data", data)):
            refused = command(*verb, "--picture", folder / name)
            assert refused.code == 2
            assert words in refused.err
            assert refused.out == ""


@case("E")
def all_probabilities_with_top(folder: Path) -> None:
    """decode --top 99 prints every class with its probability, sorted; tags stand in the line of their word."""
    four_classes().save(folder / "run")
    lines = command("decode", folder / "run", "a fine film", "--top", 99).out.splitlines()
    values = [float(line.split("\t")[1]) for line in lines]
    assert len(lines) == 4
    assert values == sorted(values, reverse=True)
    assert abs(sum(values) - 1) < 0.01
    assert {line.split("\t")[2] for line in lines} == {"a fine film"}
    two = json.loads(command("decode", folder / "run", "a fine film", "--top", 2, "--json").out)["probabilities"]
    assert [*two] == [line.split("\t")[0] for line in lines[:2]]
    tagger().save(folder / "tagger")
    (line, *_) = command("decode", folder / "tagger", "n1 of", "--top", 3).out.splitlines()
    assert len(line.split("\t")) == 1 + 2 * 3
    words = json.loads(command("decode", folder / "tagger", "n1 of", "--json").out)["words"]
    assert all(len(word["probabilities"]) == 4 for word in words)


@case("E")
def top_of_none_is_refused(folder: Path) -> None:
    """decode --top 0 names the range; a task that has no classes names itself."""
    four_classes().save(folder / "run")
    refused = command("decode", folder / "run", "a", "--top", 0)
    assert refused.code == 2
    assert "top must be from 1 to 1,000,000,000: got 0" in refused.err


@case("E")
def numeric_labels_have_names(folder: Path) -> None:
    """--class-names: answers, tables, report and record show the names; the file is not needed later."""
    data = table(folder / "reviews.csv", reviews(80, ("0", "1", "10", "2")))
    names = folder / "names.txt"
    names.write_text("zero\none\ntwo\nten\n", encoding="utf-8")
    report = command("data", data, "--class-names", names)
    assert report.code == 0
    assert '"ten"' in report.out
    trained = command("train", data, *SMALL, "--class-names", names, "--out", folder / "run")
    assert trained.code == 0
    names.unlink()
    evaluated = command("evaluate", folder / "run", data)
    assert evaluated.code == 0
    answers = command("decode", folder / "run", "the warm garden", "--top", 9).out.splitlines()
    assert {line.split("\t")[0] for line in answers} == {"zero", "one", "two", "ten"}
    classes = json.loads(command("evaluate", folder / "run", data, "--json").out)["classes"]
    assert [(each["label"], each["support"]) for each in classes] == [
        ("zero", 20), ("one", 20), ("ten", 20), ("two", 20),
    ]  # fmt: skip


@case("E")
def too_few_names_are_refused(folder: Path) -> None:
    """--class-names with too few names, or for labels that are texts, is refused before training, with both numbers."""
    names = folder / "names.txt"
    names.write_text("zero\none\n", encoding="utf-8")
    numbers = table(folder / "numbers.csv", reviews(80, ("1", "2", "3")))
    refused = command("train", numbers, *SMALL, "--class-names", names, "--out", folder / "run")
    assert refused.code == 2
    assert "has 2 names, and the training split 3 labels, from 1 to 3" in refused.err
    texts = table(folder / "texts.csv", reviews(80))
    refused = command("train", texts, *SMALL, "--class-names", names, "--out", folder / "run")
    assert refused.code == 2
    assert '"bad" is a label of the data: remove it' in refused.err
    assert not (folder / "run").exists()


@case("E")
def idx_images_have_names_and_top(folder: Path) -> None:
    """IDX labels get names from --class-names, and decode --file --top prints several for each image."""
    path = write_images(folder / "set", n=40)
    (folder / "names.txt").write_text("below\nabove\n", encoding="utf-8")
    small = ("--hidden-size", 4, "--updates", 2, "--threads", 1)
    trained = command("train", path, *small, "--class-names", folder / "names.txt", "--out", folder / "run")
    assert trained.code == 0, trained.err
    lines = command("decode", folder / "run", "--file", path, "--top", 2).out.splitlines()
    assert len(lines) == 2 * 40
    assert {line.split("\t")[0] for line in lines[:2]} == {"below", "above"}
