"""Settings that follow from the data: the batch and the length of a training, the tokenizers."""

from types import SimpleNamespace
from typing import Any

import pytest

from small import pairs, translations
from unrolled import api
from unrolled.config import from_flat
from unrolled.config.defaults import BY_DATA
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.training.by_data import MOST_EPOCHS, UPDATES_AN_EPOCH, decide

WORDS = Tokenizer.train(["a b", "a b"], min_frequency=1)


def decided(size: int, **settings: Any) -> dict[str, Any]:
    return decide(SimpleNamespace(size=size, preprocessor=WORDS), from_flat({"tokenizer": "word", **settings}))  # type: ignore[arg-type]


def test_batches_of_few_data_are_small() -> None:
    least, most = BY_DATA["classify"].batch
    assert decided(1_000)["batch_tokens"] == least
    assert decided(UPDATES_AN_EPOCH * 512)["batch_tokens"] == 512
    assert decided(10**9)["batch_tokens"] == most


@pytest.mark.parametrize("size", [1_000, 30_000, 10**6, 10**9])
def test_few_data_are_passed_more_often(size: int) -> None:
    usual, found = BY_DATA["classify"], decided(size)
    updates = found["epochs"] * max(1, size / found["batch_tokens"])
    assert usual.epochs <= found["epochs"] <= MOST_EPOCHS
    assert updates >= 0.9 * usual.updates or found["epochs"] == MOST_EPOCHS
    if size >= usual.updates * usual.batch[1]:
        assert found["epochs"] == usual.epochs


def test_settings_that_were_given_stay() -> None:
    assert decided(1_000, batch_tokens=100, epochs=3) == {}
    assert "epochs" in decided(1_000, batch_tokens=100)
    assert decided(1_000, epochs=3).keys() == {"batch_tokens"}


def test_images_are_counted_one_by_one() -> None:
    assert decided(UPDATES_AN_EPOCH * 32, by="row")["batch_images"] == 32


def test_a_language_model_has_its_streams() -> None:
    found = decided(20_000, task="generate", streams=8, chunk=32)
    assert found.keys() == {"epochs"}
    assert found["epochs"] == pytest.approx(min(MOST_EPOCHS, BY_DATA["generate"].updates / (20_000 / 256)), abs=0.1)


def test_a_run_has_the_decided_settings_and_their_record() -> None:
    run = api.train(pairs(), hidden_size=4, embedding_size=4, epochs=0.5)
    assert run.record["decided"].keys() == {"tokenizer", "batch_tokens"}
    assert run.config.training.batch_tokens == run.record["decided"]["batch_tokens"]
    assert run.config.data.tokenizer == run.preprocessor.kind == run.record["decided"]["tokenizer"]


def test_another_training_decides_again_but_keeps_the_tokenizer() -> None:
    run = api.train(pairs(), hidden_size=4, embedding_size=4, updates=1)
    more = api.train(pairs(60) * 300, start=run, updates=1)
    assert more.config.data.tokenizer == run.config.data.tokenizer
    assert more.record["decided"]["epochs"] < run.record["decided"]["epochs"]


def test_each_side_of_pairs_has_its_tokenizer() -> None:
    run = api.train(translations(), task="translate", hidden_size=4, embedding_size=4, updates=1)
    kinds = run.preprocessor.source.kind, run.preprocessor.target.kind
    assert (run.config.data.source_tokenizer, run.config.data.tokenizer) == kinds
