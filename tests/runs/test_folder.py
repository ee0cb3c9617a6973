"""The folder of a run: the same bits back, every damage noticed, nothing executed, nothing written over."""

import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from small import MODELS, image_run, pairs, tag_run, text_run, trained, translation_run
from unrolled import api
from unrolled.data.encoding.batches import Sequences
from unrolled.decoding.classification import probabilities
from unrolled.errors import CheckpointError, ConfigError
from unrolled.runs.folder import FORMAT_VERSION, PREPROCESSORS
from unrolled.runs.preprocessor import FILES
from unrolled.training import Run

NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "run.json")
TEXTS = [text for text, _ in pairs(9, seed=9)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = trained().save(tmp_path / "run").path
    assert path is not None
    return path


def bits(run: Run) -> bytes:
    return probabilities(run.model, Sequences(run.tokenizer.encode(TEXTS))).tobytes()


def sign(folder: Path) -> None:
    """Write the sums anew, as somebody would who means harm."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def change(path: Path, edit: Callable[[dict], None]) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
    sign(path.parent)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("tokenizer", ["word", "bpe"])
def test_saved_and_loaded_it_gives_the_same_bits(name: str, tokenizer: str, tmp_path: Path) -> None:
    settings = {"bidirectional": True, "num_layers": 2, "read": "max"} if name == "lstm" else {}
    run = trained(name, tokenizer=tokenizer, vocabulary_size=400, **settings)
    loaded = api.load(run.save(tmp_path / "run").path)
    assert bits(loaded) == bits(run)
    assert loaded.labels == run.labels
    assert loaded.config == run.config
    assert loaded.record == run.record
    assert not loaded.model.training
    again = api.load(loaded.save(tmp_path / "again").path)
    assert bits(again) == bits(run)


def test_its_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*NEEDED, "metrics.jsonl", "README.md", "SHA256SUMS"]
    )
    config = json.loads((folder / "config.json").read_text())
    assert config["format_version"] == FORMAT_VERSION
    assert config["special_ids"] == {"pad": 0, "unk": 1, "bos": 2, "eos": 3, "sep": 4}
    assert config["labels"] == ["neg", "pos"]
    record = json.loads((folder / "run.json").read_text())
    assert set(record) == {
        "config", "data", "start", "parameters", "training", "result", "backend", "versions", "machine", "date",
        "seconds", "decided", "baseline",
    }  # fmt: skip
    assert record["config"]["training"]["seed"] == 0
    assert set(record["versions"]) >= {"unrolled", "torch", "tokenizers", "safetensors", "numpy"}
    assert record["result"]["n"] == record["data"]["splits"]["test"]["rows"]
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(trained().metrics)
    assert "unrolled decode" in (folder / "README.md").read_text()


def test_the_model_card_is_safe_from_labels() -> None:
    from unrolled.runs.card import model_card

    run = trained()
    hostile = replace(run, labels=("a`b\n# not a heading", "b"))
    card = model_card(hostile.config, hostile.record, **hostile.card())
    assert "\n# not" not in card


def test_loading_reads_no_pickle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was read")

    for module, name in [(torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")]:
        monkeypatch.setattr(module, name, never)
    assert bits(api.load(folder)) == bits(trained())


class Bomb:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("dump", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_a_pickle_in_the_place_of_the_weights_is_refused(
    dump: Callable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    with (folder / "model.safetensors").open("wb") as file:
        dump(Bomb(), file)
    with pytest.raises(CheckpointError, match="model.safetensors .* is not the file that was saved"):
        api.load(folder)
    sign(folder)
    with pytest.raises(CheckpointError, match="model.safetensors is not a safetensors file"):
        api.load(folder)
    assert not Path("exploded").exists()


def damage(folder: Path, other: Path, draw: random.Random) -> str:
    """Damage one of the needed files in one of six ways, and say which and how."""
    path = folder / draw.choice(NEEDED)
    data = bytearray(path.read_bytes())
    how = draw.choice(["flip", "truncate", "swap", "delete", "empty", "foreign", "insert"])
    if how == "flip":
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif how == "truncate":
        del data[draw.randrange(len(data)) :]
    elif how == "swap":
        second = folder / draw.choice([name for name in NEEDED if name != path.name])
        data = bytearray(second.read_bytes())
        second.write_bytes(path.read_bytes())
    elif how == "empty":
        data.clear()
    elif how == "foreign":
        data = bytearray((other / path.name).read_bytes())
    elif how == "insert":
        data[draw.randrange(len(data)) : 0] = draw.randbytes(3)
    path.write_bytes(data)
    if how == "delete":
        path.unlink()
    return f"{how} {path.name}"


def test_no_damage_is_loaded_and_each_is_named(folder: Path, tmp_path: Path) -> None:
    other = trained("lstm", tokenizer="character", seed=1).save(tmp_path / "other").path
    assert other is not None
    draw = random.Random(0)
    kinds = set()
    for number in range(200):
        damaged = Path(shutil.copytree(folder, tmp_path / f"damaged-{number}"))
        what = damage(damaged, other, draw)
        kinds.add(what)
        with pytest.raises(CheckpointError) as refused:
            api.load(damaged)
        assert what.split()[1] in str(refused.value) or what.startswith("swap"), (what, str(refused.value))
        assert any(name in str(refused.value) for name in NEEDED), (what, str(refused.value))
        shutil.rmtree(damaged)
    assert len(kinds) == 7 * 4


@pytest.mark.parametrize("name", [*NEEDED, "SHA256SUMS"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"not a finished run: {name} is missing"):
        api.load(folder)


def test_a_folder_in_the_place_of_a_file(folder: Path) -> None:
    (folder / "run.json").unlink()
    (folder / "run.json").mkdir()
    with pytest.raises(CheckpointError, match=r"run\.json is missing"):
        api.load(folder)


def test_a_newer_format_is_refused_before_anything_else(folder: Path) -> None:
    (folder / "config.json").write_text('{"format_version": 4, "new": "thing"}')
    with pytest.raises(CheckpointError, match=r"config\.json has format_version 4, .* install a newer unrolled"):
        api.load(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["model"].update(name="../../../etc/passwd"), r'model "\.\./\.\./\.\./etc/passwd" is unknown'),
        (lambda c: c["model"].update(name="os:system"), 'model "os:system" is unknown'),
        (lambda c: c["model"].update(name="gpt"), 'model "gpt" does not serve task "classify"'),
        (lambda c: c["model"].update(name="lstm"), r"config\.json disagrees .* about the model's name: lstm, not gru"),
        (lambda c: c.update(task="tag"), r"run\.json was not written by unrolled: data\.words is missing"),
        (lambda c: c.update(task="generate"), "labels should be those of task generate: got 2 labels"),
        (lambda c: c.update(weights="../../secret"), 'not written by unrolled: unknown entry "weights"'),
        (lambda c: c.update(labels="ab"), "config.json was not written by unrolled: labels should be a valid array"),
        (lambda c: c.update(labels=["neg", "pos", "c"]), r"head\..* has the shape"),
        (lambda c: c.update(labels=["pos", "pos"]), 'labels should be distinct: "pos" occurs twice'),
        (lambda c: c.update(labels=["neg", ""]), r"labels\.1 should have at least 1 character"),
        (lambda c: c.update(labels=["neg", "positive"]), "about the most frequent label"),
        (lambda c: c.update(inputs={"vocabulary_size": 10**15}), r"inputs\.ids\.vocabulary_size should be less than"),
        (lambda c: c.update(inputs={"vocabulary_size": 10**9}), r"tokenizer\.json makes .* belongs to another run"),
        (lambda c: c["model"].update(hidden_size=65_536), "about the model's hidden_size: 65536, not 5"),
        (lambda c: c["model"].update(hidden_size=-1), r"config\.json was not .*: model\.hidden_size should be greater"),
        (lambda c: c["model"].update(hidden_size=True), r"model\.hidden_size should be a valid integer: got True"),
        (lambda c: c["model"].update(dropout=float("nan")), r"config\.json is damaged: not JSON"),
        (lambda c: c.update(special_ids={"pad": 7}), r"config\.json .*: special_ids should be"),
        (lambda c: c.pop("format_version"), "config.json has no format_version"),
        (lambda c: c.update(format_version=True), "config.json has no format_version"),
        (lambda c: c.update(library="torch"), "config.json was not written by unrolled: library"),
    ],
)
def test_a_hostile_config_is_refused_without_memory_or_files(
    edit: Callable[[dict], None], message: str, folder: Path
) -> None:
    change(folder / "config.json", edit)
    with pytest.raises(CheckpointError, match=message):
        api.load(folder)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda r: r.pop("config"), r"run\.json was not written by unrolled: config is missing"),
        (lambda r: r["config"]["model"].update(name="nope"), "nope"),
        (
            lambda r: r["config"].update(task="tag"),
            r"config\.json disagrees .* about the task: classify, not tag",
        ),
        (lambda r: r["config"]["model"].update(hidden_size=6), "about the model's hidden_size: 5, not 6"),
        (
            lambda r: r["config"]["data"].update(tokenizer="bpe"),
            r"tokenizer\.json disagrees .* tokenizer: word, not bpe",
        ),
        (lambda r: r["config"]["data"].update(by="row"), r"has tokenizer\.json, and its settings need pixels\.json"),
        (lambda r: r.pop("data"), r"run\.json was not written by unrolled: data is missing"),
        (
            lambda r: r["data"].update(majority="nobody"),
            "about the most frequent label: one of 2 labels, not nobody",
        ),
        (lambda r: r["data"].update(source="a\0b"), r"data\.source should match pattern"),
        (lambda r: r["data"]["splits"].pop("test"), r"data\.splits\.test is missing"),
        (lambda r: r["data"]["splits"]["test"].update(rows=10**30), r"data\.splits\.test\.rows should be less than"),
        (lambda r: r["result"].update(accuracy=1e308), r"result\.accuracy should be less than"),
        (lambda r: r["result"].update(accuracy_interval=[0]), r"result\.accuracy_interval\.1 is missing"),
        (lambda r: r.update(more={"deep": float("inf")}), r"run\.json is damaged: not JSON"),
        (lambda r: r.update(parameters=-1), "parameters should be greater than or equal to 0"),
    ],
)
def test_a_hostile_record_is_refused(edit: Callable[[dict], None], message: str, folder: Path) -> None:
    change(folder / "run.json", edit)
    with pytest.raises(CheckpointError, match=message):
        api.load(folder)


def test_the_tokenizer_of_another_run_is_refused(folder: Path, tmp_path: Path) -> None:
    other = trained(tokenizer="byte").save(tmp_path / "other").path
    shutil.copy(other / "tokenizer.json", folder)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json .* is not the file that was saved"):
        api.load(folder)
    sign(folder)
    with pytest.raises(
        CheckpointError,
        match=r"tokenizer\.json makes vocabulary 261, and the model reads vocabulary 71: it belongs to ano",
    ):
        api.load(folder)
    (folder / "tokenizer.json").write_text("{}")
    sign(folder)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json was not written by unrolled: model is missing"):
        api.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: {name: value.half() for name, value in weights.items()},
            r"is torch\.float16, not",
        ),
        (lambda weights: weights | {"more": torch.zeros(1)}, "more is not a tensor of it"),
        (lambda weights: dict(list(weights.items())[1:]), "is missing"),
        (lambda weights: weights | {"head.bias": torch.zeros(3)}, r"head\.bias has the shape \(3,\), not \(2,\)"),
        (lambda weights: weights | {"head.bias": torch.tensor([0, torch.nan])}, r"head\.bias has a number that is not"),
        (lambda weights: weights | {"head.bias": torch.tensor([torch.inf, 0])}, r"head\.bias has a number that is not"),
    ],
)
def test_weights_of_another_kind_are_refused(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], message: str, folder: Path
) -> None:
    safetensors.torch.save_file(change(trained().model.state_dict()), folder / "model.safetensors")
    sign(folder)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors .*{message}"):
        api.load(folder)


@pytest.mark.parametrize("task", ["classify", "images", "tag", "translate", "generate"])
def test_every_task_s_run_fits_its_schema(task: str, tmp_path: Path) -> None:
    run = {"classify": trained, "images": image_run, "tag": tag_run, "translate": translation_run, "generate": text_run}
    saved = run[task]().save(tmp_path / "run")
    assert api.load(tmp_path / "run").record == saved.record


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text("x"), "is a file"),
        (lambda path: path.mkdir(), "is not a finished run: config.json"),
    ],
)
def test_what_is_no_run_is_refused(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    make(tmp_path / "x")
    with pytest.raises(CheckpointError, match=message):
        api.load(tmp_path / "x")


def test_nothing_is_written_over_unasked(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ConfigError, match="exists already: choose another --out, or --overwrite it"):
        trained("lstm").save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert api.load(trained("lstm").save(folder, overwrite=True).path).config.model.name == "lstm"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("config", [None, "{}", '{"library": "another"}', "not json"])
def test_a_folder_that_is_no_run_is_never_overwritten(config: str | None, tmp_path: Path) -> None:
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.txt").write_text("years of work")
    if config is not None:
        (mine / "config.json").write_text(config)
    with pytest.raises(ConfigError, match="is not a run of unrolled, so it is not overwritten"):
        trained().save(mine, overwrite=True)
    assert (mine / "chapter.txt").read_text() == "years of work"
    with pytest.raises(ConfigError, match="is a file: choose another --out"):
        trained().save(mine / "chapter.txt", overwrite=True)


def test_a_disk_that_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="cannot be written: No space left on device; earlier files"):
        trained("lstm").save(folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["run"]
    with pytest.raises(CheckpointError, match="cannot be written"):
        trained().save(folder / "config.json" / "below")


def test_the_current_folder_may_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert api.load(".").labels == ("neg", "pos")
    with pytest.raises(ConfigError, match=r"\. is the working folder"):
        trained().save(".")


def test_probabilities_are_in_the_order_asked(folder: Path) -> None:
    run = api.load(folder)
    answers = [answer.probabilities["pos"] for answer in run.decode(TEXTS)]
    assert np.allclose([run.decode(text)[0].probabilities["pos"] for text in TEXTS], answers, atol=1e-6)
    assert len(set(answers)) > 1


def test_a_run_of_the_first_version_is_read(folder: Path) -> None:
    """There an unset window was 16, in every model."""
    before = api.load(folder).decode("a fine film")
    config, record = (json.loads((folder / name).read_text()) for name in ("config.json", "run.json"))
    config["format_version"] = 1
    for model in (config["model"], record["config"]["model"]):
        model["window"] = 16
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "run.json").write_text(json.dumps(record))
    sign(folder)
    run = api.load(folder)
    assert run.decode("a fine film") == before
    assert run.config.model.window is None


def test_the_names_of_the_preprocessors_files_are_those_of_the_preprocessors() -> None:
    assert tuple(FILES) == PREPROCESSORS
