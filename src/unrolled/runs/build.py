"""Construction of a model by the name of its architecture."""

from __future__ import annotations

import importlib
from typing import Any, cast

from unrolled import lineage
from unrolled.config import ModelConfig
from unrolled.models import Answer, Inputs, Model

__all__ = ["build"]


def build(name: str, inputs: Inputs, num_outputs: int, config: ModelConfig, *, answer: Answer = "once") -> Model:
    """Return the model of an architecture, with initial weights from torch's generator.

    Args:
        name: name of the architecture, as in `lineage.LINEAGE`.
        inputs, num_outputs, config, answer: see `unrolled.models.Model`.

    Raises:
        ConfigError: the name is unknown, or an option is set that the model does not use.
    """
    architecture = lineage.architecture(name)
    module, _, kind = architecture.path.partition(":")
    options: dict[str, Any] = {}
    if architecture.mixers:
        options = {"name": name, "mixers": architecture.mixers, "cells": architecture.cells}
    elif architecture.cells:
        options = {"cells": architecture.cells}
    return cast(Model, getattr(importlib.import_module(module), kind)(inputs, num_outputs, config, answer, **options))
