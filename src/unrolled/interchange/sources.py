"""The sources of an import: a GPT-2, an export of unrolled, a file of weights."""

from __future__ import annotations

from pathlib import Path

from unrolled.config import spelled
from unrolled.errors import CheckpointError, ConfigError
from unrolled.interchange import gpt2, torch_network
from unrolled.interchange.formats import RECORD
from unrolled.interchange.torch_network import Description
from unrolled.runs.run import Run

__all__ = ["read"]


def read(source: Path, described: Description) -> Run:
    """Return a model that another library has trained as a run in memory.

    Args:
        source: folder of a GPT-2 (config.json) or of an export to safetensors (export.json), or a file of weights.
        described: that which a file of weights does not say.

    Raises:
        CheckpointError: the source is missing, damaged or of another architecture.
        ConfigError: a description of a folder, which has its own, or one that is incomplete.
        DataError: a bad line of vocabulary or labels.
    """
    if source.is_file():
        return torch_network.read(source, described)
    if not source.exists():
        raise CheckpointError(f"{source} does not exist: check the path")
    usual = Description()
    if given := [name for name in described._fields if getattr(described, name) != getattr(usual, name)]:
        raise ConfigError(
            f"{source} is no file of weights, which alone has {spelled(given[0])}: remove it, or name the file"
        )
    exported = (source / RECORD).is_file() and not (source / gpt2.CONFIG).is_file()
    return torch_network.read_export(source) if exported else gpt2.read(source)
