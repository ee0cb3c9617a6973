"""Ensembles of runs: mean probabilities in every task, their evaluation, and runs that cannot answer together."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unrolled
from small import (
    SMALL,
    image_run,
    pairs,
    pictures,
    sentences,
    tag_run,
    text_run,
    trained,
    translation_run,
    translations,
)
from unrolled.cli.main import run as command
from unrolled.decoding.search import Beam, search
from unrolled.errors import ConfigError, DataError
from unrolled.models.ensemble import Ensemble

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "texts": lambda: [
        trained("gru"),
        trained("feedforward", tokenizer="character"),
        trained("transformer", seed=3, hidden_size=8),
    ],
    "images": lambda: [image_run("gru"), image_run("feedforward")],
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_probability_of_a_class_is_the_mean(kind: str) -> None:
    runs = CLASSIFIERS[kind]()
    inputs: Any = ["the film is warm", "dull"] if kind == "texts" else pictures(3)[0]
    answers, *each = [run.decode(inputs) for run in [unrolled.ensemble(runs), *runs]]
    for answer, own in zip(answers, zip(*each, strict=True), strict=True):
        for label, probability in answer.probabilities.items():
            mean = sum(one.probabilities[label] for one in own) / len(own)
            assert probability == pytest.approx(mean, abs=1e-12)
        assert answer.probability == max(answer.probabilities.values())
    data = pairs(20, seed=5) if kind == "texts" else pictures(20, seed=5)
    result = unrolled.ensemble(runs).evaluate(data)
    labels = [label for _, label in data] if kind == "texts" else data[1]
    decoded = unrolled.ensemble(runs).decode([text for text, _ in data] if kind == "texts" else data[0])
    assert result.accuracy == np.mean([a.label == label for a, label in zip(decoded, labels, strict=True)])


def test_labels_in_another_order_are_the_same_labels() -> None:
    one, other = trained("gru"), trained("lstm")
    turned = replace(other, labels=other.labels[::-1])
    (answer,) = unrolled.ensemble([one, turned]).decode("the film")
    first, second = one.decode("the film")[0].probabilities, turned.decode("the film")[0].probabilities
    for label in one.labels:
        assert answer.probabilities[label] == pytest.approx((first[label] + second[label]) / 2)


def test_each_run_answers_at_its_own_temperature() -> None:
    sharp, flat = (replace(trained(), record={**trained().record, "temperature": t}) for t in (0.2, 3.0))
    whole = unrolled.ensemble([sharp, flat])
    assert whole.temperature == 1
    answer, one, two = (run.decode("the film")[0].probabilities for run in (whole, sharp, flat))
    assert one != two
    for label, probability in answer.items():
        assert probability == pytest.approx((one[label] + two[label]) / 2, abs=1e-12)
    result = whole.evaluate(pairs(20, seed=5))
    assert result.calibration.error == result.calibration.unscaled_error


def test_numbers_and_label_sets_are_averaged() -> None:
    texts = [text for text, _ in pairs(60)]
    lengths = [(text, float(len(text.split()))) for text in texts]
    numbers = [unrolled.train(lengths, task="regress", model=name, **SMALL) for name in ("gru", "feedforward")]
    (answer,), *each = [run.decode(["the film"]) for run in [unrolled.ensemble(numbers), *numbers]]
    assert answer.value == pytest.approx(sum(one.value for (one,) in each) / 2)
    assert unrolled.ensemble(numbers).evaluate(lengths[:9]).n == 9
    sets = [(text, [label, "film"] if "film" in text else [label]) for text, label in pairs(60)]
    several = [unrolled.train(sets, multi_label=True, model=name, **SMALL) for name in ("gru", "feedforward")]
    (whole,), *each = [run.decode(["the film"]) for run in [unrolled.ensemble(several), *several]]
    for label, probability in whole.probabilities.items():
        assert probability == pytest.approx(sum(one.probabilities[label] for (one,) in each) / 2)
    assert unrolled.ensemble(several).evaluate(sets[:9]).n == 9
    with pytest.raises(ConfigError, match="run 2 is of task classify with multi_label, the first of task classify"):
        unrolled.ensemble([trained(), several[0]])


def test_tags_of_words_are_averaged_whatever_their_subwords() -> None:
    runs = [tag_run("gru"), tag_run("lstm", tokenizer="word")]
    (whole,), *each = [run.decode("the no3 plot is fine") for run in [unrolled.ensemble(runs), *runs]]
    assert [word.word for word in whole.words] == ["the", "no3", "plot", "is", "fine"]
    for word, *own in zip(whole.words, *(one.words for (one,) in each), strict=True):
        assert word.probability <= max(other.probability for other in own) + 1e-12
        agreed = {other.tag for other in own}
        if len(agreed) == 1:
            assert word.tag in agreed
            assert word.probability == pytest.approx(sum(other.probability for other in own) / 2)
    result = unrolled.ensemble(runs).evaluate(sentences(10, seed=4))
    assert 0 <= result.accuracy <= 1


def test_translations_are_searched_in_the_mean_of_next_tokens() -> None:
    runs = [translation_run("attention"), translation_run("transformer"), translation_run("gpt")]
    whole = unrolled.ensemble(runs)
    assert isinstance(whole.model, Ensemble)
    sources = [source for source, _ in translations(6)]
    for options in ({}, {"beam": 3}, {"temperature": 1.0, "seed": 2}):
        answers = whole.decode(sources, length=7, **options)
        assert [answer.source for answer in answers] == sources
        alone = [whole.decode(source, length=7, **options)[0].text for source in sources]
        assert [answer.text for answer in answers] == alone
    ids = whole.tokenizers.source.encode(sources[:1])
    state = whole.model.encode(torch.tensor(list(ids)))
    (found,) = search(whole.model, [[]], Beam(3), state=state, max_length=7)
    assert found[0].score == pytest.approx(whole.decode(sources[0], length=7, beam=3)[0].targets[0].score, rel=1e-5)
    results = [run.evaluate(translations(20, seed=3)) for run in [whole, *runs]]
    mean = sum(result.loss_nats for result in results[1:]) / 3
    assert results[0].loss_nats < mean  # −ln of a mean is below the mean of −ln
    assert whole.evaluate(translations(5), beam=2).n == 5


def test_texts_are_continued_by_all() -> None:
    runs = [text_run("gru"), text_run("gpt"), text_run("lstm", seed=2)]
    whole = unrolled.ensemble(runs)
    (answer,) = whole.decode("the ", length=90, temperature=0)  # beyond the window of the GPT
    assert "".join(whole.stream("the ", length=90, temperature=0)) == answer.text
    assert answer.tokens == 90
    losses = [run.evaluate().loss_nats for run in [whole, *runs]]
    assert losses[0] < sum(losses[1:]) / 3


def test_one_run_is_itself_and_ensembles_are_flat() -> None:
    one, two, three = trained("gru"), trained("lstm"), trained("gru", seed=4)
    assert unrolled.ensemble([one]) is one
    nested = unrolled.ensemble([unrolled.ensemble([one, two]), three])
    assert [run.config.model.name for run in nested.members] == ["gru", "lstm", "gru"]
    assert (
        nested.decode("the film")[0].probabilities
        == unrolled.ensemble([one, two, three]).decode("the film")[0].probabilities
    )
    texts = [text_run("gru"), text_run("lstm"), text_run("gpt")]
    deep = unrolled.ensemble([unrolled.ensemble(texts[:2]), texts[2]])
    assert len(deep.model.members()) == 3


def test_runs_that_cannot_answer_together_are_refused(tmp_path: Path) -> None:
    three = unrolled.train([*pairs(), *((f"so {text}", "meh") for text, _ in pairs(20, seed=9))], **SMALL)
    for runs, message in [
        ([], "an ensemble needs runs: got none"),
        ([trained(), tag_run()], "run 2 is of task tag, the first of task classify"),
        ([trained(), image_run()], "run 2 is of task classify with images, the first of task classify"),
        ([trained(), trained("lstm"), three], 'same labels: run 3 has "meh"'),
        ([three, trained()], 'same labels: run 2 does not have "meh"'),
        (
            [translation_run(), translation_run(tokenizer="byte")],
            "have the same tokenizer: that of run 2 differs from that of the first",
        ),
    ]:
        with pytest.raises(ConfigError, match=message):
            unrolled.ensemble(runs)
    whole = unrolled.ensemble([trained(), trained("lstm")])
    with pytest.raises(ConfigError, match="an ensemble cannot be saved, but each of its runs can"):
        whole.save(tmp_path / "whole")
    with pytest.raises(ConfigError, match="an ensemble cannot be explained"):
        whole.explain("the film")


def test_the_own_test_split_is_that_of_all(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in pairs(80)), encoding="utf-8")
    one, two, other = (
        unrolled.train(data, **SMALL | own) for own in ({}, {"model": "lstm", "seed": 2}, {"split_seed": 7})
    )
    assert unrolled.ensemble([one, two]).evaluate().n == one.evaluate().n
    with pytest.raises(DataError, match="the runs of the ensemble have different test splits"):
        unrolled.ensemble([one, other]).evaluate()
    assert unrolled.ensemble([one, other]).evaluate(pairs(10, seed=3)).n == 10


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(run.save(tmp_path / name).path) for name, run in (("a", trained()), ("b", trained("lstm")))]
    expected = unrolled.ensemble(folders).decode("the film")[0].shown()
    assert command(["decode", folders[0], "the film", "--with", folders[1]]) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    (tmp_path / "new.csv").write_text("text,label\nfine,pos\ndull,neg\n", encoding="utf-8")
    assert command(["evaluate", folders[0], str(tmp_path / "new.csv"), "--with", folders[1], "--with", folders[0]]) == 0
    assert "accuracy" in capsys.readouterr().out
    tagger = str(tag_run().save(tmp_path / "c").path)
    assert command(["decode", folders[0], "the film", "--with", tagger]) == 2
    assert f"{tagger} is of task tag" in " ".join(capsys.readouterr().err.split())
