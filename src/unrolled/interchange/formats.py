"""The formats of other libraries, by name.

A format is a module with a function `write(run, folder, **options)`, which checks what it has made and then writes the
whole folder, with export.json, or nothing. It is imported when it is used, since each needs libraries of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["FORMATS", "RECORD", "Format"]

RECORD = "export.json"
"""The file that every export has: its format, and all that is needed to answer with it."""


class Format(NamedTuple):
    """A format of another library.

    Args:
        path: path of the function that writes it, "module:function".
        options: names of its options.
    """

    path: str
    options: tuple[str, ...] = ()


FORMATS: Mapping[str, Format] = {
    "onnx": Format("unrolled.interchange.onnx.write:write", ("opset",)),
    "safetensors": Format("unrolled.interchange.torch_layout:write"),
    "torch": Format("unrolled.interchange.torch_program:write"),
}
"""Every format by its name, as in `--to`."""
