"""The task classify for images, end to end, for each model and each way of reading."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import unrolled
from options import OF_TRAINING, WILD, identity, left_by, missing_or_unknown
from small import image_run, pictures, trained, write_images
from unrolled import api, laws, tasks
from unrolled.config import from_flat
from unrolled.errors import CheckpointError, ConfigError, DataError, Interrupted
from unrolled.laws import Option
from unrolled.tasks.images import ImageRun
from unrolled.training import Trainer

WAYS = [
    ("feedforward", "image"), ("elman", "row"), ("lstm", "column"), ("gru", "row"), ("gru", "pixel"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "by"), WAYS)
def test_it_learns_what_is_brighter(name: str, by: str) -> None:
    run = unrolled.train(
        pictures(200), model=name, by=by, hidden_size=16, epochs=12, batch_images=16, learning_rate=1e-2, dropout=0
    )
    assert isinstance(run, ImageRun)
    assert run.test.accuracy > 0.9
    pixels, labels = pictures(30, seed=9)
    assert run.evaluate((pixels, labels)).accuracy > 0.9
    assert run.evaluate((pixels, labels)).n == 30


@pytest.mark.parametrize(("name", "by"), WAYS)
def test_saved_and_loaded_it_answers_with_the_same_bits(name: str, by: str, tmp_path: Path) -> None:
    run = image_run(name, by=by, permutation_seed=2)
    loaded = api.load(run.save(tmp_path / "run").path)
    assert loaded.pixels == run.pixels
    pixels, _ = pictures(7, seed=3)
    assert [a.probabilities for a in loaded.decode(pixels)] == [a.probabilities for a in run.decode(pixels)]
    assert not (tmp_path / "run" / "tokenizer.json").exists()
    assert "image-classification" in (tmp_path / "run" / "README.md").read_text()
    with pytest.raises(AttributeError, match="has no single tokenizer"):
        _ = run.tokenizer


def test_its_files_and_their_damage(tmp_path: Path) -> None:
    folder = image_run().save(tmp_path / "run").path
    (folder / "pixels.json").unlink()
    with pytest.raises(CheckpointError, match="missing"):
        api.load(folder)
    other = image_run("feedforward").save(tmp_path / "other").path
    (folder / "pixels.json").write_bytes((other / "pixels.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"pixels.json .* is not the file that was saved"):
        api.load(folder)


def test_one_row_of_answers_does_not_depend_on_the_others() -> None:
    pixels, _ = pictures(9, seed=3)
    for run in (image_run("gru"), image_run("lstm")):
        together = [answer.probabilities for answer in run.decode(pixels)]
        alone = [run.decode(image)[0].probabilities for image in pixels]
        for some, other in zip(together, alone, strict=True):
            assert some == pytest.approx(other, abs=1e-6)


def test_answers_to_arrays_files_and_folders(tmp_path: Path) -> None:
    run = image_run("feedforward")
    pixels, _ = pictures(3, seed=5)
    expected = [answer.label for answer in run.decode(pixels)]
    for k, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
    files = [tmp_path / f"{k}.png" for k in range(3)]
    answers = run.decode(files)
    assert [answer.label for answer in answers] == expected
    assert [answer.image for answer in answers] == list(map(str, files))
    assert [answer.label for answer in run.decode(tmp_path)] == expected
    assert run.decode(tmp_path / "1.png")[0].label == expected[1]
    assert run.decode(torch.from_numpy(pixels[1, :, :, None]))[0].label == expected[1]
    idx = write_images(tmp_path / "idx", n=4)
    assert run.decode(idx)[2].image == f"{idx}, image 2"
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match="1.png: is empty"):
        run.decode(files)
    assert [answer.image for answer in run.decode(files, on_bad_row="skip")] == [str(files[0]), str(files[2])]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 6, 6), np.uint8), r"expected images of \(6, 5, 1\) uint8 .* got \(6, 6, 1\) uint8"),
        (np.zeros((2, 6, 5), np.float32), r"\(6, 5, 1\) uint8 .* got \(6, 5, 1\) float32"),
        ("a text", "is no IDX file and no image by its name"),
        (7, "images cannot be read from a Python int"),
    ],
)
def test_what_is_unlike_training_is_refused(images: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        image_run().decode(images)


def test_its_own_test_part(tmp_path: Path) -> None:
    write_images(tmp_path / "set", "train", 60)
    path = write_images(tmp_path / "set", "t10k", 20, seed=1)
    run = api.train(tmp_path / "set", out=tmp_path / "run", hidden_size=5, updates=2)
    assert run.record["data"]["name"] == "set"
    loaded = api.load(tmp_path / "run")
    assert loaded.evaluate() == run.test
    assert loaded.evaluate(path) == run.test
    write_images(tmp_path / "set", "t10k", 20, seed=2)
    with pytest.raises(DataError, match="these are not the data of the training"):
        loaded.evaluate()
    with pytest.raises(ConfigError, match="leave on_bad_row out"):
        loaded.evaluate(on_bad_row="skip")
    with pytest.raises(DataError, match="trained on Python objects, which are not saved"):
        api.load(image_run().save(tmp_path / "kept").path).evaluate()


def test_interrupted_and_resumed_it_ends_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "set", "train", 60)
    settings = {"model": "gru", "by": "pixel", "permutation_seed": 1, "hidden_size": 5, "batch_images": 8, "updates": 6}
    whole = api.train(tmp_path / "set", out=tmp_path / "whole", **settings)
    update = Trainer.update

    def stop(self: Trainer) -> None:
        update(self)
        if self.progress.update == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "update", stop)
    with pytest.raises(Interrupted):
        api.train(tmp_path / "set", out=tmp_path / "run", **settings)
    monkeypatch.setattr(Trainer, "update", update)
    assert (tmp_path / "run.partial" / "plan" / "pixels.json").is_file()
    resumed = api.resume(tmp_path / "run")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    assert resumed.pixels == whole.pixels
    assert resumed.test == whole.test


def test_it_begins_with_a_run_and_its_way_of_reading() -> None:
    first = image_run("gru")
    run = api.train(pictures(40, seed=8), start=first, updates=2)
    assert run.pixels == first.pixels
    with pytest.raises(ConfigError, match="by is 'row' there, got 'pixel'"):
        api.train(pictures(40, seed=8), start=first, by="pixel")
    with pytest.raises(DataError, match=r"as in training; got \(7, 5, 1\) uint8"):
        api.train(pictures(40, height=7), start=first)


def test_images_have_defaults_of_their_own_and_what_is_given_goes_before_them() -> None:
    texts, images = from_flat({}), from_flat({"by": "row"})
    assert (texts.model.hidden_size, images.model.hidden_size) != (128, 128)
    assert from_flat({"by": "row"}, base=texts) == images
    assert from_flat({"by": None}, base=images) == texts
    assert from_flat({"by": "row", "dropout": 0.4}).model.dropout == 0.4
    understood = tasks.infer_settings(pictures(), {"model": "feedforward", "dropout": 0.4}, None)
    assert understood == {"model": "feedforward", "dropout": 0.4, "by": "image"}
    assert tasks.infer_settings(pictures(), {}, None)["by"] == "row"
    assert tasks.infer_settings([("a", "b")], {}, None)["by"] is None
    assert tasks.infer_settings(pictures(), {"by": "pixel"}, None)["by"] == "pixel"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokenizer": "bpe"}, "^tokenizer (only applies|does not apply) to"),
        ({"batch_tokens": 9}, "^batch_tokens (only applies|does not apply) to"),
        ({"embedding_size": 9}, "^embedding_size (only applies|does not apply) to"),
        ({"model": "feedforward", "by": "row"}, "model feedforward reads an image at once: by image; got by row"),
        ({"by": "image"}, "model gru reads an image step by step: by row, column or pixel; got by image"),
        (
            {"model": "feedforward", "read": "max"},
            "^read only applies to models elman, lstm, gru, transformer, mingru",
        ),
        ({"model": "feedforward", "variational": True}, "^variational (only applies|does not apply) to"),
        ({"task": "generate", "by": "row"}, "^by (only applies|does not apply) to"),
    ],
)
def test_what_images_have_no_use_for_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        api.train(pictures(), **settings)


@pytest.mark.parametrize("setting", [{"permutation_seed": 1}, {"batch_images": 9}])
def test_what_is_about_images_is_refused_for_texts(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="only applies to"):
        api.train([("a", "b")], **setting)


def test_texts_are_not_read_as_images() -> None:
    with pytest.raises(DataError, match="images cannot be read from a Python list"):
        api.train([("a", "b"), ("c", "d"), ("e", "f")], by="row")
    with pytest.raises(DataError, match="is a sample of texts, not images"):
        api.train("sample:films", by="row")
    with pytest.raises(DataError, match="is no IDX file and no image by its name"):
        image_run().evaluate("reviews.csv")
    with pytest.raises(DataError, match="is a sample of images, not texts"):
        trained().evaluate("sample:fashion")


SMALL: dict[str, object] = {"hidden_size": 5, "updates": 4, "evaluate_every": 2, "batch_images": 16}
OPTIONS = [
    Option("valid", "other/t10k-images-idx3-ubyte"),
    Option("test", "other/t10k-images-idx3-ubyte"),
    Option("valid_fraction", 0.3),
    Option("test_fraction", 0.3),
    Option("split_seed", 1),
    Option("on_bad_row", "skip", {"test": "strange/t10k-images-idx3-ubyte"}),
    Option("by", "column"),
    Option("by", "pixel"),
    Option("permutation_seed", 1),
    Option("permutation_seed", 1, {"model": "feedforward"}),
    Option("updates", 3),
    Option("epochs", 2.0, {"updates": None, "epochs": 3.0}),
    Option("batch_images", 9),
    Option("accumulate", 2),
    Option("learning_rate", 2e-3),
    Option("class_weights", "balanced"),
    Option("best_by", "loss", WILD),
    Option("baseline", False, changes=False),
    Option("temperature_scale", True),
    Option("class_names", ["below", "above"], changes=False),
    *OF_TRAINING,
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "set", n=60)
    write_images(tmp_path / "other", "t10k", 12, seed=1)
    path = write_images(tmp_path / "strange", "t10k", 12, seed=1)
    labels = path.with_name("t10k-labels-idx1-ubyte")
    labels.write_bytes(labels.read_bytes()[:-1] + b"\7")


def build(settings: Mapping[str, object]) -> dict[str, Tensor]:
    return left_by(lambda: api.train("set/train-images-idx3-ubyte", runs="runs", **SMALL | dict(settings)))


def test_the_table_has_every_option() -> None:
    assert not missing_or_unknown(OPTIONS, "images")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("option", OPTIONS, ids=identity)
def test_every_option_matters(option: Option) -> None:
    assert laws.options_matter(build, [option]).compared == 1


@pytest.mark.parametrize("by", ["row", "pixel"])
def test_a_batch_is_a_number_of_images(by: str) -> None:
    run = image_run("gru", by=by)
    task = tasks.find(run.config).read(pictures(), run.config)
    assert len(task.loader(run.model, run.config, torch.device("cpu")).batch(0, 0).inputs) == 16
