"""The quantities by which models are matched: parameters, operations of an update, bytes of the state.

    operations = Σ 2 n k (1 + g)        over all products of a model

A product multiplies n vectors by a matrix of k numbers: a multiplication and an addition for each. The backward pass
has one more product of the same size for the gradient of each factor that needs one; g is their number, 0 to 2. Of a
sequence of T steps, a source of S steps and an encoder's output of size D:

| layer                        | n                | k                                                         |
|------------------------------|------------------|-----------------------------------------------------------|
| linear layer, head           | T, or once 1     | its weights                                               |
| recurrent layer              | T                | all matrices of its cell                                  |
| its state of matrices        | T                | N K V for each product with a vector: write, read         |
| self-attention of size H     | T                | its weights; T H for the scores and T H for their sum     |
| attention to a source        | T (its keys: S)  | its weights; S H for the scores and S D for their sum     |
| additive score of size A     | T                | in place of S H: S A for v                                |

g is 2 but for factors that are constant: the features that the lowest layer reads (or vectors that are frozen), and the
initial state of a recurrent layer, which is 0. A source that a GPT reads has no loss of its own, so in its highest
block only the keys and values have gradients. Causal attention counts as all T² pairs, of which half are masked.

Only products count. Everything elementwise (gates, norms, softmax, dropout, the loss), the lookup of embeddings and the
optimiser do not: they are of order T H where products are of order T H². The formula follows from the shapes, so it is
the same for every backend, kernel, device and thread. It equals the count of `torch.utils.flop_counter` on the
reference backend plus the products with a vector (v of the additive score), which torch's counter leaves out.
Scores that torch's fused attention computes a second time in its backward pass do not count either.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import singledispatch
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.cells import Cell
from unrolled.errors import ConfigError
from unrolled.layers import (
    MLP,
    Additive,
    Bahdanau,
    Bidirectional,
    Block,
    Blocks,
    CrossAttention,
    Embedding,
    General,
    Head,
    Luong,
    Projected,
    Recurrent,
    Score,
    SelfAttention,
    Stacked,
    TiedHead,
)
from unrolled.models import (
    DecoderModel,
    EncoderDecoderModel,
    Features,
    FeedforwardModel,
    Model,
    Pairs,
    RecurrentModel,
    TransformerModel,
)
from unrolled.state import nbytes

__all__ = ["Parameters", "Product", "grows", "operations", "parameters", "products", "state_bytes"]


class Parameters(NamedTuple):
    """The numbers of trainable values.

    Args:
        inner: outside of token tables and heads.
        outer: in token tables and heads, whose sizes follow from the vocabulary and the classes.
    """

    inner: int
    outer: int


def parameters(model: Model) -> Parameters:
    """Return the parameters of a model; a shared one counts once."""
    outer = {
        id(parameter): parameter.numel()
        for module in model.modules()
        if isinstance(module, Embedding | Head | TiedHead)
        for parameter in module.parameters()
    }
    total = sum(parameter.numel() for parameter in model.parameters())
    return Parameters(total - sum(outer.values()), sum(outer.values()))


class Product(NamedTuple):
    """A product of n vectors with a matrix of k numbers.

    Args:
        n: number of vectors.
        k: number of entries of the matrix.
        gradients: g, the number of factors whose gradient is computed.
    """

    n: int
    k: int
    gradients: int = 2

    @property
    def operations(self) -> int:
        """Operations forward and backward."""
        return 2 * self.n * self.k * (1 + self.gradients)


def operations(model: Model, *, length: int, source_length: int = 0, batch: int = 1) -> int:
    """Return the floating-point operations of one training update, forward and backward.

    Args:
        model: one of the lineage, with any cells; its weights may be on the device meta.
        length: T, steps of a sequence; with Pairs, of the target.
        source_length: S, steps of a source.
        batch: number of sequences.

    Raises:
        ConfigError: a length below 1, a source of a model that reads none, or a module whose products are unknown.
    """
    _check(model, length, source_length)
    return batch * sum(product.operations for product in products(model, Call(length, source=source_length)))


class Call(NamedTuple):
    """The call of a layer on one sequence.

    Args:
        n: number of steps.
        source: number of steps of the source that it attends to.
        past: number of earlier steps in its state, to which it also attends.
        x: whether its input needs a gradient.
        state: whether its initial state needs a gradient.
        y: whether its output is used, and not the state alone.
    """

    n: int
    source: int = 0
    past: int = 0
    x: bool = True
    state: bool = False
    y: bool = True


@singledispatch
def products(layer: nn.Module, call: Call) -> Iterator[Product]:
    """Yield the products of a call of a layer or model; the formula of each type is registered below.

    Raises:
        ConfigError: the type is unknown, and it has matrices.
    """
    if any(parameter.dim() > 1 for parameter in layer.parameters()):
        raise ConfigError(f"the products of {type(layer).__name__} are unknown: build it from layers of unrolled")
    yield from ()


@products.register
def _(layer: nn.Linear, call: Call) -> Iterator[Product]:
    yield _weights(layer.weight, call)


@products.register
def _(layers: nn.Sequential, call: Call) -> Iterator[Product]:
    for layer in layers:
        for product in products(layer, call):
            yield product
            call = call._replace(x=True)


@products.register
def _(layer: MLP, call: Call) -> Iterator[Product]:
    yield from products(layer.steps, call)


@products.register
def _(layer: Recurrent, call: Call) -> Iterator[Product]:
    of_x, of_state = _matrices(layer.cell)
    yield Product(call.n, of_x, 1 + call.x)
    carried, read = layer.cell.state_products
    yield Product(call.n, carried)
    yield Product(call.n, read, 2 if call.y else 0)
    if of_state == 0:
        return
    if call.state:
        yield Product(call.n, of_state)
    else:  # the first step reads a constant
        yield Product(1, of_state, 1)
        yield Product(call.n - 1, of_state)


@products.register
def _(layer: Projected, call: Call) -> Iterator[Product]:
    yield from products(layer.recurrent, call)
    yield _weights(layer.output.weight, call._replace(x=True))._replace(gradients=2 if call.y else 0)


@products.register
def _(layer: Bidirectional, call: Call) -> Iterator[Product]:
    yield from products(layer.forward_layer, call)
    yield from products(layer.backward_layer, call)


@products.register
def _(stack: Stacked, call: Call) -> Iterator[Product]:
    for layer in stack.layers:
        yield from products(layer, call)
        call = call._replace(x=True)


@products.register
def _(layer: SelfAttention, call: Call) -> Iterator[Product]:
    yield from products(layer.project, call)
    rest = [*_attention(call.n, call.past + call.n, layer.input_size), _weights(layer.output.weight, call)]
    for product in rest:
        yield product._replace(gradients=2 if call.y else 0)


@products.register
def _(layer: CrossAttention, call: Call) -> Iterator[Product]:
    yield _weights(layer.query.weight, call)
    yield _weights(layer.project.weight, Call(call.source))
    yield from _attention(call.n, call.source, layer.query.out_features)
    yield _weights(layer.output.weight, call)


@products.register
def _(block: Block, call: Call) -> Iterator[Product]:
    yield from products(block.mixer, call._replace(x=call.x or block.norm == "pre"))  # the norm has weights
    after = call._replace(x=True)
    if block.cross is not None:
        yield from products(block.cross, after)
    for product in products(block.feedforward, after):
        yield product if call.y else product._replace(gradients=0)


@products.register
def _(stack: Blocks, call: Call) -> Iterator[Product]:
    yield from products(stack.enter, call)
    learned = stack.position is not None and stack.position.kind == "learned"
    x = call.x or learned or isinstance(stack.enter, nn.Linear)
    last = len(stack.blocks) - 1
    for i, block in enumerate(stack.blocks):
        yield from products(block, call._replace(x=x or i > 0, y=call.y or i < last))


@products.register
def _(score: Score, call: Call) -> Iterator[Product]:
    if isinstance(score, Additive | General):
        yield _weights(score.key.weight, Call(call.source))
    if isinstance(score, Additive):
        yield _weights(score.query.weight, call)
        yield Product(call.n, call.source * score.v.numel())
    else:
        yield Product(call.n, call.source * score.query_size)
    yield Product(call.n, call.source * score.memory_size)


@products.register
def _(decoder: Bahdanau, call: Call) -> Iterator[Product]:
    yield from products(decoder.score, call)
    yield from products(decoder.layers, call)


@products.register
def _(decoder: Luong, call: Call) -> Iterator[Product]:
    yield from products(decoder.layers, call)
    yield from products(decoder.score, call)
    yield from products(decoder.combine, call)


@products.register
def _(model: FeedforwardModel, call: Call) -> Iterator[Product]:
    yield from products(model.mlp, Call(_answers(model, call), x=_is_trained(model)))
    yield from _head(model, call)


@products.register
def _(model: RecurrentModel, call: Call) -> Iterator[Product]:
    yield from products(model.layers, Call(call.n, x=_is_trained(model)))
    yield from _head(model, call)


@products.register
def _(model: EncoderDecoderModel, call: Call) -> Iterator[Product]:
    yield from products(model.encoder, Call(call.source, x=_is_trained(model)))
    for bridge in model.bridge:
        for linear in bridge.fields.values():  # type: ignore[operator]
            yield from products(linear, Call(1))
    yield from products(model.decoder, Call(call.n, call.source, x=_is_trained(model), state=True))
    yield from _head(model, call)


@products.register
def _(model: TransformerModel, call: Call) -> Iterator[Product]:
    encoder = Call(call.n if model.decoder is None else call.source, x=_is_trained(model))
    yield from products(model.blocks, encoder)
    if model.decoder is not None:
        yield from products(model.decoder, Call(call.n, call.source, x=_is_trained(model)))
    yield from _head(model, call)


@products.register
def _(model: DecoderModel, call: Call) -> Iterator[Product]:
    past = 0
    if isinstance(model.inputs, Pairs):
        past = call.source + 1  # and <sep>
        yield from products(model.blocks, Call(past, x=_is_trained(model), y=False))
    yield from products(model.blocks, Call(call.n, past=past, x=_is_trained(model), state=past > 0))
    yield from _head(model, call)


def _head(model: Model, call: Call) -> Iterator[Product]:
    """Yield the products of a model's head; a tied one multiplies by the embeddings."""
    head, n = model.head, Call(_answers(model, call))
    if isinstance(head, TiedHead):
        assert model.embedding is not None
        yield from products(head.project, n)
        yield _weights(model.embedding.weight, n)
    else:
        yield from products(head, n)  # type: ignore[arg-type]


