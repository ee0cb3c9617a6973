"""Images of every source, their counts and labels; errors name the image."""

from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from small import pictures, write_idx, write_images
from unrolled.config import DataConfig
from unrolled.data.examples.images import are_images, load_images, read_images, splits_of
from unrolled.data.reading import idx
from unrolled.errors import DataError

CONFIG, SKIP = DataConfig(by="row"), DataConfig(by="row", on_bad_row="skip")


def write_classes(folder: Path, n: int = 12) -> Path:
    """A folder of images by class; the file's number is that of the picture."""
    images, labels = pictures(n)
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / label / f"{k:02}.png")
    return folder


def test_idx_with_labels_beside(tmp_path: Path) -> None:
    images = load_images(write_images(tmp_path / "set", n=9), CONFIG)
    pixels, labels = pictures(9)
    assert (images.name, images.shape, len(images)) == ("set", (6, 5, 1), 9)
    assert np.array_equal(images.pixels[..., 0], pixels)
    assert images.labels == ("0", "1")
    assert [("below", "above")[k] for k in images.classes] == labels
    assert str(images.counts) == "9 images read = 9 used + 0 skipped"
    assert images.at(3) == f"{images.source}, image 3"


def test_a_file_names_the_labels(tmp_path: Path) -> None:
    path = write_images(tmp_path, n=9)
    (tmp_path / "labels.txt").write_text("zebra\nant\n")
    images = load_images(path, CONFIG)
    assert images.labels == ("ant", "zebra")
    assert [images.labels[k] for k in images.classes] == [
        {"below": "zebra", "above": "ant"}[label] for label in pictures(9)[1]
    ]
    for names in ("one\n", "a\na\n", "a\n\nb\n"):
        (tmp_path / "labels.txt").write_text(names)
        with pytest.raises(DataError, match=r"labels.txt: should hold 2 different names of classes"):
            load_images(path, CONFIG)


def test_more_than_ten_labels_keep_their_images(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([10, 2, 1], np.uint8))
    images = load_images(write_idx(tmp_path / "train-images-idx3-ubyte", pictures(3)[0]), CONFIG)
    assert [images.labels[k] for k in images.classes] == ["10", "2", "1"]


def test_labels_and_images_of_another_number(tmp_path: Path) -> None:
    path = write_images(tmp_path, n=9)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(8, np.uint8))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte: has 8 labels, and train-images-idx3-ubyte 9 images"):
        load_images(path, CONFIG)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="the file with the labels of these images is missing"):
        load_images(path, CONFIG)
    assert len(read_images(path, CONFIG)) == 9
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(8, np.uint8))
    with pytest.raises(DataError, match="its labels are found by name"):
        load_images(tmp_path / "train-labels-idx1-ubyte", CONFIG)


def test_a_folder_of_images_by_class(tmp_path: Path) -> None:
    images = load_images(write_classes(tmp_path / "set"), CONFIG)
    assert (images.name, images.labels, len(images)) == ("set", ("above", "below"), 12)
    pixels, labels = pictures(12)
    for index in range(12):
        number = int(Path(images.at(index)).stem)
        assert np.array_equal(images.pixels[index, ..., 0], pixels[number])
        assert images.labels[images.classes[index]] == labels[number]


def test_bad_files_stop_or_are_counted(tmp_path: Path) -> None:
    folder = write_classes(tmp_path)
    (folder / "above" / "aa.png").write_bytes(b"")
    Image.fromarray(pictures(1, height=7)[0][0]).save(folder / "below" / "zz.png")
    (folder / ".hidden").touch()
    with pytest.raises(DataError, match=r"aa.png: is empty"):
        load_images(folder, CONFIG)
    images = load_images(folder, SKIP)
    assert str(images.counts) == ("15 images read = 12 used + 3 skipped (1 hidden, 1 damaged, 1 other shape)")
    assert sorted(row.reason for row in images.skipped) == ["damaged", "other shape"]
    (folder / "above" / "aa.png").unlink()
    with pytest.raises(DataError, match=r"zz.png: is 5 × 7 pixels grey, and .*png 5 × 6 pixels grey\n  fix:  bring"):
        load_images(folder, CONFIG)
    assert len(read_images(folder / "below" / "zz.png", CONFIG)) == 1
    with pytest.raises(DataError, match="is a single image"):
        load_images(folder / "below" / "zz.png", CONFIG)


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=r"holds no images and no texts by their names \(no files\)"):
        load_images(tmp_path, CONFIG)
    (tmp_path / "a" / "x.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of the files can be used: 1 images read = 0 used . 1 skipped .1 damaged"):
        load_images(tmp_path, SKIP)
    with pytest.raises(DataError, match="is no IDX file and no image by its name"):
        load_images(tmp_path / "reviews.csv", CONFIG)


