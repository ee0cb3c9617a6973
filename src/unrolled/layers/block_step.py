"""One step of a stack of blocks in one call of the kernels (csrc/kernels/block.cc): for decoding inside `scan.frozen`.

The definition is `Blocks.forward` (layers/block.py), which computes every other call: with gradients, of several steps
or the first one, in training, in other dtypes and devices, of other mixers, and wherever somebody looks at or changes
the modules inside, by hooks or a forward of their own. Both return the same kind of state, so that they take turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import repeat
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from unrolled.kernels import freeze
from unrolled.kernels.native import dense, index, kernels, threads
from unrolled.kernels.packed import Frozen, FrozenLinear, Key, Packable
from unrolled.layers.attention import CrossAttention, SelfAttention
from unrolled.layers.cache import AttentionState, Buffer
from unrolled.layers.dropout import Dropout
from unrolled.layers.mlp import PHI, Linear
from unrolled.layers.position import Position, Rotary
from unrolled.state import State

if TYPE_CHECKING:
    from unrolled.layers.block import Block, Blocks

__all__ = ["FrozenBlocks", "StackWeights", "packable"]

PHIS = ("tanh", "relu", "gelu", "gelu_tanh", "silu")
"""The activation functions by their numbers in csrc/scan.h."""
_version, _training = attrgetter("_version"), attrgetter("training")


class StackWeights:
    """The weights of a stack of blocks, packed by the linear layers inside."""

    def __init__(self, stack: Blocks) -> None:
        self.stack, self.modules = stack, tuple(freeze.modules_of(stack))

    def pack(self, parameters: dict[str, Tensor], packed: Mapping[Key, Frozen]) -> FrozenBlocks:
        """Return the packed stack; see `packed.Weights`."""
        return FrozenBlocks(self.stack, self.modules, parameters, packed)


def packable(stack: Blocks) -> Iterator[Packable]:
    """Yield the weights that `scan.frozen` packs, if the kernels compute a step of these blocks."""
    if not stack.causal:
        return
    weights = StackWeights(stack)
    plain = all(map(_is_plain, weights.modules)) and all(map(_is_known, stack.blocks))
    if plain and len({_form(block) for block in stack.blocks}) == 1:
        owned = ((i, name, p) for i, part in enumerate(weights.modules) for name, p in part._parameters.items())
        yield Packable("step", weights, {f"{i}.{name}": p for i, name, p in owned if p is not None})


def _form(block: Any) -> tuple[Any, ...]:
    """Return what all blocks of a stack must have in common."""
    mixer = block.mixer
    return mixer.num_heads, mixer.kv_heads, block.cross is None, mixer.rotary is None


def _is_known(block: Any) -> bool:
    mixer, cross = block.mixer, block.cross
    phi = block.feedforward[1]
    return (
        type(mixer) is SelfAttention
        and mixer.causal
        and (cross is None or (type(cross) is CrossAttention and cross.kv_heads == mixer.kv_heads))
        and (cross is None or cross.num_heads == mixer.num_heads)
        and _phi_of(phi) is not None
    )


def _phi_of(module: nn.Module) -> tuple[int, bool] | None:
    """Return the number of an activation function, and whether it is gated; None if the kernels do not have it."""
    phi: Any = module._modules.get("phi", module)
    number = _numbers().get((type(phi), getattr(phi, "approximate", "")))
    return None if number is None else (number, phi is not module)


@cache
def _numbers() -> dict[tuple[type[nn.Module] | None, str], int]:
    made = ((number, PHI[name]()) for number, name in enumerate(PHIS))
    return {(type(phi), getattr(phi, "approximate", "")): number for number, phi in made}


@cache
def _known() -> frozenset[type[nn.Module]]:
    """Return the classes whose computation the kernels know."""
    from unrolled.layers.block import Block, Blocks, Feedforward, Gated

    ours = (Block, Blocks, Feedforward, Gated, SelfAttention, CrossAttention, Linear, Dropout, Position, Rotary)
    theirs = (nn.LayerNorm, nn.RMSNorm, nn.ModuleList, nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU)
    return frozenset((*ours, *theirs))


def _is_plain(module: nn.Module) -> bool:
    """Return True if the kernels know the module's class, and its parameters are its own: not pruned, for example."""
    parameters = module._parameters.values()
    return type(module) in _known() and all(p is None or type(p) is nn.Parameter for p in parameters)


