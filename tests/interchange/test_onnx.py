"""Exports to ONNX: onnxruntime's answers and states are the run's, for every model, task and option."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

import small
import unrolled
from unrolled import atomic
from unrolled.cells import GRUCell
from unrolled.config import ModelConfig
from unrolled.errors import CheckpointError, ConfigError, ExportError
from unrolled.interchange.export import export
from unrolled.interchange.onnx import check as checking
from unrolled.interchange.onnx import serialize, write
from unrolled.interchange.onnx.build import graphs
from unrolled.interchange.onnx.check import TOLERANCE, check
from unrolled.interchange.onnx.serialize import files_of
from unrolled.runs.build import build
from unrolled.runs.run import Run

CELLS = ("elman", "lstm", "gru", "layernorm_lstm", "layernorm_gru")
BLOCKS: tuple[dict[str, Any], ...] = (
    {"num_layers": 2},
    {"position": "learned", "window": 20, "norm": "post"},
    {"position": "rotary", "kv_heads": 1, "hidden_size": 6},  # heads of an odd size
    {"normalization": "rms", "gated": True, "nonlinearity": "silu"},
)
LAST: tuple[dict[str, Any], ...] = (
    {},
    {"bidirectional": True, "num_layers": 2},
    {"read": "mean", "bidirectional": True},
    {"read": "max"},
)
ONCE = (
    *(("feedforward", {"nonlinearity": phi, "read": read}) for phi, read in (("gelu", "mean"), ("silu", "max"))),
    *(("lstm", options) for options in LAST),
    ("elman", {}),
    ("elman", {"nonlinearity": "relu", "read": "mean"}),
    ("gru", {}),
    ("gru", {"bidirectional": True, "zoneout": 0.2}),
    ("gru", {"bidirectional": True, "cell": "layernorm_gru", "read": "mean"}),
    *(("transformer", options | {"read": read}) for options, read in zip(BLOCKS, ("max", *["mean"] * 3), strict=True)),
)
EACH = (
    *(("feedforward", {"window": n, "bidirectional": both}) for n, both in ((1, False), (4, False), (4, True))),
    ("elman", {"num_layers": 2}),
    ("lstm", {"num_layers": 2}),
    ("lstm", {"cell": "layernorm_lstm", "hidden_size": 16}),
    ("lstm", {"zoneout": 0.1}),
    ("gru", {"cell": "layernorm_gru", "num_layers": 2}),
    ("gru", {"bidirectional": True}),
    ("transformer", {}),
    *(("gpt", options) for options in BLOCKS),
)
FED: dict[str, Any] = {"input_feeding": True, "num_layers": 2}
PAIRS = (
    *(("encoder_decoder", {"cell": cell, "hidden_size": 16}) for cell in CELLS),
    ("encoder_decoder", {"reverse_source": True, "num_layers": 2, "tied": True}),
    *(("attention", {"cell": cell, "num_layers": 2, "bidirectional": True}) for cell in ("lstm", "gru")),
    ("attention", {"cell": "layernorm_gru", "zoneout": 0.1}),
    ("attention", {"score": "dot", "bidirectional": False} | FED),
    ("attention", {"score": "general", "bidirectional": True, "cell": "lstm"} | FED),
    ("attention", {"score": "general"}),
    *(("transformer", options) for options in BLOCKS[1:]),
    *(("gpt", options) for options in BLOCKS[1:]),
    ("gpt", {"tied": True}),
)


def variant(run: Run, name: str, options: dict[str, Any], *, seed: int = 0) -> Run:
    """The run with a new model of random weights, of these options."""
    own = {"num_heads": 2} if name in ("transformer", "gpt") else {}
    config = ModelConfig(**({"name": name, "embedding_size": 6, "hidden_size": 8, "dropout": 0.0} | own | options))
    torch.manual_seed(seed)
    model = build(name, run.model.inputs, run.model.num_outputs, config, answer=run.model.answer).eval()
    return replace(run, model=model, config=run.config.model_copy(update={"model": config}))


def difference(run: Run, opset: int = write.OPSET) -> float:
    """The largest difference between the run and its graphs; the check raises where it is above the tolerance."""
    built = graphs(run, opset)
    return check(run, built, {file: data for name, g in built.items() for file, data in files_of(g, name).items()})


def named(table: tuple[tuple[str, dict[str, Any]], ...]) -> Any:
    return pytest.mark.parametrize(
        ("name", "options"), table, ids=[" ".join([name, *map(str, options.values())]) for name, options in table]
    )


@named(ONCE)
def test_a_model_that_answers_once(name: str, options: dict[str, Any]) -> None:
    assert difference(variant(small.trained(), name, options)) <= TOLERANCE


@named(EACH)
def test_a_model_that_answers_each_step(name: str, options: dict[str, Any]) -> None:
    run = small.text_run() if name == "gpt" else small.tag_run()
    assert difference(variant(run, name, options)) <= TOLERANCE


@named(PAIRS)
def test_a_model_with_a_source(name: str, options: dict[str, Any]) -> None:
    assert difference(variant(small.translation_run(), name, options)) <= TOLERANCE


@pytest.mark.parametrize("by", ["row", "column", "pixel"])
def test_images_are_normalised_and_cut_in_the_graph(by: str, tmp_path: Path) -> None:
    run = small.image_run("gru", by=by, **({"permutation_seed": 1} if by == "pixel" else {}))
    images = small.pictures(7, seed=3)[0][..., np.newaxis]
    probabilities = answers(run.export(tmp_path / "out"), {"images": images})["probabilities"]
    expected = [[answer.probabilities[label] for label in run.labels] for answer in run.decode(images)]
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_a_newer_opset() -> None:
    assert difference(variant(small.text_run(), "gpt", BLOCKS[1]), opset=23) <= TOLERANCE


def answers(folder: Path, feeds: dict[str, Any], graph: str = "model") -> dict[str, Any]:
    session = InferenceSession(folder / f"{graph}.onnx")
    return dict(zip([port.name for port in session.get_outputs()], session.run(None, feeds), strict=True))


def padded(folder: Path, texts: list[str]) -> dict[str, Any]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    lengths = np.array([len(each) for each in ids])
    return {"ids": np.array([each + [2] * (lengths.max() - len(each)) for each in ids]), "lengths": lengths}


TEXTS = ["a fine film", "the plot is dull and the story thin", "warm"]


def test_labels_and_probabilities_of_texts_at_the_runs_temperature(tmp_path: Path) -> None:
    run = small.trained("gru")
    run = replace(run, record=run.record | {"temperature": 1.7})
    folder = run.export(tmp_path / "out")
    labels = json.loads((folder / "export.json").read_text())["labels"]
    probabilities = answers(folder, padded(folder, TEXTS))["probabilities"]
    for answer, row in zip(run.decode(TEXTS), probabilities, strict=True):
        assert answer.label == labels[row.argmax()]
        assert answer.probability == pytest.approx(row.max(), abs=1e-6)


def test_numbers_in_the_unit_of_the_data(tmp_path: Path) -> None:
    run = small.number_run("lstm")
    folder = run.export(tmp_path / "out")
    values = answers(folder, padded(folder, TEXTS))["value"]
    assert values.tolist() == pytest.approx([answer.value for answer in run.decode(TEXTS)], abs=1e-4)


def test_several_labels_of_a_text(tmp_path: Path) -> None:
    rows = [(text, [label, "film"] if "film" in text else [label]) for text, label in small.pairs()]
    run = unrolled.train(rows, model="gru", multi_label=True, **small.SMALL)
    folder = run.export(tmp_path / "out")
    expected = [[answer.probabilities[label] for label in run.labels] for answer in run.decode(TEXTS)]
    np.testing.assert_allclose(answers(folder, padded(folder, TEXTS))["probabilities"], expected, atol=1e-6)


@pytest.mark.parametrize("tokenizer", ["character", "bpe"])
def test_tags_of_words_as_the_card_says(tokenizer: str, tmp_path: Path) -> None:
    run = small.tag_run("lstm", tokenizer=tokenizer, updates=20)
    folder, sentence = run.export(tmp_path / "out"), ["the", "film", "is", "unseen", "fine"]
    record = json.loads((folder / "export.json").read_text())
    library = Tokenizer.from_file(str(folder / record["tokenizers"]["text"]))
    ids, ends = [], []
    for word in sentence:
        ids += library.encode(f" {word}", add_special_tokens=False).ids
        if record["whole_words"]:
            known = library.token_to_id(f" {word}")
            ids.append(record["special_ids"]["unk"] if known is None else known)
        ends.append(len(ids) - 1)
    (probabilities,) = answers(folder, {"ids": np.array([ids]), "lengths": np.array([len(ids)])})["probabilities"]
    tags = [record["labels"][probabilities[end].argmax()] for end in ends]
    (answer,) = run.decode([sentence])
    assert tags == [word.tag for word in answer.words]


@pytest.mark.parametrize("name", ["gru", "gpt"])
def test_the_most_probable_continuation_of_a_text(name: str, tmp_path: Path) -> None:
    run = variant(small.text_run(), name, {})
    folder = run.export(tmp_path / "out")
    record = json.loads((folder / "export.json").read_text())
    sizes = {"batch": 1, "time": 1, "past_time": 0}
    feeds: dict[str, Any] = {
        port["name"]: np.zeros([sizes.get(size, size) for size in port["shape"]], port["dtype"])
        for port in record["graphs"]["model"]["inputs"]
    }
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids, written = [record["special_ids"]["bos"], *library.encode("the cat").ids], []
    for _ in range(20):
        outputs = answers(folder, feeds | {"ids": np.array([ids]), "lengths": np.array([len(ids)])})
        feeds |= {key.replace("present.", "past."): outputs[key] for key in outputs if key.startswith("present.")}
        logits = outputs["logits"][0, -1]
        ids = [len(record["special_ids"]) + int(logits[len(record["special_ids"]) :].argmax())]
        written += ids
    assert library.decode(written) == run.decode("the cat", length=20, temperature=0)[0].text


def test_padding_does_not_matter(tmp_path: Path) -> None:
    folder = variant(small.trained(), "transformer", {}).export(tmp_path / "out")
    one = answers(folder, {"ids": np.array([[5, 6, 7]]), "lengths": np.array([3])})["logits"]
    more = answers(folder, {"ids": np.array([[5, 6, 7, 9, 9]] * 2), "lengths": np.array([3, 5])})["logits"]
    np.testing.assert_allclose(more[0], one[0], atol=1e-6)
    assert np.abs(more[0] - more[1]).max() > 1e-4


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_a_stream_of_ten_thousand_steps_is_one_call(name: str, tmp_path: Path) -> None:
    run = variant(small.text_run(), name, {"num_layers": 2})
    folder = run.export(tmp_path / "out")
    ids = np.random.default_rng(0).integers(5, run.tokenizer.vocabulary_size, (1, 10_000))
    session = InferenceSession(folder / "model.onnx")
    shapes = [(port.name, port.shape[1:]) for port in session.get_inputs() if port.name.startswith("past.")]
    state = {each: np.zeros((1, *shape), np.float32) for each, shape in shapes}
    outputs = [port.name for port in session.get_outputs()]
    streamed, length = [], np.array([1])
    for step in range(ids.shape[1]):
        values = dict(
            zip(outputs, session.run(outputs, {"ids": ids[:, [step]], "lengths": length, **state}), strict=True)
        )
        streamed.append(values["logits"][0])
        state = {each: values[each.replace("past.", "present.")] for each in state}
    with torch.inference_mode():
        once, _ = run.model(torch.from_numpy(ids))
    np.testing.assert_allclose(np.concatenate(streamed), once[0].numpy(), atol=TOLERANCE)


def test_the_recurrent_operators_are_onnx_own(tmp_path: Path) -> None:
    for name, kind in (("elman", "RNN"), ("lstm", "LSTM"), ("gru", "GRU")):
        proto = graphs(variant(small.trained(), name, {}), write.OPSET)["model"].proto("model")
        assert kind in {node.op_type for node in proto.graph.node}


def test_every_dynamic_axis_has_a_name_and_no_other(tmp_path: Path) -> None:
    folder = variant(small.text_run(), "gpt", {}).export(tmp_path / "out")
    record = json.loads((folder / "export.json").read_text())["graphs"]["model"]
    inputs = {port["name"]: port["shape"] for port in record["inputs"]}
    assert inputs["past.blocks.0.key"] == ["batch", 2, "past_time", 4]
    model = onnx.load(folder / "model.onnx")
    for port in model.graph.input:
        assert [d.dim_param or d.dim_value for d in port.type.tensor_type.shape.dim] == inputs[port.name]


def test_weights_beyond_a_protobuf_are_in_a_file_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = variant(small.trained(), "lstm", {})
    monkeypatch.setattr(serialize, "LARGEST", 1000)
    folder = run.export(tmp_path / "out")
    assert (folder / "model.onnx.weights").stat().st_size > 1000
    feeds = padded(folder, TEXTS)
    with torch.inference_mode():
        logits, _ = run.model(torch.from_numpy(feeds["ids"]), None, torch.from_numpy(feeds["lengths"]))
    np.testing.assert_allclose(answers(folder, feeds)["logits"], logits, atol=1e-6)


def test_answers_that_are_not_the_runs_are_refused(tmp_path: Path) -> None:
    run = variant(small.trained(), "gru", {})
    built = graphs(run, write.OPSET)
    files = files_of(built["model"], "model")
    run.model.head.bias.data += 1e-3
    with pytest.raises(ExportError, match=r"logits differs by 1\.0e-03 \(at most 1e-05 is allowed\)"):
        check(run, built, files)


def test_rounding_in_an_ill_conditioned_model_is_accepted_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"cell": "layernorm_lstm", "num_layers": 2, "hidden_size": 5}
    run = variant(small.translation_run(), "attention", options, seed=1)
    folder = run.export(tmp_path / "out")
    assert TOLERANCE < json.loads((folder / "export.json").read_text())["largest_difference"] < 1e-3
    monkeypatch.setattr(checking, "ROUNDING", 0)
    with pytest.raises(ExportError, match="onnxruntime's answers are not the run's"):
        run.export(tmp_path / "other")


class Mine(GRUCell):
    """A subclass may compute anything."""


def test_a_custom_cell_is_refused_by_name(tmp_path: Path) -> None:
    run = variant(small.trained(), "gru", {})
    run.model.layers.layers[0].cell.__class__ = Mine
    with pytest.raises(ExportError, match=r"Mine \(layers\.layers\.0\.cell\) .* --to torch, .* --to safetensors"):
        run.export(tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_an_opset_too_old_or_unknown(tmp_path: Path) -> None:
    for opset in (11, 17, 999):
        with pytest.raises(ConfigError, match=rf"opset must be from 18 .* got {opset}; the default is 18"):
            small.trained().export(tmp_path / "out", opset=opset)
    assert not any(tmp_path.iterdir())


def test_an_existing_folder(tmp_path: Path) -> None:
    run, out = small.trained(), tmp_path / "out"
    run.export(out)
    with pytest.raises(ConfigError, match="exists already: choose another --out, or --overwrite it"):
        run.export(out)
    run.export(out, overwrite=True, opset=21)
    assert json.loads((out / "export.json").read_text())["opset"] == 21
    saved = small.trained().save(tmp_path / "run").path
    assert saved is not None
    with pytest.raises(ConfigError, match="is not an export of unrolled, so it is not overwritten"):
        run.export(saved, overwrite=True)


def test_an_ensemble_an_unknown_format_and_a_foreign_option(tmp_path: Path) -> None:
    run = small.trained()
    with pytest.raises(ConfigError, match="an ensemble cannot be exported, but each of its runs can"):
        unrolled.ensemble([run, run]).export(tmp_path / "out")
    with pytest.raises(ConfigError, match=r'format "onx" is unknown \(did you mean "onnx"\?\)'):
        unrolled.export(run, tmp_path / "out", "onx")


def test_onnx_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[[str], Any] = write.importlib.util.find_spec
    monkeypatch.setattr(write.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else found(name))
    with pytest.raises(ConfigError, match=r"needs onnxruntime, which is not installed: pip install 'unrolled\[onnx\]'"):
        small.trained().export(tmp_path / "out")


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(atomic, "_write", full)
    with pytest.raises(CheckpointError, match="cannot be written: No space left on device"):
        small.trained().export(tmp_path / "out")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["onnx", "torch", "safetensors"])
def test_a_recurrence_without_operators_is_refused_in_every_format(to: str, tmp_path: Path) -> None:
    run = small.text_run("mingru")
    with pytest.raises(ExportError, match="model mingru has recurrences that no other library's format"):
        export(run, tmp_path / "out", to=to)
    assert not (tmp_path / "out").exists()
