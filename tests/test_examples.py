"""Every example runs, says something, and is short enough to read at a glance."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import served
import small

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
WITHOUT_US = ("answer_with_onnx", "translate_with_onnx")
"""Examples that read an export, and import neither torch nor this package."""
OF_A_SERVER = ("ask_a_server",)
"""Examples that ask a server."""


@pytest.mark.parametrize(
    "path", [each for each in EXAMPLES if each.stem not in WITHOUT_US + OF_A_SERVER], ids=lambda path: path.stem
)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    assert output_of(path, tmp_path).strip()
    assert not any(tmp_path.iterdir()), "an example leaves nothing behind"


def output_of(path: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path), *arguments], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", [each for each in EXAMPLES if each.stem in WITHOUT_US], ids=lambda path: path.stem)
def test_an_example_for_other_machines_imports_nothing_of_ours(path: Path) -> None:
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert names == {"json", "sys", "pathlib", "numpy", "onnxruntime", "tokenizers"}


def test_labels_by_onnxruntime_are_the_runs(tmp_path: Path) -> None:
    run, texts = small.trained("lstm", updates=30), ["a fine film", "the plot is dull", "it"]
    (path,) = (each for each in EXAMPLES if each.stem == "answer_with_onnx")
    said = output_of(path, tmp_path, str(run.export(tmp_path / "out")), *texts)
    expected = [f"{a.label}\t{a.probability:.3f}\t{text}" for a, text in zip(run.decode(texts), texts, strict=True)]
    assert said.splitlines() == expected


@pytest.mark.parametrize("model", ["attention", "transformer", "gpt"])
def test_a_beam_search_by_onnxruntime_is_the_runs(model: str, tmp_path: Path) -> None:
    run = small.translation_run(model, updates=100, hidden_size=16, learning_rate=0.01)
    (path,) = (each for each in EXAMPLES if each.stem == "translate_with_onnx")
    sources = [source for source, _ in small.translations()[:20]]
    said = output_of(path, tmp_path, str(run.export(tmp_path / "out")), *sources)
    assert said.splitlines() == [f"{answer.text}\t{answer.source}" for answer in run.decode(sources, beam=5)]


def test_a_cell_of_your_own_takes_at_most_thirty_lines() -> None:
    path = next(path for path in EXAMPLES if path.stem == "my_cell")
    classes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    lines = sum(node.end_lineno - node.lineno + 1 for node in classes)
    assert 0 < lines <= 30


def test_a_client_of_a_server(tmp_path: Path) -> None:
    with served.serving("classify", "generate") as client:
        printed = output_of(Path(EXAMPLES[0].parent / "ask_a_server.py"), tmp_path, str(client.base_url).rstrip("/"))
    assert "'label':" in printed
    assert "event: answer" in printed
    first, second = ast.literal_eval(printed.splitlines()[-1])
    assert first == second
    assert len(first) == 5
