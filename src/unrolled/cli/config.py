"""`unrolled config`: every setting with its value and meaning, as TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from unrolled.cli.settings import Settings, resolve
from unrolled.config import to_toml

__all__ = ["command"]


def command(
    *,
    config: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    settings: Settings = None,
) -> None:
    """Print every setting, filled in, as TOML that `unrolled train --config` reads.

    unrolled config --row lstm --hidden-size 256 > lstm.toml

    Parameters
    ----------
    config
        TOML file to start from; flags go before it.
    json_
        Print JSON.
    """
    resolved = resolve(settings, config)
    print(json.dumps(resolved.model_dump()) if json_ else to_toml(resolved), end="\n" if json_ else "")
