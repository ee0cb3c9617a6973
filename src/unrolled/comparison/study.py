"""The study of a comparison: its plan and every training, in a storage of Optuna: a file, or a database.

For each entry there are two studies of Optuna: NAME/LABEL/trial has the trials of the search, NAME/LABEL/seed the
trainings with several seeds. A training is a trial of Optuna with an index k of ours, in one of three states:

    free      nobody trains k: it was not begun, or the process that trained it is dead
    running   a process that is alive trains it
    done      it has a figure, was pruned, or its training failed

A process takes the first free training, in a fixed order. To take it, it adds a trial with this index and asks Optuna
for one, which no other process then gets. Of two trials with the same index the one with the smaller number counts; the
other is void. So any number of processes share the trainings without doing one twice, and a killed one loses only its
own.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from unrolled.comparison.search import require
from unrolled.errors import CheckpointError, ConfigError, excerpt

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

__all__ = ["Done", "Job", "Kind", "Lost", "Study"]

Kind = Literal["trial", "seed"]
CHUNK = 32_000  # characters of a value in the storage: some databases have no longer ones
BEAT, DEAD = 10.0, 900.0  # seconds between two signs of life, and after the last one
UNSIGNED = 10.0  # seconds in which a process that has taken a trial signs it
MEDIAN_OF = 4  # trials before one is pruned
RANGES = {"learning_rate": (1e-12, 1e6), "dropout": (0.0, 1.0)}
LARGEST_SEED = 2**53
ENDED = ("Z", "X")  # states of a process
TIMEOUT = 60.0  # seconds that a process waits for another to finish writing

log = logging.getLogger("unrolled")


class Done(NamedTuple):
    """A finished training.

    Args:
        k: its index.
        state: "complete", "pruned" or "failed".
        params: learning_rate and dropout, or seed.
        figure: figure on the validation split, the greater the better; None: it failed.
        values: the recorded values, see `worker`.
    """

    k: int
    state: str
    params: Mapping[str, float]
    figure: float | None
    values: Mapping[str, Any]


class Job(NamedTuple):
    """A training that this process has taken."""

    label: str
    kind: Kind
    k: int
    trial: optuna.Trial


class Lost(Exception):  # noqa: N818  (it is not an error)
    """A training that another process took over, because this one gave no sign of life for too long."""


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Raise CheckpointError for a storage that cannot be reached or written, and Lost for a lost training."""
    import optuna
    import sqlalchemy

    try:
        yield
    except optuna.exceptions.UpdateFinishedTrialError:
        raise Lost from None
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        cause = error.__cause__ or error
        said = str(getattr(cause, "orig", None) or cause).splitlines()[0]
        raise CheckpointError(
            f"the storage {hidden(url)} cannot be reached or written: {excerpt(said, 200)}. What is in it is kept"
        ) from error


