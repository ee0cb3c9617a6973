"""Batches, loss and score of the task translate: both sides padded for themselves, a target from <bos> to <eos>."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from small import translations
from unrolled.config import Config, TrainingConfig, from_flat
from unrolled.data.encoding.pairs import PairSequences, PairTokenizers
from unrolled.data.encoding.tokenizers import BOS, EOS, PAD
from unrolled.data.examples.pairs import load_pairs
from unrolled.decoding.teacher_forcing import score_targets
from unrolled.models import Model
from unrolled.runs.build import build
from unrolled.runs.preprocessor import inputs_of
from unrolled.training import Trainer
from unrolled.training.generation import loss_nats
from unrolled.training.progress import Score
from unrolled.training.translation import TranslationLoader, score

CPU = torch.device("cpu")
CONFIG = from_flat(
    {"task": "translate", "tokenizer": "character", "min_frequency": 1, "hidden_size": 6, "dropout": 0.0}
)
PART = load_pairs(translations(40), CONFIG.data)
TOKENIZERS = PairTokenizers.learn(PART, CONFIG.data)
PAIRS = PairSequences(TOKENIZERS, PART)


def model(name: str = "attention", config: Config = CONFIG) -> Model:
    torch.manual_seed(0)
    inputs = inputs_of(TOKENIZERS)
    made = build(
        name,
        inputs,
        TOKENIZERS.target.vocabulary_size,
        config.model.model_copy(update={"embedding_size": 6}),
        answer="each",
    )
    return made.double()


def test_an_epoch_has_every_pair_once_within_the_budget() -> None:
    source = TranslationLoader(PAIRS, batch_tokens=120, seed=0, device=CPU)
    found = []
    for index in range(source.count(0)):
        batch = source.batch(0, index)
        assert batch.source is not None
        assert batch.source_lengths is not None
        assert batch.lengths is not None
        B = len(batch.inputs)
        assert B * (batch.source.shape[1] + batch.inputs.shape[1]) <= 120 or B == 1
        assert (batch.inputs[:, 0] == BOS).all()
        assert batch.num_targets == int((batch.targets != PAD).sum()) == int(batch.lengths.sum())
        assert batch.num_tokens == batch.num_targets + int((batch.source != PAD).sum())
        for b, n in enumerate(batch.lengths.tolist()):
            assert batch.targets[b, n - 1] == EOS
            assert batch.inputs[b, 1:n].tolist() == batch.targets[b, : n - 1].tolist()
            found.append(
                (
                    TOKENIZERS.source.decode(batch.source[b].tolist()),
                    TOKENIZERS.target.decode(batch.targets[b].tolist()),
                )
            )
        again = source.batch(0, index)
        assert torch.equal(batch.source, again.source)
        assert torch.equal(batch.targets, again.targets)
    assert sorted(found) == sorted(pair[:2] for pair in PART.items)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_a_batch_is_that_of_its_pairs_one_by_one(smoothing: float) -> None:
    """Neither padding counts: not in the loss and not in the gradients."""
    net = model()

    def nats(indices: list[int]) -> Tensor:
        pairs = PAIRS.pad(torch.tensor(indices))
        logits, _ = net(pairs.ids, net.encode(pairs.source, pairs.source_lengths), pairs.lengths)
        return loss_nats(logits, pairs.targets, label_smoothing=smoothing)

    indices = [3, 0, 17, 8]
    together, apart = nats(indices), sum((nats([index]) for index in indices), torch.zeros(()))
    torch.testing.assert_close(together, apart, rtol=1e-10, atol=1e-10)
    ours, theirs = (torch.autograd.grad(loss, list(net.parameters())) for loss in (together, apart))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_the_score_is_that_of_the_tokens_one_by_one() -> None:
    net = model("encoder_decoder").eval()
    scored = score_targets(net, PAIRS)
    for index in (0, 5, 9):
        pairs = PAIRS.pad(torch.tensor([index]))
        state, nats, right = net.encode(pairs.source), 0.0, 0
        for token, target in zip(pairs.ids[0].tolist(), pairs.targets[0].tolist(), strict=True):
            logits, state = net(torch.tensor([[token]]), state)
            nats -= float(F.log_softmax(logits[0, 0], dim=0)[target].detach())
            right += int(logits[0, 0].argmax()) == target
        assert math.isclose(scored.nats[index], nats, rel_tol=1e-6)
        assert (scored.right[index], scored.tokens[index]) == (right, pairs.lengths[0])
    total = int(PAIRS.lengths[:, 1].sum())
    assert score(net, PAIRS) == Score(
        float(scored.nats.sum() / total), float(scored.right.sum() / total), targets=total
    )


def test_padding_is_never_right() -> None:
    """Not even for a model that always answers with the padding."""
    net = model()
    with torch.no_grad():
        net.head.bias[PAD] = 1000
    scored = score_targets(net, PAIRS)
    assert scored.right.sum() == 0
    assert score(net, PAIRS).accuracy == 0


def test_an_update_reads_the_source_first() -> None:
    """k small batches equal one large one: the gradient is that of all target tokens."""
    grown = []
    for batch_tokens, accumulate in ((10_000, 1), (700, 0)):
        source = TranslationLoader(PAIRS, batch_tokens=batch_tokens, seed=0, device=CPU)
        net = model()
        config = TrainingConfig(accumulate=accumulate or source.count(0), updates=1, warmup=0, clip=1e9)
        trainer = Trainer(net, source, loss_nats, lambda: Score(0.0, 0.0), config)
        trainer.update()
        assert trainer.progress.since.targets == int(PAIRS.lengths[:, 1].sum())
        assert trainer.progress.tokens == int(PAIRS.lengths.sum())
        grown.append((trainer.progress.gradient_norm, trainer.progress.since.nats))
    assert grown[0] == pytest.approx(grown[1], rel=1e-9)
