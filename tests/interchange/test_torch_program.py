"""A run as a program of torch.export: the same logits from the file alone, at any number of sequences and steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from small import image_run, tag_run, text_run, trained, translation_run
from unrolled.errors import ExportError
from unrolled.interchange import checks, torch_program
from unrolled.runs.run import Run


def loaded(run: Run, folder: Path) -> torch.nn.Module:
    """The module of the program of a run."""
    torch_program.write(run, folder)
    return torch.export.load(folder / "program.pt2").module()


def test_one_answer_for_texts_and_images_of_any_length(tmp_path: Path) -> None:
    run = trained("transformer")
    program = loaded(run, tmp_path / "a")
    for B, T in ((1, 1), (4, 9), (2, 130)):
        ids, lengths = torch.randint(5, 20, (B, T)), torch.randint(1, T + 1, (B,))
        with torch.inference_mode():
            expected, _ = run.model(ids, None, lengths)
        torch.testing.assert_close(program(ids, lengths), expected, atol=1e-6, rtol=1e-5)
    description = json.loads((tmp_path / "a" / "export.json").read_text())
    assert description["labels"] == list(run.labels)
    assert description["inputs"] == ["inputs", "lengths"]
    assert (tmp_path / "a" / "tokenizer.json").read_text() == run.tokenizer.to_json()
    torch_program.write(image_run("feedforward"), tmp_path / "b")
    torch_program.write(tag_run("feedforward"), tmp_path / "c")


def test_a_stream_of_gpt_equals_one_call(tmp_path: Path) -> None:
    run = text_run("gpt", window=20, num_layers=1, num_heads=4, kv_heads=2)
    program = loaded(run, tmp_path / "a")
    ids = torch.randint(5, 15, (2, 12))
    state = [torch.zeros(2, dtype=torch.long), (torch.zeros(2, 2, 1, 2),), (torch.zeros(2, 2, 1, 2),)]
    with torch.inference_mode():
        expected, _ = run.model(ids)
    pieces = []
    for start, end in ((0, 5), (5, 6), (6, 7), (7, 12)):
        y, *state = program(ids[:, start:end], torch.full((2,), end - start), *state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1), expected, atol=1e-6, rtol=1e-5)
    assert state[0].tolist() == [12, 12]


def test_translation_reads_source_and_target(tmp_path: Path) -> None:
    run = translation_run("gpt", num_layers=1)
    program = loaded(run, tmp_path / "a")
    for batch in checks.batches(run):
        y = program(batch.source, batch.source_lengths, batch.inputs, batch.lengths)
        real = torch.arange(y.shape[1]) < batch.lengths[:, None]
        torch.testing.assert_close(y[real], checks.run_logits(run, batch)[real], atol=1e-6, rtol=1e-5)


def test_a_recurrence_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="model gru has a recurrence, .* use --to onnx"):
        torch_program.write(trained("gru"), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_other_logits_are_refused(tmp_path: Path) -> None:
    run = trained("feedforward")
    with pytest.raises(ExportError, match="for 1 sequences of 1 steps its logits differ by 1 from those of the run"):
        checks.refuse_difference(run, lambda batch: checks.run_logits(run, batch) + 1, "X")
    with pytest.raises(ExportError, match="differ by nan"):
        checks.refuse_difference(run, lambda batch: checks.run_logits(run, batch) * torch.nan, "X")
