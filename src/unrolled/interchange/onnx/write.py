"""The folder of an ONNX export, written after onnxruntime has given the run's answers.

model.onnx          the graph; for task translate encoder.onnx and decoder.onnx
tokenizer.json      the tokeniser, in the format of the `tokenizers` library; for pairs one for each side, or for both
export.json         inputs and outputs of the graphs, labels, special ids, scale of numbers, shape of images
README.md           how to answer with them
SHA256SUMS          the sums of all files
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from unrolled import atomic
from unrolled.errors import ConfigError

if TYPE_CHECKING:
    from unrolled.runs.run import Run

__all__ = ["OLDEST", "OPSET", "write"]

OPSET = 18
"""The default version of ONNX's operators, which onnxruntime has since 1.14."""
OLDEST = 18
"""The oldest version with all operators as they are used here: since then reductions take their axes as an input."""
PACKAGES = ("onnx", "onnxruntime")


def write(run: Run, folder: Path, *, opset: int = OPSET) -> None:
    """Write a run as ONNX graphs.

    Args:
        run: the run.
        folder: the folder.
        opset: version of ONNX's operators.

    Raises:
        ConfigError: onnx or onnxruntime is not installed, or an opset that is too old or unknown.
        ExportError: a layer or cell that has no translation, or answers that are not the run's.
        CheckpointError: the folder cannot be written.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise ConfigError(
            f"an export to ONNX needs {' and '.join(missing)}, which is not installed: pip install 'unrolled[onnx]'"
        )
    refuse_opset(opset)
    from unrolled.interchange.onnx.build import graphs
    from unrolled.interchange.onnx.check import check
    from unrolled.interchange.onnx.record import files
    from unrolled.interchange.onnx.serialize import files_of

    built = graphs(run, opset)
    written = {file: data for name, graph in built.items() for file, data in files_of(graph, name).items()}
    difference = check(run, built, written)
    atomic.write(folder, written | files(run, built, opset, difference))


def refuse_opset(opset: int) -> None:
    """Refuse a version of ONNX's operators that is too old, or newer than the installed onnx.

    Raises:
        ConfigError: says the range.
    """
    from onnx.defs import onnx_opset_version

    if not OLDEST <= opset <= onnx_opset_version():
        raise ConfigError(
            f"opset must be from {OLDEST} (older ones have other operators) to {onnx_opset_version()} (the newest of "
            f"the installed onnx): got {opset}; the default is {OPSET}"
        )
