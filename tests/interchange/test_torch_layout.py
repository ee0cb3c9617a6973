"""A run in the layout of torch.nn: the written module computes the run's logits without this package."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import unrolled
from gpt2_folder import make
from small import image_run, number_run, tag_run, text_run, trained, translation_run
from unrolled.errors import ExportError
from unrolled.interchange import checks, torch_layout
from unrolled.runs.run import Run

PLAIN = {"position": "sinusoidal", "normalization": "layer", "gated": False}
RUNS: dict[str, Any] = {
    "gru": lambda: trained("gru"),
    "lstm, mean, bidirectional": lambda: trained("lstm", num_layers=2, bidirectional=True, read="mean"),
    "lstm, last, bidirectional": lambda: trained("lstm", bidirectional=True, recurrent_dropout=0.2, variational=True),
    "elman, max": lambda: trained("elman", nonlinearity="relu", read="max"),
    "elman, numbers": lambda: number_run("elman"),
    "gru, tags": lambda: tag_run("gru", bidirectional=True),
    "lstm, text": lambda: text_run("lstm"),
    "gru, images": lambda: image_run("gru"),
    "feedforward": lambda: trained("feedforward", num_layers=2, read="max"),
    "feedforward, images": lambda: image_run("feedforward"),
    "transformer": lambda: trained("transformer", **PLAIN, nonlinearity="relu"),
    "transformer, post": lambda: trained(
        "transformer",
        **PLAIN | {"position": "learned"},
        nonlinearity="gelu_tanh",
        norm="post",
        read="max",
        num_layers=2,
    ),
    "transformer, tags": lambda: tag_run("transformer", **PLAIN, num_layers=1),
    "transformer, images": lambda: image_run("transformer", **PLAIN),
    "transformer, pairs": lambda: translation_run("transformer", **PLAIN, num_layers=2, nonlinearity="relu"),
    "transformer, tied pairs": lambda: translation_run(
        "transformer", **PLAIN, num_layers=1, tied=True, shared_vocabulary=True, norm="post"
    ),
    "gpt": lambda: text_run("gpt", window=24, num_layers=2),
    "gpt, tied": lambda: text_run("gpt", window=24, num_layers=1, tied=True, position="learned"),
}


def network_of(folder: Path) -> torch.nn.Module:
    """The network of the written model.py."""
    spec = importlib.util.spec_from_file_location("written_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: torch.nn.Module = module.load(folder).eval()
    return network


@pytest.mark.parametrize("name", RUNS)
def test_logits_are_the_runs(name: str, tmp_path: Path) -> None:
    run: Run = RUNS[name]()
    torch_layout.write(run, tmp_path / "a")
    network = network_of(tmp_path / "a")
    for batch in checks.batches(run):
        others = () if batch.source is None else (batch.source, batch.source_lengths)
        with torch.inference_mode():
            logits = network(batch.inputs, batch.lengths, *others)
        real = torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
        expected = checks.run_logits(run, batch)
        if expected.dim() == 3:
            logits, expected = logits[real], expected[real]
        torch.testing.assert_close(logits, expected, atol=2e-6, rtol=1e-5)
    description = json.loads((tmp_path / "a" / "export.json").read_text())
    assert description["labels"] == list(run.labels)
    assert (tmp_path / "a" / run.preprocessor.FILE).is_file()


def test_names_are_those_of_torch_nn(tmp_path: Path) -> None:
    torch_layout.write(trained("lstm", bidirectional=True, recurrent_dropout=0.2, variational=True), tmp_path / "a")
    ends = {"embedding.weight", "head.weight", "head.bias"}
    module = torch.nn.LSTM(6, 5, bidirectional=True)
    assert load_file(tmp_path / "a" / "model.safetensors").keys() == ends | {f"layers.{n}" for n in module.state_dict()}


def test_a_stream_of_a_recurrent_network_equals_one_call(tmp_path: Path) -> None:
    run = text_run("lstm")
    torch_layout.write(run, tmp_path / "a")
    network, ids, state = network_of(tmp_path / "a"), torch.randint(5, 12, (2, 9)), None
    pieces = []
    with torch.inference_mode():
        for start, end in ((0, 4), (4, 5), (5, 9)):
            y, state = network.step(ids[:, start:end], state)  # type: ignore[operator]
            pieces.append(y)
        torch.testing.assert_close(torch.cat(pieces, 1), run.model(ids)[0], atol=2e-6, rtol=1e-5)


def test_the_module_imports_nothing_of_ours(tmp_path: Path) -> None:
    torch_layout.write(trained("gru"), tmp_path / "a")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'a')!r}); sys.modules['unrolled'] = None; "
        "from model import load; import torch; "
        f"print(tuple(load({str(tmp_path / 'a')!r})(torch.ones(2, 3, dtype=torch.long)).shape))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "(2, 2)\n"


def test_an_imported_gpt2_is_written_as_one(tmp_path: Path) -> None:
    torch_layout.write(unrolled.import_run(make(tmp_path / "a")), tmp_path / "b")
    assert json.loads((tmp_path / "b" / "config.json").read_text())["model_type"] == "gpt2"


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: trained("lstm", cell="layernorm_lstm"), "got LayerNormLSTMCell"),
        (lambda: trained("gru", zoneout=0.1), "torch.nn has no zoneout"),
        (lambda: trained("transformer"), "no equivalent of position rotary: use --to onnx, or train with position"),
        (lambda: tag_run("feedforward"), "a window over the last tokens, a part of model feedforward"),
        (lambda: translation_run("attention"), "a decoder that attends before each of its steps"),
        (lambda: translation_run("encoder_decoder"), "a bridge between its encoder and its decoder"),
        (lambda: translation_run("gpt", num_layers=1), "one sequence of a source and its target"),
    ],
)
def test_parts_without_an_equivalent_are_refused_by_name(run: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message):
        torch_layout.write(run(), tmp_path / "a")
    assert not (tmp_path / "a").exists()
