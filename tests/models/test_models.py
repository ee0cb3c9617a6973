"""Models: read, initial loss and weights, and the options that each uses or refuses."""

import math
from collections.abc import Mapping
from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from modules import BUILT, EVEN, MODELS, PAIRS, RESIDUAL, SEQ2SEQ, ModelCase
from unrolled import laws
from unrolled.api import build
from unrolled.config import ModelConfig, from_flat
from unrolled.errors import ConfigError, ShapeError
from unrolled.kernels import native
from unrolled.models import Features, Ids, Model
from unrolled.models.model import Answer
from unrolled.models.recurrent import make_cell

IDS = torch.tensor([[5, 6, 7, 8], [9, 5, 0, 0], [6, 6, 6, 0]])
LENGTHS = torch.tensor([4, 2, 3])
SOURCE, SOURCE_LENGTHS = torch.tensor([[5, 6, 0], [7, 8, 5], [8, 0, 0]]), torch.tensor([2, 3, 1])


@pytest.mark.parametrize("case", MODELS, ids=str)
def test_logits_have_the_promised_shape(case: ModelCase) -> None:
    model = case.make()
    x = IDS if case.inputs == "ids" else torch.randn(3, 4, 3)
    logits, _ = model(x, None, LENGTHS)
    assert logits.shape == ((3, 4) if case.answer == "once" else (3, 4, 4))


@pytest.mark.parametrize("case", MODELS, ids=str)
def test_a_fresh_model_is_near_chance(case: ModelCase) -> None:
    torch.manual_seed(0)
    x = torch.randint(1, 11, (64, 9)) if case.inputs == "ids" else torch.randn(64, 9, 3)
    logits, _ = case.make().eval()(x)
    loss = F.cross_entropy(logits.flatten(0, -2), torch.randint(0, 4, logits.shape[:-1]).flatten())
    assert abs(float(loss.detach()) / math.log(4) - 1) < 0.05


@pytest.mark.parametrize("read", ["last", "mean", "max"])
def test_read_is_what_it_says(read: str) -> None:
    torch.manual_seed(0)
    model = build("gru", Ids(11), 4, ModelConfig(embedding_size=6, hidden_size=5, read=read)).eval()
    logits, _ = model(IDS, None, LENGTHS)
    y, _ = model.layers(model.vectors(IDS), None, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        real = y[b, :length]
        summary = {"last": real[-1], "mean": real.mean(0), "max": real.amax(0)}[read]
        torch.testing.assert_close(logits[b], model.head(summary))


@pytest.mark.parametrize("answer", ["once", "each"])
@pytest.mark.parametrize("name", ["elman", "gru", "lstm", "feedforward", "transformer"])
def test_the_input_of_the_head_has_dropout_in_training(name: str, answer: Answer) -> None:
    """Its zeros; a ReLU has some of its own."""
    torch.manual_seed(0)
    own = {"nonlinearity": "tanh"} if name in ("elman", "feedforward") else {}
    config = ModelConfig(embedding_size=8, hidden_size=64, num_heads=4, dropout=0.25, **own)
    model = build(name, Ids(11), 4, config, answer=answer)
    found = []
    model.head.register_forward_pre_hook(lambda module, inputs: found.append((inputs[0] == 0).double().mean()))
    for is_training in (True, False):
        model.train(is_training)
        model(torch.randint(5, 11, (32, 6)))
    assert float(found[0]) == pytest.approx(0.25, abs=0.05)
    assert float(found[1]) == 0


def test_the_bag_forgets_order_and_the_other_rows_do_not() -> None:
    torch.manual_seed(0)
    forward, backward = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[8, 7, 6, 5]])
    for architecture in BUILT:
        if "classify" not in architecture.tasks:
            continue
        model = build(architecture.name, Ids(11), 4, ModelConfig(embedding_size=6, hidden_size=8)).eval()
        same = torch.allclose(model(forward)[0], model(backward)[0], rtol=0, atol=1e-6)
        assert same == (architecture.name == "feedforward")


