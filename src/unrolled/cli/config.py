"""`unrolled config`: every setting with its value and meaning, as TOML."""

from __future__ import annotations

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import ConfigFile, Settings, resolve
from unrolled.config import to_toml

__all__ = ["command"]


def command(*, config: ConfigFile = None, json: Json = False, settings: Settings = None) -> None:
    """Print every setting with its value, as TOML for "unrolled train --config".

    unrolled config --model lstm --hidden-size 256 > lstm.toml

    Parameters
    ----------
    config
        TOML file to start from; flags override it.
    json
        Print JSON.
    """
    resolved = resolve(settings, config)
    if json:
        print_json(resolved.model_dump())
    else:
        print(to_toml(resolved), end="")
