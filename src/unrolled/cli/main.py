"""The entry point of `unrolled`. Exit codes: 0; 1 a bug of ours; 2 bad input or settings; 130 and 143 interrupted."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import App, CycloptsError

from unrolled.cli import backends, config, data, decode, demo, evaluate, explain, train
from unrolled.errors import Interrupted, UnrolledError
from unrolled.version import __version__

__all__ = ["VERBS", "app", "main", "run"]

VERBS: dict[str, Callable[..., Any]] = {  # in the order of the help
    "train": train.command,
    "decode": decode.command,
    "evaluate": evaluate.command,
    "explain": explain.command,
    "data": data.command,
    "config": config.command,
    "backends": backends.command,
    "demo": demo.command,
}

app = App(
    name="unrolled",
    help="Sequence models from the feedforward network to the Transformer: train, evaluate, decode, explain.",
    version=__version__,
    version_flags=["--version"],
    default_parameter=None,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
for order, (verb, command) in enumerate(VERBS.items()):
    app.command(command, name=verb, sort_key=order)
app.register_install_completion_command(
    add_to_startup=False, help="Install the completion script of your shell; change nothing else."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without a character shows its escape
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error is one message on standard error."""
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _refuse(f"{error} See `{' '.join(['unrolled', *(error.command_chain or ())])} --help`.")
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        return 128 + interrupted.signal
    except UnrolledError as error:
        return _refuse(str(error))
    except KeyboardInterrupt as interrupt:
        print("interrupted", file=sys.stderr)
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    except (BrokenPipeError, SystemExit):  # the reader of our pipe has closed it; rich raises the second
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _refuse(message: str) -> int:
    print(f"unrolled: {message}", file=sys.stderr)
    return 2