# Every option of ModelConfig, its other value, and a context where it applies.
RECURRENT, FIXED, ATTENTION = {"model": "gru"}, {"model": "encoder_decoder"}, {"model": "attention"}
GPT = {"model": "gpt", "answer": "each"}
OPTIONS = [
    laws.Option("embedding_size", 7, RECURRENT),
    laws.Option("embedding_std", 0.5, RECURRENT),
    laws.Option("embedding_std", 0.5, {"model": "feedforward"}),
    laws.Option("hidden_size", 6, RECURRENT),
    laws.Option("hidden_size", 6, {"model": "feedforward"}),
    laws.Option("num_layers", 2, RECURRENT),
    laws.Option("num_layers", 2, {"model": "feedforward"}),
    laws.Option("bidirectional", True, RECURRENT),
    laws.Option("bidirectional", True, {"model": "feedforward", "answer": "each"}),
    laws.Option("read", "mean", RECURRENT),
    laws.Option("read", "max", {"model": "lstm", "read": "mean"}),
    laws.Option("read", "max", {"model": "feedforward"}),
    laws.Option("window", 3, {"model": "feedforward", "answer": "each"}),
    laws.Option("dropout", 0.5, RECURRENT),
    laws.Option("dropout", 0.5, {"model": "feedforward"}),
    laws.Option("variational", True, {"model": "gru", "dropout": 0.5}),
    laws.Option("variational", True, {"model": "gru"}, changes=False),  # nothing to drop
    laws.Option("variational", True, {"model": "feedforward", "dropout": 0.5}),
    laws.Option("recurrent_dropout", 0.5, RECURRENT),
    laws.Option("recurrent_dropout", 0.5, {"model": "elman"}),
    laws.Option("recurrent_dropout", 0.5, {"model": "lstm"}),
    laws.Option("zoneout", 0.5, RECURRENT),
    laws.Option("zoneout", 0.5, {"model": "lstm"}),
    laws.Option("zoneout", 0.5, {"model": "attention"}),
    laws.Option("cell", "layernorm_lstm", {"model": "lstm"}),
    laws.Option("cell", "layernorm_gru", {"model": "gru"}),
    laws.Option("forget_bias", 2.0, {"model": "lstm", "cell": "layernorm_lstm"}),
    laws.Option("nonlinearity", "relu", {"model": "elman"}),
    laws.Option("nonlinearity", "tanh", {"model": "elman"}, changes=False),  # its default
    laws.Option("nonlinearity", "tanh", {"model": "feedforward"}),
    laws.Option("bidirectional", True, {"model": "transformer"}, changes=False),  # it is, told so or not
    laws.Option("num_heads", 2, {"model": "transformer"}),
    laws.Option("feedforward_size", 7, {"model": "transformer"}),
    laws.Option("feedforward_size", 32, {"model": "transformer"}, changes=False),  # its default
    laws.Option("norm", "post", {"model": "transformer"}),
    laws.Option("position", "learned", GPT),
    laws.Option("nonlinearity", "gelu", {"model": "transformer"}),
    laws.Option("nonlinearity", "gelu", GPT, changes=False),  # its default
    laws.Option("nonlinearity", "gelu_tanh", GPT),
    laws.Option("nonlinearity", "gelu_tanh", {"model": "transformer"}),
    laws.Option("head_bias", False, GPT),
    *(
        option
        for context in ({"model": "transformer"}, GPT, {"model": "transformer", "pairs": True})
        for option in (
            laws.Option("kv_heads", 2, context),
            laws.Option("kv_heads", 4, context, changes=False),  # its default
            laws.Option("normalization", "rms", context),
            laws.Option("gated", True, context),
            laws.Option("feedforward_size", 24, {**context, "gated": True}, changes=False),  # its default
            laws.Option("position", "rotary", context),
            laws.Option("residual_init", "scaled", context),
            laws.Option("nonlinearity", "silu", {**context, "gated": True}),
        )
    ),
    laws.Option("nonlinearity", "silu", {"model": "feedforward"}),
    laws.Option("dropout", 0.5, {"model": "transformer"}),
    laws.Option("dropout", 0.5, GPT),
    laws.Option("read", "max", {"model": "transformer"}),
    laws.Option("window", 9, {**GPT, "position": "learned"}),
    laws.Option("window", 9, GPT, changes=False),  # a limit, not a number of parameters
    laws.Option("tied", True, {**GPT, "pairs": True}),
    laws.Option("tied", True, {"model": "transformer", "pairs": True}),
    laws.Option("forget_bias", 2.0, {"model": "lstm"}),
    laws.Option("forget_bias", 1.0, {"model": "lstm"}, changes=False),  # its default
    *(
        laws.Option(name, value, {**context, **more})
        for context in (FIXED, ATTENTION)
        for name, value, more in [
            ("embedding_size", 7, {}),
            ("embedding_std", 0.5, {}),
            ("hidden_size", 6, {}),
            ("num_layers", 2, {}),
            ("bidirectional", True, {}),
            ("dropout", 0.5, {}),
            ("variational", True, {"dropout": 0.5}),
            ("recurrent_dropout", 0.5, {}),
            ("nonlinearity", "relu", {"cell": "elman"}),
            ("forget_bias", 2.0, {"cell": "lstm"}),
            ("cell", "lstm", {}),
            ("cell", "elman", {}),
            ("reverse_source", True, {}),
            ("tied", True, {}),
            ("tied", True, {"embedding_size": 5, "shared": True}),
        ]
    ),
    laws.Option("cell", "gru", FIXED, changes=False),  # its default
    laws.Option("score", "dot", ATTENTION),
    laws.Option("score", "general", {**ATTENTION, "score": "dot"}),
    laws.Option("score", "additive", ATTENTION, changes=False),  # its default
    laws.Option("input_feeding", True, {**ATTENTION, "score": "dot"}),
    *(
        option
        for name in RESIDUAL
        for option in (
            laws.Option("embedding_size", 7, {"model": name}),
            laws.Option("hidden_size", 12, {"model": name}),
            laws.Option("num_layers", 3, {"model": name}),
            laws.Option("read", "mean", {"model": name}),
            laws.Option("dropout", 0.5, {"model": name}),
            laws.Option("feedforward_size", 7, {"model": name}),
            laws.Option("gated", True, {"model": name}),
            laws.Option("norm", "post", {"model": name}),
            laws.Option("normalization", "rms", {"model": name}),
            laws.Option("residual_init", "scaled", {"model": name}),
            laws.Option("nonlinearity", "silu", {"model": name}),
            laws.Option("head_bias", False, {"model": name}),
            laws.Option("tied", True, {"model": name, "pairs": True}),
            *([] if name == "mingru" else [laws.Option("num_heads", 2, {"model": name})]),
        )
    ),
    laws.Option("cell", "minlstm", {"model": "mingru"}),
    laws.Option("forget_bias", 2.0, {"model": "mingru", "cell": "minlstm"}),
    laws.Option("mixers", "gru attention", {"model": "hybrid", "num_layers": 2}),
    laws.Option("mixers", "mlstm slstm", {"model": "xlstm", "num_layers": 2}, changes=False),  # its default
    laws.Option("mixers", "mlstm mlstm", {"model": "xlstm", "num_layers": 2}),
    laws.Option("kv_heads", 2, {"model": "hybrid", "num_layers": 3}),
    laws.Option("forget_bias", 2.0, {"model": "xlstm", "num_layers": 1, "mixers": "lstm"}),
    laws.Option("convolution", 3, {"model": "gated_deltanet"}),
    laws.Option("convolution", 4, {"model": "gated_deltanet"}, changes=False),  # its default
    laws.Option("convolution", 1, {"model": "mamba2"}),
    laws.Option("convolution", 2, {"model": "hybrid"}),
    laws.Option("negative_eigenvalues", True, {"model": "gated_deltanet"}),
    laws.Option("negative_eigenvalues", True, {"model": "hybrid"}),
    laws.Option("negative_eigenvalues", True, {"model": "attention", "cell": "gated_deltanet", "hidden_size": 8}),
    laws.Option("num_heads", 2, {"model": "encoder_decoder", "cell": "mlstm", "hidden_size": 8}),
]


