"""The guarantees of training: sums over whole updates, the same bits twice, the best weights, clean interrupts."""

import copy
import json
import math
import random
import re
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from small import MODELS, OWN, SMALL, pairs
from unrolled import api
from unrolled.config import ModelConfig, TrainingConfig
from unrolled.data.encoding.batches import Sequences
from unrolled.errors import TrainingError
from unrolled.layers import set_backend
from unrolled.lineage import architecture
from unrolled.models import Ids, Model
from unrolled.scan import conditions
from unrolled.state import detach, leaves
from unrolled.training import Batch, ClassificationLoader, Event, Score, Trainer, loss_nats, score
from unrolled.training.seeds import seed_of
from unrolled.training.trainer_state import restore, state_tensors

V = 11  # tokens


class Fixed:
    """The same batches in every epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def count(self, epoch: int) -> int:
        return len(self.batches)

    def batch(self, epoch: int, index: int) -> Batch:
        return self.batches[index]


def batch(B: int, T: int, *, classes: int = 2, seed: int = 0) -> Batch:
    """B sequences of up to T tokens, every one with other tokens."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, T + 1, (B,), generator=draw)
    lengths[0] = T
    ids = torch.randint(5, V, (B, T), generator=draw)
    ids[torch.arange(T) >= lengths[:, None]] = 0
    targets = torch.randint(0, classes, (B,), generator=draw)
    return Batch(ids, lengths, targets, B, int(lengths.sum()))


def model_of(model_name: str, *, classes: int = 2, hidden: int = 5, **options: object) -> Model:
    torch.manual_seed(3)
    config = ModelConfig(embedding_size=6, hidden_size=hidden, **{"dropout": 0.0} | OWN.get(model_name, {}) | options)
    return api.build(model_name, Ids(V), classes, config)


def trainer_of(
    model: Model, batches: list[Batch], score: Callable[[], Score] = lambda: Score(1.0, 0.5), **settings: object
) -> Trainer:
    return Trainer(model, Fixed(batches), loss_nats, score, TrainingConfig(**settings))


def gradient_of_one_update(model: Model, batches: list[Batch], accumulate: int) -> list[Tensor]:
    found: list[Tensor] = []
    trainer = trainer_of(model.double(), batches, updates=1, accumulate=accumulate, clip=1e9)
    trainer.optimizer.register_step_pre_hook(lambda *_: found.extend(p.grad.clone() for p in model.parameters()))
    trainer.run()
    return found


@pytest.mark.parametrize("model_name", MODELS)
def test_k_small_batches_give_the_gradient_of_one_large_batch(model_name: str) -> None:
    small = [batch(B, T, seed=B) for B, T in [(3, 7), (1, 2), (5, 4)]]
    T = max(b.inputs.shape[1] for b in small)
    large = Batch(
        torch.cat([torch.nn.functional.pad(b.inputs, (0, T - b.inputs.shape[1])) for b in small]),
        torch.cat([b.lengths for b in small]),
        torch.cat([b.targets for b in small]),
        sum(b.num_targets for b in small),
        sum(b.num_tokens for b in small),
    )
    split = gradient_of_one_update(model_of(model_name), small, accumulate=3)
    whole = gradient_of_one_update(model_of(model_name), [large], accumulate=1)
    for a, b in zip(split, whole, strict=True):
        assert float((a - b).abs().max()) <= 1e-12
    assert max(float(b.abs().max()) for b in whole) > 1e-3


def test_the_loss_is_the_mean_of_the_nats_of_all_targets() -> None:
    model, batches = model_of("gru"), [batch(3, 4, seed=1), batch(6, 2, seed=2)]
    with torch.no_grad():
        nats = sum(
            -model(b.inputs, None, b.lengths)[0].log_softmax(1)[torch.arange(len(b.targets)), b.targets].sum()
            for b in batches
        )
    events = []
    trainer_of(model, batches, updates=1, accumulate=2).run(events.append)
    assert events[0].loss_nats == pytest.approx(float(nats) / 9, rel=1e-6)


