"""An ensemble of models: mean probabilities, and the contract of a model."""

import pytest
import torch

from modules import PAIRS, PairsCase, shaken
from unrolled import laws
from unrolled.api import build
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.models import Ids, Model
from unrolled.models.ensemble import Ensemble
from unrolled.state import select

SOURCE, SOURCE_LENGTHS = torch.tensor([[5, 6, 7, 8], [8, 5, 0, 0]]), torch.tensor([4, 2])
IDS = torch.tensor([[2, 9, 10, 5], [2, 5, 6, 7]])


def language_model(name: str, **options: object) -> Model:
    config = ModelConfig(embedding_size=6, hidden_size=8, **options)
    return shaken(build(name, Ids(11), 11, config, answer="each"))


def writers() -> list[Model]:
    torch.manual_seed(0)
    return [language_model("gru"), language_model("gpt", window=9), language_model("lstm", num_layers=2)]


def translators() -> list[Model]:
    torch.manual_seed(0)
    return [shaken(PairsCase(name, {}).make()) for name in ("transformer", "attention", "gpt", "encoder_decoder")]


@pytest.mark.parametrize("make", [writers, translators])
def test_probabilities_are_the_mean_and_the_laws_hold(make: object) -> None:
    models = [model.double().eval() for model in make()]
    whole = Ensemble(models)
    states = [model.encode(SOURCE, SOURCE_LENGTHS) if make is translators else None for model in [whole, *models]]
    log_p, *each = [model(IDS, state)[0] for model, state in zip([whole, *models], states, strict=True)]
    torch.testing.assert_close(log_p.exp(), sum(logits.softmax(-1) for logits in each) / len(each))
    held = {result.law for result in laws.check(Ensemble(make())) if result.compared}
    assert {"split", "causal", "batch_invariance", "round_trip"} <= held


def test_beams_of_one_source_may_be_reordered() -> None:
    whole, order = Ensemble(translators()).double().eval(), [1, 0, 1]
    _, state = whole(IDS[:, :3], whole.encode(SOURCE, SOURCE_LENGTHS))
    logits, _ = whole(IDS[order, 3:], select(state, order))
    expected, _ = whole(IDS[order], whole.encode(SOURCE[order], SOURCE_LENGTHS[order]))
    torch.testing.assert_close(logits, expected[:, 3:])


def test_limits_are_the_smallest() -> None:
    assert Ensemble(writers()).max_length == 9
    assert Ensemble([language_model("gru"), language_model("lstm")]).max_length is None
    limited = [PairsCase("gpt", {"window": 20}).make(), PairsCase("transformer", {"window": 12}).make()]
    whole, lengths = Ensemble(limited), torch.tensor([3, 12, 15])
    assert whole.max_source_length == 12
    both = [model.remaining_length(lengths).tolist() for model in limited]
    assert whole.remaining_length(lengths).tolist() == [min(pair) for pair in zip(*both, strict=True)]


def test_models_of_other_tokens_are_refused() -> None:
    other = PairsCase("gpt", {}).make(PAIRS._replace(vocabulary_size=12))
    with pytest.raises(ConfigError, match="same inputs, outputs and answers: got 2 kinds"):
        Ensemble([*translators(), other])
    with pytest.raises(ConfigError, match="got 0 kinds"):
        Ensemble([])
