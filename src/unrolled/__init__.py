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
    from unrolled.api import backends, decode, ensemble, evaluate, explain, inspect, load, resume, trace, train

__all__ = [
    "__version__",
    "backends",
    "decode",
    "ensemble",
    "evaluate",
    "explain",
    "inspect",
    "load",
    "resume",
    "trace",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("unrolled.api"), name)
    raise AttributeError(f"module 'unrolled' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
