"""The first choice of auto: the kernels where they are tuned, elsewhere the faster one of a valid measurement."""

import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import unrolled
from unrolled.cells import ElmanCell, GRUCell, LSTMCell
from unrolled.errors import BackendError, CheckpointError
from unrolled.kernels import freeze, native
from unrolled.layers import Recurrent
from unrolled.scan import choose, frozen, measured

pytestmark = pytest.mark.skipif(not native.compiled(), reason="no kernels were compiled here")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine for which the kernels are not tuned, with an empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(measured, "IS_TUNED", False)
    forget()
    yield
    forget()


def forget() -> None:
    measured.load.cache_clear()
    measured._ratio.cache_clear()


def measurement(**ratios: tuple[float, float]) -> measured.Measurement:
    return measured.Measurement(
        date="2026-12-01",
        threads=2,
        conditions=measured._conditions(),
        timings=[
            measured.Timing(cell=cell, B=1, T=2, H=3, inference=inference, training=training)
            for cell, (inference, training) in ratios.items()
        ],
    )


def keep(text: str) -> None:
    measured.path().parent.mkdir(parents=True, exist_ok=True)
    measured.path().write_text(text, encoding="utf-8")
    forget()


def test_the_kernels_are_tuned_for_x86_64_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert (platform.machine() in ("x86_64", "AMD64")) == measured.IS_TUNED


def test_without_a_measurement_auto_takes_torch_and_then_the_kernels() -> None:
    assert choose("auto", GRUCell(2, 3)) == "torch"
    assert choose("auto", GRUCell(2, 3), masked=True) == "fused"  # torch has no recurrent mask
    assert choose("auto", GRUCell(2, 3), zoned=True) == "reference"
    assert choose("fused", GRUCell(2, 3)) == "fused"


def test_auto_takes_the_kernels_for_the_cells_that_are_faster_with_them() -> None:
    keep(measurement(gru=(2.0, 0.9), lstm=(2.0, 0.4)).model_dump_json())  # means √1.8 and √0.8
    assert choose("auto", GRUCell(2, 3)) == "fused"
    assert choose("auto", LSTMCell(2, 3)) == "torch"
    assert choose("auto", ElmanCell(2, 3)) == "torch"  # not measured


@pytest.mark.parametrize("condition", ["processor", "system", "capability", "kernels", "unrolled", "torch"])
def test_a_measurement_of_another_machine_or_version_is_ignored(condition: str) -> None:
    record = measurement(gru=(2.0, 2.0)).model_dump()
    keep(json.dumps(record))
    assert choose("auto", GRUCell(2, 3)) == "fused"
    record["conditions"][condition] = "another"
    keep(json.dumps(record))
    assert choose("auto", GRUCell(2, 3)) == "torch"
    assert unrolled.backends()["measurement"] is None


@pytest.mark.parametrize("text", ["", "{}", '{"date": 1}', measurement(gru=(2.0, 2.0)).model_dump_json()[:-9]])
def test_a_damaged_measurement_is_reported_and_ignored(text: str) -> None:
    keep(text)
    with pytest.warns(UserWarning, match="is damaged and ignored"):
        assert choose("auto", GRUCell(2, 3)) == "torch"


def test_frozen_weights_follow_the_same_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = []
    run = freeze.FrozenScan.run
    monkeypatch.setattr(freeze.FrozenScan, "run", lambda self, *given: packed.append(1) or run(self, *given))
    x = torch.randn(1, 2, 3)
    for ratio, backend, calls in ((0.5, "auto", 0), (0.5, "fused", 1), (2.0, "auto", 1)):
        keep(measurement(gru=(ratio, ratio)).model_dump_json())
        layer = Recurrent(GRUCell(3, 4), backend=backend)
        packed.clear()
        with torch.no_grad(), frozen(layer):
            layer(x)
        assert len(packed) == calls


def test_a_measurement_is_made_kept_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "SECONDS", 0.0)
    monkeypatch.setattr(measured, "SHAPES", ((1, 2, 3), (2, 3, 4)))
    report = unrolled.backends(measure=True)
    assert report == unrolled.backends()
    assert report["auto_is_measured"]
    kept = report["measurement"]
    assert [(t["cell"], t["B"], t["T"], t["H"]) for t in kept["timings"]] == [
        (cell, *shape) for cell in ("elman", "lstm", "gru") for shape in measured.SHAPES
    ]
    for cell, chosen in report["auto"].items():
        ratios = [r for t in kept["timings"] if t["cell"] == cell for r in (t["inference"], t["training"])]
        if ratios:
            assert (chosen == "fused") == (torch.tensor(ratios).log().mean() > 0)


def test_a_comparison_is_of_torch_to_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "_seconds", lambda call: call())
    monkeypatch.setattr(measured, "SECONDS", 0.0)
    assert measured._compare(measured._Case(fused=lambda: 2.0, torch=lambda: 3.0)) == 1.5


def test_what_cannot_be_measured_or_kept_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "_timing", lambda kind, B, T, H: measurement(gru=(1.0, 1.0)).timings[0])
    measured.path().mkdir(parents=True)
    (measured.path() / "file").touch()
    with pytest.raises(CheckpointError):
        measured.measure()
    monkeypatch.setattr(native, "kernels", None)
    with pytest.raises(BackendError, match="nothing to measure"):
        measured.measure()
