"""Trainings that begin with word vectors: their size, their record, frozen or not, resumed, and refused."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

import unrolled
from small import SMALL, pairs, pictures, sentences, trained, translations, write_csv, write_text
from unrolled.cli.main import run as command
from unrolled.errors import ConfigError, DataError, Interrupted

WORDS = ("fine", "warm", "funny", "superb", "dull", "thin", "flat", "boring", "the", "Film")
NO_SIZE = {name: value for name, value in SMALL.items() if name != "embedding_size"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "glove.txt"
    lines = [f"{word} {' '.join(str((i + 1) * (d + 1) / 100) for d in range(7))}" for i, word in enumerate(WORDS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def embedding(run: Any) -> dict[str, list[float]]:
    """The embedding of each word of a run."""
    weights = run.model.embedding.weight.detach()
    return {word: weights[token].tolist() for token, word in run.tokenizer.words().items()}


def test_the_embeddings_begin_with_them_and_may_be_frozen(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="unrolled")
    run = unrolled.train(pairs(), vectors=str(file), freeze_vectors=True, **NO_SIZE)
    assert run.config.model.embedding_size == 7
    assert embedding(run)["fine"] == pytest.approx([(d + 1) / 100 for d in range(7)])
    assert embedding(run)["film"] == pytest.approx([10 * (d + 1) / 100 for d in range(7)])  # of "Film"
    (line,) = [line for line in caplog.messages if "vectors for" in line]
    assert f"vectors for 10 of {len(run.tokenizer.words())} words" in line
    assert "1 of them from a word in another case; the others are random" in line
    assert line.endswith("and stay so: all embeddings are frozen (without --freeze-vectors, all are trained)")
    caplog.clear()
    trained_on = unrolled.train(pairs(), vectors=str(file), **NO_SIZE)
    assert not any("frozen" in message for message in caplog.messages)
    assert embedding(trained_on)["fine"] != embedding(run)["fine"]
    assert embedding(trained_on)["fine"] == pytest.approx(embedding(run)["fine"], abs=0.05)


def test_they_are_recorded_and_the_run_does_not_need_the_file(file: Path, tmp_path: Path) -> None:
    run = unrolled.train(write_csv(tmp_path / "a.csv"), vectors=str(file), out=tmp_path / "run", **NO_SIZE)
    data = file.read_bytes()
    file.unlink()
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["data"]["vectors"] == {
        "source": str(file),
        "files": 1,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "words": len(run.tokenizer.words()),
        "words_found": 10,
    }
    loaded = unrolled.load(tmp_path / "run")
    assert loaded.evaluate() == run.test
    again = unrolled.train(pairs(), start=loaded, updates=2)
    assert again.config.training.vectors is None


@pytest.mark.parametrize("freeze", [False, True])
def test_a_resumed_training_needs_no_file(freeze: bool, file: Path, tmp_path: Path) -> None:
    settings = {**NO_SIZE, "vectors": str(file), "freeze_vectors": freeze, "updates": 6, "checkpoint_every": 1}
    csv = write_csv(tmp_path / "a.csv")
    whole = unrolled.train(csv, out=tmp_path / "whole", **settings)

    def interrupt(event: Any) -> None:
        if event.update >= 2:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        unrolled.train(csv, out=tmp_path / "run", report=interrupt, **settings)
    file.unlink()
    resumed = unrolled.resume(tmp_path / "run")
    assert resumed.record["data"]["vectors"] == whole.record["data"]["vectors"]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_other_tasks_whose_tokens_are_words(file: Path, tmp_path: Path) -> None:
    tagger = unrolled.train(sentences(), task="tag", vectors=str(file), freeze_vectors=True, **NO_SIZE)
    assert embedding(tagger)["fine"] == pytest.approx([(d + 1) / 100 for d in range(7)])
    assert tagger.config.data.tokenizer == "bpe"  # its whole words have vectors
    text = write_text(tmp_path / "text.txt")
    writer = unrolled.train(
        text, task="generate", tokenizer="word", vectors=str(file), freeze_vectors=True, streams=2, chunk=8, **NO_SIZE
    )
    assert embedding(writer)["the"] == pytest.approx([9 * (d + 1) / 100 for d in range(7)])


def test_an_embedding_size_may_be_given_where_it_is_the_same(file: Path, tmp_path: Path) -> None:
    assert (
        unrolled.train(pairs(), vectors=str(file), **NO_SIZE | {"embedding_size": 7}).config.model.embedding_size == 7
    )
    message = (
        r"embedding_size is 128, and the vectors in \S+ have 7 values: remove embedding_size, or give vectors of 128"
    )
    with pytest.raises(ConfigError, match=message):
        unrolled.train(pairs(), vectors=str(file), embedding_size=128)
    toml = tmp_path / "a.toml"
    toml.write_text(f'[model]\nembedding_size = 9\n[training]\nvectors = "{file}"\n', encoding="utf-8")
    assert (
        command(["train", str(write_csv(tmp_path / "a.csv")), "--config", str(toml), "--out", str(tmp_path / "r")]) == 2
    )


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (
            pairs,
            {"tokenizer": "bpe"},
            "vectors are of words, and the tokens are units of tokenizer bpe: add",
        ),
        (pairs, {"tokenizer": "character"}, "vectors are of words"),
        (sentences, {"task": "tag", "whole_words": 0}, "vectors are of words"),
        (translations, {"task": "translate", "tokenizer": "word"}, "vectors only applies to tasks"),
        (pictures, {}, "vectors do not apply to images"),
        (pairs, {"start": "a run"}, "--vectors and --from both set the embeddings"),
    ],
)
def test_they_are_refused_where_they_have_no_use(data: Any, settings: dict[str, Any], message: str, file: Path) -> None:
    settings = settings | ({"start": trained()} if "start" in settings else {})
    with pytest.raises(ConfigError, match=message):
        unrolled.train(data(), vectors=str(file), **settings)


def test_nothing_to_freeze_is_refused() -> None:
    with pytest.raises(ConfigError, match="freeze_vectors keeps the embeddings of --vectors or --from: add"):
        unrolled.train(pairs(), freeze_vectors=True, **SMALL)
    run = unrolled.train(pairs(), start=trained(), freeze_vectors=True, updates=3)
    assert embedding(run) == embedding(trained())


def test_a_bad_file_is_refused_before_the_data_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        unrolled.train(iter(()), vectors=str(tmp_path / "none.txt"))