def trained_once(settings: Mapping[str, object]) -> dict[str, Tensor]:
    """Parameters, the logits in training mode and all gradients of a small model."""
    hidden_size = 8 if settings["model"] in EVEN else 5
    settings = {"embedding_size": 6, "hidden_size": hidden_size, "dropout": 0.0, **settings}
    name, answer = str(settings.pop("model")), settings.pop("answer", "once")
    inputs = PAIRS._replace(source_size=11, shared=bool(settings.pop("shared", False)))
    pairs = (name in SEQ2SEQ and name not in EVEN) or bool(settings.pop("pairs", False))
    config = ModelConfig(**settings)
    torch.manual_seed(0)
    if pairs:
        model, answer = build(name, inputs, 11, config, answer="each"), "each"
    else:
        model = build(name, Ids(11), 4, config, answer=answer)
    torch.manual_seed(1)
    logits, _ = model(IDS, model.encode(SOURCE, SOURCE_LENGTHS) if pairs else None, LENGTHS)
    F.cross_entropy(logits if answer == "once" else logits[:, -1], torch.tensor([0, 1, 2])).backward()
    return {
        "logits": logits.detach(),
        **{f"parameter {name}": p.detach() for name, p in model.named_parameters()},
        **{f"gradient {name}": p.grad for name, p in model.named_parameters() if p.grad is not None},
    }


