"""The width of a model that brings a quantity to a target: f(H) = target, for an f that grows with the width H.

    H  = the multiple of `step` at which f is nearest to the target
    F  = for models with blocks, if f(H) is not near enough: H is the next below, and the feedforward size grows

Both are found by doubling and bisection, in at most 2 log₂ (largest width) models. Widths are multiples of num_heads
and, with rotary positions, of twice that, so that every head consists of pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import nn

from unrolled.config import BLOCKS, HEADED, ModelConfig
from unrolled.errors import ConfigError
from unrolled.layers import Block
from unrolled.models import Model

__all__ = ["Width", "solve"]

LARGEST = {"hidden_size": 65_536, "feedforward_size": 1_000_000}
"""The largest sizes that ModelConfig accepts."""
TOLERANCE = 0.02
"""The default tolerance, as a fraction of the target."""


class Width(NamedTuple):
    """The result of `solve`.

    Args:
        config: the configuration at the nearest width.
        reached: the quantity there.
        target: the quantity that was asked for.
        matched: whether it is within the tolerance of the target.
        fixed: whether the width stays as it was, because it does not set the quantity.
    """

    config: ModelConfig
    reached: float
    target: float
    matched: bool
    fixed: bool = False

    @property
    def sizes(self) -> str:
        """The width as text: hidden_size and, where it is set, feedforward_size."""
        inner = self.config.feedforward_size
        return f"hidden_size {self.config.hidden_size:,}" + (f", feedforward_size {inner:,}" if inner else "")

    def text(self, unit: str) -> str:
        """Return the result as a sentence.

        Args:
            unit: the quantity, as in "parameters".
        """
        reached, target = f"{_number(self.reached)} {unit}", f"{_number(self.target)} {unit}"
        if self.matched:
            return f"{reached} at {self.sizes} ({_number(self.target)} requested)"
        if self.fixed:
            return f"not matched: {reached}, which its width does not set ({_number(self.target)} requested)"
        return f"{target} cannot be matched: the nearest is {reached} at {self.sizes}"


def solve(
    config: ModelConfig,
    build: Callable[[ModelConfig], Model],
    measure: Callable[[Model], float],
    target: float,
    *,
    tolerance: float = TOLERANCE,
    free: bool = True,
    device: str = "meta",
) -> Width:
    """Return the width at which a quantity of a model is nearest to a target.

    A quantity that is the same at the two smallest widths is taken to be independent of the width: the configuration is
    then returned unchanged with its own figure. Each width is measured once, so the search ends and repeats itself even
    if a measurement is noisy.

    Args:
        config: the model; its hidden_size is free, and its feedforward_size may grow.
        build: returns the model of a configuration.
        measure: returns the quantity of a model, such as `lambda model: parameters(model).inner`. It grows with
            hidden_size and feedforward_size.
        target: the quantity to be reached, in the unit of `measure`.
        tolerance: largest distance from the target, as a fraction of it.
        free: False keeps the width, for a quantity that it does not set alone: a state that grows, see `size.grows`.
        device: where models are built; "meta" has shapes without values, and takes no memory.

    Raises:
        ConfigError: a target that is not above 0, or a configuration that `build` refuses.
    """
    if not target > 0:
        raise ConfigError(f"a target must be above 0: got {target}")

    @cache
    def figure(hidden_size: int, feedforward_size: int | None = config.feedforward_size) -> float:
        sizes = {"hidden_size": hidden_size, "feedforward_size": feedforward_size}
        return measure(_built(config.model_copy(update=sizes), build, device))

    def width(
        hidden_size: int, feedforward_size: int | None = config.feedforward_size, *, fixed: bool = False
    ) -> Width:
        reached = figure(hidden_size, feedforward_size)
        sizes = {"hidden_size": hidden_size, "feedforward_size": feedforward_size}
        matched = not fixed and abs(reached - target) <= tolerance * target
        return Width(config.model_copy(update=sizes), reached, target, matched, fixed)

    step = _step(config)
    if not free or figure(step) == figure(2 * step):
        return width(config.hidden_size, fixed=True)
    below = step * _last(lambda count: figure(count * step) <= target, 1, LARGEST["hidden_size"] // step)
    above = min(below + step, LARGEST["hidden_size"] // step * step)
    nearest = _nearest(width(below), width(above))
    inner = _inner_size(_built(width(below).config, build, device))
    if nearest.matched or inner is None or figure(below) > target:
        return nearest
    last = _last(lambda size: figure(below, size) <= target, inner, LARGEST["feedforward_size"])
    return _nearest(nearest, width(below, last), width(below, min(last + 1, LARGEST["feedforward_size"])))


def _built(config: ModelConfig, build: Callable[[ModelConfig], Model], device: str) -> Model:
    with torch.device(device):
        return build(config)


def _nearest(*widths: Width) -> Width:
    """Return the width whose figure is nearest to its target; of equals the first."""
    return min(widths, key=lambda width: abs(width.reached - width.target))


def _step(config: ModelConfig) -> int:
    """Return the number of which every width is a multiple; models without heads accept any."""
    if config.name not in (*BLOCKS, *HEADED):
        return 1
    return config.num_heads * (2 if config.position == "rotary" and config.name in BLOCKS else 1)


def _inner_size(model: nn.Module) -> int | None:
    """Return the inner size of a model's blocks, or None if it has none."""
    blocks = (module for module in model.modules() if isinstance(module, Block))
    return next((block.feedforward[-1].get_parameter("weight").shape[1] for block in blocks), None)


def _last(holds: Callable[[int], bool], first: int, largest: int) -> int:
    """Return the last number from `first` to `largest` for which a condition holds, which fails for all after it.

    Without any it is `first`. It is found by doubling and then bisection, so that `holds` is never asked about numbers
    above twice the result.
    """
    low, high = first, first
    while holds(high):
        low = high
        if high == largest:
            return largest
        high = min(2 * high, largest)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _number(value: float) -> str:
    """Return whole numbers with separators of thousands, others with four digits."""
    return f"{value:,.0f}" if float(value).is_integer() or value >= 1_000 else f"{value:.4g}"
