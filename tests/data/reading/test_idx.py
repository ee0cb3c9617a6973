import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from small import write_idx
from unrolled.data.reading import idx
from unrolled.errors import DataError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
HEADER = bytes([0, 0, 8, 3]) + struct.pack(">III", 2, 3, 4)


@pytest.mark.parametrize("name", ["a-images-idx3-ubyte", "a-images-idx3-ubyte.gz", "a-images.idx3-ubyte"])
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    read = idx.read_images(write_idx(tmp_path / name, IMAGES), "it")
    assert read.shape == (2, 3, 4, 1)
    assert np.array_equal(read[..., 0], IMAGES)
    assert read.dtype == np.uint8


def test_channels_and_labels(tmp_path: Path) -> None:
    colours = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    assert np.array_equal(idx.read_images(write_idx(tmp_path / "c", colours), "it"), colours)
    assert idx.read_labels(write_idx(tmp_path / "l", np.array([3, 0, 9], np.uint8)), "it").tolist() == [3, 0, 9]


BAD = {
    "empty": (b"", "not IDX: it should begin with 00 00 08 03, and begins with nothing"),
    "text": (b"text,label\n", "not IDX: .* begins with 74 65 78 74"),
    "magic": (b"\0\1" + HEADER[2:] + IMAGES.tobytes(), "not IDX: .* 00 01 08 03"),
    "type": (b"\0\0\x7f\3" + HEADER[4:], "not IDX"),
    "floats": (b"\0\0\x0d\3" + HEADER[4:], "images are unsigned bytes with 3 or 4 axes, and these are 32-bit floats w"),
    "labels": (bytes([0, 0, 8, 1]) + struct.pack(">I", 1) + b"\1", "with 1: labels\n  fix:  name the file of the im"),
    "header": (HEADER[:9], "ends within its header"),
    "few": (HEADER + IMAGES.tobytes()[:20], r"promises 2 images \(24 bytes\), and the file ends after 1"),
    "many": (HEADER + IMAGES.tobytes() + b"\0", r"promises 2 images \(24 bytes\), and there are more"),
    "none": (HEADER[:4] + struct.pack(">III", 0, 3, 4), "promises 0 × 3 × 4 images, which is impossible"),
    "huge": (
        HEADER[:4] + struct.pack(">III", 1, 30_000, 30_000),
        "promises 1 × 30,000 × 30,000 images, which is impossible",
    ),
    "lie": (HEADER[:4] + struct.pack(">III", 2**32 - 1, 7_000, 7_000), "promises 4,294,967,295 images .* ends after 0"),
    "gzip": (gzip.compress(HEADER + IMAGES.tobytes()), "is compressed, but its name does not end in .gz"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_the_file(name: str, tmp_path: Path) -> None:
    data, message = BAD[name]
    path = tmp_path / "x-images-idx3-ubyte"
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"{path}: .*{message}"):
        idx.read_images(path, str(path))


def test_damaged_gzip_says_after_how_many(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "x.gz", np.random.default_rng(0).integers(0, 256, (400, 40, 40), dtype=np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"x.gz: cannot be read to its end after 1\d\d images: Compressed file ended"):
        idx.read_images(path, str(path))
    whole = bytearray(write_idx(path, IMAGES).read_bytes())
    whole[-6] ^= 1  # of the checksum
    path.write_bytes(whole)
    with pytest.raises(DataError, match="x.gz: cannot be read to its end: CRC check failed"):
        idx.read_images(path, str(path))


def test_labels_stand_beside(tmp_path: Path) -> None:
    images = tmp_path / "train-images-idx3-ubyte.gz"
    with pytest.raises(
        DataError, match=r"labels of these images is missing\n  fix:  put train-labels-idx1-ubyte.gz into the same"
    ):
        idx.labels_file(images)
    (tmp_path / "train-labels-idx1-ubyte").touch()
    assert idx.labels_file(images).name == "train-labels-idx1-ubyte"
    with pytest.raises(DataError, match="does not follow from this name"):
        idx.labels_file(tmp_path / "x.idx")


def test_splits_of_a_folder(tmp_path: Path) -> None:
    for name in ("t10k-images-idx3-ubyte.gz", "train-images.idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / name).touch()
    assert {split: path.name for split, path in idx.splits_of(tmp_path).items()} == {
        "train": "train-images.idx3-ubyte",
        "test": "t10k-images-idx3-ubyte.gz",
    }
    (tmp_path / "valid-labels-idx1-ubyte.gz").touch()
    with pytest.raises(
        DataError,
        match=r"valid-labels-idx1-ubyte.gz: the file with the images .* is missing\n  fix:  put valid-images-idx3",
    ):
        idx.splits_of(tmp_path)
    (tmp_path / "valid-labels-idx1-ubyte.gz").unlink()
    (tmp_path / "test-images-idx3-ubyte").touch()
    with pytest.raises(DataError, match="test-images-idx3-ubyte: is the test split, and so is t10k-images"):
        idx.splits_of(tmp_path)
    (tmp_path / "emnist-images-idx3-ubyte").touch()
    with pytest.raises(DataError, match="emnist-images-idx3-ubyte: is not a known split"):
        idx.splits_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "is_it"),
    [("t10k-images-idx3-ubyte", True), ("a.idx3-ubyte.gz", True), ("a.idx", True), ("idx.csv", False), ("a.gz", False)],
)
def test_idx_is_told_by_its_name(name: str, is_it: bool) -> None:
    assert idx.is_idx(Path(name)) == is_it