def test_every_option_matters() -> None:
    assert {option.name for option in OPTIONS} == set(ModelConfig.model_fields) - {"name"}
    assert laws.options_matter(trained_once, OPTIONS).compared == len(OPTIONS)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("feedforward", {"bidirectional": True}, "^bidirectional (only applies|does not apply) to"),
        ("feedforward", {"recurrent_dropout": 0.2}, "^recurrent_dropout (only applies|does not apply) to"),
        ("feedforward", {"read": "last"}, "no last state to read"),
        ("feedforward", {"window": 3}, "^window (only applies|does not apply) to"),
        ("feedforward", {"answer": "each", "read": "mean"}, "^read (only applies|does not apply) to"),
        ("gru", {"answer": "each", "read": "max"}, "^read (only applies|does not apply) to"),
        ("gru", {"window": 3}, "^window (only applies|does not apply) to"),
        ("gru", {"forget_bias": 1.0}, "^forget_bias (only applies|does not apply) to"),
        ("lstm", {"nonlinearity": "relu"}, "^nonlinearity (only applies|does not apply) to"),
        ("transformer", {"read": "last"}, "no last state to read"),
        ("transformer", {"recurrent_dropout": 0.2}, "^recurrent_dropout (only applies|does not apply) to"),
        ("transformer", {"hidden_size": 130}, "must be divisible by num_heads: got 130 and 4; try 128 or 132"),
        ("transformer", {"kv_heads": 3}, "kv_heads must divide num_heads, 4: got 3; try one of 1, 2, 4"),
        ("transformer", {"hidden_size": 4, "position": "rotary"}, "hidden_size / num_heads, must be at least 2: got 1"),
        ("gru", {"kv_heads": 1}, "kv_heads only applies to models transformer, xlstm and hybrid"),
        ("elman", {"nonlinearity": "silu"}, 'nonlinearity must be "tanh" or "relu": got \'silu\''),
        ("gpt", {}, "predicts the next token at each step"),
        ("gpt", {"answer": "each", "read": "max"}, "^read (only applies|does not apply) to"),
        ("attention", {}, 'inputs must be Pairs and answer "each"'),
        ("mingru", {"bidirectional": True}, "^bidirectional (only applies|does not apply) to"),
        ("mingru", {"num_heads": 2}, "^num_heads (only applies|does not apply) to"),
        ("mingru", {"cell": "gru"}, 'model mingru runs cell mingru or minlstm: got "gru"'),
        ("gated_deltanet", {"hidden_size": 130}, "must be divisible by num_heads: got 130 and 4; try 128 or 132"),
        ("gated_deltanet", {"mixers": "gru"}, "^mixers only applies to"),
        ("mamba2", {"negative_eigenvalues": True}, "^negative_eigenvalues only applies to"),
        ("linear_attention", {"convolution": 3}, "^convolution only applies to"),
        ("linear_attention", {"position": "rotary"}, "^position (only applies|does not apply) to"),
        (
            "hybrid",
            {"num_layers": 3, "mixers": "gru attention"},
            "one mixer for each of the 3 layers: got 2, gru attention; set num_layers to 2",
        ),
        (
            "xlstm",
            {"num_layers": 2, "mixers": "gru lstm", "convolution": 3},
            "convolution is set, but none of the mixers has a convolution: gru, lstm",
        ),
        ("perceptron", {}, "is unknown"),
    ],
)
def test_an_option_that_a_model_does_not_use_is_refused(name: str, options: dict[str, object], message: str) -> None:
    answer = options.pop("answer", "once")
    with pytest.raises(ConfigError, match=message):
        build(name, Ids(11), 4, ModelConfig(**options), answer=answer)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match='cell "lstn" is unknown .did you mean "lstm"'):
        from_flat({"cell": "lstn"})
    with pytest.raises(ConfigError, match='mixer "mlstn" is unknown .did you mean "mlstm"'):
        from_flat({"mixers": "slstm mlstn"})
    with pytest.raises(ConfigError, match='mixer "" is unknown'):
        from_flat({"mixers": " "})
    with pytest.raises(ConfigError, match="convolution"):
        from_flat({"convolution": 65})
    with pytest.raises(ConfigError, match='cell "lstn" is unknown .did you mean "lstm"'):
        make_cell("lstn", 3, ModelConfig())
    with pytest.raises(ConfigError, match='model gru runs cell gru or layernorm_gru: got "lstm"'):
        build("gru", Ids(11), 4, ModelConfig(cell="lstm"))
    with pytest.raises(ConfigError, match="num_outputs must be at least 1: got 0"):
        build("gru", Ids(11), 0, ModelConfig())
    with pytest.raises(ShapeError, match=r"inputs must have shape \(B, T, D=3\)"):
        build("gru", Features(3), 4, ModelConfig())(torch.zeros(2, 5, 4))


