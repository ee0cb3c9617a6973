"""Parameters, operations and state of every model: against torch's own counter and against running it."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from modules import ATTENTIVE_PAIRS_MODELS, MODELS, PAIRS_MODELS, RESIDUAL_PAIRS_MODELS, ModelCase, PairsCase
from unrolled.api import build
from unrolled.cells import Cell, ElmanState
from unrolled.comparison.size import grows, operations, parameters, state_bytes
from unrolled.config import ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Additive, Recurrent, Stacked, set_backend
from unrolled.lineage import LINEAGE, architecture
from unrolled.models import Features, Ids, Model, Pairs
from unrolled.state import nbytes

T, S, B = 4, 3, 2
Case = ModelCase | PairsCase
EVERY: list[Case] = [*MODELS, *PAIRS_MODELS, *ATTENTIVE_PAIRS_MODELS, *RESIDUAL_PAIRS_MODELS]
FURTHER: list[Case] = [
    *(ModelCase(name, inputs, "each", {"cell": f"layernorm_{name}", "num_layers": 2})
      for name in ("lstm", "gru") for inputs in ("ids", "features")),
    ModelCase("elman", "features", "once", {"bidirectional": True, "num_layers": 3, "recurrent_dropout": 0.1}),
    *(ModelCase("transformer", "features", "once", {"norm": "post", "hidden_size": 3, "num_heads": 1, **position})
      for position in ({}, {"position": "learned"})),
    ModelCase("transformer", "ids", "each", {"feedforward_size": 7}),
    ModelCase("gpt", "ids", "each", {"tied": True}),
    PairsCase("attention", {"score": "general", "tied": True, "num_layers": 2, "cell": "layernorm_lstm"}),
    PairsCase("gpt", {"num_layers": 3, "norm": "post", "position": "rotary", "kv_heads": 1}),
    PairsCase("transformer", {"embedding_size": 8, "tied": True}),
]  # fmt: skip


def made(case: Case, **more: Any) -> Model:
    options = {"dropout": 0.0, **more}
    if case.options.get("tied") and isinstance(case, ModelCase):
        config = ModelConfig(embedding_size=6, hidden_size=8, tied=True, **options)
        return build(case.name, Ids(11), 11, config, answer="each")
    return case.make(**options)


def run(model: Model, length: int, source_length: int, batch: int) -> tuple[torch.Tensor, Any]:
    state = None
    if isinstance(model.inputs, Pairs):
        state = model.encode(torch.randint(5, 9, (batch, source_length)))
    size = model.inputs.size if isinstance(model.inputs, Features) else None
    inputs = torch.randint(5, 9, (batch, length)) if size is None else torch.randn(batch, length, size)
    return model(inputs, state)


def counted(model: Model, length: int, source_length: int, batch: int) -> int:
    set_backend(model, "reference")
    with FlopCounterMode(display=False) as counter:
        logits, _ = run(model.train(), length, source_length, batch)
        logits.sum().backward()
    return counter.get_total_flops()


def uncounted(model: Model, length: int, source_length: int, batch: int) -> int:
    """Return the products with v of the additive score, forward and for two gradients: torch's counter has no `mv`."""
    sizes = [module.v.numel() for module in model.modules() if isinstance(module, Additive)]
    return sum(6 * batch * length * source_length * size for size in sizes)


def lengths(model: Model) -> dict[str, int]:
    return {"length": T, "source_length": S if isinstance(model.inputs, Pairs) else 0}


@pytest.mark.parametrize("case", [*EVERY, *FURTHER], ids=str)
def test_operations_are_those_that_torch_counts(case: Case) -> None:
    model = made(case)
    assert operations(model, **lengths(model), batch=B) == counted(model, T, S, B) + uncounted(model, T, S, B)


@pytest.mark.parametrize("name", ["gpt", "transformer"])
def test_operations_of_long_sequences_are_those_of_torchs_definition(name: str) -> None:
    """From 65 keys on, attention is one operator of torch, whose definition is counted."""
    model = build(name, Ids(11), 11, ModelConfig(hidden_size=8, dropout=0.0, window=128), answer="each")
    with sdpa_kernel(SDPBackend.MATH):
        assert operations(model, length=70, batch=2) == counted(model, 70, 0, 2)


@pytest.mark.parametrize("name", ["feedforward", "elman", "transformer"])
def test_vectors_that_are_frozen_need_no_gradient(name: str) -> None:
    model = build(name, Ids(11), 2, ModelConfig(embedding_size=8, hidden_size=8, dropout=0.0, norm="pre"))
    trained = operations(model, length=T)
    assert model.embedding is not None
    model.embedding.weight.requires_grad_(False)
    assert operations(model, length=T) == counted(model, T, 0, 1)
    assert (operations(model, length=T) < trained) == (name != "transformer")  # there a norm has weights below


def test_operations_of_an_lstm_by_hand() -> None:
    D, H, V, T = 6, 5, 3, 7
    model = build("lstm", Ids(11), V, ModelConfig(embedding_size=D, hidden_size=H))
    of_x, of_h = 4 * H * D, 4 * H * H
    assert operations(model, length=T, batch=2) == 2 * (6 * T * of_x + 6 * T * of_h - 2 * of_h + 6 * H * V)


def test_operations_of_a_gpt_by_hand() -> None:
    D, F, V, T, L = 8, 32, 11, 7, 3
    model = build("gpt", Ids(V), V, ModelConfig(embedding_size=D, hidden_size=D, num_layers=L), answer="each")
    assert operations(model, length=T) == 6 * T * (L * (4 * D * D + 2 * D * F + 2 * T * D) + D * V)