@pytest.mark.parametrize("kind", ["numpy", "torch", "mapping", "floats", "channels", "integers"])
def test_arrays(kind: str) -> None:
    pixels, labels = pictures(8)
    data = {
        "numpy": (pixels, labels),
        "torch": (torch.from_numpy(pixels), labels),
        "mapping": {"images": pixels, "labels": labels},
        "floats": [pixels / 255, labels],
        "channels": (np.stack([pixels] * 3, axis=-1), np.array(labels)),
        "integers": (pixels, torch.tensor([label == "above" for label in labels]).long()),
    }[kind]
    assert are_images(data)
    images = load_images(data, CONFIG)
    assert images.shape == (6, 5, 3 if kind == "channels" else 1)
    assert images.pixels.dtype == (np.float32 if kind == "floats" else np.uint8)
    names = ["above" if k in ("above", "1") else "below" for k in (images.labels[k] for k in images.classes)]
    assert names == labels
    assert images.at(2) == "python objects, image 2"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 2, 2), np.uint8), [0, 1], "labels should be 3 whole numbers or strings, .* got int64 of shape"),
        (np.zeros((3, 2, 2), np.uint8), [0.5, 1, 2], "labels should be 3 whole numbers or strings, .* got float64"),
        (np.zeros((3, 2, 2), np.int64), [0, 1, 2], "images should be uint8 or floats: got int64"),
        (
            np.zeros((3, 3, 8, 8), np.uint8),
            [0, 1, 2],
            r"at most 4 channels: got \(3, 3, 8, 8\)\n  fix:  make",
        ),
        (np.zeros((3, 4), np.uint8), [0, 1, 2], r"should have the shape \(N, H, W\)"),
        (np.array([[[0.0]], [[np.nan]]]), [0, 1], "image 1 holds a number that is not finite"),
    ],
)
def test_arrays_that_are_no_images(images: np.ndarray, labels: list[object], message: str) -> None:
    with pytest.raises(DataError, match=f"python objects: .*{message}"):
        load_images((images, labels), CONFIG)


def test_images_are_told_from_texts(tmp_path: Path) -> None:
    texts = [("fine", "pos"), ("dull", "neg")]
    frame = pandas.DataFrame({"images": ["x"], "labels": ["y"]})
    for data in (
        "reviews.csv",
        "sample:films",
        texts,
        tuple(texts),
        {"text": ["a"], "label": ["b"]},
        frame,
        iter(texts),
    ):
        assert not are_images(data)
    for data in ("sample:fashion", "sample:fashion/test", tmp_path, "a/train-images-idx3-ubyte.gz", "x.PNG"):
        assert are_images(data)


def test_unknown_labels_stop_or_are_counted(tmp_path: Path) -> None:
    path = write_images(tmp_path, n=9)
    ones = sum(label == "above" for label in pictures(9)[1])
    first = pictures(9)[1].index("above")
    with pytest.raises(DataError, match=f'ubyte, image {first}: "1" is not one of the 1 labels seen in training'):
        load_images(path, CONFIG, labels=["0"])
    images = load_images(path, SKIP, labels=["0"])
    assert str(images.counts) == f"9 images read = {9 - ones} used + {ones} skipped ({ones} unknown label)"
    assert images.labels == ("0",)
    left = pictures(9)[1].index("below")
    assert images.at(0) == f"{path}, image {left}", "an image keeps its number"


def test_splits(tmp_path: Path) -> None:
    assert splits_of("sample:fashion") == {part: f"sample:fashion/{part}" for part in ("train", "valid", "test")}
    assert splits_of("sample:fashion/test") == splits_of((1, 2)) == {}
    write_images(tmp_path / "idx", "t10k")
    assert list(splits_of(tmp_path / "idx")) == ["test"]
    write_images(tmp_path / "idx", "train")
    assert list(splits_of(tmp_path / "idx")) == list(idx.SPLITS)[::2]
    with pytest.raises(DataError, match="has the splits train, test\n  fix:  name one of them"):
        load_images(tmp_path / "idx", CONFIG)
    for name in ("train", "val"):
        write_classes(tmp_path / "files" / name)
    assert splits_of(tmp_path / "files") == {
        "train": tmp_path / "files" / "train",
        "valid": tmp_path / "files" / "val",
    }


def test_fingerprints_tell_data_apart() -> None:
    pixels, labels = pictures(8)
    same = load_images((pixels, labels), CONFIG).fingerprint
    assert same == load_images((pixels.copy(), list(labels)), CONFIG).fingerprint
    changed = pixels.copy()
    changed[3, 2, 1] += 1
    assert same != load_images((changed, labels), CONFIG).fingerprint
    assert same != load_images((pixels, labels[::-1]), CONFIG).fingerprint
    assert same != load_images((pixels[:, :, :, None].reshape(8, 5, 6), labels), CONFIG).fingerprint
