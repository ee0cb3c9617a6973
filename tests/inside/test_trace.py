"""Saving, loading and summary of traces, and the errors of wrong names and files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

import small
from unrolled.errors import CheckpointError, TraceError
from unrolled.inside import Header, Trace, trace

ABOUT = Header(
    run="films-gru-1", model_name="gru", cell="gru", task="classify", text="a fine film", tokens=("a", "fine"),
    guesses=(("pos", "neg"),),
)  # fmt: skip


def made() -> Trace:
    return Trace(
        ABOUT, {"tokens": torch.tensor([5, 6]), "gru.l0.z": torch.rand(2, 3), "gru.l0.reverse.z": torch.eye(2)}
    )


def test_a_trace_comes_back_as_it_was(tmp_path: Path) -> None:
    trace = made()
    trace.save(tmp_path / "t.safetensors")
    again = Trace.load(tmp_path / "t.safetensors")
    assert again.about == ABOUT
    assert list(again) == list(trace) == ["tokens", "gru.l0.z", "gru.l0.reverse.z"]
    for name, value in trace.items():
        assert torch.equal(again[name], value)


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    """The output of a block of a GPT is the input of the next one."""
    trace = small.text_run("gpt", num_heads=1).explain("the", attribution=False)
    trace.save(tmp_path / "t.safetensors")
    again = Trace.load(tmp_path / "t.safetensors")
    assert all(torch.equal(again[name], value) for name, value in trace.items())


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(TraceError, match=r'there is no tensor "gru.l0.zz" \(did you mean "gru.l0.z"\?\)'):
        made()["gru.l0.zz"]
    with pytest.raises(TraceError, match=r'"gru.l1.z" \(did you mean "gru.l0.z"\?\)'):  # a layer that is not there
        made()["gru.l1.z"]


def test_a_tensor_of_other_models_names_these_models() -> None:
    with pytest.raises(
        TraceError, match=r'no tensor "attention.weights" .*: it belongs to model attention; this trace is of model'
    ):
        made()["attention.weights"]
    with pytest.raises(TraceError, match=r"it belongs to recurrent layers with cell lstm; this"):
        made()["lstm.l0.f"]


def test_a_missing_name_is_a_mapping_s_key_error() -> None:
    assert "attention.weights" not in made()
    assert made().get("attention.weights") is None


def test_the_summary_has_name_shape_and_meaning() -> None:
    lines = made().summary().splitlines()
    assert "3 tensors of films-gru-1" in lines[0]
    assert " ".join(lines[2].split()) == "gru.l0.z T×H 2×3 update gate, keeps at 1, writes at 0"


def test_a_notebook_shows_the_pictures_or_the_summary() -> None:
    assert "<pre>&lt;Trace: 3 tensors" in made()._repr_html_()
    shown = small.trained("gru").explain("the film")._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!')
    assert shown.count('"') == shown.count('srcdoc="') + 7  # nothing of the page ends the attribute


def test_a_trace_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Trace(replace(ABOUT, format_version=1), made()).save(tmp_path / "t")
    with pytest.raises(
        CheckpointError, match="format_version 1; this version of unrolled reads 2: trace the run again"
    ):
        Trace.load(tmp_path / "t")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"no trace at all")
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "other")
    safetensors.torch.save_file(
        {"x": torch.zeros(1)},
        tmp_path / "fields",
        {"trace": json.dumps({"format_version": trace.FORMAT_VERSION}), "names": "[]"},
    )
    for name in ("noise", "other", "fields"):
        with pytest.raises(CheckpointError, match="is not a trace"):
            Trace.load(tmp_path / name)
    with pytest.raises(CheckpointError, match="cannot be read"):
        Trace.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="cannot be written"):
        made().save(tmp_path / "nowhere" / "t")
