"""`unrolled`: the entry point. Exit codes: 0; 2 bad input or config; 1 our fault; 130 and 143 after an interrupt."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from unrolled import __version__
from unrolled.cli import backends, config, data, decode, demo, evaluate, train
from unrolled.errors import UnrolledError

__all__ = ["app", "main"]

app = App(
    name="unrolled",
    help="From the feedforward network to the Transformer: train on your own data, compare, ask, look inside.",
    version=__version__,
    version_flags=["--version"],
    default_parameter=None,
)
for verb in (train, decode, evaluate, data, config, backends, demo):
    app.command(verb.command, name=verb.__name__.rpartition(".")[2])
app.register_install_completion_command(add_to_startup=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; what is refused is said in one message on standard error."""
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _refuse(f"{error} See `unrolled {arguments[0] if arguments else ''} --help`.")
    except UnrolledError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our pipe has gone, as in `unrolled … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _refuse(message: str) -> int:
    print(f"unrolled: {message}", file=sys.stderr)
    return 2
