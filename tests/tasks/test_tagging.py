"""A trained tagger: what it answers, how it is measured, what it says when it cannot."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from options import OF_TRAINING, WILD, identity, left_by, missing_or_unknown
from small import OWN, sentences, tag_run, write_conllu
from unrolled import api, laws, lineage
from unrolled.config import from_flat
from unrolled.errors import ConfigError, DataError
from unrolled.laws import Option
from unrolled.tasks.tagging import Tag, TaggingRun

MODELS = [architecture.name for architecture in lineage.architectures_for("tag")]
SMALL: dict[str, object] = {
    "task": "tag", "tokenizer": "character", "min_frequency": 1, "embedding_size": 6, "hidden_size": 5, "updates": 4,
    "evaluate_every": 2, "dropout": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in MODELS if name != "transformer"])
def test_every_row_learns_to_tag(name: str) -> None:
    """Words that have one tag wherever they stand, and words whose tag the word before decides."""
    own = {"window": 16} if name == "feedforward" else {}
    if lineage.architecture(name).mixers:
        own = {"learning_rate": 0.01, "updates": 200, "weight_decay": 0.3, "patience": 0, **OWN.get(name, {})}
    settings = {"hidden_size": 24, "embedding_size": 12, "updates": 150, "learning_rate": 0.02, **own}
    run = api.train(sentences(200), model=name, **SMALL | settings)
    if name == "linear_attention":  # which knows the words before, and not which of them is the last
        assert run.test.accuracy > 0.94 > 0.93 > run.test.baseline_accuracy
        return
    assert run.test.accuracy > 0.97 > 0.93 > run.test.baseline_accuracy
    (answer,) = run.decode("the no3 is no3")
    assert [word.tag for word in answer.words] == ["DET", "NOUN", "VERB", "ADJ"]


def test_the_transformer_learns_to_tag() -> None:
    """A word whose tag the word at the other end of the sentence decides: every word is as near as any other."""
    made = [
        ([first, *[f"w{i}" for i in range(k)], "end"], [first.upper(), *["W"] * k, f"END-{first}".upper()])
        for first in ("x", "y") for k in range(2, 40)
    ]  # fmt: skip
    settings = {
        "hidden_size": 32,
        "updates": 250,
        "learning_rate": 0.01,
        "tokenizer": "word",
        "label_smoothing": 0,
        "patience": 0,
    }
    assert api.train(made, model="transformer", **SMALL | settings).test.accuracy == 1


def test_a_sentence_with_more_pieces_than_places_is_refused_before_training() -> None:
    settings = SMALL | {"model": "transformer", "position": "learned", "window": 9, "num_heads": 1}
    with pytest.raises(DataError, match=r"the longest sequence has \d\d tokens, and model transformer reads at most 9"):
        api.train(sentences(), **settings)


def test_what_is_counted_is_counted_in_the_training_split(tmp_path: Path) -> None:
    """The most frequent tag, and the weights of the tags; the other splits have other counts."""
    files = {}
    for name, nouns, verbs in (("train", 6, 2), ("valid", 2, 6), ("test", 1, 3)):
        words = [f"{name}{i}" for i in range(nouns + verbs)]
        files[name] = str(write_conllu(tmp_path / f"{name}.conllu", [(words, ["NOUN"] * nouns + ["VERB"] * verbs)]))
    held_out = {"valid": files["valid"], "test": files["test"]}
    config = from_flat(
        {"task": "tag", "class_weights": "balanced", "label_smoothing": 0, "min_frequency": 1, **held_out}
    )
    task = Tag.read(files["train"], config)
    assert task.labels == ("NOUN", "VERB")
    assert task.record()["majority"] == "NOUN"
    loss = task.loss(config, torch.device("cpu"))
    for k, weight in enumerate((8 / (2 * 6), 8 / (2 * 2))):
        assert float(loss(torch.zeros(1, 1, 2), torch.tensor([[k]]))) == pytest.approx(weight * math.log(2))


def test_the_baseline_of_an_unseen_word_is_the_most_frequent_tag() -> None:
    """And that of a seen word its own; the most frequent tag is not the first one."""
    made = [([f"n{i}", f"v{i}", f"w{i}"], ["NOUN", "VERB", "VERB"]) for i in range(40)]
    run = api.train(made, **SMALL | {"valid_fraction": 0.2, "test_fraction": 0.0})
    seen, *_ = run.record["data"]["words"]["NOUN"].split("\t")
    result = run.evaluate([([seen, "x", "y"], ["NOUN", "VERB", "NOUN"])])
    assert (result.words, result.unseen) == (3, 2)
    assert result.baseline_accuracy == pytest.approx(2 / 3)
    assert result.baseline_unseen_accuracy == 0.5
    assert run.evaluate([(["x", "y"], ["NOUN", "NOUN"])]).baseline_accuracy == 0


def test_reading_in_both_directions_sees_what_comes_after() -> None:
    """A word whose tag the word after it decides."""
    made = [([f"w{i}", mark], [mark.upper(), "END"]) for i in range(60) for mark in ("x", "y")]
    settings = SMALL | {"hidden_size": 16, "updates": 120, "learning_rate": 0.03}
    assert api.train(made, **settings).test.accuracy == 1
    assert api.train(made, bidirectional=False, **settings).test.accuracy < 0.9


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_it_is_the_same(name: str, tmp_path: Path) -> None:
    run = tag_run(name)
    loaded = api.load(run.save(tmp_path / "run").path)
    assert isinstance(loaded, TaggingRun)
    made = sentences(10, seed=1)
    assert loaded.evaluate(made) == run.evaluate(made)
    assert loaded.decode([words for words, _ in made]) == run.decode([words for words, _ in made])
    assert json.loads(json.dumps(run.record, allow_nan=False)) == run.record
    card = (tmp_path / "run" / "README.md").read_text()
    assert "token-classification" in card
    assert f"{run.test.unseen_accuracy:.1%} on the {run.test.unseen} that training never saw" in card


def test_its_figures_are_those_of_its_answers(tmp_path: Path) -> None:
    path = write_conllu(tmp_path / "a.conllu", sentences(30, seed=2))
    run = tag_run("lstm")
    result = run.evaluate(path)
    made = sentences(30, seed=2)
    answers = [word.tag for answer in run.decode([words for words, _ in made]) for word in answer.words]
    truth = [tag for _, tags in made for tag in tags]
    words = [word for words, _ in made for word in words]
    right = np.array(answers) == np.array(truth)
    assert result.accuracy == right.mean()
    task = Tag.read(sentences(), run.config)
    known = {word for sentence in task.splits.train.items for word in sentence.words}
    unseen = np.array([word not in known for word in words])
    assert (result.unseen, result.unseen_accuracy) == (unseen.sum(), right[unseen].mean())
    assert run.record["data"]["majority"] == max(task.labels, key=[*task.splits.train.tags()].count)


def test_a_sentence_is_text_or_words() -> None:
    run = tag_run("gru")
    text, words = run.decode("the  film\tis no1"), run.decode([["the", "film", "is", "no1"]])
    assert text == words == run.decode(iter(["the film is no1"]))
    assert [word.word for word in text[0].words] == ["the", "film", "is", "no1"]
    both = run.decode(["the film", ("New York", "is")])
    assert [len(answer.words) for answer in both] == [2, 2]
    assert run.decode([]) == []
    assert text[0].shown().count("\n") == 4
    for word in text[0].words:
        assert 0.25 < word.probability <= 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("", "sentence 0 is empty"),
        (["fine", " \n"], "sentence 1 is empty"),
        ([[]], "sentence 0 is empty"),
        ([3], "sentence 0 is a int"),
        ([["a", ""]], "word 1 of sentence 0 is empty"),
        ([["a", None]], "word 1 of sentence 0 is null, not a string"),
        ([["a\tb"]], "word 0 of sentence 0 holds a tab"),
        (["a \udcff"], "word 1 of sentence 0 holds an unpaired surrogate"),
    ],
)
def test_what_cannot_be_tagged_is_named(given: object, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        tag_run("gru").decode(given)


def test_its_own_test_part_gives_the_result_of_the_training(tmp_path: Path) -> None:
    path = write_conllu(tmp_path / "a.conllu")
    run = api.train(path, out=tmp_path / "run", **SMALL)
    assert run.evaluate() == run.test == api.load(tmp_path / "run").evaluate()
    assert run.evaluate(path).sentences == 40
    with pytest.raises(ConfigError, match="leave label, column and on_bad_row out"):
        run.evaluate(label="XPOS")
    with pytest.raises(DataError, match=r'"(open|closed)" is not one of the 4 labels seen in training'):
        run.evaluate(path, label="XPOS")
    write_conllu(path, sentences(40, seed=5))
    with pytest.raises(DataError, match=r"a\.conllu: these are not the data of the training"):
        run.evaluate()
    assert run.read_texts(path)[0] == tuple(sentences(40, seed=5)[0][0])
    alone = api.train(sentences(), **SMALL | {"test_fraction": 0.0})
    assert alone.test is None
    with pytest.raises(DataError, match="trained without a test split"):
        alone.evaluate()


def test_what_is_no_word_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_conllu(tmp_path / "a.conllu")
    path.write_text(path.read_text().replace("\n1\t", "\n0.1\tx" + "\t_" * 8 + "\n1\t"))
    with caplog.at_level("INFO", "unrolled"):
        api.train(path, **SMALL)
    assert "40 sentences read = 40 used + 0 skipped" in caplog.text
    assert "left out, being no words: 0 multiword tokens, 40 empty nodes" in caplog.text


def test_a_training_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    path = write_conllu(tmp_path / "a.conllu")
    whole = api.train(path, out=tmp_path / "whole", **SMALL)
    seen = []

    def stop(event: object) -> None:
        seen.append(event)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.train(path, out=tmp_path / "cut", report=stop, checkpoint_every=1, **SMALL)
    resumed = api.resume(tmp_path / "cut")
    assert resumed.test == whole.test
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": "x"}, "^text (only applies|does not apply) to"),
        ({"chunk": 9}, "^chunk (only applies|does not apply) to"),
        ({"read": "mean"}, "^read (only applies|does not apply) to"),
        ({"model": "lstm", "window": 3}, "^window (only applies|does not apply) to"),
        (
            {"task": "classify", "whole_words": 9, "bidirectional": False},
            "^whole_words (only applies|does not apply) to",
        ),
    ],
)
def test_what_it_has_no_use_for_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        api.train(sentences(), **SMALL | settings)


OPTIONS = [
    Option("cache", "elsewhere", changes=False),
    Option("label", "XPOS"),
    Option("column", 2, {"data": "columns.conll"}),
    Option("strip_labels", True, {"data": "columns.conll"}),
    Option("fold_labels", True, {"data": "columns.conll"}),
    Option("valid", "valid.conllu"),
    Option("test", "test.conllu"),
    Option("valid_fraction", 0.3),
    Option("test_fraction", 0.3),
    Option("split_seed", 1),
    Option("on_bad_row", "skip", {"data": "bad.conllu"}),
    Option("tokenizer", "byte"),
    Option("vocabulary_size", 9),
    Option("whole_words", 3),
    Option("whole_words", 0, {"tokenizer": "bpe", "vocabulary_size": 270}),
    Option("min_frequency", 3),
    Option("lowercase", True, {"tokenizer": "word", "data": "upper.conllu"}),
    Option("normalize", "nfc", {"tokenizer": "character", "data": "accents.conllu"}),
    Option("updates", 3),
    Option("epochs", 2.0, {"updates": None, "epochs": 3.0}),
    Option("batch_tokens", 80),
    Option("accumulate", 2, {"batch_tokens": 200}),
    Option("learning_rate", 1e-3),
    Option("class_weights", "balanced"),
    Option("best_by", "loss", WILD),
    Option("baseline", False, changes=False),
    Option("temperature_scale", True),
    *OF_TRAINING,
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_conllu(tmp_path / "data.conllu")
    (tmp_path / "bad.conllu").write_text(path.read_text() + "1\tbroken\n")
    write_conllu(tmp_path / "upper.conllu", [([words[0].upper(), *words[1:]], tags) for words, tags in sentences()])
    accents = [(["caf\u00e9", f"cafe\u0301{words[0]}", *words[2:]], tags) for words, tags in sentences()]
    write_conllu(tmp_path / "accents.conllu", accents)
    spelled = (
        "".join(
            f"{word}\t{tag[:1]}\t{(tag, f'{tag} ', tag.lower())[number % 3]}\n" for word, tag in zip(*each, strict=True)
        )
        for number, each in enumerate(sentences())
    )
    (tmp_path / "columns.conll").write_text("\n".join(spelled))
    for number, name in enumerate(("valid", "test"), start=1):
        write_conllu(tmp_path / f"{name}.conllu", sentences(6, seed=number))


def build(settings: Mapping[str, object]) -> dict[str, Tensor]:
    settings = dict(settings)
    data = settings.pop("data", "data.conllu")
    return left_by(lambda: api.train(data, runs="runs", **SMALL | settings), "words")


def test_the_table_has_every_option() -> None:
    assert not missing_or_unknown(OPTIONS, "tag")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("option", OPTIONS, ids=identity)
def test_every_option_matters(option: Option) -> None:
    assert laws.options_matter(build, [option]).compared == 1


def test_the_card_of_a_tagger_of_spans_has_their_f1(tmp_path: Path) -> None:
    made = [([f"n{i}", "of", f"p{i % 3}", "went"], ["B-PER", "I-PER", "I-PER", "O"]) for i in range(60)]
    run = api.train(made, out=tmp_path / "run", **SMALL)
    spans = run.record["result"]["spans"]
    low, high = spans["f1_interval"]
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert (
        f"The {spans['spans']:,} spans: precision {spans['precision']:.1%}, recall {spans['recall']:.1%}, "
        f"F1 {spans['f1']:.1%} (95 % interval {low:.1%} to {high:.1%})." in card
    )
    assert "spans" not in tag_run().card()["result"]
    assert api.load(tmp_path / "run").evaluate(made).spans.scheme == "IOB2"
