"""Code compiled for an instruction set is used by its own kernels only.

A linker keeps one copy of an inline function that several objects define. If an object compiled for AVX-512 exported
such a copy of, say, a template of std, the portable kernels could call it and die of an illegal instruction on another
machine. So each object exports only the functions in the namespace of its own instruction set.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OBJECTS = sorted(ROOT.glob("build/*/CMakeFiles/kernels_*.dir/**/*.o"))
NM = shutil.which("nm")

pytestmark = pytest.mark.skipif(NM is None, reason="nm is not installed")


def exported(path: Path, isa: str) -> list[str]:
    """Return the symbols that an object exports, except the strong ones in unrolled::<isa>."""
    assert NM is not None
    listed = subprocess.run([NM, "--defined-only", "-g", path], capture_output=True, text=True, check=True, timeout=60)
    symbols = [line.split()[-2:] for line in listed.stdout.splitlines() if line.strip()]
    own = f"_ZN8unrolled{len(isa)}{isa}"
    return [name for kind, name in symbols if kind != "T" or not name.startswith(own)]


@pytest.mark.skipif(not OBJECTS, reason="there is no build tree with the kernels' objects")
def test_an_object_exports_only_its_own_functions() -> None:
    for path in OBJECTS:
        if "sanitize" in path.relative_to(ROOT).parts[1]:
            continue  # not optimised, never shipped
        found = re.search(r"kernels_(\w+)\.dir", str(path))
        assert found
        assert not exported(path, found[1]), path


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no compiler")
def test_a_leak_is_seen(tmp_path: Path) -> None:
    source, made = tmp_path / "leak.cc", tmp_path / "leak.o"
    source.write_text(
        "template <class T> T twice(T x) { return x + x; }\n"
        "namespace unrolled::avx512 { namespace { float own(float x) { return -x; } }\n"
        "float kernel(float x) { return own(twice(x)); } }\n"
    )
    subprocess.run(["c++", "-std=c++20", "-O0", "-c", source, "-o", made], check=True, timeout=60)
    assert exported(made, "avx512") == ["_Z5twiceIfET_S0_"]
    assert len(exported(made, "avx2")) == 2
