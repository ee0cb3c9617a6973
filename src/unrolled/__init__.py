"""unrolled: interchangeable modules of sequence models, from the feedforward network to the Transformer.

    import unrolled
    run = unrolled.train("sample:films", model="gru")
    run.decode("a fine film")[0].label

Torch is imported when a function is first used, so that importing this package and printing help are quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unrolled.version import __version__

if TYPE_CHECKING:
    from unrolled import laws, nn
    from unrolled.api import (
        backends,
        compare,
        cross_validate,
        decode,
        decode_files,
        ensemble,
        evaluate,
        explain,
        export,
        import_run,
        inspect,
        load,
        resume,
        trace,
        train,
        use_cell,
    )

__all__ = [
    "__version__",
    "backends",
    "compare",
    "cross_validate",
    "decode",
    "decode_files",
    "ensemble",
    "evaluate",
    "explain",
    "export",
    "import_run",
    "inspect",
    "laws",
    "load",
    "nn",
    "resume",
    "trace",
    "train",
    "use_cell",
]
_MODULES = ("laws", "nn")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"unrolled.{name}")
    if name in __all__:
        return getattr(importlib.import_module("unrolled.api"), name)
    raise AttributeError(f"module 'unrolled' has no attribute {name!r}")


def __dir__() -> list[str]:
    hidden = ("Any", "TYPE_CHECKING", "annotations", "importlib")
    return sorted({*globals(), *__all__}.difference(hidden))
