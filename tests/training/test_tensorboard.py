"""TensorBoard's events: the figures of metrics.jsonl."""

import importlib.util
import struct
from pathlib import Path

import pytest

from small import SMALL, pairs
from unrolled import api
from unrolled.errors import ConfigError
from unrolled.training import tensorboard
from unrolled.training.progress import Event, Score


def written(folder: Path) -> tuple[dict[tuple[str, int], float], list[int]]:
    """Every scalar in the folder's event files, by name and update; and the updates from which older ones are void."""
    from tensorboardX.proto.event_pb2 import Event as Kept

    scalars, voids = {}, []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Kept.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            scalars |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
            voids += [event.step] if event.HasField("session_log") else []
    return scalars, voids


def test_the_figures_are_those_of_metrics(tmp_path: Path) -> None:
    run = api.train(pairs(), out=tmp_path / "run", tensorboard=True, **SMALL)
    scalars, _ = written(tmp_path / "run" / "tensorboard")
    wanted = {
        (name, event["update"]): value
        for event in run.metrics
        for name, value in event.items()
        if name not in ("update", "updates", "best")
    }
    assert scalars.keys() == wanted.keys()
    assert all(scalars[key] == pytest.approx(value, rel=1e-6) for key, value in wanted.items())


def test_what_is_done_again_is_replaced(tmp_path: Path) -> None:
    with tensorboard.writing(tmp_path, 5) as write:
        write(Event(6, 9, 0.5, 0.7, 0.1, 1.0, 100.0, Score(0.6, 0.5)))
    scalars, voids = written(tmp_path)
    assert voids == [6]
    assert scalars["valid_loss_nats", 6] == pytest.approx(0.6)


def test_where_the_extra_is_missing_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"which is not installed: pip install 'unrolled\[tensorboard\]'"):
        api.train(iter(()), out=tmp_path / "run", tensorboard=True)
    monkeypatch.undo()
    with pytest.raises(
        ConfigError, match="keep and tensorboard write into the run's folder: give one with out or runs"
    ):
        api.train(iter(()), tensorboard=True)
