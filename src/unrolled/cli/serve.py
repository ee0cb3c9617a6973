"""`unrolled serve`: answers of trained networks over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from cyclopts import Group, Parameter

from unrolled.cli.settings import DeviceFlag, ThreadsFlag, checked_threads, passed_flags
from unrolled.errors import ConfigError, reason
from unrolled.serve.limits import Limits

__all__ = ["command"]

LIMITS = Group("Limits", sort_key=2)
TOKEN = "UNROLLED_TOKEN"
"""The environment variable of a token."""
SHORTEST = 16
"""Minimum number of characters of a token."""

_FLAGS: dict[str, Any] = {
    name: Annotated[
        limit.annotation | None,  # type: ignore[operator]
        Parameter(group=LIMITS, show_default=False, help=f"{limit.description} [default: {limit.default:,}]"),
    ]
    for name, limit in Limits.model_fields.items()
}
_Limits = TypedDict("_Limits", _FLAGS, total=False)  # type: ignore[misc]
LimitFlags = Annotated[_Limits | None, Parameter(name="*")]


def command(
    *runs: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    allow_host: Annotated[list[str] | None, Parameter(negative="")] = None,
    workers: int = 1,
    device: DeviceFlag = "auto",
    threads: ThreadsFlag = None,
    precision: Annotated[Literal["float32", "int8"] | None, Parameter(show_default=False)] = None,
    limits: LimitFlags = None,
) -> None:
    """Serve runs over HTTP: answers, streams, explanations, and sessions that keep a state between requests.

    unrolled serve runs/films-gru-1

    unrolled serve runs/films-gru-1 letters=runs/letters-attention-1 --port 8080

    unrolled serve runs/films-gru-1 --host 0.0.0.0 --token-file tokens.txt --workers 4

    GET /openapi.json describes every address with the options of the run's task. SIGTERM answers all requests that have
    begun, and ends; SIGHUP loads the runs again.

    Parameters
    ----------
    runs
        Folders of runs; NAME=FOLDER gives a run another name in addresses.
    host
        Address to listen on; beyond this machine a token is needed.
    port
        Port to listen on; 0: a free one.
    token_file
        File with a token a line, of at least 16 characters; a request needs one of them. The environment variable
        UNROLLED_TOKEN holds another.
    allow_host
        Name that requests may have as their Host, next to that of --host and of loopback; may be repeated.
    workers
        Processes that answer. Above 1, one more in front of them accepts and routes; a session lives in one.
    device
        Device to compute on.
    threads
        CPU threads of each model. [default: 1]
    precision
        Precision of matrix products where a request names none: float32, or int8. [default: float32]
    """
    if not runs:
        raise ConfigError("name at least one run, as in `unrolled serve runs/films-gru-1`")
    if not 0 <= port <= 65_535:
        raise ConfigError(f"port must be from 0 to 65,535: got {port}")
    if not 1 <= workers <= 256:
        raise ConfigError(f"workers must be from 1 to 256: got {workers}")
    tokens = _tokens(token_file)
    threads = checked_threads(threads)
    try:
        import fastapi  # noqa: F401
        import httptools  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"serving needs {error.name}: pip install 'unrolled[serve]'") from None
    from pydantic import ValidationError

    from unrolled.cli.progress import show_log
    from unrolled.serve.server import Settings, serve

    try:
        chosen = Limits(**passed_flags(limits))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][0])
        raise ConfigError(f"{name} {problem['msg'].removeprefix('Input ')}: got {problem['input']}") from None
    settings = Settings(
        runs,
        host=host,
        port=port,
        tokens=tokens,
        hosts=allow_host or (),
        limits=chosen,
        device=device,
        threads=threads,
        precision=precision,
    )
    with show_log():
        serve(settings, workers=workers, report=_report)


def _report(line: str) -> None:
    print(line, flush=True)


def _tokens(file: Path | None) -> list[str]:
    """Return the tokens of a file and of the environment.

    Raises:
        ConfigError: the file cannot be read, or has no token, or a token is short or cannot be sent in a header.
    """
    tokens = [os.environ[TOKEN]] if os.environ.get(TOKEN) else []
    if file is not None:
        try:
            lines = file.read_text(encoding="ascii").split()
        except OSError as error:
            raise ConfigError(f"{file}: {reason(error)}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{file}: a token consists of ASCII characters") from None
        if not lines:
            raise ConfigError(f"{file} has no token: write one a line")
        tokens += lines
    for token in tokens:
        if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigError(f"a token has at least {SHORTEST} printable ASCII characters, without spaces")
    return tokens