def test_a_batch_that_continues_begins_with_the_state_of_the_one_before_and_sends_no_gradient_into_it() -> None:
    model = model_of("gru").double()
    whole = torch.randint(5, V, (3, 12), generator=torch.Generator().manual_seed(1))
    chunks = [
        Batch(ids, None, torch.tensor([0, 1, 0]), 3, ids.numel(), continues=index > 0)
        for index, ids in enumerate(whole.split(4, dim=1))
    ]
    found = gradient_of_one_update(copy.deepcopy(model), chunks, accumulate=3)

    state, nats = None, torch.zeros(())
    for chunk in chunks:
        logits, state = model(chunk.inputs, detach(state))
        nats = nats + loss_nats(logits, chunk.targets)
    wanted = torch.autograd.grad(nats / 9, list(model.parameters()))
    alone = gradient_of_one_update(model, [replace(chunk, continues=False) for chunk in chunks], accumulate=3)
    for name, a, b, c in zip(dict(model.named_parameters()), found, wanted, alone, strict=True):
        assert float((a - b).abs().max()) <= 1e-12, name
        assert not torch.equal(a, c), name


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    def bits(seed: int) -> tuple[list[bytes], list[dict[str, float]]]:
        run = api.train(pairs(), seed=seed, **SMALL)
        weights = [value.numpy().tobytes() for value in run.model.state_dict().values()]
        return weights, [{k: v for k, v in event.items() if k != "tokens_per_second"} for event in run.metrics]

    state = torch.get_rng_state()
    first = bits(1)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers are left as they were"
    torch.rand(3)
    assert bits(1) == first
    other = bits(2)
    assert other[0] != first[0]
    assert other[1] != first[1]


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"recurrent_dropout": 0.5}, {"zoneout": 0.5}])
def test_masks_depend_on_the_seed_and_on_the_update(options: dict[str, float]) -> None:
    """With the same first weights and the same batches."""

    def gradients(seed: int, updates: int = 1) -> list[Tensor]:
        model, found = model_of("gru", **options), []
        trainer = trainer_of(model, [batch(3, 4)], updates=updates, seed=seed, learning_rate=1e-30, weight_decay=0)
        trainer.optimizer.register_step_pre_hook(lambda *_: found.append(model.head.weight.grad.clone()))
        trainer.run()
        return found

    (one,), (again,), (other,) = gradients(1), gradients(1), gradients(2)
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    first, second = gradients(1, updates=2)
    assert torch.equal(first, one)
    assert not torch.allclose(first, second)


def test_an_evaluation_is_in_eval_mode_and_training_goes_on_in_training_mode() -> None:
    model, modes = model_of("gru", dropout=0.5), []

    def score() -> Score:
        modes.append(("evaluation", model.training))
        return Score(1.0, 0.5)

    trainer = trainer_of(model, [batch(3, 4)], score, updates=3, evaluate_every=1, patience=0)
    trainer.optimizer.register_step_pre_hook(lambda *_: modes.append(("update", model.training)))
    trainer.run()
    assert modes == [("update", True), ("evaluation", False)] * 3
    assert not model.training


def test_an_update_steps_with_its_own_rate_and_averages_the_weights_after_it() -> None:
    """AdamW's first step moves every weight with a gradient by the rate; that of update 1 of 4 in a warm-up of 4."""
    model = model_of("elman").double()
    before = model.head.weight.detach().clone()
    trainer = trainer_of(
        model, [batch(3, 4)], updates=8, warmup=0.5, learning_rate=0.4, weight_decay=0, clip=1e9, average=0.999
    )
    trainer.update()
    after = model.head.weight.detach()
    torch.testing.assert_close((after - before).abs(), torch.full_like(after, 0.1), rtol=1e-3, atol=0)
    averaged = trainer.average.tensors()["head.weight"]
    torch.testing.assert_close(averaged, before + (after - before) * 9 / 11)  # decay (1 + 1) / (10 + 1)


