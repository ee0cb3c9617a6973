"""A step of additive attention, forward and backward: the definition's values; a sequence's bits in any batch."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from unrolled.cells import ElmanCell, GRUCell, LSTMCell
from unrolled.kernels import native
from unrolled.kernels.attention import attend
from unrolled.layers import Additive, Bahdanau, Memory, Recurrent, Stacked, set_backend

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")

SHAPES = [(1, 1, 1, 1), (3, 5, 7, 9), (4, 17, 33, 130), (65, 9, 64, 256), (300, 3, 40, 20)]  # B, S, A, D
ISAS = [name for name, here in native.isas().items() if here]


def inputs(B: int, S: int, A: int, D: int) -> tuple[list[Tensor], Tensor]:
    """Query, keys, v, outputs; and lengths."""
    lengths = torch.randint(1, S + 1, (B,))
    return [torch.randn(B, A), torch.randn(B, S, A), torch.randn(A), torch.randn(B, S, D)], lengths


def definition(query: Tensor, keys: Tensor, v: Tensor, outputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    scores = (query.unsqueeze(1) + keys).tanh() @ v
    behind = torch.arange(keys.shape[1]) >= lengths.unsqueeze(1)
    weights = scores.masked_fill(behind, -torch.inf).softmax(1)
    return weights, (weights.unsqueeze(1) @ outputs).squeeze(1)


def gradients(isa: str, threads: int, tensors: list[Tensor], lengths: Tensor, dweights, dcontext) -> list[Tensor]:
    """Weights, context and the four gradients, straight from the kernels."""
    number = list(native.isas()).index(isa)
    B, S, D = tensors[3].shape
    weights, context = torch.full((B, S), torch.nan), torch.full((B, D), torch.nan)
    native.kernels.attention(number, threads, *tensors, lengths, weights, context)
    found = [torch.full_like(t, torch.nan) for t in tensors]
    native.kernels.attention_backward(number, threads, *tensors, lengths, weights, dweights, dcontext, *found)
    return [weights, context, *found]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("isa", ISAS)
def test_it_is_the_definition_and_its_gradients(shape: tuple[int, int, int, int], isa: str) -> None:
    tensors, lengths = inputs(*shape)
    dweights, dcontext = torch.randn(shape[0], shape[1]), torch.randn(shape[0], shape[3])
    found = gradients(isa, 1, tensors, lengths, dweights, dcontext)
    leaves = [t.double().requires_grad_() for t in tensors]
    answers = definition(*leaves, lengths)
    torch.autograd.backward(answers, (dweights.double(), dcontext.double()))
    exact = [answer.detach() for answer in answers] + [leaf.grad for leaf in leaves]
    for one, true in zip(found, exact, strict=True):  # sums of hundreds of numbers, each within some units of rounding
        torch.testing.assert_close(one.double(), true, rtol=0, atol=float(2e-5 * true.abs().max()) + 1e-7)


@pytest.mark.parametrize("isa", ISAS)
def test_a_sequence_has_its_bits_in_any_batch_and_with_any_padding(isa: str) -> None:
    tensors, lengths = inputs(70, 9, 40, 70)
    dweights, dcontext = torch.randn(70, 9), torch.randn(70, 70)
    together = gradients(isa, 1, tensors, lengths, dweights, dcontext)
    for threads in (2, 3):
        for one, other in zip(together, gradients(isa, threads, tensors, lengths, dweights, dcontext), strict=True):
            assert torch.equal(one, other)
    for b in range(0, 70, 9):
        S = int(lengths[b])
        query, keys, v, outputs = tensors
        own = [query[b : b + 1], keys[b : b + 1, :S].clone(), v, outputs[b : b + 1, :S].clone()]
        alone = gradients(isa, 1, own, lengths[b : b + 1], dweights[b : b + 1, :S].clone(), dcontext[b : b + 1])
        for which in (0, 1, 2, 3, 5):  # all but dv, which sums over the batch
            assert torch.equal(alone[which][0], together[which][b][: S if which in (0, 3, 5) else None])
        for which in (0, 3, 5):
            assert not together[which][b][S:].any()


@pytest.mark.parametrize("isa", ISAS)
def test_the_layer_takes_it_for_a_step(isa: str) -> None:
    score = Additive(6, 8, 5)
    outputs, lengths, query = torch.randn(3, 4, 8), torch.tensor([4, 1, 2]), torch.randn(3, 2, 6)
    memory = Memory(outputs, score.keys(outputs), lengths, ())
    both = score(query, memory, memory.real)  # two steps at once: by the definition
    for t in range(2):
        with native.use_isa(isa):
            step = score(query[:, t : t + 1], memory, memory.real)
        assert ("_Attention" in str(step[0].grad_fn.next_functions)) == (isa != "portable")
        for one, other in zip(step, both, strict=True):
            torch.testing.assert_close(one, other[:, t : t + 1])


@pytest.mark.skipif(native.isa() == "portable", reason="the portable kernels do not compute attention steps of layers")
def test_second_derivatives_are_those_of_the_definition() -> None:
    torch.manual_seed(0)
    tensors, lengths = inputs(2, 3, 4, 5)

    def second(step: Callable[..., tuple[Tensor, Tensor]], dtype: torch.dtype) -> list[Tensor]:
        leaves = [t.to(dtype).requires_grad_() for t in tensors]
        weights, context = step(*leaves, lengths)
        first = torch.autograd.grad((weights.square().sum(), context.square().sum()), leaves, create_graph=True)
        return [*first, *torch.autograd.grad(sum(d.square().sum() for d in first), leaves)]

    exact, plain = second(definition, torch.float64), second(definition, torch.float32)
    for one, near, true in zip(second(attend, torch.float32), plain, exact, strict=True):
        bar = 4 * (near - true).abs().max() + 16 * torch.finfo(torch.float32).eps * true.abs().max()
        assert (one - true).abs().max() <= bar


def test_wrong_calls_name_the_argument() -> None:
    (query, keys, v, outputs), lengths = inputs(2, 3, 4, 5)
    good = {
        "isa": 0, "threads": 1, "query": query, "keys": keys, "v": v, "outputs": outputs, "lengths": lengths,
        "weights": torch.zeros(2, 3), "context": torch.zeros(2, 5),
    }  # fmt: skip
    native.kernels.attention(**good)
    for name, wrong in (
        ("query", query[:1]), ("keys", keys[0]), ("keys", keys.double()), ("v", v[:3]), ("outputs", outputs[:, :2]),
        ("lengths", torch.tensor([0, 1])), ("lengths", torch.tensor([4, 1])), ("lengths", None),
        ("weights", torch.zeros(2, 4)), ("context", torch.zeros(2, 4)), ("threads", 0), ("isa", 99),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=name):
            native.kernels.attention(**{**good, name: wrong})


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", [ElmanCell, LSTMCell, GRUCell])
def test_the_scan_is_a_loop_of_attention_and_steps(cell: type, ragged: bool, isa: str) -> None:
    """Outputs, final states and every gradient, also those that come through the final states: the law of twins."""
    torch.manual_seed(0)
    B, T, S, E, H, D = 5, 6, 7, 4, 9, 10
    decoder = Bahdanau(Stacked([Recurrent(cell(E + D, H))]), Additive(H, D, 8))
    lengths = torch.tensor([6, 2, 0, 4, 1]) if ragged else None
    source_lengths = torch.tensor([5, 3, 7, 1, 7])
    x, outputs = torch.randn(B, T, E), torch.randn(B, S, D)
    first = [torch.randn(B, H) for _ in cell.State._fields]

    def run(dtype: torch.dtype, backend: str) -> list[Tensor]:
        own = copy.deepcopy(decoder).to(dtype)
        set_backend(own, backend)
        leaves = [t.to(dtype).requires_grad_() for t in (x, outputs, *first)]
        memory = Memory(leaves[1], own.score.keys(leaves[1]), source_lengths, ())
        y, carry = own(leaves[0], memory, own.initial((cell.State(*leaves[2:]),), memory), lengths)
        assert ("_ScanBackward" in str(y.grad_fn)) == (backend == "fused" and isa != "portable")
        found = [y, *carry.layers[0], carry.weights, carry.context]
        weights = [torch.linspace(-1, 1, t.numel()).to(dtype).view_as(t) for t in found]
        torch.autograd.backward(found, weights)
        return [t.detach() for t in found] + [t.grad for t in (*leaves, *own.parameters())]

    exact, plain = run(torch.float64, "reference"), run(torch.float32, "reference")
    with native.use_isa(isa):
        twin = run(torch.float32, "fused")
    for one, near, true in zip(twin, plain, exact, strict=True):
        bar = 4 * (near - true).abs().max() + 16 * torch.finfo(torch.float32).eps * true.abs().max()
        assert (one - true).abs().max() <= bar + 1e-7  # of a bias that cancels in the softmax nearly nothing is left


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", [ElmanCell, LSTMCell, GRUCell])
def test_second_derivatives_of_the_scan(cell: type, ragged: bool) -> None:
    """A gradient penalty, and its gradients, equal those of the loop in float64."""
    torch.manual_seed(0)
    B, T, S, E, H, D = 3, 4, 5, 4, 6, 7
    decoder = Bahdanau(Stacked([Recurrent(cell(E + D, H))]), Additive(H, D, 8))
    lengths, source_lengths = torch.tensor([4, 2, 0]) if ragged else None, torch.tensor([5, 3, 1])
    x, outputs = torch.randn(B, T, E), torch.randn(B, S, D)

    def run(dtype: torch.dtype, backend: str) -> list[Tensor]:
        own = copy.deepcopy(decoder).to(dtype)
        set_backend(own, backend)
        leaves = [x.to(dtype).requires_grad_(), outputs.to(dtype).requires_grad_()]
        memory = Memory(leaves[1], own.score.keys(leaves[1]), source_lengths, ())
        zeros = cell.State(*(torch.zeros(B, H, dtype=dtype) for _ in cell.State._fields))
        y, state = own(leaves[0], memory, own.initial((zeros,), memory), lengths)
        results = [y, *state.layers[0], state.context]
        first = torch.autograd.grad(sum(each.square().sum() for each in results), leaves, create_graph=True)
        penalty = sum(d.square().sum() for d in first)
        return [*first, *torch.autograd.grad(penalty, [*leaves, *own.parameters()], materialize_grads=True)]

    for one, true in zip(run(torch.float32, "auto"), run(torch.float64, "reference"), strict=True):
        torch.testing.assert_close(one.double(), true, rtol=1e-4, atol=1e-5)


def test_gradients_may_come_as_one_number_for_all() -> None:
    """As the gradients of a sum do, which are expanded tensors."""
    decoder = Bahdanau(Stacked([Recurrent(LSTMCell(5, 3))]), Additive(3, 1, 2))
    outputs, first = torch.randn(2, 4, 1), [torch.randn(2, 3, requires_grad=True) for _ in range(2)]
    found = {}
    for backend in ("fused", "reference"):
        set_backend(decoder, backend)
        memory = Memory(outputs, decoder.score.keys(outputs), torch.tensor([4, 2]), ())
        y, carry = decoder(torch.zeros(2, 3, 4), memory, decoder.initial((LSTMCell.State(*first),), memory))
        state = carry.layers[0]
        total = y.sum() + state.h.sum() + state.c.sum() + carry.weights.sum() + carry.context.sum()
        found[backend] = torch.autograd.grad(total, first)
    for one, other in zip(found["fused"], found["reference"], strict=True):
        torch.testing.assert_close(one, other)


def test_attention_over_an_empty_batch() -> None:
    tensors, _ = inputs(0, 3, 4, 5)
    weights, context = attend(*tensors, torch.zeros(0, dtype=torch.int64))
    assert weights.shape == (0, 3)
    assert context.shape == (0, 5)
