"""The entry point of `unrolled`. Exit codes: 0; 1 a bug of ours; 2 bad input or settings; 129, 130, 143 interrupted."""

from __future__ import annotations

import gc
import io
import locale
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, UnknownOptionError

from unrolled import launch
from unrolled.cli.help import HELP_FLAGS, help_of
from unrolled.cli.streams import guarded
from unrolled.cli.wrapping import width_of, wrapped
from unrolled.config import spelled_as_flags
from unrolled.config.synonyms import synonyms
from unrolled.errors import ConfigError, Interrupted, UnrolledError, excerpt, of_system
from unrolled.strings import has_surrogate
from unrolled.version import __version__

if TYPE_CHECKING:
    from unrolled.cli.console import Console

__all__ = ["VERBS", "app", "main", "run"]

VERBS = (
    "train",
    "decode",
    "evaluate",
    "explain",
    "export",
    "serve",
    "compare",
    "data",
    "runs",
    "import",
    "config",
    "backends",
    "demo",
)  # as in the help

GRACE = 5  # seconds
COLLECT_AFTER = 100_000  # new objects between two collections; imports make more than that, and all of them stay

app = App(
    name="unrolled",
    help="Sequence models from the feedforward network to the Transformer: train, evaluate, decode, explain.",
    version=__version__,
    version_flags=["--version"],
    default_parameter=None,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
for order, verb in enumerate(VERBS):
    module = "import_run" if verb == "import" else verb  # a keyword is no name of a module
    app.command(f"unrolled.cli.{module}:command", name=verb, sort_key=order)  # imported when it is called
app.register_install_completion_command(
    add_to_startup=False, help="Install the completion script of your shell; change nothing else."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    _occupy_closed_descriptors()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without a character shows its escape
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; an error is one message on standard error."""
    with guarded(), spelled_as_flags():
        try:
            return _run(list(arguments))
        except CycloptsError as error:
            return _refuse(f"{_told(error)} See `{' '.join(['unrolled', *(error.command_chain or ())])} --help`.")
        except Interrupted as interrupted:
            if launch.rank() == 0:
                print(wrapped(str(interrupted), width_of(sys.stderr)), file=sys.stderr)
            return 128 + interrupted.signal
        except UnrolledError as error:
            return _refuse(str(error))
        except KeyboardInterrupt as interrupt:
            if isinstance(interrupt.__context__, UnrolledError):  # on its way when the signal arrived
                return _refuse(str(interrupt.__context__))
            kept = "; ".join(getattr(interrupt, "__notes__", ["nothing was kept"]))
            print(f"interrupted: {kept}", file=sys.stderr)
            return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
        except BrokenPipeError:  # the reader of our pipe has closed it
            return 0
        except Exception as error:
            message = of_system(error)
            if message is None:  # a bug of ours
                raise
            return _refuse(message)


def _told(error: CycloptsError) -> str:
    """Return the message of an error; for an option as other tools call it with our name."""
    if isinstance(error, UnknownOptionError):
        option = (error.token.keyword or error.token.value).split("=", 1)[0]
        ours = synonyms().get(option.lstrip("-").replace("-", "_"), "")
        flag = f"--{ours.replace('_', '-')}"
        if any(flag in argument.names for argument in error.argument_collection):
            return f"Unknown option: {option}. Did you mean {flag}?"
    return str(error)


def _run(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    Raises:
        ConfigError: standard output is closed, or an argument is not text.

    All errors of the command are possible, too.
    """
    if sys.stdout is None:
        raise ConfigError("standard output is closed: redirect it, for example with > /dev/null")
    for argument in arguments:
        if has_surrogate(argument):
            raise ConfigError(_not_text(argument))
    verb, *rest = arguments or [""]
    if verb != "train":
        launch.refuse_many(f"`unrolled {verb}`")
    if verb in VERBS and any(flag in rest[: rest.index("--") if "--" in rest else None] for flag in HELP_FLAGS):
        print(help_of(app, verb, rest))
        sys.stdout.flush()
        return 0
    if verb not in VERBS:
        _import_verbs()
    code = app(arguments, console=_console(verb), exit_on_error=False, print_error=False, result_action="return_value")
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _console(verb: str) -> Console | None:
    """Return the console for the help and the version of the application; None for verbs, which do not use it."""
    if verb in VERBS:
        return None
    from unrolled.cli.console import Console

    return Console()


def _not_text(argument: str) -> str:
    """Return the reason why an argument of bytes that Python could not decode is refused."""
    try:
        text = os.fsencode(argument).decode()
    except UnicodeError:
        return f'the argument "{excerpt(argument)}" is not UTF-8: rename the file, or convert the text'
    name, encoding = locale.setlocale(locale.LC_CTYPE), sys.getfilesystemencoding()
    return (
        f'the argument "{excerpt(text)}" cannot be read: it is UTF-8, and the locale {name} has {encoding}; '
        "set LC_ALL=C.UTF-8, or PYTHONUTF8=1"
    )


def _import_verbs() -> None:
    """Import every verb, whose first sentences are the list of commands."""
    for verb in VERBS:
        app[verb]


def _refuse(message: str) -> int:
    """Print the message of an error and return its exit code.

    Most errors are raised in all processes of torchrun, which ends the others when one of them has ended. So the first
    one prints, and another one only if it is still there after GRACE seconds: the error is then its own.
    """
    prefix = "unrolled: "
    if rank := launch.rank():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        time.sleep(GRACE)
        prefix = f"unrolled: process {rank}: "
    print(wrapped(message, width_of(sys.stderr), prefix=prefix), file=sys.stderr)
    return 2


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM and SIGHUP as Ctrl-C is handled: temporary files are removed on the way out."""
    raise KeyboardInterrupt(number)


def _occupy_closed_descriptors() -> None:
    """Open /dev/null in place of closed standard streams (`<&-`, `>&-`): a file must not become one of them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
