"""Building a model by the name of its architecture, with fresh weights."""

from __future__ import annotations

import importlib
from typing import cast

from unrolled import lineage
from unrolled.config import ModelConfig
from unrolled.models import Answer, Inputs, Model

__all__ = ["build"]


def build(name: str, inputs: Inputs, num_outputs: int, config: ModelConfig, *, answer: Answer = "once") -> Model:
    """Build the model of an architecture, with fresh weights from torch's generator.

    Args:
        name: of the architecture, as in `lineage.LINEAGE`.
        inputs, num_outputs, config, answer: see `unrolled.models.Model`.

    Raises:
        ConfigError: the name is unknown, or the model does not use an option that was set.
    """
    architecture = lineage.architecture(name)
    module, _, kind = architecture.path.partition(":")
    options = {"cells": architecture.cells} if architecture.cells else {}
    return cast(Model, getattr(importlib.import_module(module), kind)(inputs, num_outputs, config, answer, **options))
