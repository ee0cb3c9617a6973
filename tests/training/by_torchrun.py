"""Trainings that test_distributed.py starts by torchrun: each of CASES, into a folder.

python by_torchrun.py FOLDER [memory | messages | kill | other]: with `memory` or `messages`, the gradients are summed
in this way only; with `kill`, a process ends itself by SIGKILL in the first launch of the training; with `other`, the
last process has other data.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import unrolled
from unrolled import launch
from unrolled.training import Event, exchange

COMMON: dict[str, Any] = {
    "hidden_size": 6,
    "embedding_size": 6,
    "dropout": 0.2,
    "updates": 12,
    "evaluate_every": 5,
    "checkpoint_every": 3,
    "shards": 4,
    "threads": 1,
}
CASES: dict[str, dict[str, Any]] = {
    "classify": {"data": "data.csv", "model": "gru", "accumulate": 2, "average": 0.9},
    "tag": {"data": "tags.conllu", "task": "tag", "model": "lstm"},
    "translate": {"data": "pairs.csv", "task": "translate", "model": "attention", "average_best": 2},
    "generate": {"data": "text.txt", "task": "generate", "model": "gru", "streams": 8, "chunk": 8},
    "gpt": {"data": "text.txt", "task": "generate", "model": "gpt", "streams": 3, "window": 8, "num_heads": 1},
}


def killing(event: Event) -> None:
    """End the last process, at an event after the first checkpoint."""
    if not launch.restarted() and launch.rank() == launch.count() - 1 and event.update == 7:
        os.kill(os.getpid(), signal.SIGKILL)


def not_in_this_way(*_: object) -> None:
    raise AssertionError("the gradients are summed in another way than the test says")


def main(folder: str, *options: str) -> None:
    if "memory" in options:
        exchange._sum_by_messages = not_in_this_way  # type: ignore[assignment]
    if "messages" in options:
        launch.on_one_machine = lambda: False
        exchange._Memory.shared = not_in_this_way  # type: ignore[method-assign, assignment]
    for name, settings in CASES.items():
        if ("kill" in options or "other" in options) and name != ("generate" if "kill" in options else "classify"):
            continue
        if "other" in options and launch.rank() == launch.count() - 1:
            settings = settings | {"data": "other.csv"}
        report = killing if "kill" in options else lambda event: None
        run = unrolled.train(out=Path(folder) / name, report=report, **COMMON, **settings)
        assert run.path == Path(folder) / name
        assert run.test is not None
        assert run.test.to_dict() == run.record["result"], "each process has the result"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun ends the others by it: they are to end by themselves
    main(*sys.argv[1:])