class FrozenBlocks(Frozen):
    """A stack of blocks whose steps are computed in one call.

    Args:
        stack: the blocks.
        modules: all modules inside.
        parameters: all their parameters, by name.
        packed: the packed weights of the linear layers, in float32 or int8.
    """

    def __init__(
        self,
        stack: Blocks,
        modules: tuple[nn.Module, ...],
        parameters: dict[str, Tensor],
        packed: Mapping[Key, Frozen],
    ) -> None:
        super().__init__(parameters)
        keys = ((id(module), "weight") for module in modules)
        self.layers = {key: packed[key] for key in keys if key in packed}
        self.stack, self.position, self.modules = stack, stack.position, modules
        first: Any = stack.blocks[0]
        self.rotary: Rotary | None = first.mixer.rotary
        self.max_length, self.has_source = stack.max_length, first.cross is not None
        own = [(m._parameters, name, p) for m in self.modules for name, p in m._parameters.items() if p is not None]
        self.places = tuple(zip(*own, strict=True))  # dictionaries, names and values of all parameters
        self.dropouts = tuple(m for m in self.modules if isinstance(m, Dropout))
        self.hooks = tuple(hooks for m in self.modules for hooks in (m._forward_hooks, m._forward_pre_hooks))
        self.attributes = tuple(m.__dict__ for m in self.modules)
        self.packed: Any = None

    def has_form_of(self, weights: Any) -> bool:
        """Return True if the modules are the same; see Frozen."""
        modules: tuple[nn.Module, ...] = weights.modules
        return len(modules) == len(self.modules) and all(map(is_, modules, self.modules))

    def belongs_to(self, module: nn.Module) -> bool:
        """Return True if these are the parameters of all modules now; see Frozen."""
        parameters, names, values = self.places
        return all(map(is_, map(dict.get, parameters, names), values))

    def agrees_with(self, packed: Mapping[Key, Frozen]) -> bool:
        """Return True if no linear layer inside is packed otherwise in `packed`; see Frozen."""
        return all(packed.get(key, layer) is layer for key, layer in self.layers.items())

    def computes(self, x: Tensor, state: State) -> bool:
        """Return True if the kernels compute the next step x (B, 1, D) from this state."""
        return not (
            any(self.hooks)
            or any(map(_training, self.dropouts))
            or any(map(dict.__contains__, self.attributes, repeat("forward")))
            or _has_any_global_hook()  # type: ignore[no-untyped-call]
            or x.dtype is not torch.float32
            or not x.is_cpu
            or type(state.blocks[0]) is not AttentionState
            or state.blocks[0].key.dtype is not torch.float32
            or not len(x)
            or (self.max_length is not None and state.blocks[0].key.shape[2] >= self.max_length)
        )

    def run(
        self,
        x: Tensor,
        state: Any,
        keys: Sequence[tuple[Tensor, Tensor]] | None,
        source_lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor, tuple[AttentionState, ...]]:
        """Return y (B, 1, D), the new lengths (B,) and the states of the blocks; see `Blocks.forward`.

        Args:
            x: (B, 1, D), without positions.
            state: BlocksState.
            keys, source_lengths: see `Blocks.forward`.

        Raises:
            BackendError: the weights have changed since they were packed.
        """
        self.refuse_changed()
        if self.packed is None:
            self.packed = _packed(self.stack, self.layers)
        steps: Tensor = state.steps
        P = state.blocks[0].key.shape[2]  # the longest sequence has at most so many steps
        buffers = [Buffer.of(each, P + 1) for each in state.blocks]
        for buffer in buffers:
            if not buffer.even:  # a shorter sequence does not write its step at P
                buffer.key.select(2, P).zero_()
                buffer.value.select(2, P).zero_()
        y = torch.empty_like(x, memory_format=torch.contiguous_format)
        D = x.shape[2]
        self.packed.step(
            threads(), dense(x.reshape(-1, D)), y.view(-1, D), self._table(P, x), self._rotary_table(P, x), steps, P,
            [buffer.key for buffer in buffers], [buffer.value for buffer in buffers], keys, source_lengths,
        )  # fmt: skip
        length = steps + 1
        return y, length, tuple(buffer.state(P + 1, length) for buffer in buffers)

    def _table(self, P: int, x: Tensor) -> Tensor | None:
        """Return the vectors of positions 0 … P at least, or None."""
        return None if self.position is None else self.position.table_of(P + 1, x).detach()

    def _rotary_table(self, P: int, x: Tensor) -> Tensor | None:
        return None if self.rotary is None else self.rotary.table_of(P + 1, x)


def _packed(stack: Blocks, layers: Mapping[Key, Frozen]) -> Any:
    """Return the kernels' blocks, of the packed linear layers."""
    assert kernels is not None
    packed = kernels.FrozenBlocks(index(torch.float32), stack.output_size)
    for block in stack.blocks:
        _add(packed, block, layers)  # type: ignore[arg-type]
    if not isinstance(stack.norm, nn.Identity):
        packed.set_norm(_norm(stack.norm))
    return packed


def _add(packed: Any, block: Block, layers: Mapping[Key, Frozen]) -> None:
    mixer: Any = block.mixer
    cross: Any = block.cross
    phi = _phi_of(block.feedforward[1])
    assert phi is not None
    packed.add(
        mixer.num_heads,
        mixer.kv_heads,
        block.norm == "pre",
        phi[1],
        phi[0],
        [_norm(norm) for norm in block.norms],
        _linear(mixer.project, layers),
        _linear(mixer.output, layers),
        _linear(block.feedforward[0], layers),
        _linear(block.feedforward[3], layers),
        None if cross is None else _linear(cross.query, layers),
        None if cross is None else _linear(cross.output, layers),
    )


def _linear(layer: nn.Module, layers: Mapping[Key, Frozen]) -> Any:
    packed = layers[id(layer), "weight"]
    assert isinstance(packed, FrozenLinear)
    return packed.packed


def _norm(norm: Any) -> tuple[Tensor | None, Tensor | None, float, bool]:
    gain, bias = norm.weight, getattr(norm, "bias", None)
    is_rms = isinstance(norm, nn.RMSNorm)
    return *(None if p is None else p.detach().contiguous() for p in (gain, bias)), norm.eps, is_rms
