"""Runs, trainings and caches that somebody has changed: believed as far as they can be checked."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import safetensors.torch
import torch

import unrolled
from hostileruns import FORMATS, StopError, ask, listing, sign, stopped_at
from small import SMALL, pairs, translations, write_csv, write_pairs, write_text
from unrolled.errors import CheckpointError
from unrolled.inside import Trace

from .cases import case

STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TEXT = {"task": "generate", "embedding_size": 6, "hidden_size": 8, "updates": 2, "streams": 2, "chunk": 16}


def trained(folder: Path, **settings: Any) -> Path:
    """Return the folder of a run that was trained on a file of the folder."""
    unrolled.train(write_csv(folder / "a.csv"), out=folder / "run", **SMALL | settings)
    return folder / "run"


def change(path: Path, edit: Callable[[Any], object]) -> None:
    """Change a JSON file of a run, and make its sums right."""
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
    sign(path.parent)


def refused(*arguments: object) -> str:
    """Return the message of a command that must end with a sentence and exit code 2, and print nothing else."""
    with patch.dict(os.environ, {"COLUMNS": "100000"}):  # whole lines
        code, out, err = ask([str(each) for each in arguments])
    assert (code, out) == (2, ""), (code, out, err)
    message = " ".join(STYLE.sub("", err).split())  # a terminal wraps lines
    assert "unrolled: " in message
    return message


@case("A")
def bit_of_cached_ids(folder: Path) -> None:
    """A flipped bit in the cached ids of a text is noticed: they are built again, and the run is the same."""
    text, cache = write_text(folder / "a.txt"), folder / "cache"
    first = unrolled.train(text, cache=str(cache), **TEXT)
    (ids,) = cache.rglob("train.ids")
    data = bytearray(ids.read_bytes())
    data[7] ^= 1
    ids.write_bytes(data)
    again = unrolled.train(text, cache=str(cache), **TEXT)
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in first.model.state_dict().items())
    assert ids.read_bytes() != bytes(data)


@case("A")
def cache_manifest(folder: Path) -> None:
    """A cache whose manifest gives other counts is not believed."""
    text, cache = write_text(folder / "a.txt"), folder / "cache"
    counts = unrolled.train(text, cache=str(cache), **TEXT).record["data"]["counts"]
    (manifest,) = cache.rglob("manifest.json")
    value = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(value | {"counts": [0] * len(counts)}))
    assert unrolled.train(text, cache=str(cache), **TEXT).record["data"]["counts"] == counts


@case("A")
def other_task(folder: Path) -> None:
    """config.json and run.json that disagree about the task are refused."""
    run = trained(folder)
    change(run / "run.json", lambda record: record["config"].update(task="tag"))
    assert "about the task" in refused("decode", run, "a film")


@case("A")
def other_model(folder: Path) -> None:
    """config.json and run.json that disagree about the model are refused."""
    run = trained(folder)
    change(run / "run.json", lambda record: record["config"]["model"].update(bidirectional=True))
    assert "about the model's bidirectional" in refused("decode", run, "a film")


@case("A")
def tokenizer_of_other_settings(folder: Path) -> None:
    """A tokenizer of another kind than the settings say is refused."""
    run = trained(folder)
    change(run / "run.json", lambda record: record["config"]["data"].update(tokenizer="character"))
    assert "about the tokenizer" in refused("decode", run, "a film")


@case("A")
def equal_labels(folder: Path) -> None:
    """Two equal labels are refused."""
    run = trained(folder)
    change(run / "config.json", lambda config: config.update(labels=["pos", "pos"]))
    assert 'labels should be distinct: "pos" occurs twice' in refused("decode", run, "a film")


@case("A")
def empty_label(folder: Path) -> None:
    """An empty label is refused."""
    run = trained(folder)
    change(run / "config.json", lambda config: config.update(labels=["", "pos"]))
    assert "labels.0" in refused("decode", run, "a film")


def _weights(run: Path, value: float) -> None:
    """Write a number into a weight of a run."""
    weights = safetensors.torch.load_file(run / "model.safetensors")
    for tensor in weights.values():
        tensor.view(-1)[0] = value
    safetensors.torch.save_file(weights, run / "model.safetensors")
    sign(run)


@case("A")
def weights_of_nan(folder: Path) -> None:
    """Weights of NaN are refused at load."""
    run = trained(folder)
    _weights(run, float("nan"))
    assert "has a number that is not finite" in refused("decode", run, "a film", "--json")


@case("A")
def weights_of_infinity(folder: Path) -> None:
    """Weights of infinity are refused at load."""
    run = trained(folder)
    _weights(run, -float("inf"))
    assert "has a number that is not finite" in refused("evaluate", run)


@case("A")
def weights_that_overflow(folder: Path) -> None:
    """Finite weights whose products overflow give no answer and no JSON that is none."""
    run = trained(folder, model="feedforward")
    weights = safetensors.torch.load_file(run / "model.safetensors")
    huge = {name: torch.full_like(value, 3e38) for name, value in weights.items()}
    safetensors.torch.save_file(huge, run / "model.safetensors")
    sign(run)
    for arguments in (["decode", run, "a film", "--json"], ["evaluate", run, "--json"], ["explain", run, "a film"]):
        refused(*arguments)


@case("F")
def cache_of_a_stranger(folder: Path) -> None:
    """`evaluate` writes into the user's cache, whatever folder run.json names."""
    unrolled.train(write_text(folder / "a.txt"), out=folder / "run", **TEXT)
    (folder / "home").mkdir()
    change(folder / "run" / "run.json", lambda record: record["config"]["data"].update(cache=str(folder / "home")))
    before = listing(folder)
    assert ask(["evaluate", str(folder / "run")])[0] == 0
    assert listing(folder) == before