def _serialise(engine: sqlalchemy.Engine) -> None:
    """Let each transaction of SQLite lock the file from its beginning.

    By default it is locked at the first write only: of two processes that read that a trial waits, both would take it.
    """
    import sqlalchemy

    @sqlalchemy.event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: Any, record: Any) -> None:
        connection.isolation_level = None

    @sqlalchemy.event.listens_for(engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections that were made before


def hidden(url: str) -> str:
    """Return a database's address without the password."""
    import sqlalchemy

    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return excerpt(url)


class Study:
    """The study of one comparison.

    Args:
        url: address of the storage, such as sqlite:///study.db.
        name: name of the comparison in it.

    Raises:
        CheckpointError: the storage cannot be reached.
        ConfigError: Optuna is not installed.
    """

    def __init__(self, url: str, name: str) -> None:
        require()
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.url, self.name = url, name
        options = {"connect_args": {"timeout": TIMEOUT}} if url.startswith("sqlite") else {}
        with storage_errors(url):
            self._storage = optuna.storages.RDBStorage(url, engine_kwargs=options)
            if url.startswith("sqlite"):
                _serialise(self._storage.engine)
        self._studies: dict[str, optuna.Study] = {}
        self._worker = f"{platform.node()}:{os.getpid()}"
        self._beat = 0.0

    @property
    def exists(self) -> bool:
        """True if the storage has a plan of this name."""
        import optuna

        with storage_errors(self.url):
            return any(name == self.name for name in optuna.get_all_study_names(self._storage))

    def names(self) -> list[str]:
        """Return the names of the comparisons in the storage."""
        import optuna

        with storage_errors(self.url):
            return [name for name in optuna.get_all_study_names(self._storage) if "/" not in name]

    def begin(self, plan: str) -> None:
        """Save the plan of a new comparison."""
        with storage_errors(self.url):
            self._set(self._optuna(self.name), "plan", plan)

    def plan(self) -> str:
        """Return the plan.

        Raises:
            ConfigError: the storage has no comparison of this name.
        """
        if not self.exists:
            have = ", ".join(self.names()) or "none"
            raise ConfigError(f'{hidden(self.url)} has no comparison "{self.name}"; it has {have}')
        with storage_errors(self.url):
            plan = self._get(self._optuna(self.name).user_attrs, "plan")
        if plan is None:
            raise ConfigError(f'the comparison "{self.name}" was interrupted before its plan was made: begin it again')
        return str(plan)

    def keep(self, key: str, value: Any) -> None:
        """Save a value of the whole comparison, unless it is there."""
        with storage_errors(self.url):
            study = self._optuna(self.name)
            if self._get(study.user_attrs, key) is None:
                self._set(study, key, value)

    def kept(self, key: str) -> Any:
        """Return a value that was saved with `keep`; None if there is none."""
        with storage_errors(self.url):
            return self._get(self._optuna(self.name).user_attrs, key)

    def done(self, label: str, kind: Kind) -> list[Done]:
        """Return the finished trainings, by index."""
        with storage_errors(self.url):
            trials = self._trials(label, kind)
        found = {}
        for trial in sorted(trials, key=lambda trial: -trial.number):
            if (state := _state(trial)) is not None:
                values = {key: self._get(trial.user_attrs, key) for key in _keys(trial.user_attrs)}
                k = trial.user_attrs["k"]
                found[k] = Done(k, state, trial.params, _figure(trial), values)
        return [found[k] for k in sorted(found)]

    def status(self, label: str, kind: Kind, k: int) -> Literal["free", "running", "done"]:
        """Return whether a training can be taken; those of a dead process are given up."""
        import optuna

        with storage_errors(self.url):
            status: Literal["free", "running", "done"] = "free"
            for trial in self._trials(label, kind):
                if trial.user_attrs.get("k") != k:
                    continue
                if _state(trial) is not None:
                    return "done"
                if trial.state == optuna.trial.TrialState.RUNNING:
                    if self._is_alive(trial):
                        status = "running"
                    else:
                        log.info("%s: %s %s of a process that has ended begins again", label, kind, k + 1)
                        self._optuna(f"{self.name}/{label}/{kind}").tell(
                            trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True
                        )
            return status

    def take(self, label: str, kind: Kind, k: int, params: Mapping[str, float], warm: int | None) -> Job | None:
        """Take a training that is free; None: another process was faster.

        Args:
            label, kind, k: the training.
            params: learning_rate and dropout, or seed.
            warm: updates before it may be pruned; None: it is not.
        """
        import optuna

        with storage_errors(self.url):
            study = self._optuna(f"{self.name}/{label}/{kind}", warm)
            waiting = (optuna.trial.TrialState.WAITING,)
            if all(each.user_attrs.get("k") != k for each in study.get_trials(deepcopy=False, states=waiting)):
                study.enqueue_trial(dict(params), user_attrs={"k": k})
            trial = study.ask()
            trial.set_user_attr("worker", self._worker)
            self.beat(trial, now=True)
            ours = trial.user_attrs.get("k")
            earlier = [
                each
                for each in study.get_trials(deepcopy=False)
                if each.user_attrs.get("k") == ours and each.number < trial.number
            ]
            for name, value in params.items():  # takes the enqueued values
                _suggest(trial, name, value)
            if ours is None or any(_state(each) or self._is_running(each) for each in earlier):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                return None
            return Job(label, kind, ours, trial)

    def beat(self, trial: optuna.Trial, *, now: bool = False) -> None:
        """Give a sign of life, unless the last one is recent."""
        if now or time.monotonic() > self._beat + BEAT:
            self._beat = time.monotonic()
            with storage_errors(self.url):
                trial.set_user_attr("alive", time.time())

    def report(self, job: Job, figure: float, update: int) -> bool:
        """Save the figure of an evaluation, and return whether the trial is to be pruned."""
        with storage_errors(self.url):
            job.trial.report(figure, update)
            return job.trial.should_prune()

    def finish(self, job: Job, figure: float | None, values: Mapping[str, Any], *, pruned: bool = False) -> None:
        """Save the result of a training.

        Args:
            job: the training.
            figure: its figure; None: it failed, for the reason values["error"].
            values: the values to record.
            pruned: whether it ended early.
        """
        import optuna

        state = optuna.trial.TrialState
        with storage_errors(self.url):
            study = self._optuna(f"{self.name}/{job.label}/{job.kind}")
            for key, value in values.items():
                self._set(job.trial, key, value)
            if figure is None:
                study.tell(job.trial, state=state.FAIL)
            elif pruned:
                self._set(job.trial, "figure", figure)
                study.tell(job.trial, state=state.PRUNED)
            else:
                study.tell(job.trial, figure)

    def give_up(self, job: Job) -> None:
        """Free a training that was interrupted."""
        import optuna

        with storage_errors(self.url):
            study = self._optuna(f"{self.name}/{job.label}/{job.kind}")
            study.tell(job.trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def _is_running(self, trial: optuna.trial.FrozenTrial) -> bool:
        import optuna

        return trial.state == optuna.trial.TrialState.RUNNING and self._is_alive(trial)

    def _is_alive(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Return whether the process that runs a trial is alive, as far as can be seen from here."""
        worker, beat = trial.user_attrs.get("worker"), trial.user_attrs.get("alive")
        if worker is None or beat is None:
            began = trial.datetime_start
            return began is not None and time.time() - began.timestamp() < UNSIGNED
        host, _, process = worker.rpartition(":")
        if host == platform.node() and not _exists(int(process)):
            return False
        return time.time() - float(beat) < DEAD

    def _trials(self, label: str, kind: Kind) -> list[optuna.trial.FrozenTrial]:
        return self._optuna(f"{self.name}/{label}/{kind}").get_trials(deepcopy=False)

    def _optuna(self, name: str, warm: int | None = None) -> optuna.Study:
        """Return a study of Optuna, made if it does not exist."""
        import optuna

        if name not in self._studies or warm is not None:
            pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
            if warm is not None:
                pruner = optuna.pruners.MedianPruner(MEDIAN_OF, warm)
            self._studies[name] = optuna.create_study(
                storage=self._storage, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
            )
        return self._studies[name]

    def _set(self, owner: optuna.Study | optuna.Trial, key: str, value: Any) -> None:
        """Save a value in pieces; the first one, which counts them, is the last to be written."""
        text = json.dumps(value)
        pieces = [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]
        for number, piece in enumerate(pieces[1:], start=1):
            owner.set_user_attr(f"{key}.{number}", piece)
        owner.set_user_attr(f"{key}.0", [len(pieces), pieces[0]])

    def _get(self, attrs: Mapping[str, Any], key: str) -> Any:
        """Return a value that was saved in pieces; None if there is none."""
        if f"{key}.0" not in attrs:
            return None
        count, first = attrs[f"{key}.0"]
        return json.loads("".join([first, *(attrs[f"{key}.{number}"] for number in range(1, count))]))


def _suggest(trial: optuna.Trial, name: str, value: float) -> None:
    """Give a trial its parameter, which was enqueued, with a range that any value is in."""
    if name == "seed":
        trial.suggest_int(name, 0, LARGEST_SEED)
    else:
        trial.suggest_float(name, *RANGES[name])


def _keys(attrs: Mapping[str, Any]) -> list[str]:
    """Return the keys of the values that were saved in pieces."""
    return [key.removesuffix(".0") for key in attrs if key.endswith(".0")]


def _state(trial: optuna.trial.FrozenTrial) -> str | None:
    """Return the state of a trial that is done; None: it is not, or void."""
    import optuna

    if trial.state == optuna.trial.TrialState.FAIL:
        return "failed" if "error.0" in trial.user_attrs else None
    return {optuna.trial.TrialState.COMPLETE: "complete", optuna.trial.TrialState.PRUNED: "pruned"}.get(trial.state)


def _figure(trial: optuna.trial.FrozenTrial) -> float | None:
    import optuna

    if trial.state == optuna.trial.TrialState.PRUNED:
        return float(json.loads(trial.user_attrs["figure.0"][1]))
    return trial.value


def _exists(process: int) -> bool:
    """Return whether a process of this machine exists, and has not ended without its parent's notice."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return True
    return state[0] not in ENDED
