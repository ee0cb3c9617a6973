import tempfile

import numpy as np
import pytest

from unrolled.data.reading import arrays
from unrolled.data.reading.arrays import Growing, allocate, blocks, integer_for
from unrolled.errors import DataError


@pytest.fixture(params=[8, 1 << 23], ids=["in a file", "in memory"])
def limit(request, monkeypatch):
    monkeypatch.setattr(arrays, "IN_MEMORY", request.param)
    monkeypatch.setattr(arrays, "BLOCK", 24)
    return request.param


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_what_went_in_comes_out(limit, kind):
    growing = Growing(kind)
    assert growing.array().shape == (0,)
    for i in range(50):
        growing.append(i)
    assert growing.array().tolist() == [*range(50)]
    growing.extend([50, 51])
    growing.extend(np.arange(52, 70))
    assert growing.array().tolist() == [*range(70)]
    assert growing.array().dtype == kind
    assert growing.array() is growing.array()


def test_an_allocated_array_can_be_filled(limit):
    made = allocate((7, 2), np.int32)
    made[:] = np.arange(14).reshape(7, 2)
    assert made.tolist() == np.arange(14).reshape(7, 2).tolist()
    assert (made.base is None) == (limit > 100)


def test_a_full_disk_is_said(monkeypatch):
    monkeypatch.setattr(arrays, "IN_MEMORY", 8)

    def full(*args):
        raise OSError(28, "No space left on device")

    said = r"cannot be written to a temporary file: No space left on device\n.*TMPDIR"
    monkeypatch.setattr(arrays.os, "posix_fallocate", full)
    with pytest.raises(DataError, match=said):
        allocate((100,), np.int64)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(DataError, match=said):
        Growing(np.int64).extend([1, 2])


def test_the_smallest_type_of_a_vocabulary():
    assert [integer_for(n) for n in (1, 256, 257, 32_768, 32_769)] == [np.uint8, np.uint8, np.int16, np.int16, np.int32]


def test_blocks_cover_an_array(monkeypatch):
    monkeypatch.setattr(arrays, "AT_ONCE", 3)
    assert [len(range(8)[some]) for some in blocks(8)] == [3, 3, 2]
