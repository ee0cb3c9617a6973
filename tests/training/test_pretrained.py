"""A training that begins with a run: its weights, its tokeniser, its settings; what does not fit is refused."""

import signal
from pathlib import Path

import pytest
import torch

from small import SMALL, pairs, trained
from unrolled import api
from unrolled.errors import ConfigError, DataError, Interrupted
from unrolled.training import Trainer


def test_it_begins_with_the_weights_the_tokeniser_and_the_settings_of_the_run(tmp_path: Path) -> None:
    first = trained().save(tmp_path / "first")
    more = [(f"{text} more", label) for text, label in pairs(40, seed=5)]
    run = api.train(more, start=tmp_path / "first", learning_rate=1e-30, weight_decay=0, updates=1)
    assert run.config.model == first.config.model
    assert run.tokenizer.to_json() == first.tokenizer.to_json()
    assert run.record["start"] == str((tmp_path / "first").resolve())
    for name, value in first.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name
    trained_on = api.train(more, start=first, updates=3, dropout=0.1, seed=4)
    assert trained_on.config.training.seed == 4
    assert any(not torch.equal(v, first.model.state_dict()[k]) for k, v in trained_on.model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 9}, "keeps its network and tokeniser: hidden_size is 5 there, got 9: remove it"),
        ({"model": "lstm"}, "model is 'gru' there, got 'lstm'"),
        ({"tokenizer": "byte"}, "tokenizer is 'word' there, got 'byte'"),
    ],
)
def test_settings_that_would_make_another_network_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        api.train(iter(()), start=trained(), **settings)


def test_other_labels_are_refused() -> None:
    renamed = [(text, {"pos": "good"}.get(label, label)) for text, label in pairs()]
    with pytest.raises(DataError, match=r'(?s)the training split has the label "good", unlike a run in memory.*--from'):
        api.train(renamed, start=trained())
    third = [*pairs(), *((f"so so {i}", "mixed") for i in range(30))]
    first = api.train(third, **SMALL)
    with pytest.raises(DataError, match='the training split lacks the label "mixed"'):
        api.train(pairs(), start=first)


def test_labels_in_another_order_are_refused() -> None:
    """Output k of the network is label k: the classes would be swapped in silence."""
    numbered = [(text, int(label == "pos")) for text, label in pairs()]
    first = api.train(numbered, class_names=["bad", "good"], **SMALL)
    with pytest.raises(DataError, match="in another order: good, bad; there bad, good"):
        api.train(numbered, start=first, class_names=["good", "bad"])


@pytest.mark.parametrize("settings", [{"time_limit": "0.5s"}, {}])
def test_what_a_resume_could_not_do_again_is_in_its_first_checkpoint(
    settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of updates that a limit came to, and the weights of another run, which may be gone by then."""
    monkeypatch.setattr(Trainer, "_longest", lambda _: float("inf"))  # a busy machine would end it past the limit
    first = trained().save(tmp_path / "first")
    as_ever = Trainer.run
    planned = []

    def interrupted(trainer: Trainer, *arguments: object, **options: object) -> object:
        trainer.progress.updates = min(trainer.progress.updates, 50) + 1  # never 1: it would end before the signal
        planned.append(trainer.progress.updates)
        signal.raise_signal(signal.SIGTERM)
        return as_ever(trainer, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "run", interrupted)
        with pytest.raises(Interrupted):
            api.train(pairs(), out=tmp_path / "run", start=first, **settings)
    (tmp_path / "first").rename(tmp_path / "gone")
    measured = "unrolled.training.prepare.updates_within"
    monkeypatch.setattr(measured, lambda *_: pytest.fail("a time limit is measured once, at the beginning"))
    run = api.resume(tmp_path / "run", pairs())
    assert run.record["start"] == str((tmp_path / "first").resolve())
    assert run.record["training"]["planned"] == planned[0]
    alone = api.train(pairs(), start=tmp_path / "gone", updates=planned[0])
    for name, value in alone.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name
