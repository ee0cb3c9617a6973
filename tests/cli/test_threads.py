"""`--threads` of the verbs that answer: during the command, in the bounds of training, and no longer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

import unrolled
from small import trained
from unrolled.cli.main import run
from unrolled.errors import ConfigError, UnrolledError


@pytest.fixture
def used() -> Iterator[set[int]]:
    """The numbers of threads with which modules were called."""
    numbers: set[int] = set()
    hook = register_module_forward_pre_hook(lambda module, inputs: numbers.add(torch.get_num_threads()))
    try:
        yield numbers
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained().save(tmp_path_factory.mktemp("threads") / "run").path or Path()


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "more.csv"
    path.write_text("text,label\nso fine,pos\nso dull,neg\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("verb", ["evaluate", "decode", "explain"])
def test_a_command_computes_with_them(verb: str, threads: int, folder: Path, csv: Path, used: set[int]) -> None:
    before = torch.get_num_threads()
    argument = csv if verb == "evaluate" else "so fine"
    assert run([verb, str(folder), str(argument), "--threads", str(threads)]) == 0
    assert used == {threads}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("verb", ["evaluate", "decode", "explain"])
def test_a_call_computes_with_them(verb: str, folder: Path, csv: Path, used: set[int]) -> None:
    before = torch.get_num_threads()
    call = getattr(unrolled, verb)
    argument = csv if verb == "evaluate" else "so fine"
    call(folder, argument, threads=3)
    assert used == {3}
    assert torch.get_num_threads() == before
    with pytest.raises(UnrolledError):
        call(folder, "", threads=3)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("verb", ["evaluate", "decode", "explain"])
@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_bounds_and_reasons_are_those_of_training(
    verb: str, threads: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "missing.csv", "--threads", str(threads)]) == 2
    refused = capsys.readouterr().err
    assert "threads should be" in refused
    assert ("no processor has more cores" in refused) == (threads > 0)
    assert run([verb, str(folder), "so fine", "--threads", str(threads)]) == 2
    assert capsys.readouterr().err == refused
    with pytest.raises(ConfigError, match="threads should be"):
        getattr(unrolled, verb)(folder, "so fine", threads=threads)
