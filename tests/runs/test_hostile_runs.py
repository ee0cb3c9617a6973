"""A slice of the changed runs of benchmarks/hostile_runs.py: no traceback, no escape, nothing written elsewhere."""

from collections.abc import Iterator

import pytest

from hostileruns import CONTROL, ESCAPES, Surroundings, ask


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    root = tmp_path_factory.mktemp("surroundings")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setenv("TERM", "dumb")
        made = Surroundings(root)
        patch.chdir(root / "cwd")
        yield made


@pytest.mark.parametrize("first", range(0, 24, 8))
def test_changed_runs(first: int, surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(surroundings.root / "cache"))
    ends = set()
    for number in range(first, first + 8):
        case, faults, codes = surroundings.check(number)
        assert not faults, (str(case), faults)
        ends.update(codes)
    assert ends == {0, 2}


def test_a_case_is_a_function_of_its_number(surroundings: Surroundings) -> None:
    assert [str(surroundings.check(5)[0]) for _ in range(2)] == [str(surroundings.check(5)[0])] * 2


def test_every_base_answers_as_it_is(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(surroundings.root / "cache"))
    for name in surroundings.names:
        if not name.startswith("resumed"):
            for arguments in surroundings.commands(surroundings.bases / name):
                code, _, err = ask(arguments)
                old = name[0] in "12" and arguments[0] == "evaluate"  # their data are gone
                assert code == (2 if old else 0), (arguments, err)


def test_what_the_cases_look_for() -> None:
    assert CONTROL.search(ESCAPES)
    assert not CONTROL.search("a line\n\tand “more” é")


def test_a_write_is_noticed(surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    def writing(_: object) -> tuple[int, str, str]:
        (surroundings.root / "outside" / "new").touch()
        return 1, ESCAPES, ""

    monkeypatch.setattr("hostileruns.ask", writing)
    _, faults, _ = surroundings.check(1)
    assert {fault.kind for fault in faults} == {"traceback", "escape", "write"}
    (surroundings.root / "outside" / "new").unlink()