def _answers(model: Model, call: Call) -> int:
    return 1 if model.answer == "once" else call.n


def _is_trained(model: Model) -> bool:
    """Return whether the vectors that the lowest layer reads need a gradient: embeddings that are not frozen."""
    return model.embedding is not None and model.embedding.weight.requires_grad


def _weights(weight: Tensor, call: Call) -> Product:
    return Product(call.n, weight.numel(), int(weight.requires_grad) + call.x)


def _attention(n: int, steps: int, size: int) -> tuple[Product, Product]:
    """Return the products of n queries with the keys of all steps, and of their weights with the values."""
    return Product(n, steps * size), Product(n, steps * size)


def _matrices(cell: Cell[Any, Any]) -> tuple[int, int]:
    """Return the sizes of a cell's matrices: of those that `project` applies to x, and of the others, to the state.

    Every parameter of two dimensions or more that the cell does not declare as elementwise is taken for a matrix that
    is applied at every step. Those of x are the ones to which a gradient of `project` arrives.
    """
    cell = copy.deepcopy(cell).requires_grad_()
    matrices = [p for name, p in cell.named_parameters() if p.dim() > 1 and name not in cell.elementwise]
    x = next(cell.parameters()).new_zeros(1, 1, cell.input_size)
    with torch.enable_grad():
        gradients = torch.autograd.grad(cell.project(x).sum(), matrices, allow_unused=True)
    of_x = sum(matrix.numel() for matrix, got in zip(matrices, gradients, strict=True) if got is not None)
    return of_x, sum(matrix.numel() for matrix in matrices) - of_x


