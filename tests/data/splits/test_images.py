"""Splits of images: fixed ones, files of their own, and splits by image."""

from pathlib import Path

import numpy as np
import pytest

from small import pictures, write_idx, write_images
from unrolled.config import DataConfig
from unrolled.data.splits.images import load_image_splits
from unrolled.errors import DataError


def config(**settings: object) -> DataConfig:
    return DataConfig(**{"by": "row", **settings})


def test_a_folder_has_its_test_split_and_valid_is_split_off(tmp_path: Path) -> None:
    write_images(tmp_path, "train", 60)
    write_images(tmp_path, "t10k", 20, seed=1)
    splits = load_image_splits(tmp_path, config())
    assert (len(splits.train) + len(splits.valid), len(splits.test)) == (60, 20)
    assert 1 <= len(splits.valid) <= 15
    images = str(tmp_path / "{}-images-idx3-ubyte")
    assert splits.how == (
        f"{images.format('train')} split by image: train 90 %, valid 10 %, seed 0; test is {images.format('t10k')}"
    )
    assert [str(loaded.counts)[:14] for loaded in splits.loaded] == ["60 images read", "20 images read"]
    everything = {*splits.train.digests, *splits.valid.digests}
    assert len(everything) == 60
    again = load_image_splits(tmp_path, config(split_seed=1))
    assert again.valid.digests != splits.valid.digests
    assert again.test.digests == splits.test.digests


def test_equal_images_stand_in_one_split() -> None:
    pixels, labels = pictures(40)
    splits = load_image_splits((np.repeat(pixels, 3, axis=0), np.repeat(labels, 3)), config(valid_fraction=0.3))
    digests = [set(split.digests) for split in splits.named().values()]
    assert sum(map(len, digests)) == len(set().union(*digests)) == 40
    assert sum(map(len, splits.named().values())) == 120


def test_an_image_keeps_its_label_and_its_number() -> None:
    pixels, labels = pictures(40)
    for split in load_image_splits((pixels, labels), config()).named().values():
        for index in range(len(split)):
            number = int(split.at(index).rsplit(" ", 1)[1])
            assert np.array_equal(split.pixels[index, ..., 0], pixels[number])
            assert split.labels[split.classes[index]] == labels[number]


def test_splits_may_be_files_of_their_own(tmp_path: Path) -> None:
    train, test = write_images(tmp_path / "a", n=30), write_images(tmp_path / "b", n=9, seed=1)
    splits = load_image_splits(train, config(test=str(test), valid_fraction=0.2))
    assert (len(splits.train) + len(splits.valid), len(splits.test)) == (30, 9)
    assert splits.how.endswith(f"; test is {test}")
    assert not len(load_image_splits(train, config(test_fraction=0)).test)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid_fraction": 0}, "the validation split has no images"),
        ({"labels": ["a"] * 30}, r'the training split has one class only: "a" \(25 images\)'),
        ({"n": 2}, "2 different images are too few for 3 splits"),
    ],
)
def test_what_cannot_be_split_is_refused(change: dict[str, object], message: str) -> None:
    change = dict(change)
    pixels, labels = pictures(change.pop("n", 30))
    with pytest.raises(DataError, match=message):
        load_image_splits((pixels, change.pop("labels", labels)), config(**change))


def test_splits_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path, "t10k", 9)
    with pytest.raises(DataError, match="has no training split, only test"):
        load_image_splits(tmp_path, config())
    write_images(tmp_path, "train", 30)
    write_idx(tmp_path / "t10k-images-idx3-ubyte", pictures(9, height=7)[0])
    with pytest.raises(DataError, match=r"t10k-.*test split has images of \(7, 5, 1\) uint8, and training \(6, 5, 1\)"):
        load_image_splits(tmp_path, config())


def test_a_label_that_training_never_saw(tmp_path: Path) -> None:
    write_images(tmp_path, "train", 30)
    test = write_images(tmp_path, "t10k", 9)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.array([0, 1, 0, 1, 7, 0, 1, 7, 0], np.uint8))
    with pytest.raises(DataError, match=f'{test}, image 4: "7" is not one of the 2 labels .* is in the test split'):
        load_image_splits(tmp_path, config())
    splits = load_image_splits(tmp_path, config(on_bad_row="skip"))
    assert (len(splits.test), splits.test.counts.skipped) == (7, {"unknown label": 2})