@case("F")
def file_of_a_stranger(folder: Path) -> None:
    """`evaluate` does not read a file that run.json names with another sum, and says how to name it."""
    run = trained(folder)
    secret = write_csv(folder / "secret.csv", pairs(seed=3))
    change(run / "run.json", lambda record: record["data"].update(source=str(secret)))
    assert f"`unrolled evaluate {run} {secret} --test-split`" in refused("evaluate", run)


@case("F")
def hub_of_a_stranger(folder: Path) -> None:
    """`evaluate` fetches no data set of the hub that run.json names."""
    run = trained(folder)
    change(run / "run.json", lambda record: record["data"].update(source="hub:nobody/nothing"))
    assert f"`unrolled evaluate {run} hub:nobody/nothing --test-split`" in refused("evaluate", run)


def _interrupted(folder: Path) -> Path:
    """Return the folder of a training that can be resumed."""
    with stopped_at(3), pytest.raises(StopError):
        unrolled.train(write_csv(folder / "a.csv"), out=folder / "run", **SMALL | {"updates": 9, "checkpoint_every": 1})
    return folder / "run.partial"


@case("F")
def resumed_on_another_file(folder: Path) -> None:
    """`train --resume` does not read a file that plan.json names with another sum; the command it advises works."""
    partial = _interrupted(folder)
    other = Path(shutil.copy(folder / "a.csv", folder / "b.csv"))
    change(partial / "plan" / "plan.json", lambda plan: plan["data"].update(source=str(other)))
    run = folder / "run"
    assert f"`unrolled train {other} --resume {run}`" in refused("train", "--resume", run)
    assert ask(["train", str(other), "--resume", str(run)])[0] == 0


@case("F")
def resumed_with_a_huge_model(folder: Path) -> None:
    """A plan with a model of 10^10 weights is refused before memory is allocated for it."""
    partial = _interrupted(folder)
    change(partial / "plan" / "plan.json", lambda plan: plan["config"]["model"].update(hidden_size=65_536))
    assert "does not hold the weights of this model" in refused("train", "--resume", partial)


@case("F")
def resumed_with_infinite_moments(folder: Path) -> None:
    """A checkpoint with a number that is not finite is not used; the one before is, and that is said."""
    partial = _interrupted(folder)
    newest = max((partial / "checkpoints").iterdir())
    tensors = safetensors.torch.load_file(newest / "tensors.safetensors")
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    safetensors.torch.save_file(tensors, newest / "tensors.safetensors")
    sign(newest)
    code, _, err = ask(["train", "--resume", str(partial)])
    assert code == 0
    assert f"checkpoint {newest.name} is not used" in " ".join(STYLE.sub("", err).split())


