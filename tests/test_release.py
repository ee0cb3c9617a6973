"""A release: one version, wheels that share torch's OpenMP runtime, workflows that run what is tested here."""

import importlib
import importlib.metadata
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from unrolled import version
from unrolled.kernels import native

ROOT = Path(__file__).parents[1]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_version_is_written_in_one_place() -> None:
    assert "version" not in SETTINGS["project"]
    assert SETTINGS["project"]["dynamic"] == ["version"]
    assert "release = version = __version__" in (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version.__version__)


def test_the_installed_version_is_that_of_the_source() -> None:
    assert importlib.metadata.version("unrolled") == version.__version__


def test_no_second_openmp_runtime_is_put_into_a_wheel() -> None:
    repair = SETTINGS["tool"]["cibuildwheel"]
    linux = shlex.split(repair["linux"]["repair-wheel-command"])
    assert linux[linux.index("--exclude") + 1] == "libgomp.so.1"
    macos = shlex.split(repair["macos"]["repair-wheel-command"])
    assert macos[macos.index("--exclude") + 1] == "libomp.dylib"


@pytest.mark.skipif(sys.platform != "linux" or not native.compiled(), reason="for Linux, with kernels")
def test_the_kernels_use_the_openmp_runtime_of_torch() -> None:
    """One runtime is loaded, torch's, although nothing but its name binds the two."""
    code = "import torch, unrolled.kernels.native; print(open('/proc/self/maps').read())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    runtimes = {line.split()[-1] for line in done.stdout.splitlines() if re.search(r"lib(g|i)?omp\d?[-.]", line)}
    assert len(runtimes) == 1, runtimes


def test_a_wheel_is_not_built_without_kernels() -> None:
    assert SETTINGS["tool"]["cibuildwheel"]["config-settings"] == {"cmake.define.UNROLLED_REQUIRE_KERNELS": "ON"}
    assert "if(UNROLLED_REQUIRE_KERNELS)" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_needs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^permissions:\n  contents: read$", text, re.M)
    assert text.count("id-token: write") == (1 if path.stem == "wheels" else 0)
    assert "secrets." not in text  # trusted publishing has no password


def test_only_a_tag_publishes() -> None:
    text = (ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8")
    publish = text[text.index("  publish:\n") :]
    assert "if: github.event_name == 'push' && github.ref_type == 'tag'" in publish
    assert "environment: release" in publish


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("gpu")


@pytest.mark.parametrize(
    ("device", "cpu", "outside"),
    [
        ([1.0, 0.5], [[1.0, 0.4], [1.1, 0.6]], []),
        ([1.2, 0.79], [[1.0, 0.4], [1.1, 0.6]], []),  # near the ends of the widened range
        ([1.2, 0.81], [[1.0, 0.4], [1.1, 0.6]], [1]),
        ([0.89, 0.19], [[1.0, 0.4], [1.1, 0.6]], [0, 1]),
        ([0.019, 0.021], [[0.0, 0.0], [0.0, 0.0]], [1]),  # equal seeds: SLACK
        ([float("nan"), 0.5], [[1.0, 0.4], [1.1, 0.6]], [0]),
    ],
)
def test_the_rule_of_the_curves(
    gpu: ModuleType, device: list[float], cpu: list[list[float]], outside: list[int]
) -> None:
    assert gpu.breaks(device, cpu) == outside


def test_every_model_has_a_task_with_data_on_a_gpu(gpu: ModuleType) -> None:
    tasks = {model.name: gpu.task_of(model.name) for model in gpu.LINEAGE}
    assert tasks["gru"] == "classify"
    assert tasks["gpt"] == "generate"
    assert tasks["attention"] == "translate"


def test_the_layers_that_are_compared_have_as_many_numbers(gpu: ModuleType) -> None:
    """torch's recurrences have two biases where ours have one, and our stack of blocks ends with a norm."""
    for name, ours, theirs in gpu.layers(gpu.SMALL):
        counts = [sum(p.numel() for p in layer.parameters()) for layer in (ours, theirs)]
        assert 0.85 < counts[0] / counts[1] < 1.02, name


def test_without_a_gpu_it_is_skipped_and_said(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert capsys.readouterr().out == "benchmarks/gpu.py: skipped, there is no CUDA device here\n"
