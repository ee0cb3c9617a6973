"""Conversion of runs of earlier format versions into the present one.

1  an unset window was 16; since version 2 it is None
2  the model's name was `row`, splits were `parts`, fractions were `share`, a block's mixer was `attention`, and some
   settings had other names
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["current", "current_weights"]

SETTINGS = {  # by section: {old name: new name}
    "data": {"valid_share": "valid_fraction", "test_share": "test_fraction", "cut": "truncate"},
}
RESULT = {"cut": "truncated"}


def current(manifest: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return config.json and run.json of an older version in the present one.

    A section that is no mapping is not changed: the schemas refuse it later.
    """
    manifest, record = dict(manifest), dict(record)
    if manifest["format_version"] < 2:
        for values in (manifest, _section(record, "config")):
            _unset_window(values)
    if "row" in manifest and isinstance(manifest.get("model"), dict):
        manifest["model"] = {"name": manifest.pop("row"), **manifest["model"]}
    if config := dict(_section(record, "config")):
        record["config"] = _settings(config)
    if data := dict(_section(record, "data")):
        record["data"] = _renamed(data, {"parts": "splits"})
    if result := _section(record, "result"):
        record["result"] = _renamed(result, RESULT)
    manifest["format_version"] = 3
    return manifest, record


def current_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of an older version by their present names."""
    return {re.sub(r"(blocks\.\d+\.)attention\.", r"\1mixer.", name): value for name, value in weights.items()}


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    for section, names in SETTINGS.items():
        if isinstance(config.get(section), dict):
            config[section] = _renamed(config[section], names)
    if "row" in config and isinstance(config.get("model"), dict):
        config["model"] = {"name": config.pop("row"), **config["model"]}
    if _section(config, "training").get("keep") == "probes":
        config["training"] = {**config["training"], "keep": "snapshots"}
    return config


def _unset_window(values: Mapping[str, Any]) -> None:
    model = _section(values, "model")
    if model.get("window") == 16:
        model["window"] = None


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = values.get(name)
    return section if isinstance(section, dict) else {}


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}
