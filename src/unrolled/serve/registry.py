"""The runs of a server by name, each with its batcher; reloaded without a lost request."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from unrolled.errors import ConfigError, nearest
from unrolled.models import Pairs
from unrolled.runs.folder import METRICS
from unrolled.runs.load import load
from unrolled.runs.run import Run
from unrolled.scan import Precision
from unrolled.serve.batcher import Batcher
from unrolled.serve.limits import Limits
from unrolled.serve.metrics import Metrics
from unrolled.serve.points import fingerprint, is_constant
from unrolled.serve.refusals import RequestError, unknown
from unrolled.serve.rows import initial
from unrolled.serve.shared import share_weights
from unrolled.state import State

__all__ = ["Runs", "Served", "names_of"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_LONG = 8
"""Maximum number of long questions (evaluate, explain, intervene) that wait for one run."""


class Loaded(NamedTuple):
    """A run, with all that is computed from it once.

    Args:
        run: the run.
        copy: the run with a copy of its modules that has the very same tensors.
        fingerprint: of its weights and preprocessor.
        start: the initial state of a causal model; None for others.
        constant: whether its state has a constant size.
    """

    run: Run
    copy: Run
    fingerprint: str
    start: State
    constant: bool

    @classmethod
    def of(cls, run: Run) -> Loaded:
        """Compute all from a run."""
        model = run.model
        start = initial(model) if model.causal and not isinstance(model.inputs, Pairs) else None
        copied = replace(run, model=_shared_copy(model))
        return cls(run, copied, fingerprint(run), start, is_constant(model, start))


class Served:
    """A run that is served.

    Args:
        name: its name in addresses.
        loaded: the run.
        batcher: the thread that owns its model.
        threads: CPU threads of long questions.

    Long questions run on a second thread, on a copy of the modules with the same weights: tracing hooks into modules,
    and must neither delay nor change the answers of the batcher.
    """

    def __init__(self, name: str, loaded: Loaded, batcher: Batcher, threads: int | None) -> None:
        self.name, self.batcher = name, batcher
        self.run, self.copy, self.fingerprint, self.start, self.constant = loaded
        self._long = 0
        self._executor = ThreadPoolExecutor(
            1, thread_name_prefix=f"long {name}", initializer=_set_threads, initargs=(threads,)
        )
        self.sessions = 0
        self._replaced = False

    async def long(self, function: Callable[[], Any]) -> Any:
        """Return the result of a long question.

        Raises:
            RequestError: too many wait.
        """
        if self._long >= MOST_LONG:
            raise RequestError(
                503,
                f"{self._long} long questions wait for this run already",
                hint="ask again in a few seconds",
                headers={"Retry-After": "5"},
            )
        self._long += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function)
        finally:
            self._long -= 1

    def end(self) -> None:
        """End its threads once their work is finished, and its last session has ended."""
        self._replaced = True
        self.end_if_unused()

    def end_if_unused(self) -> None:
        """End its threads if another run has taken its place, and no session needs it."""
        if self._replaced and not self.sessions:
            self.batcher.end()
            self._executor.shutdown(wait=False)

    @property
    def has_sessions(self) -> bool:
        """True if the run answers while it reads, which sessions need."""
        return self.run.model.causal or isinstance(self.run.model.inputs, Pairs)

    def card(self) -> dict[str, Any]:
        """Return the description of the run: no path, no version."""
        record = self.run.record
        return {
            "name": self.name,
            "task": self.run.config.task,
            "model": self.run.config.model.name,
            "parameters": record["parameters"],
            "labels": list(self.run.labels[:1_000]),
            "sessions": self.has_sessions,
            "result": record["result"],
        }

    def metrics(self) -> list[Any]:
        """Return the events of its training."""
        path = None if self.run.path is None else self.run.path / METRICS
        if path is None or not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


class Runs(Mapping[str, Served]):
    """The runs of a server.

    Args:
        folders: folders by name.
        limits: limits of the server.
        metrics: counters.
        threads: CPU threads of each model.
        share: whether weights are mapped from their files, to be shared with other processes.
        precision: precision of answers that name none.
        options: options of `load`, such as the device.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        limits: Limits,
        metrics: Metrics,
        *,
        threads: int | None = None,
        share: bool = False,
        precision: Precision | None = None,
        **options: Any,
    ) -> None:
        self.folders, self.limits, self.server_metrics = dict(folders), limits, metrics
        self.threads, self.share, self.precision, self.options = threads, share, precision, options
        self._served: dict[str, Served] = {}

    def __getitem__(self, name: str) -> Served:
        """Return a run.

        Raises:
            RequestError: there is no run of this name.
        """
        served = self._served.get(name)
        if served is None:
            raise unknown("run", name, nearest(name, self._served).strip(" ()") or "GET /v1/runs lists all")
        return served

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    def load(self) -> dict[str, Loaded]:
        """Load all runs.

        Raises:
            CheckpointError: a folder that cannot be loaded.
            BackendError: a run that cannot compute in the precision.
        """
        loaded = {name: load(folder, **self.options) for name, folder in self.folders.items()}
        for run in loaded.values():
            if self.share:
                share_weights(run)
            with run.answering(self.precision):
                pass  # a precision that it does not have is refused now
        return {name: Loaded.of(run) for name, run in loaded.items()}

    def begin(self, runs: Mapping[str, Loaded]) -> None:
        """Serve loaded runs, in place of those of the same name, which end their work; on the event loop.

        Raises:
            ConfigError: a run of another task than before.
        """
        for name, loaded in runs.items():
            run = loaded.run
            old = self._served.get(name)
            if old is not None and old.run.config.task != run.config.task:
                raise ConfigError(f"{name} is of task {run.config.task} now: start a new server for it")
            batcher = Batcher(
                run,
                name,
                self.limits,
                self.server_metrics,
                start=loaded.start,
                threads=self.threads,
                precision=self.precision,
            )
            batcher.begin()
            self._served[name] = Served(name, loaded, batcher, self.threads)
            if old is not None:
                old.end()

    def end(self) -> None:
        """End all threads, whatever needs them."""
        for served in self._served.values():
            served.sessions = 0
            served.end()


def names_of(runs: Sequence[str]) -> dict[str, Path]:
    """Return the folders of runs by name: FOLDER has the name of the folder, NAME=FOLDER its own.

    Raises:
        ConfigError: a name that an address cannot have, or two runs of one name.
    """
    folders: dict[str, Path] = {}
    for argument in runs:
        name, given, folder = argument.partition("=")
        if not given or Path(argument).exists():
            name, folder = Path(argument).resolve().name, argument
        if not NAME.fullmatch(name):
            raise ConfigError(
                f'"{name}" cannot be a name in an address: give another one, of letters, digits, ".", "_" and "-", as '
                "in NAME=FOLDER"
            )
        if name in folders:
            raise ConfigError(f'two runs have the name "{name}": give one of them another, as in NAME=FOLDER')
        folders[name] = Path(folder)
    return folders


def _shared_copy(model: torch.nn.Module) -> Any:
    """Return a copy of the modules of a model that has the very same tensors."""
    memo = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, memo)


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