class TwoMatrices(Cell):
    """h_t = tanh(W x_t + U h_{t−1}) + U_2 h_{t−1}, of modules and a parameter with names of their own."""

    State = ElmanState

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.enter, self.back = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size, bias=False)
        self.skip = nn.Parameter(torch.randn(hidden_size, hidden_size))

    def project(self, x: torch.Tensor) -> torch.Tensor:
        return self.enter(x)

    def gates(self, x_gates: torch.Tensor, state: ElmanState) -> ElmanState:
        return ElmanState((x_gates + self.back(state.h)).tanh())

    def advance(self, gates: ElmanState, state: ElmanState) -> tuple[torch.Tensor, ElmanState]:
        h = gates.h + state.h @ self.skip
        return h, ElmanState(h)


@pytest.mark.parametrize("inputs", [Ids(11), Features(6)], ids=str)
def test_every_matrix_of_a_cell_of_ones_own_counts_at_every_step(inputs: Ids | Features) -> None:
    model = build("elman", inputs, 2, ModelConfig(hidden_size=5, dropout=0.0, **EMBEDDED.get(type(inputs), {})))
    model.layers = Stacked([Recurrent(TwoMatrices(6, 5)), Recurrent(TwoMatrices(5, 5))])
    assert operations(model, length=T) == counted(model, T, 0, 1)


EMBEDDED = {Ids: {"embedding_size": 6}}


def test_a_module_with_unknown_matrices_is_refused() -> None:
    model = build("feedforward", Features(6), 2, ModelConfig(hidden_size=5))
    model.mlp.steps.append(nn.Bilinear(5, 5, 5))
    with pytest.raises(ConfigError, match="the products of Bilinear are unknown"):
        operations(model, length=1)


def test_lengths_that_a_model_cannot_have_are_refused() -> None:
    config = ModelConfig(hidden_size=8)
    texts, pairs = build("gru", Ids(11), 2, config), build("attention", Pairs(9, 11), 11, config, answer="each")
    for model, asked in ((texts, {"length": 0}), (pairs, {"length": 3}), (texts, {"length": 3, "source_length": 2})):
        for measure in (operations, state_bytes):
            with pytest.raises(ConfigError, match="source_length"):
                measure(model, **asked)


def test_operations_do_not_depend_on_device_and_backend() -> None:
    config = ModelConfig(hidden_size=8, num_layers=2)
    for name in ("elman", "lstm", "gru"):
        model = build(name, Ids(11), 2, config)
        with torch.device("meta"):
            shapes = build(name, Ids(11), 2, config)
        set_backend(model, "reference")
        assert operations(model, length=9) == operations(shapes, length=9)
        assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_parameters_are_split_at_tokens_and_heads(case: Case) -> None:
    model = made(case)
    inner, outer = parameters(model)
    assert inner + outer == sum(parameter.numel() for parameter in model.parameters())
    ends = ("embedding.", "source_embedding.", "head.")
    assert inner == sum(p.numel() for name, p in model.named_parameters() if not name.startswith(ends))


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru"])
def test_parameters_of_a_recurrent_model_by_hand(cell: str) -> None:
    D, H, V, K = 6, 5, 11, 3
    gates = {"elman": 1, "lstm": 4, "gru": 3}[cell]
    model = build(cell, Ids(V), K, ModelConfig(embedding_size=D, hidden_size=H))
    own = gates * (H * D + H * H + H) + (H if cell == "gru" else 0)
    assert parameters(model) == (own, V * D + H * K + K)


STATES = [
    *(case for case in MODELS if case.inputs == "ids" and (case.name not in ("elman", "lstm") or not case.options)),
    *PAIRS_MODELS,
    *ATTENTIVE_PAIRS_MODELS,
    *RESIDUAL_PAIRS_MODELS,
]
"""The recurrent models share one class, of which the GRU runs all options."""


@pytest.mark.parametrize("case", STATES, ids=str)
def test_state_bytes_are_those_of_the_state_after_a_sequence(case: Case) -> None:
    """On the device meta, of no values, they are those of a model that runs."""
    model = made(case).eval()
    with torch.no_grad():
        _, state = run(model, T, S, 1)
        _, short = run(model, 1, 1, 1)
    with torch.device("meta"):
        shapes = made(case, dropout=0.5).train()
    assert state_bytes(model, **lengths(model)) == state_bytes(shapes, **lengths(model)) == nbytes(state)
    assert state_bytes(model, length=1, source_length=min(1, lengths(model)["source_length"])) == nbytes(short)
    assert shapes.training
    assert not model.training


def test_state_bytes_by_hand() -> None:
    H, T, L = 8, 9, 2
    config = ModelConfig(embedding_size=6, hidden_size=H, num_layers=L)
    made = {name: build(name, Ids(11), 2, config) for name in ("elman", "lstm", "gru")}
    assert [state_bytes(model, length=T) for model in made.values()] == [4 * L * H, 8 * L * H, 4 * L * H]
    gpt = build("gpt", Ids(11), 11, config, answer="each")
    lengths = 8 * (1 + L)  # of the sequence, in the stack and in every block
    assert state_bytes(gpt, length=T) == L * 2 * 4 * T * H + lengths


GROWS = {"attention": True, "transformer": True, "gpt": True, "hybrid": True}


@pytest.mark.parametrize("name", [architecture.name for architecture in LINEAGE])
def test_a_state_grows_with_attention_only(name: str) -> None:
    task = lineage_task(name)
    inputs = Pairs(9, 11) if task == "translate" else Ids(11)
    with torch.device("meta"):
        model = build(
            name, inputs, 11, ModelConfig(hidden_size=8, num_layers=3), answer="once" if task == "classify" else "each"
        )
    assert grows(model) == GROWS.get(name, False)


def lineage_task(name: str) -> str:
    tasks = architecture(name).tasks
    return next(task for task in ("classify", "generate", "translate") if task in tasks)
