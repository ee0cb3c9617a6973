"""Later options of blocks against a short implementation of their equations, one sequence and head at a time."""

import copy
import math
import warnings

import pytest
import torch
from torch import Tensor, nn

from modules import ALONE, MODERN, shaken
from unrolled.config import ModelConfig
from unrolled.layers import Block, Blocks, CrossAttention, SelfAttention
from unrolled.layers.attention import attend, repeated, weights
from unrolled.layers.block import Feedforward
from unrolled.models import GPTModel, Ids
from unrolled.state import nbytes

D, N, M, F, T = 8, 4, 2, 12, 7


def rms(x: Tensor, norm: nn.Module) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight


def turned(x: Tensor) -> Tensor:
    """x (T, K), each step by its angles."""
    T, half = len(x), x.shape[1] // 2
    angles = torch.arange(T)[:, None] / 10_000 ** (torch.arange(half, dtype=torch.float64) / half)
    y = torch.complex(x[:, :half], x[:, half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([y.real, y.imag], 1)


def attention(layer: nn.Module, x: Tensor) -> Tensor:
    """Causal attention of x (T, D) with rotary positions and M groups of heads."""
    K = D // N
    weight, bias = layer.project.weight, layer.project.bias
    columns = x @ weight.T + bias
    query, key, value = columns[:, :D], columns[:, D : D + M * K], columns[:, D + M * K :]
    contexts = []
    for n in range(N):
        own, group = slice(n * K, (n + 1) * K), n // (N // M)
        shared = slice(group * K, (group + 1) * K)
        scores = turned(query[:, own]) @ turned(key[:, shared]).T / math.sqrt(K)
        scores = scores + torch.full((len(x), len(x)), -torch.inf, dtype=x.dtype).triu(1)
        contexts.append(scores.softmax(1) @ value[:, shared])
    return torch.cat(contexts, 1) @ layer.output.weight.T + layer.output.bias


def swiglu(network: nn.Module, x: Tensor) -> Tensor:
    gate, value = (x @ network[0].weight.T + network[0].bias).split(F, 1)
    return (gate / (1 + (-gate).exp()) * value) @ network[3].weight.T + network[3].bias


def llama(blocks: Blocks, x: Tensor) -> Tensor:
    """Pre-norm blocks with RMS norms, rotary grouped attention and SwiGLU, of x (T, D)."""
    for block in blocks.blocks:
        x = x + attention(block.mixer, rms(x, block.norms[0]))
        x = x + swiglu(block.feedforward, rms(x, block.norms[1]))
    return rms(x, blocks.norm)


def made() -> Blocks:
    torch.manual_seed(0)

    def block() -> Block:
        mixer = SelfAttention(D, N, causal=True, kv_heads=M, rotary=True)
        return Block(mixer, F, normalization="rms", nonlinearity="silu", gated=True)

    return shaken(Blocks(D, D, (block() for _ in range(2)), position=None)).double().eval()


def test_a_stack_of_modern_blocks_is_its_equations() -> None:
    blocks, x = made(), torch.randn(3, T, D, dtype=torch.float64)
    lengths = torch.tensor([7, 3, 5])
    y, _ = blocks(x, None, lengths)
    for b, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(y[b, :length], llama(blocks, x[b, :length]))


@pytest.mark.parametrize("parts", [[1] * 7, [3, 4], [2, 1, 3, 1]])
def test_it_continues_after_ragged_sequences(parts: list[int]) -> None:
    blocks, x = made(), torch.randn(2, 4, D, dtype=torch.float64)
    more, lengths = torch.randn(2, T, D, dtype=torch.float64), torch.tensor([4, 2])
    with torch.inference_mode():
        _, state = blocks(x, None, lengths)
        found = []
        for part in more.split(parts, 1):
            y, state = blocks(part, state)
            found.append(y)
        for b, length in enumerate(lengths.tolist()):
            whole = llama(blocks, torch.cat([x[b, :length], more[b]]))
            torch.testing.assert_close(torch.cat(found, 1)[b], whole[length:])


@pytest.mark.parametrize("S", [5, 80])  # by the definition, and by torch's fused attention
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_grouped_heads_attend_as_if_each_had_a_copy(S: int, queries: int, masked: bool) -> None:
    torch.manual_seed(0)
    query = torch.randn(2, 6, queries, 4, dtype=torch.float64)
    key, value = torch.randn(2, 2, 3, S, 4, dtype=torch.float64)
    mask = (torch.arange(S) < torch.tensor([[S], [3]]))[:, None, None] if masked else None
    found = attend(query, key, value, mask)
    for n in range(6):
        expected = attend(query[:, n : n + 1], key[:, n // 2 : n // 2 + 1], value[:, n // 2 : n // 2 + 1], mask)
        torch.testing.assert_close(found[:, n : n + 1], expected)
    torch.testing.assert_close(weights(query, key, mask) @ repeated(value, 6), found)


def test_causal_grouped_heads_of_long_sequences() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, 70, 4, dtype=torch.float64) for heads in (4, 2, 2))
    expected = weights(query, repeated(key, 4), causal=True) @ repeated(value, 4)
    torch.testing.assert_close(attend(query, key, value, causal=True), expected)


def test_the_state_of_grouped_heads_is_smaller_and_is_not_copied_at_a_step() -> None:
    sizes = {}
    for groups in (1, 2, 4):
        layer = SelfAttention(D, N, causal=True, kv_heads=groups)
        with torch.inference_mode():
            _, state = layer(torch.randn(2, 8, D))
            addresses = set()
            for _ in range(8):
                _, state = layer(torch.randn(2, 1, D), state)
                addresses.add(state.key.data_ptr())
        assert len(addresses) == 1
        assert state.key.shape == (2, groups, 16, D // N)
        sizes[groups] = nbytes(state[:2])
    assert sizes[4] == 2 * sizes[2] == 4 * sizes[1]


def test_cross_attention_shares_keys_in_groups() -> None:
    torch.manual_seed(0)
    grouped, alone = CrossAttention(D, 3, N, kv_heads=M).double(), CrossAttention(D, 3, N).double()
    K = D // N
    order = [group * K + k for group in (0, 0, 1, 1) for k in range(K)]  # the rows of each head's group
    order += [M * K + row for row in order]
    with torch.no_grad():
        for name in ("query", "output"):
            getattr(alone, name).load_state_dict(getattr(grouped, name).state_dict())
        alone.project.weight.copy_(grouped.project.weight[order])
        alone.project.bias.copy_(grouped.project.bias[order])
    x, outputs = torch.randn(2, T, D, dtype=torch.float64), torch.randn(2, 5, 3, dtype=torch.float64)
    lengths = torch.tensor([5, 2])
    torch.testing.assert_close(grouped(x, *grouped.keys(outputs), lengths), alone(x, *alone.keys(outputs), lengths))
    torch.testing.assert_close(
        grouped.weights(x, grouped.keys(outputs)[0], lengths), alone.weights(x, alone.keys(outputs)[0], lengths)
    )
    assert grouped.keys(outputs)[0].shape == (2, M, 5, K)


@pytest.mark.parametrize(("name", "phi"), [("relu", torch.relu), ("gelu", nn.functional.gelu), ("tanh", torch.tanh)])
def test_a_gated_network_multiplies_two_halves(name: str, phi: object) -> None:
    torch.manual_seed(0)
    network, x = Feedforward(D, F, nonlinearity=name, dropout=0.0, gated=True), torch.randn(T, D)
    first, last = network[0], network[3]
    a, b = first.weight[:F] @ x.T + first.bias[:F, None], first.weight[F:] @ x.T + first.bias[F:, None]
    torch.testing.assert_close(network(x), (phi(a) * b).T @ last.weight.T + last.bias)


def test_the_default_inner_size_of_a_gated_network_has_as_many_weights() -> None:
    for size in (24, 96, 384):
        plain, gated = (
            GPTModel(Ids(9), 9, ModelConfig(hidden_size=size, gated=on)).blocks.blocks[0].feedforward
            for on in (False, True)
        )
        count = [sum(p.numel() for p in network.parameters() if p.dim() == 2) for network in (plain, gated)]
        assert count[0] == count[1]


def test_scaled_weights_are_the_plain_ones_divided_by_the_root_of_their_number() -> None:
    def blocks(*, scaled: bool) -> Blocks:
        torch.manual_seed(0)

        def block() -> Block:
            return Block(SelfAttention(D, N, causal=True), F, cross=CrossAttention(D, D, N))

        return Blocks(D, D, (block() for _ in range(3)), scaled=scaled)

    plain, scaled = dict(blocks(scaled=False).named_parameters()), dict(blocks(scaled=True).named_parameters())
    residual = {name for name in plain if name.endswith(("mixer.output.weight", "cross.output.weight", "3.weight"))}
    assert len(residual) == 9
    for name, value in plain.items():
        assert torch.equal(scaled[name], value / 3 if name in residual else value) or torch.allclose(
            scaled[name], value / 3
        )


@pytest.mark.parametrize("options", [*ALONE, MODERN], ids=str)
def test_a_recorded_model_follows_other_lengths(options: dict[str, object]) -> None:
    """torch.export and torch.jit.trace of a whole model, on inputs other than those that were recorded."""
    torch.manual_seed(0)
    model = GPTModel(Ids(11), 11, ModelConfig(hidden_size=8, embedding_size=8, **options)).eval()
    ids, other = torch.randint(5, 11, (2, 6)), torch.randint(5, 11, (2, 9))

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = copy.deepcopy(model)

        def forward(self, ids: Tensor) -> Tensor:
            return self.model(ids)[0]

    with torch.no_grad():
        exported = torch.export.export(Logits(), (ids,), dynamic_shapes=({1: torch.export.Dim("T", min=2, max=60)},))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecation
            traced = torch.jit.trace(Logits(), ids)
        for record in (exported.module(), traced):
            torch.testing.assert_close(record(other), model(other)[0])
