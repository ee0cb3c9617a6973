"""Answers on a local Ray: the same as those of `decode`, also where a worker is killed. `make engines` runs it."""

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import unrolled.ray
from scored import TEXTS, check
from small import trained
from unrolled.errors import ConfigError, DataError

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: make engines")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = trained().save(tmp_path / "run").path
    assert path is not None
    return path


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_two_workers_one_of_which_is_killed_answer_as_decode(ray: Any, run: Path, tmp_path: Path) -> None:
    marker = tmp_path / "killed"

    class Killed(unrolled.ray.Decode):
        """A worker dies with the first batch that holds row 25."""

        def __call__(self, batch: pa.Table) -> pa.Table:
            if 25 in batch["id"].to_pylist() and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    table = pa.table({"id": range(40), "text": TEXTS})
    rows = ray.data.from_arrow([table.slice(start, 10) for start in range(0, 40, 10)])
    found = rows.map_batches(Killed(run), batch_format="pyarrow", batch_size=5).take_all()
    assert marker.exists()
    check(found)


def test_without_an_engine_it_is_a_function_of_tables(run: Path) -> None:
    decode = unrolled.ray.Decode(run, column="review", answer_prefix="my_", top=1)
    table = decode(pa.table({"review": TEXTS, "label": TEXTS}))
    assert table.column_names == ["review", "label", "my_label", "my_probability", "my_probabilities", "my_error"]
    assert table["my_label"].to_pylist() == [answer.label for answer in trained().decode(TEXTS)]
    assert decode(table.slice(0, 0).select(["review"])).num_rows == 0
    with pytest.raises(ConfigError, match='add batch_format="pyarrow" to map_batches; got dict'):
        decode({"review": TEXTS})  # type: ignore[arg-type]
    with pytest.raises(DataError, match='has a column "label"'):
        unrolled.ray.Decode(run)(pa.table({"text": TEXTS, "label": TEXTS}))
    with pytest.raises(ConfigError, match="does not use beam"):
        unrolled.ray.Decode(run, beam=2)
