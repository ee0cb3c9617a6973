"""Encoder-decoder and attention compared with their equations, and the options that they refuse."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modules import PAIRS, PAIRS_MODELS, PairsCase, shaken
from tolerances import FLOAT64
from unrolled.cells import GRUCell
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError, ShapeError
from unrolled.layers import Recurrent
from unrolled.models import AttentionModel, EncoderDecoderModel, Ids, Pairs
from unrolled.scan import frozen
from unrolled.state import leaves, select

SOURCE = torch.tensor([[5, 6, 7, 8], [7, 8, 0, 0], [8, 5, 6, 0]])
SOURCE_LENGTHS = torch.tensor([4, 2, 3])
IDS = torch.tensor([[2, 9, 6, 7, 5], [2, 5, 10, 0, 0], [2, 0, 0, 0, 0]])
LENGTHS = torch.tensor([5, 3, 1])
cases = pytest.mark.parametrize("case", PAIRS_MODELS, ids=str)


def made(case: PairsCase, **more: object) -> EncoderDecoderModel:
    torch.manual_seed(0)
    return shaken(case.make(**more)).double().eval()


def close(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=20 * FLOAT64)


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
def test_the_decoder_begins_with_what_the_bridge_makes_of_the_encoders_final_states(case: PairsCase) -> None:
    """Layer by layer, field by field: tanh(W [forward's last; backward's first] + b)."""
    model = made(case)
    state = model.encode(SOURCE, SOURCE_LENGTHS)
    first = state.decoder.layers if isinstance(model, AttentionModel) else state.decoder
    for b, length in enumerate(SOURCE_LENGTHS.tolist()):
        x = model.source_vectors(SOURCE[[b], :length])
        for layer, bridge, initial in zip(model.encoder.layers, model.bridge, first, strict=True):
            x, final = layer(x)
            for name in initial._fields:
                sides = (final.forward, final.backward) if model.config.bidirectional else (final,)
                linear, joined = bridge.fields[name], torch.cat([getattr(side, name)[0] for side in sides])
                close(getattr(initial, name)[b], (linear.weight @ joined + linear.bias).tanh())


@pytest.mark.parametrize("case", [case for case in PAIRS_MODELS if "bidirectional" not in case.options], ids=str)
def test_a_reversed_source_is_the_source_read_from_its_end(case: PairsCase) -> None:
    options = {name: value for name, value in case.options.items() if name != "reverse_source"}
    forwards = made(PairsCase(case.name, options))
    reverse = made(PairsCase(case.name, {**options, "reverse_source": True}))
    reverse.load_state_dict(forwards.state_dict())
    turned = torch.tensor([[8, 7, 6, 5], [8, 7, 0, 0], [6, 5, 8, 0]])
    logits, state = reverse(IDS, reverse.encode(SOURCE, SOURCE_LENGTHS), LENGTHS)
    expected, expected_state = forwards(IDS, forwards.encode(turned, SOURCE_LENGTHS), LENGTHS)
    assert not torch.allclose(logits, forwards(IDS, forwards.encode(SOURCE, SOURCE_LENGTHS), LENGTHS)[0])
    close(logits[0], expected[0])
    if case.name == "attention":  # a weight belongs to a position in the source, whatever the order of reading
        close(state.decoder.weights[0], expected_state.decoder.weights[0].flip(0))


def test_the_query_of_additive_attention_is_the_state_before_the_step() -> None:
    model = made(PairsCase("attention", {"bidirectional": True}))
    state = model.encode(SOURCE, SOURCE_LENGTHS)
    outputs, score, cell = state.memory.outputs, model.decoder.score, model.decoder.layers.layers[0].cell
    here = torch.arange(4) < SOURCE_LENGTHS.unsqueeze(1)
    s, expected = state.decoder.layers[0], []
    for t in range(5):
        a = torch.tanh((s.h @ score.query.weight.T).unsqueeze(1) + outputs @ score.key.weight.T + score.key.bias)
        weights = (a @ score.v).masked_fill(~here, -torch.inf).softmax(1)
        context = (weights.unsqueeze(2) * outputs).sum(1)
        x_gates = cell.project(torch.cat([model.embedding.weight[IDS[:, t]], context], dim=1))
        y, s = cell.advance(cell.gates(x_gates, s), s)
        expected.append(model.head(y))
    logits, after = model(IDS, state)
    close(logits, torch.stack(expected, dim=1))
    close(after.decoder.weights, weights)
    close(after.decoder.context, context)


@pytest.mark.parametrize(("score", "feeding"), [("additive", False), ("dot", False), ("dot", True), ("general", True)])
@pytest.mark.parametrize("needs_gradient", [False, True])
def test_a_sequence_without_steps_keeps_its_state(score: str, feeding: bool, needs_gradient: bool) -> None:
    """Weights, context and the fed output, too; in float32 additive attention is one node of the kernels."""
    model = made(PairsCase("attention", {"score": score, "input_feeding": feeding, "num_layers": 2})).float()
    with torch.set_grad_enabled(needs_gradient):
        _, state = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS), LENGTHS)
        _, after = model(IDS, state, torch.tensor([3, 0, 0]))
    for before, now in zip(leaves(state.decoder), leaves(after.decoder), strict=True):
        assert torch.equal(before[1:], now[1:])
        assert not torch.equal(before[0], now[0])


@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("score", ["dot", "general"])
def test_the_query_of_luongs_attention_is_the_state_after_the_step(score: str, feeding: bool) -> None:
    model = made(PairsCase("attention", {"score": score, "input_feeding": feeding, "num_layers": 2}))
    state = model.encode(SOURCE, SOURCE_LENGTHS)
    outputs, decoder = state.memory.outputs, model.decoder
    here = torch.arange(4) < SOURCE_LENGTHS.unsqueeze(1)
    s, fed, expected = state.decoder.layers, torch.zeros(3, 5).double(), []
    for t in range(5):
        x = model.embedding.weight[IDS[:, t]]
        y, s = decoder.layers((torch.cat([x, fed], dim=1) if feeding else x).unsqueeze(1), s)
        query = y if score == "dot" else y @ decoder.score.key.weight
        weights = (query @ outputs.transpose(1, 2)).squeeze(1).masked_fill(~here, -torch.inf).softmax(1)
        context = (weights.unsqueeze(2) * outputs).sum(1)
        fed = torch.tanh(torch.cat([context, y[:, 0]], dim=1) @ decoder.combine.weight.T + decoder.combine.bias)
        expected.append(model.head(fed))
    logits, after = model(IDS, state)
    close(logits, torch.stack(expected, dim=1))
    close(after.decoder.weights, weights)
    close(after.decoder.context, context)


@cases
def test_gradients(case: PairsCase) -> None:
    model = made(case)

    def function(*_: Tensor) -> list[Tensor]:
        logits, state = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS), LENGTHS)
        return [logits, *(leaf for leaf in leaves(state.decoder))]

    assert torch.autograd.gradcheck(function, tuple(model.parameters()), fast_mode=True)


@pytest.mark.parametrize("score", ["additive", "general"])
def test_keys_are_projected_once(score: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(PairsCase("attention", {"score": score}))
    calls = []
    monkeypatch.setattr(model.decoder.score.key, "forward", lambda x: (calls.append(1), x[..., :5])[1])
    state = model.encode(SOURCE, SOURCE_LENGTHS)
    for t in range(5):
        _, state = model(IDS[:, t : t + 1], state)
    assert calls == [1]


@cases
def test_beams_of_one_source_reorder_what_is_carried_alone(case: PairsCase) -> None:
    model = made(case)
    source, order = SOURCE[:1].expand(3, -1), [2, 0, 2]
    _, state = model(IDS[:, :3], model.encode(source))
    logits, _ = model(IDS[order, 3:], state._replace(decoder=select(state.decoder, order)))
    close(logits, model(IDS[order], model.encode(source))[0][:, 3:])


@cases
def test_frozen_it_decodes_the_same(case: PairsCase) -> None:
    torch.manual_seed(0)
    model = case.make().eval()
    with torch.inference_mode():
        logits, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS))
        with frozen(model):
            state = model.encode(SOURCE, SOURCE_LENGTHS)
            for t in range(5):
                step, state = model(IDS[:, t : t + 1], state)
                torch.testing.assert_close(step[:, 0], logits[:, t])


@pytest.mark.parametrize("name", ["encoder_decoder", "attention"])
@pytest.mark.parametrize(("size", "shared"), [(6, False), (5, False), (6, True)])
def test_tied_vectors_are_the_heads_weights(name: str, size: int, shared: bool) -> None:
    case = PairsCase(name, {"tied": True, "embedding_size": size})
    model = made(case, inputs=Pairs(11 if shared else 9, 11, shared))
    y = torch.randn(2, 3, 5).double()
    projected = y if size == 5 else y @ model.head.project.weight.T
    close(model.logits(y), projected @ model.embedding.weight.T + model.head.bias)
    assert (model.source_embedding is None) == shared
    names = [name for name in model.state_dict() if "embedding" in name]
    assert len(names) == (1 if shared else 2), "a tensor has one name in a file"


def test_a_shared_vocabulary_that_is_not_tied_has_vectors_for_each_side() -> None:
    model = made(PairsCase("encoder_decoder", {}), inputs=Pairs(11, 11, shared=True))
    assert not torch.equal(model.source_embedding.weight, model.embedding.weight)


def test_only_the_lowest_layer_of_additive_attention_waits_for_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    model, steps = made(PairsCase("attention", {"num_layers": 2})), []
    run = Recurrent.forward
    monkeypatch.setattr(Recurrent, "forward", lambda self, x, *rest: (steps.append(x.shape[1]), run(self, x, *rest))[1])
    with torch.no_grad():
        state = model.encode(SOURCE)
        steps.clear()
        model(IDS, state)
    assert steps == [5]


def test_without_a_source_nothing_begins() -> None:
    model = PAIRS_MODELS[0].make()
    with pytest.raises(ConfigError, match="model encoder_decoder has an encoder: call encode"):
        model(IDS)
    with pytest.raises(ShapeError, match="a source has at least one token: sequence 1 has none"):
        model.encode(SOURCE, torch.tensor([4, 0, 3]))
    with pytest.raises(ShapeError, match="a source has at least one token: sequence 0 has none"):
        model.encode(SOURCE[:, :0])
    with pytest.raises(ShapeError, match="ids must lie between 0 and 8: got 9"):
        model.encode(torch.tensor([[9]]))
    with pytest.raises(ShapeError, match="lengths must lie between 0 and T=4"):
        model.encode(SOURCE, torch.tensor([5, 1, 1]))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("encoder_decoder", {"score": "dot"}, "^score (only applies|does not apply) to"),
        ("encoder_decoder", {"input_feeding": True}, "^input_feeding (only applies|does not apply) to"),
        ("encoder_decoder", {"read": "last"}, "^read (only applies|does not apply) to"),
        ("encoder_decoder", {"window": 3}, "^window (only applies|does not apply) to"),
        ("encoder_decoder", {"forget_bias": 1.0}, "^forget_bias (only applies|does not apply) to"),
        ("attention", {"cell": "lstm", "nonlinearity": "relu"}, "^nonlinearity (only applies|does not apply) to"),
        ("attention", {"bidirectional": True, "reverse_source": True}, "remove reverse_source"),
        ("attention", {"input_feeding": True}, 'input_feeding needs score "dot" or "general"'),
        (
            "attention",
            {"score": "dot", "bidirectional": True},
            'score "dot" needs a decoder state and encoder outputs .* 5 and 10',
        ),
        ("attention", {"score": "dot", "input_feeding": True, "variational": True}, "remove variational and"),
    ],
)
def test_an_option_that_a_model_does_not_use_is_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PairsCase(name, options).make()


def test_it_takes_pairs_and_answers_at_each_step() -> None:
    for model in (EncoderDecoderModel, AttentionModel):
        with pytest.raises(ConfigError, match=f"model {model.name} predicts a target from a source"):
            model(Ids(11), 11, ModelConfig())
        with pytest.raises(ConfigError, match='answer "each"'):
            model(PAIRS, 11, ModelConfig(), "once")


def test_its_cells_are_those_of_the_config() -> None:
    model = PairsCase("encoder_decoder", {}).make()
    assert all(type(layer.cell) is GRUCell for layer in model.modules() if isinstance(layer, Recurrent))


@cases
def test_lengths_may_be_of_any_integers(case: PairsCase) -> None:
    """In float32, where a kernel takes them."""
    model = made(case).float()
    wanted, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS))
    got, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS.int()))
    assert torch.equal(got, wanted)