def test_the_first_weights_depend_on_the_seed() -> None:
    one, again, other = (
        api.train(pairs(), seed=seed, **SMALL | {"updates": 1, "learning_rate": 1e-30}).model.layers.layers[0].cell
        for seed in (1, 1, 2)
    )
    assert torch.equal(one.weight_h, again.weight_h)
    assert not torch.allclose(one.weight_h, other.weight_h)


def test_the_gradient_of_an_update_is_clipped_at_the_limit() -> None:
    found: list[float] = []
    for clip in (1e9, 0.01):
        model = model_of("gru")
        trainer = trainer_of(model, [batch(3, 4)], updates=1, clip=clip)
        parameters = list(model.parameters())
        trainer.optimizer.register_step_pre_hook(
            lambda *_, own=parameters: found.append(float(torch.cat([p.grad.flatten() for p in own]).norm()))
        )
        trainer.run()
        assert trainer.progress.gradient_norm == pytest.approx(found[0], rel=1e-5), "the norm before clipping"
    assert found[0] > 0.02
    assert found[1] == pytest.approx(0.01, rel=1e-4)


def test_an_update_draws_the_same_numbers_whatever_was_drawn_before() -> None:
    quiet = api.train(pairs(), **SMALL)
    noisy = api.train(pairs(), report=lambda event: torch.rand(event.update), **SMALL)
    for name, value in quiet.model.state_dict().items():
        assert torch.equal(noisy.model.state_dict()[name], value)


def test_a_batch_is_a_pure_function_of_seed_epoch_and_index() -> None:
    rows = [[5 + (i + j) % 6 for j in range(1 + i % 5)] for i in range(40)]

    def source(seed: int = 4) -> ClassificationLoader:
        return ClassificationLoader(
            Sequences(rows), torch.arange(40), batch_tokens=20, seed=seed, device=torch.device("cpu")
        )

    used = source()
    for epoch, index in [(2, 1), (0, 3), (2, 1), (1, 0), (0, 3), (5, 2)]:
        a, b = used.batch(epoch, index), source().batch(epoch, index)
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.targets, b.targets)
        assert a.num_targets == len(a.targets)
        assert a.num_tokens == int(a.lengths.sum())
        for target, ids, length in zip(a.targets.tolist(), a.inputs, a.lengths, strict=True):
            assert ids[:length].tolist() == rows[target]
    for epoch in range(3):
        seen = torch.cat([used.batch(epoch, i).targets for i in range(used.count(epoch))])
        assert sorted(seen.tolist()) == list(range(40)), "every sequence once an epoch"
    assert not torch.equal(used.batch(0, 0).targets, used.batch(1, 0).targets)
    assert not torch.equal(used.batch(0, 0).targets, source(5).batch(0, 0).targets)


