"""What every test has: a cache of its own, so that none reads or fills the user's, and the same choices of auto.

Where the kernels are not tuned, auto takes torch first; tests/scan/test_measured.py is about that. All other tests are
of the kernels wherever they are compiled.
"""

from pathlib import Path

import pytest
from hypothesis import settings

from unrolled.scan import measured

settings.register_profile("untimed", deadline=None)  # a loaded machine is no fault
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _no_cache_of_the_user(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture(autouse=True)
def _kernels_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "IS_TUNED", True)
