import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unrolled.data.reading.image_files import files_below, read_image
from unrolled.data.reading.rows import BadRow
from unrolled.errors import DataError

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)
RGB = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


def saved(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, and has none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.pgm", "a.webp"])
def test_an_image_is_read_as_it_is(name: str, tmp_path: Path) -> None:
    image = read_image(saved(tmp_path / name, GREY, "RGB" if name.endswith("webp") else None, lossless=True))
    assert image.shape == (4, 5, 3 if name.endswith("webp") else 1)
    assert np.array_equal(image[..., 0], GREY)


def test_colours_palettes_bits_and_an_alpha_that_hides_nothing(tmp_path: Path) -> None:
    assert np.array_equal(read_image(saved(tmp_path / "c.png", RGB)), RGB)
    palette = Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE, colors=20)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(read_image(tmp_path / "p.png"), np.asarray(palette.convert("RGB")))
    assert set(read_image(saved(tmp_path / "b.png", GREY > 9)).ravel()) == {0, 255}
    opaque = np.dstack([RGB, np.full((4, 5), 255, np.uint8)])
    assert np.array_equal(read_image(saved(tmp_path / "o.png", opaque)), RGB)
    assert read_image(saved(tmp_path / "la.png", GREY, "LA")).shape == (4, 5, 1)


def test_it_is_turned_as_it_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(saved(tmp_path / "a.png", GREY, exif=exif)).shape == (5, 4, 1)


def animated(path: Path) -> None:
    frames = [Image.fromarray(GREY + k) for k in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


BAD = {
    "empty.png": (lambda path: path.write_bytes(b""), "damaged", "is empty"),
    "text.png": (lambda path: path.write_text("text"), "damaged", "is not an image, or its header is damaged"),
    "cut.png": (lambda path: path.write_bytes(saved(path, RGB).read_bytes()[:-18]), "damaged", "cannot be decoded"),
    "cut.jpg": (lambda path: path.write_bytes(saved(path, RGB).read_bytes()[:-30]), "damaged", "cannot be decoded"),
    "jpeg.png": (lambda path: saved(path, RGB, format="JPEG"), "renamed", "is JPEG, but its name ends in .png"),
    "huge.png": (lambda path: path.write_bytes(png(30_000, 30_000)), "too large", "more than 50,000,000 pixels"),
    "large.png": (lambda path: path.write_bytes(png(8_000, 8_000)), "too large", "is 8,000 × 8,000 pixels"),
    "warned.png": (lambda path: path.write_bytes(png(10_000, 10_000)), "too large", "more than 50,000,000 pixels"),
    "animated.gif": (animated, "animated", "holds 3 images"),
    "cmyk.jpg": (lambda path: saved(path, RGB, "CMYK"), "colour space", "is CMYK, neither grey nor RGB"),
    "deep.png": (lambda path: saved(path, GREY.astype(np.uint16) * 9), "not 8 bits", "more than 8 bits a channel"),
    "clear.png": (lambda path: saved(path, np.dstack([RGB, GREY])), "transparent", "has transparent pixels"),
    "key.png": (lambda path: saved(path, GREY, transparency=3), "transparent", "has transparent pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_said_with_the_file(name: str, tmp_path: Path) -> None:
    make, reason, message = BAD[name]
    path = tmp_path / name
    make(path)
    found = read_image(path)
    assert isinstance(found, BadRow)
    assert found.reason == reason
    assert str(found.error).startswith(f"{path}: ")
    assert message in str(found.error)
    assert "--on-bad-row skip" in str(found.error)


def test_sixteen_bits_of_colour_are_not_cut_in_silence(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    data = zlib.compress(b"\0" + b"\1\2" * 3)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    found = read_image(tmp_path / "a.png")
    assert isinstance(found, BadRow)
    assert found.reason == "not 8 bits"


def test_damaged_in_any_way_it_is_read_or_named(tmp_path: Path) -> None:
    """Bytes changed, cut and doubled: an image or a bad row, nothing else."""
    random = np.random.default_rng(0)
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp", "ppm"):
        good = saved(tmp_path / f"good.{suffix}", RGB).read_bytes()
        for k in range(60):
            data = bytearray(good)
            for _ in range(random.integers(1, 6)):
                data[random.integers(len(data))] = random.integers(256)
            if k % 3 == 0:
                data = data[: random.integers(len(data))]
            path = tmp_path / f"bad.{suffix}"
            path.write_bytes(data)
            found = read_image(path)
            assert isinstance(found, BadRow) or found.dtype == np.uint8


def test_files_and_the_folders_they_stand_in(tmp_path: Path) -> None:
    for name in ("b/two.png", "a/deep/one.png", ".hidden", "a/Thumbs.db", "a/notes.txt", "loose.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = list(files_below(tmp_path, labelled=True))
    assert [(path.name, label) for path, label in (x for x in found if not isinstance(x, BadRow))] == [
        ("one.png", "a"),
        ("two.png", "b"),
    ]
    bad = [row for row in found if isinstance(row, BadRow)]
    assert sorted((row.reason, row.error is None) for row in bad) == [
        ("hidden", True),
        ("hidden", True),
        ("no class", False),
        ("no image", False),
    ]
    assert (tmp_path / "loose.png", "") in list(files_below(tmp_path, labelled=False))


def test_without_pillow_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"a.png: .*Pillow, which is not installed\n  fix:  pip install 'unrolled"):
        read_image(tmp_path / "a.png")


def test_a_missing_image_is_named_with_the_nearest(tmp_path: Path) -> None:
    saved(tmp_path / "dress.png", GREY)
    bad = read_image(tmp_path / "dres.png")
    assert isinstance(bad, BadRow)
    assert 'there is no such file (did you mean "dress.png"?)' in str(bad.error)
    assert "skip" not in str(bad.error)  # decode and explain have no such flag
    assert "there is no such file" in str(read_image(tmp_path / "no" / "dress.png").error)