def test_neighbouring_updates_and_seeds_share_no_random_numbers() -> None:
    seeds = {seed_of(seed, update) for seed in range(30) for update in range(-1, 30)}
    assert len(seeds) == 30 * 31
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_it_stops_early_and_keeps_the_best() -> None:
    model = model_of("elman")
    script = iter([1.0, 0.8, 0.9, 0.8, 0.81, 0.1])
    weights = []

    def scripted() -> Score:
        assert not model.training
        weights.append(copy.deepcopy(model.state_dict()))
        return Score(next(script), 0.5)

    events = []
    trainer = trainer_of(model, [batch(4, 3)], scripted, updates=50, evaluate_every=2, patience=3)
    outcome = trainer.run(events.append)
    assert outcome.updates == 10
    assert outcome.best_update == 4
    assert outcome.stopped == "stopped early: no improvement in 3 evaluations"
    assert [event.best for event in events if event.valid] == [True, True, False, False, False]
    assert not model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[1][name])
    assert any(not torch.equal(value, weights[4][name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("by", "targets", "best"),
    [
        ("loss", 100, [1, 4]),
        ("accuracy", 0, [1, 2, 3]),
        ("accuracy", 10_000, [1, 2, 3]),  # a standard error is 0.0046
        ("accuracy", 84, [1, 2, 3, 4]),  # a standard error of 0.7 is √(0.7 · 0.3 / 84) = 0.05, and 0.65 is within it
        ("accuracy", 85, [1, 2, 3]),
        ("macro_f1", 84, [1, 2, 4, 5]),
    ],
)
def test_the_figure_that_is_asked_for_chooses(by: str, targets: int, best: list[int]) -> None:
    """By accuracy, of models within a standard error of the highest, the latest is kept."""
    figures = [(0.5, 0.6, 0.1), (0.9, 0.7, 0.2), (0.8, 0.7, 0.1), (0.4, 0.65, 0.3), (0.45, 0.5, 0.3)]
    scores = [Score(loss, accuracy, f1, targets=targets) for loss, accuracy, f1 in figures]

    def best_updates(**settings: str) -> list[int]:
        script, events = iter(scores), []
        trainer = trainer_of(
            model_of("elman"), [batch(4, 3)], lambda: next(script), updates=5, evaluate_every=1, **settings
        )
        trainer.run(events.append)
        return [event.update for event in events if event.best]

    assert best_updates(best_by=by) == best
    if by == "loss":
        assert best_updates() == best, "the default of the schema"


def test_patience_waits_while_the_loss_or_the_figure_improves() -> None:
    """The accuracy is best at once, and the loss improves until the fourth evaluation."""
    script = iter([Score(1.0, 0.9), Score(0.9, 0.5), Score(0.8, 0.5), Score(0.7, 0.5), *[Score(0.75, 0.6)] * 9])
    trainer = trainer_of(
        model_of("elman"), [batch(4, 3)], lambda: next(script), updates=50, evaluate_every=1, patience=2,
        best_by="accuracy",
    )  # fmt: skip
    outcome = trainer.run()
    assert (outcome.updates, outcome.best_update) == (6, 1)


def test_the_plateau_schedule_follows_the_loss_alone() -> None:
    script = iter([Score(1.0, 0.1), *[Score(1.0, 0.1 * k) for k in range(2, 9)]])
    trainer = trainer_of(
        model_of("elman"), [batch(4, 3)], lambda: next(script), updates=7, evaluate_every=1, patience=0,
        schedule="plateau", plateau_patience=3, best_by="accuracy",
    )  # fmt: skip
    assert trainer.run().best_update == 7
    assert trainer.progress.reductions == 2


class Saved:
    """A callback that counts."""

    def __init__(self) -> None:
        self.saves: list[tuple[int, object]] = []
        self.updates = 0

    def save(self, trainer: Trainer) -> None:
        self.saves.append((trainer.progress.update, trainer.progress.highest))

    def is_due(self, trainer: Trainer) -> bool:
        return False

    def after_update(self, trainer: Trainer, *, due: bool) -> None:
        self.updates += 1

    def on_signal(self, trainer: Trainer, signal: int) -> None:
        raise AssertionError


@pytest.mark.parametrize("every", [100, 1])
def test_past_the_time_limit_by_half_it_ends_with_the_best_so_far(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update takes a second of a clock that is turned by hand; the limit was taken for 100 updates."""
    now = [0.0]
    monkeypatch.setattr("unrolled.training.loop.time.perf_counter", lambda: now[0])
    trainer = trainer_of(
        model_of("elman"), [batch(4, 3)], updates=100, evaluate_every=every, time_limit="4s", patience=0
    )
    step = trainer.update

    def update() -> None:
        now[0] += 1
        step()

    trainer.update, callback = update, Saved()  # type: ignore[method-assign]
    outcome = trainer.run(callback=callback)
    assert outcome.late
    assert outcome.stopped == "stopped: the time limit of 4s is exceeded by half"
    assert (outcome.updates, outcome.planned) == (7, 100), "6 seconds are not above 1.5 · 4"
    assert [update for update, _ in callback.saves] == [7]
    assert callback.updates == 6, "no other checkpoint after the last one"
    evaluated = callback.saves[0][1] is not None
    assert evaluated == (every == 1), "saved before an evaluation that an uninterrupted training does not make"


def test_a_resumed_training_has_its_part_of_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("unrolled.training.loop.time.perf_counter", lambda: now[0])
    trainer = trainer_of(model_of("elman"), [batch(4, 3)], updates=10, evaluate_every=100, time_limit="4s")
    trainer.progress.update, trainer.progress.total_seconds = 5, 100.0
    step = trainer.update

    def update() -> None:
        now[0] += 0.5
        step()

    trainer.update = update  # type: ignore[method-assign]
    assert not trainer.run().late, "2.5 s are below half of 1.5 · 4"


def test_without_patience_it_never_stops_early() -> None:
    script = iter(range(1, 100))
    trainer = trainer_of(
        model_of("elman"), [batch(4, 3)], lambda: Score(next(script), 0.5), updates=8, evaluate_every=1, patience=0
    )
    assert trainer.run().updates == 8


def test_the_last_update_is_always_evaluated() -> None:
    events = []
    trainer_of(model_of("elman"), [batch(4, 3)], updates=7, evaluate_every=5).run(events.append)
    assert [event.update for event in events if event.valid] == [5, 7]


def test_of_many_short_epochs_twenty_are_evaluated() -> None:
    events = []
    trainer_of(model_of("elman"), [batch(4, 3)], updates=100, patience=0).run(events.append)
    assert [event.update for event in events if event.valid] == list(range(5, 101, 5))


@pytest.mark.parametrize("settings", [{"epochs": 2.5}, {"epochs": 2.5, "accumulate": 2}, {"updates": 3}])
def test_epochs_and_updates(settings: dict[str, float]) -> None:
    trainer = trainer_of(model_of("elman"), [batch(2, 3, seed=s) for s in range(4)], patience=0, **settings)
    wanted = settings.get("updates") or round(2.5 * 4 / settings.get("accumulate", 1))
    assert trainer.run().updates == wanted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_between_two_updates(number: int) -> None:
    answers = iter([None, None, number])
    events = []
    trainer = trainer_of(model_of("gru"), [batch(4, 3)], updates=100, evaluate_every=100)
    outcome = trainer.run(events.append, lambda: next(answers))
    assert outcome.updates == outcome.best_update == 3
    assert outcome.signal == number
    assert outcome.stopped == f"interrupted by {signal.Signals(number).name}"
    assert events[-1].valid is not None, "the weights that are returned have been evaluated"


def test_the_seconds_add_up() -> None:
    trainer = trainer_of(model_of("gru", hidden=64), [batch(16, 12)], updates=20, evaluate_every=5)
    outcome = trainer.run()
    assert set(outcome.seconds) == {"batch", "forward", "backward", "optimizer", "evaluation", "checkpoint"}
    assert all(value > 0 for what, value in outcome.seconds.items() if what != "checkpoint")
    assert 0.5 * outcome.total_seconds < sum(outcome.seconds.values()) <= outcome.total_seconds
    assert outcome.tokens == 20 * batch(16, 12).num_tokens
    rate = outcome.tokens / (outcome.total_seconds - outcome.seconds["evaluation"])
    assert outcome.to_dict()["tokens_per_second"] == pytest.approx(rate)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_it_with_the_best_weights(bad: float) -> None:
    model = model_of("gru")
    calls = iter([1.0, 1.0, bad])
    best: dict[str, Tensor] = {}

    def keep() -> Score:
        best.update(copy.deepcopy(model.state_dict()))
        return Score(1.0, 0.5)

    trainer = Trainer(
        model,
        Fixed([batch(4, 3)]),
        lambda logits, targets: loss_nats(logits, targets) * next(calls),
        keep,
        TrainingConfig(updates=9, evaluate_every=2),
    )
    with pytest.raises(TrainingError, match=r"update 3: loss (nan|inf), and the gradient is not finite in "):
        trainer.run()
    assert trainer.progress.update == 2
    for name, value in model.state_dict().items():
        assert torch.equal(value, best[name])


def test_a_validation_loss_that_is_not_finite_stops_it() -> None:
    trainer = trainer_of(model_of("gru"), [batch(4, 3)], lambda: Score(math.nan, 0.5), updates=3, evaluate_every=1)
    with pytest.raises(TrainingError, match="update 1: the loss of the validation split is nan"):
        trainer.run()


@pytest.mark.parametrize("model_name", MODELS)
@pytest.mark.parametrize("classes", [2, 7])
def test_it_starts_at_the_loss_of_a_guess(model_name: str, classes: int) -> None:
    b = batch(64, 12, classes=classes)
    with torch.no_grad():
        logits, _ = model_of(model_name, classes=classes, hidden=32)(b.inputs, None, b.lengths)
    assert float(loss_nats(logits, b.targets)) / 64 == pytest.approx(math.log(classes), rel=0.05)


@pytest.mark.parametrize("model_name", MODELS)
def test_it_overfits_a_batch_made_for_it(model_name: str) -> None:
    ids = torch.tensor([[5 + a, 5 + b, 5 + a] for a in range(4) for b in range(4) if a != b])  # also as bags distinct
    targets = torch.tensor([(a * 4 + b) % 3 for a in range(4) for b in range(4) if a != b])
    b = Batch(ids, torch.full((12,), 3), targets, 12, 36)
    model = model_of(model_name, classes=3, hidden=32)
    trainer_of(model, [b], updates=300, learning_rate=0.02, weight_decay=0, evaluate_every=300).run()
    with torch.no_grad():
        logits, _ = model(b.inputs, None, b.lengths)
    assert float(loss_nats(logits, targets)) / 12 < 0.01


@pytest.mark.parametrize("model_name", MODELS)
def test_with_shuffled_labels_it_is_at_chance(model_name: str) -> None:
    draw = torch.Generator().manual_seed(5)
    ids = torch.randint(5, V, (600, 6), generator=draw)
    targets = torch.randint(0, 2, (600,), generator=draw)
    train = Batch(ids[:200], torch.full((200,), 6), targets[:200], 200, 1200)
    model = model_of(model_name, hidden=16)
    held_out = Sequences(ids[200:].tolist()), targets[200:]
    trainer_of(model, [train], lambda: score(model, *held_out), updates=40, evaluate_every=40).run()
    found = score(model, *held_out)
    assert abs(found.accuracy - 0.5) < 4 * math.sqrt(0.25 / 400), "four standard deviations"
    assert found.loss_nats > 0.66


def test_the_lines_of_metrics() -> None:
    run = api.train(pairs(), **SMALL)
    always = {"update", "updates", "epoch", "loss_nats", "learning_rate", "gradient_norm", "tokens_per_second"}
    assert [event["update"] for event in run.metrics] == [1, 2, 3, 4]
    for event in run.metrics:
        evaluated = event["update"] % 2 == 0
        assert set(event) == always | (
            {"valid_loss_nats", "valid_accuracy", "valid_macro_f1", "best"} if evaluated else set()
        )
        assert json.loads(json.dumps(event, allow_nan=False)) == event


@pytest.mark.parametrize("model_name", MODELS)
def test_averaged_weights_are_evaluated_and_returned(model_name: str) -> None:
    model, seen = model_of(model_name), []

    def keep() -> Score:
        seen.append(copy.deepcopy(model.state_dict()))
        return Score(1.0 / len(seen), 0.5)

    trainer = trainer_of(model, [batch(4, 3)], keep, updates=6, evaluate_every=3, average=0.9, learning_rate=0.1)
    assert trainer.average is not None
    trained, adds = [], trainer.average.add
    trainer.average.add = lambda update: (trained.append(copy.deepcopy(model.state_dict())), adds(update))
    trainer.run()
    wanted = {name: value.clone() for name, value in model_of(model_name).state_dict().items()}
    for update, weights in enumerate(trained, start=1):
        d = min(0.9, (1 + update) / (10 + update))
        wanted = {name: value + (1 - d) * (weights[name] - value) for name, value in wanted.items()}
    for name, value in model.state_dict().items():
        assert torch.allclose(value, wanted[name], atol=1e-6), name
        assert torch.equal(value, seen[-1][name]), name


def test_plateau_reduces_the_rate_when_the_validation_loss_stands() -> None:
    script = iter([1.0, 1.1, 1.2, 0.9, 1.0, 1.0, 1.0, 1.0])
    events = []
    trainer_of(
        model_of("elman"), [batch(4, 3)], lambda: Score(next(script), 0.5), updates=8, evaluate_every=1, patience=0,
        schedule="plateau", plateau_patience=2, plateau_factor=0.1, warmup=0, learning_rate=0.5,
    ).run(events.append)  # fmt: skip
    assert [event.learning_rate for event in events] == pytest.approx([0.5, 0.5, 0.5, *[0.05] * 3, *[0.005] * 2])


@pytest.mark.parametrize("backend", ["fused", "torch", "reference"])
@pytest.mark.parametrize("model_name", MODELS)
def test_in_bf16_states_gradients_and_loss_stay_in_float32(model_name: str, backend: str) -> None:
    """bfloat16 has 8 bits: a product of it is wrong by 2^-9, a few of them in a model_name by some 2^-7."""
    if model_name not in ("feedforward", "transformer") and not all(
        condition.holds for condition in conditions(backend)
    ):
        pytest.skip("no kernels were compiled")
    if backend == "fused" and architecture(model_name).mixers:
        pytest.skip("the kernels have none of its cells")
    found = {}
    for precision in ("float32", "bf16"):
        model = model_of(model_name, hidden=16)
        set_backend(model, backend)
        trainer = trainer_of(model, [batch(4, 6)], updates=1, precision=precision)
        gradients: dict[str, Tensor] = {}
        trainer.optimizer.register_step_pre_hook(
            lambda *_, g=gradients, m=model: g.update({name: p.grad.clone() for name, p in m.named_parameters()})
        )
        events: list[Event] = []
        trainer.run(events.append)
        assert all(leaf.dtype in (torch.float32, torch.int64) for leaf in leaves(trainer.states[0]))
        found[precision] = (events[0].loss_nats, gradients)
    (full, exact), (half, rough) = found["float32"], found["bf16"]
    assert half == pytest.approx(full, rel=2**-7)
    assert all(gradient.dtype == torch.float32 for gradient in rough.values())
    assert any(not torch.equal(exact[name], rough[name]) for name in exact)
    apart = torch.cat([(exact[name] - rough[name]).flatten() for name in exact])
    limit = 2**-4 if model_name == "linear_attention" else 2**-5  # features, divided by the sum of their products
    assert float(apart.norm()) <= limit * float(torch.cat([g.flatten() for g in exact.values()]).norm())


def test_what_is_not_finite_is_caught_in_its_update_and_the_parameter_named() -> None:
    """NaN and infinity, in the gradient of every parameter of every model, in any of the first updates."""
    draw, caught = random.Random(0), 0
    while caught < 100:
        model = model_of(draw.choice(MODELS))
        name, parameter = draw.choice(list(model.named_parameters()))
        at, bad = draw.randrange(4), draw.choice([math.nan, math.inf, -math.inf])
        trainer = trainer_of(model, [batch(4, 3)], updates=5, evaluate_every=9)

        def spoil(gradient: Tensor, trainer: Trainer = trainer, at: int = at, bad: float = bad) -> Tensor:
            if trainer.progress.update == at:
                gradient = gradient.clone()
                gradient.view(-1)[draw.randrange(gradient.numel())] = bad
            return gradient

        parameter.register_hook(spoil)
        with pytest.raises(TrainingError, match=rf"update {at + 1}: .* is not finite in {re.escape(name)}\. "):
            trainer.run()
        assert trainer.progress.update == at
        caught += 1


def test_a_stream_that_is_restored_goes_on_with_the_same_bits() -> None:
    whole = torch.randint(5, V, (3, 40), generator=torch.Generator().manual_seed(1))
    chunks = [
        Batch(ids, None, torch.tensor([0, 1, 0]), 3, ids.numel(), continues=index > 0)
        for index, ids in enumerate(whole.split(4, dim=1))
    ]
    for model_name in (
        model_name for model_name in MODELS if model_name != "transformer"
    ):  # which reads whole sequences
        alone = trainer_of(model_of(model_name), chunks, updates=14, evaluate_every=14)
        alone.run()
        for stop in (3, 10, 12):  # in the first epoch, between both, in the second
            first = trainer_of(model_of(model_name), chunks, updates=14, evaluate_every=14)
            for _ in range(stop):
                first.update()
            kept = {name: value.clone() for name, value in state_tensors(first).items()}
            assert any(name.startswith("carried/") for name in kept) == (stop != 10)
            second = trainer_of(model_of(model_name), chunks, updates=14, evaluate_every=14)
            restore(second, copy.deepcopy(first.progress), kept)
            second.run()
            for name, value in alone.model.state_dict().items():
                assert torch.equal(second.model.state_dict()[name], value), (model_name, stop, name)


@pytest.mark.parametrize(("last", "kept"), [(0.7, True), (0.5, True), (0.46, True), (0.44, False)])
def test_the_mean_of_the_best_is_kept_if_it_is_not_worse(last: float, kept: bool) -> None:
    """last: accuracy of the mean. The standard error of 0.5 with 100 targets is 0.05."""
    model = model_of("gru")
    accuracies, seen = iter([0.1, 0.5, 0.3, 0.49, 0.2, last]), []

    def keep() -> Score:
        seen.append(copy.deepcopy(model.state_dict()))
        return Score(1.0, next(accuracies), targets=100)

    settings = {"updates": 5, "evaluate_every": 1, "average_best": 3, "best_by": "accuracy", "learning_rate": 0.1}
    outcome = trainer_of(model, [batch(4, 3)], keep, **settings).run()
    assert outcome.averaged == ([2, 3, 4] if kept else [])
    assert outcome.best_update == 4, "the latest within a standard error"
    for name, value in model.state_dict().items():
        mean = (seen[1][name] + seen[2][name] + seen[3][name]) / 3
        torch.testing.assert_close(seen[5][name], mean)
        torch.testing.assert_close(value, mean if kept else seen[3][name])
    assert not model.training


@pytest.mark.parametrize("settings", [{"average_best": 0}, {"average_best": 1}, {"average_best": 3, "updates": 1}])
def test_one_evaluation_has_no_mean(settings: dict[str, int]) -> None:
    calls = []

    def score() -> Score:
        calls.append(1)
        return Score(1.0 - len(calls) / 10, 0.5)

    trainer = trainer_of(model_of("gru"), [batch(4, 3)], score, **{"updates": 4, "evaluate_every": 1, **settings})
    outcome = trainer.run()
    assert outcome.averaged == []
    assert len(calls) == outcome.updates