@case("F")
def first_format(folder: Path) -> None:
    """Runs of format 1 and 2 with NaN, a vocabulary of 0 and odd types are refused with a sentence."""
    edits: tuple[Callable[[dict[str, Any]], object], ...] = (
        lambda config: config["model"].update(dropout=float("nan")),
        lambda config: config["inputs"].update(vocabulary_size=0),
        lambda config: config.update(row=["gru"]),
        lambda config: config.update(model=None),
        lambda config: config.update(format_version=-1),
    )
    for version in (1, 2):
        for number, edit in enumerate(edits):
            run = Path(shutil.copytree(FORMATS / "classify-gru", folder / f"{version}-{number}"))
            change(run / "config.json", lambda config: config.update(format_version=version))  # noqa: B023
            assert ask(["decode", str(run), "fine"])[0] == 0
            change(run / "config.json", edit)
            assert "config.json" in refused("decode", run, "fine")


@case("F")
def tokenizer_of_odd_values(folder: Path) -> None:
    """A tokenizer that is not UTF-8, or with odd ids, merges and lengths, is refused with a sentence."""
    run = trained(folder, tokenizer="bpe", vocabulary_size=300)
    path = run / "tokenizer.json"
    whole = path.read_text()
    edits: tuple[Callable[[dict[str, Any]], object], ...] = (
        lambda stored: stored["model"]["vocab"].update(a=10**30),
        lambda stored: stored["model"]["vocab"].update(a=True),
        lambda stored: stored["model"]["merges"].append([1, 2]),
        lambda stored: stored["model"]["merges"].append(["no", "subword"]),
        lambda stored: stored["model"].update(vocab={}),
        lambda stored: stored.update(model="x" * 100_000),
    )
    for edit in edits:
        path.write_text(whole)
        change(path, edit)
        assert "tokenizer.json" in refused("decode", run, "fine")
    path.write_bytes(b"\xff\xfe")
    sign(run)
    assert "tokenizer.json is damaged: byte 0 is not UTF-8" in refused("decode", run, "fine")


@case("F")
def pixels_of_a_huge_image(folder: Path) -> None:
    """Images of 10^18 pixels with a permutation are refused without memory."""
    run = Path(shutil.copytree(FORMATS / "images-elman", folder / "run"))
    change(run / "pixels.json", lambda pixels: pixels.update(height=10**9, width=10**9, permutation=[0]))
    assert "pixels.json" in refused("decode", run, "x.png")


@case("F")
def snapshots_of_another_model(folder: Path) -> None:
    """A snapshot of another shape is refused with its name."""
    run = trained(folder, keep="snapshots")
    path = next((run / "snapshots").iterdir())
    safetensors.torch.save_file({"x": torch.zeros(2).half()}, path)
    sign(run)
    assert path.name in refused("explain", run, "a film", "--snapshots")


@case("F")
def trace_of_odd_values(folder: Path) -> None:
    """A trace whose header has odd values is refused with a sentence."""
    made = unrolled.train(
        write_pairs(folder / "a.csv", translations()), task="translate", tokenizer="character", **SMALL
    ).explain("abc")
    made.save(folder / "trace")
    tensors, about = safetensors.torch.load_file(folder / "trace"), json.loads(_metadata(folder / "trace")["trace"])
    for entry, value in {"tokens": [1], "update": -1, "run": None, "more": 1, "guesses": "x"}.items():
        names = json.dumps(list(tensors))
        metadata = {"trace": json.dumps(about | {entry: value}), "names": names}
        safetensors.torch.save_file(tensors, folder / "odd", metadata)
        with pytest.raises(CheckpointError, match="is not a trace"):
            Trace.load(folder / "odd")
    for names in ("5", "[[]]", "null", "{}", "[1]"):
        safetensors.torch.save_file(tensors, folder / "odd", {"trace": json.dumps(about), "names": names})
        with pytest.raises(CheckpointError, match="is not a trace"):
            Trace.load(folder / "odd")


def _metadata(path: Path) -> dict[str, str]:
    data = path.read_bytes()
    metadata: dict[str, str] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return metadata
