"""Installing: without a compiler without kernels, its metadata without a build, two at once without each other."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cmake") is None, reason="without cmake pip fetches it, which a test must not")
def test_a_build_meets_no_other_and_its_metadata_need_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two builds in one folder one ends without kernels; without this hook, pip compiles to learn the metadata."""
    build = pytest.importorskip("scikit_build_core.build")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["scikit-build"]
    assert "build-dir" not in str(settings)
    monkeypatch.chdir(ROOT)
    folder = build.prepare_metadata_for_build_wheel(str(tmp_path))
    assert "Name: unrolled" in (tmp_path / folder / "METADATA").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("cmake") is None, reason="without cmake pip fetches it, which a test must not")
def test_an_install_with_a_path_that_has_no_compiler(tmp_path: Path) -> None:
    pytest.importorskip("scikit_build_core")
    source, tools = tmp_path / "source", tmp_path / "tools"
    ignored = shutil.ignore_patterns("build", ".*", "__pycache__", "runs", "*.json", "node_modules")
    shutil.copytree(ROOT, source, ignore=ignored)
    tools.mkdir()
    for tool in ("cmake", "ninja", "make", "sh", "uname"):
        if found := shutil.which(tool):
            (tools / tool).symlink_to(found)
    environment = {k: v for k, v in os.environ.items() if k not in ("CC", "CXX", "CMAKE_CXX_COMPILER")}
    build = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "--no-build-isolation", "-w", tmp_path, source],
        env={**environment, "PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    assert "installed WITHOUT its compiled kernels" in build.stdout + build.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "unrolled/scan/fused.py" in names
    assert not [name for name in names if "_kernels" in name]