def state_bytes(model: Model, *, length: int, source_length: int = 0) -> int:
    """Return the bytes of the state that a model carries after one sequence.

        bytes(S, T) = bytes(1, 1) + (T − 1) (bytes(1, 2) − bytes(1, 1)) + (S − 1) (bytes(2, 1) − bytes(1, 1))

    With Pairs it is the encoder's and the decoder's state together, after a source and a target. Every part of a state
    is of fixed size or grows by the same number of bytes with each step, so sequences of one and two steps suffice. A
    Transformer without a decoder reads a sequence as a whole and carries no state but that of its pool.

    Args:
        model: its weights may be on the device meta.
        length: T, steps of the sequence; with Pairs, of the target.
        source_length: S, steps of the source.

    Raises:
        ConfigError: a length below 1, or a source of a model that reads none.
    """
    _check(model, length, source_length)
    S, T, source = source_length, length, min(source_length, 1)
    least = _state_bytes_after(model, source, 1)
    of_step = _state_bytes_after(model, source, 2) - least if T > 1 else 0
    of_source = _state_bytes_after(model, 2, 1) - least if S > 1 else 0
    return least + (T - 1) * of_step + (S - 1) * of_source


def grows(model: Model) -> bool:
    """Return whether later steps need more than a state of fixed size: keys and values, or the outputs of an encoder.

    The state of such a model has no size of its own to match, only one at a length. A Transformer without a decoder is
    one of them: its state is empty only because it reads all steps again.
    """
    if any(isinstance(module, SelfAttention) for module in model.modules()):
        return True
    source = 1 if isinstance(model.inputs, Pairs) else 0
    return _state_bytes_after(model, source, 1) != _state_bytes_after(model, 2 * source, 2)


def _state_bytes_after(model: Model, source_length: int, length: int) -> int:
    """Return the bytes of the state after running one sequence of these lengths."""
    device, training, state = next(model.parameters()).device, model.training, None
    try:
        with torch.no_grad():
            model.eval()
            if source_length:
                state = model.encode(torch.ones(1, source_length, dtype=torch.long, device=device))
            _, state = model(_inputs(model, length, device), state)
    finally:
        model.train(training)
    return nbytes(state)


def _inputs(model: Model, length: int, device: torch.device) -> Tensor:
    """Return a sequence of any inputs, (1, T) or (1, T, D)."""
    if isinstance(model.inputs, Features):
        return torch.zeros(1, length, model.inputs.size, device=device)
    return torch.ones(1, length, dtype=torch.long, device=device)


def _check(model: Model, length: int, source_length: int) -> None:
    pairs = isinstance(model.inputs, Pairs)
    if length < 1 or (pairs and source_length < 1):
        raise ConfigError(f"a sequence has at least one step: got length {length}, source_length {source_length}")
    if source_length and not pairs:
        raise ConfigError(f"{type(model).__name__} reads no source here: remove source_length {source_length}")
