"""GPT-2 in the layout of Hugging Face: read into a run, and written from one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import unrolled
from gpt2_folder import CONFIG, END, MERGES, VOCABULARY, V, library_ids, logits, make, tensors
from unrolled.cli.main import run as command
from unrolled.data.special import BOS, EOS, PAD, SEP, UNK
from unrolled.errors import CheckpointError, DataError, ExportError
from unrolled.interchange import gpt2
from unrolled.interchange.gpt2_tokenizer import read_vocabulary
from unrolled.runs.run import Run

TEXT = "hello the  sun\nÜñ 漢 don't"


def our_logits(run: Run, theirs: list[int]) -> torch.Tensor:
    """Our logits of GPT-2's ids after <bos>, by GPT-2's ids."""
    vocabulary = read_vocabulary(run_folder(run), bos=END, eos=END, pad=None)
    ours = {their: our for our, their in enumerate(vocabulary.theirs().tolist()) if our >= 5}
    with torch.inference_mode():
        y, _ = run.model(torch.tensor([[BOS, *(ours[i] for i in theirs)]]))
    return vocabulary.gathered(y[0].T).T


def run_folder(run: Run) -> Path:
    return Path(run.record["imported"]["source"])


def test_logits_are_those_of_its_equations(tmp_path: Path) -> None:
    for number, untied in enumerate((False, True)):
        weights = tensors(untied=untied)
        folder = make(tmp_path / str(number), weights=weights, tie_word_embeddings=not untied)
        ids = library_ids("hello the")
        expected = logits(weights, [END, *ids])
        run = unrolled.import_run(folder)
        np.testing.assert_allclose(our_logits(run, ids).numpy(), expected, atol=1e-5)
        with torch.inference_mode():
            p = run.model(torch.tensor([[BOS, *run.tokenizer.encode(["hello the"])[0]]]))[0].double().softmax(2)
        assert (p[..., [PAD, UNK, BOS, SEP]] == 0).all()
        np.testing.assert_allclose(p[0, :, EOS], np.exp(expected)[:, END] / np.exp(expected).sum(1), rtol=1e-4)


def test_ids_are_those_of_its_tokeniser(tmp_path: Path) -> None:
    run = unrolled.import_run(make(tmp_path / "a"))
    theirs = read_vocabulary(tmp_path / "a", bos=END, eos=END, pad=None).theirs()
    assert theirs[run.tokenizer.encode([TEXT])[0]].tolist() == library_ids(TEXT)
    assert run.tokenizer.decode(run.tokenizer.encode([TEXT])[0]) == TEXT
    assert theirs[[BOS, EOS]].tolist() == [END, END]


def test_every_form_of_the_files_gives_the_same_weights(tmp_path: Path) -> None:
    expected = unrolled.import_run(make(tmp_path / "plain")).model.state_dict()
    weights = tensors()

    make(tmp_path / "prefix", weights={f"transformer.{name}": value for name, value in weights.items()})
    make(tmp_path / "head", weights=weights | {"lm_head.weight": weights["wte.weight"].clone()})
    buffers = {"h.0.attn.bias": torch.ones(1, 1, 4, 4).tril().bool(), "h.0.attn.masked_bias": torch.tensor(-1e4)}
    make(tmp_path / "buffers", weights=weights | buffers)

    shards = make(tmp_path / "shards")
    (shards / "model.safetensors").unlink()
    names = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(weights)}
    for file in set(names.values()):
        save_file({name: value for name, value in weights.items() if names[name] == file}, shards / file)
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))

    one = make(tmp_path / "tokenizer")
    vocabulary = {token: i for token, i in VOCABULARY.items() if i != END}
    stored = {
        "model": {"type": "BPE", "vocab": vocabulary, "merges": MERGES, "dropout": None, "byte_fallback": False},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "added_tokens": [{"id": END, "content": "<|endoftext|>", "special": True}],
    }
    (one / "tokenizer.json").write_text(json.dumps(stored))
    (one / "vocab.json").unlink()

    for name in ("prefix", "head", "buffers", "shards", "tokenizer"):
        run = unrolled.import_run(tmp_path / name)
        assert run.model.state_dict().keys() == expected.keys(), name
        assert all(torch.equal(value, expected[key]) for key, value in run.model.state_dict().items()), name
        assert run.tokenizer.encode([TEXT]) == unrolled.import_run(tmp_path / "plain").tokenizer.encode([TEXT])


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    half = {name: value.to(torch.bfloat16) for name, value in tensors().items()}
    run = unrolled.import_run(make(tmp_path / "half", weights=half))
    wpe = run.model.state_dict()["blocks.position.weight"]
    assert wpe.dtype == torch.float32
    assert torch.equal(wpe, half["wpe.weight"].float())


def test_a_distinct_token_may_begin_texts_and_one_may_pad(tmp_path: Path) -> None:
    weights = tensors()
    weights["wte.weight"] = torch.cat([weights["wte.weight"], torch.randn(2, 8)])
    folder = make(tmp_path / "a", weights=weights, vocab_size=V + 2, bos_token_id=V, pad_token_id=V + 1)
    (folder / "added_tokens.json").write_text(json.dumps({"<s>": V, "[PAD]": V + 1}))
    run = unrolled.import_run(folder)
    state = run.model.state_dict()
    assert torch.equal(state["embedding.weight"][[BOS, EOS]], weights["wte.weight"][[V, END]])
    assert state["head.bias"][[PAD, UNK, BOS, EOS, SEP]].tolist() == [gpt2.LACKING, gpt2.LACKING, 0, 0, gpt2.LACKING]
    gpt2.write(run, tmp_path / "b")
    again = unrolled.import_run(tmp_path / "b").model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in state.items())


def test_it_is_a_run(tmp_path: Path) -> None:
    imported = unrolled.import_run(make(tmp_path / "tiny"), out=tmp_path / "run")
    run = unrolled.load(tmp_path / "run")
    assert run.record["imported"]["layout"] == "GPT-2"
    assert run.record["training"]["updates"] == 0
    assert run.record["data"]["name"] == "tiny"
    files = {Path(file["source"]).name for file in run.record["imported"]["files"]}
    assert files == {"config.json", "model.safetensors", "vocab.json", "merges.txt"}
    card = (tmp_path / "run" / "README.md").read_text()
    assert "Not trained by unrolled" in card
    assert "The data of its training are not known" in card
    assert run.decode("hello", length=3) == imported.decode("hello", length=3)
    with pytest.raises(DataError, match="imported, without data"):
        run.evaluate()
    (tmp_path / "text.txt").write_text("hello the")
    ids = library_ids("hello the")
    expected = logits(tensors(), [END, *ids])[:-1]
    nats = np.log(np.exp(expected).sum(1)) - expected[np.arange(len(ids)), ids]
    result = run.evaluate([str(tmp_path / "text.txt")], cache=str(tmp_path / "cache"))
    np.testing.assert_allclose(result.loss_nats, nats.mean(), rtol=1e-5)
    trace = run.explain("hello the", attribution=False)
    np.testing.assert_allclose(trace["log_prob"][: len(ids)], -nats, atol=1e-5)


def test_a_training_from_it_keeps_its_layout(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("hello the sun and the moon\n" * 40)
    start = unrolled.import_run(make(tmp_path / "tiny"), out=tmp_path / "run")
    small = {"updates": 3, "chunk": 8, "streams": 2, "threads": 1, "cache": str(tmp_path / "cache")}
    run = unrolled.train(str(text), start=start, learning_rate=0.01, **small)
    before, after = start.model.state_dict(), run.model.state_dict()
    assert not torch.equal(after["embedding.weight"][BOS], after["embedding.weight"][EOS])
    assert torch.equal(after["head.bias"], before["head.bias"])
    gpt2.write(run, tmp_path / "written")
    expected = logits(load_file(tmp_path / "written" / "model.safetensors"), [END, *library_ids("hello the")])
    with torch.inference_mode():
        y, _ = run.model(torch.tensor([[BOS, *run.tokenizer.encode(["hello the"])[0]]]))
    ours = gpt2.vocabulary_of(run.tokenizer).gathered(y[0].T).T
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)
    other = unrolled.train(str(text), model="gpt", task="generate", tokenizer="bpe", vocabulary_size=300, **small)
    with pytest.raises(ExportError, match='GPT-2 has position "learned", and this run "sinusoidal"'):
        gpt2.write(other, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_run_that_was_not_trained_since_is_written_with_the_same_bits(tmp_path: Path) -> None:
    for untied in (False, True):
        folder = make(tmp_path / f"a{untied}", weights=tensors(untied=untied), tie_word_embeddings=not untied)
        gpt2.write(unrolled.import_run(folder), tmp_path / f"b{untied}")
        old, new = (load_file(tmp_path / f"{name}{untied}" / "model.safetensors") for name in "ab")
        assert {name.removeprefix("transformer."): value.tolist() for name, value in new.items()} == {
            name: value.tolist() for name, value in old.items()
        }
        assert json.loads((tmp_path / f"b{untied}" / "vocab.json").read_text()) == VOCABULARY
        assert (tmp_path / f"b{untied}" / "merges.txt").read_text() == (folder / "merges.txt").read_text()
        written = json.loads((tmp_path / f"b{untied}" / "config.json").read_text())
        assert {name: written[name] for name in CONFIG} == CONFIG


def _without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _config(**entries: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(CONFIG | entries))


def _weights(**changed: torch.Tensor | None) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        weights = tensors() | {name.replace("__", "."): value for name, value in changed.items()}  # type: ignore[operator]
        save_file({name: value for name, value in weights.items() if value is not None}, folder / "model.safetensors")

    return write


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda folder: [path.unlink() for path in folder.iterdir()], "config.json cannot be read"),
    "no config": (_without("config.json"), "config.json cannot be read"),
    "no weights": (_without("model.safetensors"), "has neither model.safetensors nor model.safetensors.index.json"),
    "no tokeniser": (_without("merges.txt"), "has no tokeniser"),
    "another architecture": (_config(model_type="llama"), "model_type should be 'gpt2': got 'llama'"),
    "an option": (_config(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx should be False"),
    "another epsilon": (_config(layer_norm_epsilon=1e-6), "layer_norm_epsilon should be greater"),
    "an activation": (_config(activation_function="swish"), "activation_function should be"),
    "no end": (_config(eos_token_id=None), "names no eos_token_id"),
    "more rows than tokens": (_config(vocab_size=V + 3), f"vocab_size {V + 3}, and the tokeniser has {V} tokens"),
    "a missing tensor": (_weights(h__1__ln_2__bias=None), r"lacks the tensor h\.1\.ln_2\.bias"),
    "a foreign tensor": (_weights(h__2__ln_1__bias=torch.ones(8)), r"not GPT-2's: h\.2\.ln_1\.bias"),
    "another shape": (_weights(wpe__weight=torch.ones(5, 8)), r"wpe\.weight of shape \(5, 8\): .* \(12, 8\)"),
    "not a number": (_weights(ln_f__bias=torch.full((8,), torch.nan)), "a number that is not finite"),
    "another head": (_weights(lm_head__weight=torch.ones(V, 8)), "lm_head.weight that is not wte.weight"),
    "torn weights": (lambda folder: _cut(folder / "model.safetensors"), "is not a safetensors file"),
    "torn vocabulary": (lambda folder: _cut(folder / "vocab.json"), "vocab.json is damaged: not JSON"),
    "an unknown merge": (lambda folder: _append(folder / "merges.txt", "zz z"), "merges.txt, line 8: a merge is two"),
    "a merge without id": (lambda folder: _append(folder / "merges.txt", "s u"), 'lacks the token "su"'),
    "a token by no merge": (
        lambda folder: (folder / "added_tokens.json").write_text(json.dumps({"[X]": V})),
        r'no merge makes .*: "\[X\]"',
    ),
    "ids with a gap": (lambda folder: (folder / "vocab.json").write_text(json.dumps(VOCABULARY | {"a": 999})), "gaps"),
    "a shard outside": (
        lambda folder: (
            (folder / "model.safetensors").unlink(),
            (folder / "model.safetensors.index.json").write_text('{"weight_map": {"wte": "../x.safetensors"}}'),
        ),
        "is no index of safetensors files",
    ),
}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _append(path: Path, line: str) -> None:
    path.write_text(path.read_text() + f"{line}\n")


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    change, message = BAD[name]
    change(make(tmp_path / "a"))
    with pytest.raises(CheckpointError, match=message):
        unrolled.import_run(tmp_path / "a", out=tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = make(tmp_path / "a"), tmp_path / "run"
    assert command(["import", str(folder), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": str(out),
        "model": "gpt",
        "task": "generate",
        "vocabulary_size": V + 4,
        "parameters": sum(value.numel() for value in tensors().values()) + 4 * 8 + V + 4,
    }
    assert command(["import", str(folder), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert command(["import", str(folder), "--out", str(out), "--overwrite"]) == 0
    _config(model_type="llama")(folder)
    assert command(["import", str(folder), "--out", str(out), "--overwrite"]) == 2
    assert command(["decode", str(out), "--prompt", "hello", "--length", "2"]) == 0
