"""Attention: the weights are those of the definition, the cache is a value, and it is not copied at each step."""

import math

import pytest
import torch
from torch import Tensor

from unrolled.errors import ConfigError
from unrolled.layers import AttentionState, CrossAttention, SelfAttention
from unrolled.layers.attention import attend, weights
from unrolled.shapes import real
from unrolled.state import join, reorder, select

B, T, S, D, N = 3, 5, 6, 8, 2
LENGTHS = torch.tensor([5, 2, 3])


def by_definition(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Step by step: (weights (T, S), context (T, K)) of one sequence and one head."""
    found, contexts = [], []
    for t in range(len(query)):
        scores = torch.stack([query[t] @ k / math.sqrt(len(k)) for k in key])
        e = scores.exp() * mask[t]
        found.append(e / e.sum())
        contexts.append(found[-1] @ value)
    return torch.stack(found), torch.stack(contexts)


@pytest.mark.parametrize("causal", [True, False])
def test_weights_and_context_are_those_of_the_definition(causal: bool) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(B, N, T, 4, dtype=torch.float64) for _ in range(3))
    mask = torch.ones(T, T).tril() if causal else torch.ones(T, T)
    w, context = weights(query, key, causal=causal), attend(query, key, value, causal=causal)
    for b in range(B):
        for n in range(N):
            expected, expected_context = by_definition(query[b, n], key[b, n], value[b, n], mask)
            torch.testing.assert_close(w[b, n], expected)
            torch.testing.assert_close(context[b, n], expected_context)


@pytest.mark.parametrize("causal", [True, False])
def test_self_attention_is_its_formula(causal: bool) -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(D, N, causal=causal).double(), torch.randn(B, T, D, dtype=torch.float64)
    y, _ = layer(x, None, LENGTHS)
    query, key, value = (
        x @ w.T + b for w, b in zip(layer.project.weight.chunk(3), layer.project.bias.chunk(3), strict=True)
    )
    actual = layer.weights(x, None, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        mask = torch.ones(length, length).tril() if causal else torch.ones(length, length)
        contexts = []
        for n in range(N):
            head = slice(n * D // N, (n + 1) * D // N)
            w, context = by_definition(query[b, :length, head], key[b, :length, head], value[b, :length, head], mask)
            torch.testing.assert_close(actual[b, n, :length, :length], w)
            contexts.append(context)
        torch.testing.assert_close(y[b, :length], layer.output(torch.cat(contexts, 1)))


def test_weights_go_on_from_a_state() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(D, N, causal=True).double(), torch.randn(B, T, D, dtype=torch.float64)
    whole = layer.weights(x)
    for cut in range(1, T):
        _, state = layer(x[:, :cut])
        torch.testing.assert_close(layer.weights(x[:, cut:], state), whole[:, :, cut:])


def test_cross_attention_sees_real_source_steps_only() -> None:
    torch.manual_seed(0)
    layer = CrossAttention(D, 3, N).double()
    x, outputs = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, 3, dtype=torch.float64)
    lengths = torch.tensor([6, 1, 4])
    key, value = layer.keys(outputs)
    y, w = layer(x, key, value, lengths), layer.weights(x, key, lengths)
    torch.testing.assert_close(w.sum(3), torch.ones(B, N, T, dtype=torch.float64))
    assert not w[1, :, :, 1:].any()
    assert not w[2, :, :, 4:].any()
    for b, length in enumerate(lengths.tolist()):
        alone = layer.keys(outputs[b : b + 1, :length])
        torch.testing.assert_close(y[b : b + 1], layer(x[b : b + 1], *alone, lengths[b : b + 1]))
    context = (w @ value).transpose(1, 2).flatten(2)
    torch.testing.assert_close(y, layer.output(context))


def test_gradients_are_those_of_the_function() -> None:
    torch.manual_seed(0)
    layer = SelfAttention(4, 2, causal=True).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([3, 2])
    assert torch.autograd.gradcheck(lambda x: layer(x, None, lengths)[0], x)

    def in_two(x: Tensor) -> Tensor:
        first, state = layer(x[:, :2])
        return torch.cat([first, layer(x[:, 2:], state)[0]], dim=1)

    assert torch.autograd.gradcheck(in_two, x)


def continued(layer: SelfAttention, x: Tensor, state: AttentionState) -> tuple[list[Tensor], AttentionState]:
    ys = []
    for t in range(x.shape[1]):
        y, state = layer(x[:, t : t + 1], state)
        ys.append(y)
    return ys, state


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("guard", [torch.no_grad, torch.inference_mode])
def test_two_continuations_of_one_state_equal_two_runs(lengths: Tensor | None, guard: type, steps: int) -> None:
    """Also of a state after some steps, which has a buffer with capacity for more."""
    torch.manual_seed(0)
    layer = SelfAttention(D, N, causal=True).double()
    x, one, two = (torch.randn(B, T, D, dtype=torch.float64) for _ in range(3))
    between = torch.randn(B, steps, D, dtype=torch.float64)
    with guard():
        _, state = layer(x, None, lengths)
        _, state = continued(layer, between, state)
        copies = [leaf.clone() for leaf in state]
        first, state_one = continued(layer, one[:, :2], state)
        second, state_two = continued(layer, two, state)  # finds the buffer written on
        rest, _ = continued(layer, one[:, 2:], state_one)
        own = real(state.length, state.key.shape[2])[:, None, :, None]  # what stands behind them is never attended to
        assert torch.equal(state.length, copies[2])
        assert all(torch.equal(leaf * own, was * own) for leaf, was in zip(state[:2], copies[:2], strict=True))
        for b, length in enumerate([T] * B if lengths is None else lengths.tolist()):
            prompt = torch.cat([x[b : b + 1, :length], between[b : b + 1]], dim=1)
            for branch, found in ((one, first + rest), (two, second)):
                whole, _ = layer(torch.cat([prompt, branch[b : b + 1]], dim=1))
                torch.testing.assert_close(torch.cat(found, 1)[b : b + 1], whole[:, length + steps :])
        assert (state_two.length == (T if lengths is None else lengths) + steps + T).all()


def test_what_is_not_finite_in_one_continuation_stays_there() -> None:
    torch.manual_seed(0)
    layer, x = SelfAttention(D, N, causal=True), torch.randn(B, T, D)
    step = torch.randn(B, 1, D)
    with torch.no_grad():
        _, state = layer(x, None, LENGTHS)
        _, state = layer(step, state)
        wanted, _ = layer(step, AttentionState(*(leaf.clone() for leaf in state)))
        continued(layer, torch.full((B, 2, D), torch.nan), state)  # written where shorter sequences go on
        found, _ = layer(step, state)
    torch.testing.assert_close(found, wanted)


def test_a_step_is_written_where_there_is_room() -> None:
    layer = SelfAttention(D, N, causal=True)
    with torch.inference_mode():
        _, state = layer(torch.randn(2, 4, D))
        addresses = set()
        for _ in range(60):
            _, state = layer(torch.randn(2, 1, D), state)
            addresses.add(state.key.data_ptr())
    assert len(addresses) == 2, "buffer for 32 and 64 steps"
    assert state.key.shape == (2, N, 64, D // N)


def test_what_inference_mode_made_can_be_continued_outside() -> None:
    layer, x = SelfAttention(D, N, causal=True), torch.randn(1, 4, D)
    with torch.inference_mode():
        _, state = layer(x[:, :2])
        _, state = layer(x[:, 2:3], state)
    with torch.no_grad():
        y, _ = layer(x[:, 3:], state)
        torch.testing.assert_close(y, layer(x)[0][:, 3:])


def test_states_of_different_lengths_join() -> None:
    layer, x = SelfAttention(D, N, causal=True).double(), torch.randn(2, 6, D, dtype=torch.float64)
    _, long = layer(x[:1, :5])
    _, short = layer(x[1:, :2])
    y, after = layer(x[:, 5:], join([long, short]))
    torch.testing.assert_close(y[:1], layer(x[:1])[0][:, 5:])
    torch.testing.assert_close(y[1:], layer(torch.cat([x[1:, :2], x[1:, 5:]], 1))[0][:, 2:])
    assert after.length.tolist() == [6, 3]
    alone = select(after, [1])
    assert not alone.key[:, :, 3:].any()


def test_uneven_heads_are_refused() -> None:
    with pytest.raises(ConfigError, match="got 130 and 4; try 128 or 132"):
        SelfAttention(130, 4, causal=True)
    with pytest.raises(ConfigError, match="got 3 and 4; try 4"):
        CrossAttention(3, 8, 4)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_a_beam_writes_into_two_buffers_in_turn(lengths: Tensor | None) -> None:
    """Each step replaces sequences by others; the outputs are those of a state that is copied, leaf by leaf."""
    torch.manual_seed(0)
    layer, x = SelfAttention(D, N, causal=True).double(), torch.randn(B, T, D, dtype=torch.float64)
    with torch.inference_mode():
        _, state = layer(x, None, lengths)
        own = AttentionState(*(leaf.clone() for leaf in state))
        gathered = spare = None
        buffers = []
        for _ in range(40):
            index, step = torch.randint(B, (B,)), torch.randn(B, 1, D, dtype=torch.float64)
            state = reorder(state, index, spare=spare)
            gathered, spare = state, gathered
            buffers.append(state.buffer.key.data_ptr())
            y, state = layer(step, state)
            expected, own = layer(step, AttentionState(*(leaf[index].clone() for leaf in own)))
            torch.testing.assert_close(y, expected)
            assert torch.equal(state.length, own.length)
    assert len(set(buffers)) < 12  # new ones only where they double


def test_a_selected_state_is_a_value() -> None:
    """Nobody else reads or writes it: two continuations of it, and of its origin, equal two runs."""
    torch.manual_seed(0)
    layer, x = SelfAttention(D, N, causal=True).double(), torch.randn(B, T, D, dtype=torch.float64)
    one, two = torch.randn(2, B, 3, D, dtype=torch.float64)
    index = torch.tensor([2, 0, 0])
    with torch.no_grad():
        _, state = layer(x, None, LENGTHS)
        expected_one = continued(layer, one, select(AttentionState(*(leaf.clone() for leaf in state)), index))[0]
        expected_two = continued(layer, two, AttentionState(*(leaf.clone() for leaf in state)))[0]
        picked = select(state, index)
        for _ in range(2):
            torch.testing.assert_close(continued(layer, one, picked)[0], expected_one)
            torch.testing.assert_close(continued(layer, two, state)[0], expected_two)