def test_a_model_without_an_encoder_has_nothing_to_begin() -> None:
    with pytest.raises(ConfigError, match="has no encoder"):
        build("gru", Ids(11), 4, ModelConfig()).encode(IDS)
    with pytest.raises(NotImplementedError, match="forward"):
        Model(Ids(11), 4, ModelConfig())(IDS)


def test_what_a_window_reaches_and_what_it_does_not() -> None:
    torch.manual_seed(0)
    model = build("feedforward", Ids(11), 4, ModelConfig(embedding_size=6, window=3), answer="each").eval()
    assert model.receptive_field == 3
    ids = torch.tensor([[5, 6, 7, 8]])
    for position in range(4):
        changed = ids.clone()
        changed[0, position] = 9
        same = torch.equal(model(ids)[0][0, -1], model(changed)[0][0, -1])
        assert same == (position < 1), "only the last 3 of 4 matter"
    assert build("gru", Ids(11), 4, ModelConfig(), answer="each").receptive_field is None


@pytest.mark.parametrize(("window", "positions"), [(1, [2]), (3, [1, 2, 3]), (4, [0, 1, 2, 3])])
def test_a_window_in_both_directions_has_its_step_in_the_middle(window: int, positions: list[int]) -> None:
    torch.manual_seed(0)
    config = ModelConfig(embedding_size=6, window=window, bidirectional=True)
    model = build("feedforward", Ids(11), 4, config, answer="each").eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    for position in range(5):
        changed = ids.clone()
        changed[0, position] = 10
        same = torch.equal(model(ids)[0][0, 2], model(changed)[0][0, 2])
        assert same == (position not in positions)


def test_two_requests_share_one_model() -> None:
    """State is a value: interleaved continuations give what each gives alone."""
    torch.manual_seed(0)
    model = build("lstm", Ids(11), 4, ModelConfig(embedding_size=6, hidden_size=5), answer="each").eval()
    a, b = torch.tensor([[5, 6, 7]]), torch.tensor([[9, 8, 10]])
    state_a = state_b = None
    for t in range(3):
        logits_a, state_a = model(a[:, t : t + 1], state_a)
        logits_b, state_b = model(b[:, t : t + 1], state_b)
    torch.testing.assert_close(logits_a[:, 0], model(a)[0][:, -1])
    torch.testing.assert_close(logits_b[:, 0], model(b)[0][:, -1])


@pytest.mark.skipif(not native.compiled(), reason="the order of torch's sums depends on the batch")
@pytest.mark.parametrize(
    ("name", "answer"), [*product(["elman", "gru", "lstm"], ["once", "each"]), ("feedforward", "each")]
)
def test_a_recurrent_or_windows_answer_has_the_same_bits_in_any_company(name: str, answer: Answer) -> None:
    """At sizes where torch's own products of one sequence and of sixteen differ."""
    torch.manual_seed(0)
    model = build(name, Ids(90), 81, ModelConfig(embedding_size=48, hidden_size=64), answer=answer).eval()
    ids, lengths = torch.randint(5, 90, (16, 21)), torch.arange(6, 22)
    with torch.inference_mode():
        together, _ = model(ids, None, lengths)
        for i, length in enumerate(lengths.tolist()):
            alone, _ = model(ids[[i], :length])
            assert torch.equal(alone[0], together[i] if answer == "once" else together[i, :length])
