"""Transformer and GPT with a source: equations, states, lengths, and refusals."""

import math

import pytest
import torch
from torch.nn import functional as F

from modules import ATTENTIVE_PAIRS_MODELS, PAIRS, PairsCase, shaken
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError, ShapeError
from unrolled.models import GPTModel, Ids, TransformerModel
from unrolled.models.decoder import SEP
from unrolled.state import select

SOURCE, SOURCE_LENGTHS = torch.tensor([[5, 6, 7, 8], [8, 5, 0, 0], [6, 6, 7, 0]]), torch.tensor([4, 2, 3])
IDS = torch.tensor([[2, 9, 10, 5, 6], [2, 5, 6, 7, 8], [2, 7, 7, 9, 5]])
cases = pytest.mark.parametrize("case", ATTENTIVE_PAIRS_MODELS, ids=str)


def made(case: PairsCase) -> TransformerModel | GPTModel:
    torch.manual_seed(0)
    return shaken(case.make()).double().eval()


@cases
def test_a_fresh_model_is_near_chance(case: PairsCase) -> None:
    torch.manual_seed(0)
    model = case.make().eval()
    source, ids = torch.randint(5, 9, (64, 6)), torch.randint(5, 11, (64, 7))
    logits, _ = model(ids, model.encode(source))
    loss = F.cross_entropy(logits.flatten(0, 1), torch.randint(5, 11, (64 * 7,)))
    assert logits.shape == (64, 7, 11)
    assert abs(float(loss.detach()) / math.log(11) - 1) < 0.05


@cases
def test_step_by_step_it_says_what_it_says_at_once_and_the_source_matters(case: PairsCase) -> None:
    model = made(case)
    whole, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS))
    state, steps = model.encode(SOURCE, SOURCE_LENGTHS), []
    for t in range(IDS.shape[1]):
        logits, state = model(IDS[:, t : t + 1], state)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole)
    other, _ = model(IDS, model.encode(SOURCE.flip(0), SOURCE_LENGTHS.flip(0)))
    assert (other - whole).abs().amax((1, 2))[[0, 2]].min() > 1e-6


@cases
def test_the_gradient_reaches_every_parameter(case: PairsCase) -> None:
    model = made(case)
    logits, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS))
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@cases
def test_beams_of_one_source_may_be_reordered(case: PairsCase) -> None:
    model, order = made(case), [2, 0, 2]
    source = SOURCE[:1].expand(3, -1)
    _, state = model(IDS[:, :3], model.encode(source))
    logits, _ = model(IDS[order, 3:], select(state, order))
    torch.testing.assert_close(logits, model(IDS[order], model.encode(source))[0][:, 3:])


def test_gpt_reads_source_sep_and_target_in_one_row() -> None:
    """With equal vectors for both sides it is a language model of source, <sep>, target."""
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=6, hidden_size=8, tied=True)
    model = shaken(GPTModel(PAIRS._replace(source_size=11, shared=True), 11, config)).double().eval()
    alone = GPTModel(Ids(11), 11, config).double().eval()
    alone.load_state_dict(model.state_dict())
    logits, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS))
    for b, length in enumerate(SOURCE_LENGTHS.tolist()):
        joined = torch.cat([SOURCE[b, :length], torch.tensor([SEP]), IDS[b]])
        torch.testing.assert_close(logits[b], alone(joined[None])[0][0, length + 1 :])


@cases
def test_lengths_may_be_of_any_integers(case: PairsCase) -> None:
    model = made(case)
    wanted, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS))
    got, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS.int()))
    assert torch.equal(got, wanted)


def test_pairs_that_fit_into_the_window_fit_side_by_side() -> None:
    """A long source and a short target next to a short source and a long target."""
    torch.manual_seed(0)
    model = shaken(GPTModel(PAIRS, 11, ModelConfig(embedding_size=6, hidden_size=8, window=12))).double().eval()
    source, ids = torch.randint(5, 9, (2, 8)), torch.randint(5, 11, (2, 8))
    lengths, own = torch.tensor([8, 2]), torch.tensor([3, 8])
    assert model.remaining_length(lengths).tolist() == [3, 9]
    together, _ = model(ids, model.encode(source, lengths), own)
    for b, (S, T) in enumerate(zip(lengths.tolist(), own.tolist(), strict=True)):
        alone, _ = model(ids[[b], :T], model.encode(source[[b], :S]))
        torch.testing.assert_close(together[b, :T], alone[0])


def test_the_remaining_length_is_the_number_of_positions_that_a_source_leaves() -> None:
    config = ModelConfig(embedding_size=6, hidden_size=8, window=12)
    lengths = torch.tensor([1, 12, 13])
    assert TransformerModel(PAIRS, 11, config, "each").remaining_length(lengths).tolist() == [12, 12, 0]
    assert GPTModel(PAIRS, 11, config).remaining_length(lengths).tolist() == [10, -1, -2]
    free = config.model_copy(update={"window": None})
    assert (GPTModel(PAIRS, 11, free).remaining_length(lengths) > 1e9).all()
    assert TransformerModel(PAIRS, 11, free, "each").max_source_length is None


@cases
def test_what_is_refused(case: PairsCase) -> None:
    model = made(case)
    with pytest.raises(ConfigError, match=r"call encode\(source, lengths\)"):
        model(IDS)
    with pytest.raises(ShapeError, match="sequence 1 has none"):
        model.encode(SOURCE, torch.tensor([4, 0, 3]))
    with pytest.raises(ConfigError, match="only if built with Pairs: start"):
        type(model)(Ids(11), 11, ModelConfig(hidden_size=8), answer="each").encode(SOURCE)
