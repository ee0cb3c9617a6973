"""Language-model runs: training, decoding, evaluation, and refusals."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from options import OF_TRAINING, WILD, identity, left_by, missing_or_unknown
from small import text_run, write_text
from unrolled import api, laws, lineage, tasks
from unrolled.config import from_flat
from unrolled.data.encoding.tokenizers import BOS
from unrolled.errors import ConfigError, DataError
from unrolled.laws import Option
from unrolled.tasks.generation import GenerationRun

MODELS = [architecture.name for architecture in lineage.architectures_for("generate")]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_to_continue(name: str, tmp_path: Path) -> None:
    """The text repeats every few characters, so that the next one is certain after them."""
    text = write_text(tmp_path / "a.txt", "abacad\n" * 400)
    own = {
        "feedforward": {"window": 6},
        "gpt": {"window": 16, "learning_rate": 0.01},
    }.get(name, {})
    settings = {
        "learning_rate": 0.02,
        "updates": 150,
        "valid_fraction": 0.05,
        "test_fraction": 0.05,
        "streams": 4,
        "chunk": 16,
    } | own
    run = api.train(text, task="generate", model=name, hidden_size=24, embedding_size=8, **settings)
    if name == "linear_attention":  # its state is a sum over the whole stream, in which the last step weighs little
        assert run.test.bits_per_character < 0.8 < 1.5 < run.test.frequency_bits_per_character
        return
    assert run.test.bits_per_character < 0.4
    assert run.test.frequency_bits_per_character > 1.5
    assert run.test.accuracy > 0.95
    assert run.decode("abacad\n", length=14, temperature=0)[0].text == "abacad\nabacad\n"
    assert "".join(run.stream("abacad\na", length=6, temperature=0)) == "bacad\n"


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_it_is_the_same(name: str, tmp_path: Path) -> None:
    run = text_run(name)
    loaded = api.load(run.save(tmp_path / "run").path)
    assert isinstance(loaded, GenerationRun)
    assert loaded.evaluate() == run.test == run.evaluate()
    assert loaded.decode(["the ", ""], length=30) == run.decode(["the ", ""], length=30)
    assert json.loads(json.dumps(run.record, allow_nan=False)) == run.record
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"{run.test.bits_per_character:.3f} bits per character" in card
    assert "text-generation" in card


def test_a_training_that_starts_from_a_run_keeps_its_tokeniser(tmp_path: Path) -> None:
    first = text_run("gru")
    letters = "".join(sorted({c for c in "the catdogsn\n " if not first.tokenizer.unknown(c)}, reverse=True))
    other = write_text(tmp_path / "other.txt", f"{letters}\n" * 100)
    run = api.train(other, start=first, updates=2)
    assert run.tokenizer.to_json() == first.tokenizer.to_json()
    assert run.evaluate() == run.test == api.load(run.save(tmp_path / "run").path).evaluate()


def test_its_figures_are_those_of_the_whole_test_split() -> None:
    """Each token once, in one stream, from <bos> on."""
    run = text_run("lstm")
    part = tasks.find(run.config).read(run.record["data"]["source"], run.config).corpus.splits["test"]
    ids = torch.tensor(part.ids.astype(np.int64))
    logits = run.model(torch.cat([torch.tensor([BOS]), ids[:-1]])[None])[0][0].detach().double()
    nats = float(-logits.log_softmax(1).gather(1, ids[:, None]).sum())
    assert run.test.loss_nats == pytest.approx(nats / len(ids), rel=1e-6)
    assert run.test.bits_per_character == pytest.approx(nats / part.characters / math.log(2), rel=1e-6)
    assert run.test.tokens == len(ids) == run.record["data"]["splits"]["test"]["tokens"]


@pytest.mark.parametrize("name", ["lstm", "gpt"])
def test_the_validation_loss_is_the_mean_of_the_nats_of_its_tokens(name: str) -> None:
    run = text_run(name, dropout=0.0, valid_fraction=0.03, **({"window": 64} if name == "gpt" else {}))
    corpus = tasks.find(run.config).read(run.record["data"]["source"], run.config).corpus
    ids = torch.tensor(corpus.splits["valid"].ids.astype(np.int64))
    assert 20 < len(ids) <= 64, "the window holds them all"
    logits = run.model(torch.cat([torch.tensor([BOS]), ids[:-1]])[None])[0][0].detach().double()
    nats = -logits.log_softmax(1).gather(1, ids[:, None])[:, 0]
    best = min(event["valid_loss_nats"] for event in run.metrics if "valid_loss_nats" in event)
    assert best == pytest.approx(float(nats.sum()) / len(ids), rel=1e-6)
    (accuracy,) = {event["valid_accuracy"] for event in run.metrics if event.get("valid_loss_nats") == best}
    assert accuracy == pytest.approx(float((logits.argmax(1) == ids).double().mean()))


def test_gpt_trains_on_whole_windows_whatever_the_chunk() -> None:
    for chunk in (4, 16, 100):
        run = text_run("gpt", window=16, chunk=chunk)
        task = tasks.find(run.config).read(run.record["data"]["source"], run.config)
        assert task.loader(run.model, run.config, torch.device("cpu")).batch(0, 0).inputs.shape == (2, 16)


def test_tokenizers_compare_by_bits_per_character(tmp_path: Path) -> None:
    for tokenizer in ("character", "byte", "bpe"):
        run = text_run("gru", tokenizer=tokenizer, vocabulary_size=280)
        assert 0.5 < run.test.bits_per_character < 9
        assert run.test.characters == text_run("gru").test.characters
        assert run.decode("the ", length=8)[0].tokens == 8


def test_it_answers_for_many_and_for_none() -> None:
    run = text_run("gru")
    assert run.decode([]) == []
    assert [answer.prompt for answer in run.decode(iter(["a", "", "c"]), length=2)] == ["a", "", "c"]
    assert run.decode(length=0)[0].text == ""
    assert len(run.decode("a", length=20)[0].text) == 20
    pieces = run.stream("a")
    assert len("".join(next(pieces) for _ in range(700))) == 700, "without a length it goes on"
    assert run.decode("a", length=50, stop="e") == run.decode("a", length=50, stop=["e"])


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        (
            "so é it ☃ é",
            {},
            r'prompt 0: the text contains tokens that the run does not know: "é" (U+00E9) at character 4, "☃" (U+2603)',
        ),
        (["fine", "☃"], {}, "prompt 1: the text contains tokens that the run does not know"),
        ("αβγδεζη", {}, '"ε" (U+03B5) at character 5 and 2 more'),
        (3, {}, "'int' object is not iterable"),
        ([3], {}, "prompt 0 is a int, not a string"),
        ("\udcff", {}, "prompt 0 holds an unpaired surrogate"),
        ("a", {"temperature": -1}, "temperature must be 0 (greedy), or from"),
        ("a", {"top_p": 0}, "top_p must be above 0"),
        ("a", {"top_k": 0}, "top_k must be from 1 to 1,000,000,000"),
        ("a", {"temperature": 0, "top_k": 3}, "at temperature 0 nothing is drawn, so it does not use top_k"),
        ("a", {"temperature": 0, "top_p": 1.0, "seed": 0}, "so it does not use top_p, seed: leave it out"),
        ("a", {"length": -1}, "length must be from 0 to 1,000,000,000: got -1"),
        ("a", {"length": 10**20}, "length must be from 0 to 1,000,000,000: got 100000000000000000000"),
        ("a", {"stop": ""}, "stop must not be empty"),
        ("a", {"stop": ["b", ""]}, "stop must not be empty"),
        ("a", {"lenght": 3}, 'unknown option "lenght" (did you mean "length"?)'),
        ("a", {"beam": 3}, "this run's task is generate, which does not use beam: leave it out"),
    ],
)
def test_a_prompt_that_cannot_be_continued_is_refused_at_once(
    prompt: object, options: dict[str, object], message: str
) -> None:
    with pytest.raises((DataError, ConfigError, TypeError)) as refused:
        text_run("gru").decode(prompt, **options)
    assert message in str(refused.value)
    if isinstance(prompt, str):
        with pytest.raises((DataError, ConfigError)):
            text_run("gru").stream(prompt, **options)


def test_other_texts_are_evaluated(tmp_path: Path) -> None:
    run = text_run("gru")
    other = write_text(tmp_path / "b.txt", "the cat ☃ sat\n" * 3)
    result = run.evaluate(other)
    assert (result.characters, result.tokens, result.unknown) == (42, 42, 3)
    assert run.evaluate([other]) == result == run.evaluate(other, cache=str(tmp_path / "c"))
    with pytest.raises(DataError, match="there is no such file"):
        run.evaluate(tmp_path / "no.txt")
    with pytest.raises(DataError, match="there is no token to evaluate on"):
        run.evaluate(write_text(tmp_path / "empty.txt", ""))


def test_data_that_have_changed_are_refused(tmp_path: Path) -> None:
    text = write_text(tmp_path / "a.txt")
    run = api.train(text, **SMALL)
    assert run.evaluate() == run.test
    write_text(text, text.read_text().replace("cat", "dog"))
    with pytest.raises(DataError, match=r"(?s)a\.txt: these are not the data.*evaluate RUN .*a\.txt --test-split`"):
        run.evaluate()
    text.unlink()
    with pytest.raises(DataError, match="no longer exist"):
        run.evaluate()
    alone = api.train(write_text(tmp_path / "b.txt"), **SMALL | {"test_fraction": 0.0})
    assert alone.test is None
    with pytest.raises(DataError, match="trained without a test split"):
        alone.evaluate()


def test_several_files(tmp_path: Path) -> None:
    files = [write_text(tmp_path / "f" / f"{i}.txt", f"the cat number {i} sat\n" * 20) for i in range(6)]
    run = api.train(files, **SMALL)
    assert run.record["data"]["source"] == [str(file.resolve()) for file in files]
    assert sum(split["files"] for split in run.record["data"]["splits"].values()) == 6
    assert run.evaluate() == run.test == api.load(run.save(tmp_path / "run").path).evaluate()
    assert api.train(tmp_path / "f", **SMALL).test == run.test


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"chunk": 5000},
            r"a\.txt: the training split has .* tokens, and one chunk 5,000\n  fix:  give a longer text, or",
        ),
        ({"valid_fraction": 0.0}, r"a\.txt: the validation split is empty\n  fix: .*--valid"),
        ({"label": "x"}, "^label (only applies|does not apply) to"),
        ({"batch_tokens": 9}, "^batch_tokens (only applies|does not apply) to"),
        ({"bidirectional": True}, "^bidirectional (only applies|does not apply) to"),
        ({"read": "mean"}, "^read (only applies|does not apply) to"),
        ({"window": 3}, "^window (only applies|does not apply) to"),
        ({"task": "classify", "chunk": 3}, "chunk only apply to task generate"),
    ],
)
def test_unused_settings_are_refused(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        api.train(write_text(tmp_path / "a.txt"), **SMALL | settings)


def test_its_defaults_are_its_own() -> None:
    mine, theirs = from_flat({"task": "generate"}), from_flat({})
    assert (mine.data.tokenizer, theirs.data.tokenizer) == ("character", "auto")
    assert (mine.model.dropout, theirs.model.dropout) == (0.0, 0.4)
    assert from_flat({"task": "generate", "dropout": 0.4}).model.dropout == 0.4
    assert from_flat({"task": "generate"}, base=theirs) == mine
    assert from_flat({"task": "classify"}, base=mine) == theirs
    assert from_flat({"task": "generate"}, base=from_flat({"hidden_size": 7})).model.hidden_size == 7


SMALL: dict[str, object] = {
    "task": "generate",
    "hidden_size": 8,
    "embedding_size": 4,
    "updates": 3,
    "evaluate_every": 2,
    "streams": 2,
    "chunk": 8,
}
OPTIONS = [
    Option("valid", "valid.txt"),
    Option("test", "test.txt"),
    Option("valid_fraction", 0.3),
    Option("test_fraction", 0.3),
    Option("split_seed", 1, {"data": "folder"}),
    Option("tokenizer", "byte"),
    Option("vocabulary_size", 20),
    Option("min_frequency", 30),
    Option("lowercase", True, {"tokenizer": "word"}),
    Option("normalize", "nfc", {"data": "accents.txt"}),
    Option("cache", "elsewhere", changes=False),
    Option("updates", 2),
    Option("epochs", 0.02, {"updates": None, "epochs": 0.04}),
    Option("streams", 3),
    Option("streams", 3, {"model": "feedforward"}),
    Option("chunk", 9),
    Option("chunk", 9, {"model": "feedforward"}),
    Option("accumulate", 2),
    Option("learning_rate", 1e-3),
    Option("seed", 1, {"model": "feedforward"}),
    Option("best_by", "accuracy", WILD),
    *OF_TRAINING,
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "data.txt")
    write_text(tmp_path / "accents.txt", "a caf\u00e9, a cafe\u0301\n" * 60)
    for name in ("valid", "test"):
        write_text(tmp_path / f"{name}.txt", f"the {name} sat on the mat\n" * 9)
    for i in range(5):
        write_text(tmp_path / "folder" / f"{i}.txt", f"the cat number {i} sat\n" * 20)


def build(settings: Mapping[str, object]) -> dict[str, Tensor]:
    settings = dict(settings)
    return left_by(lambda: api.train(settings.pop("data", "data.txt"), runs="runs", **SMALL | settings), "tokens")


def test_the_table_has_every_option() -> None:
    assert not missing_or_unknown(OPTIONS, "generate")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("option", OPTIONS, ids=identity)
def test_every_option_matters(option: Option) -> None:
    assert laws.options_matter(build, [option]).compared == 1
