"""A network of torch.nn that was trained elsewhere becomes a run: its logits, all that a run does, and refusals."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

import unrolled
from plain_network import KNOWN, LABELS, WORDS, Plain, arguments, make
from small import image_run, number_run, tag_run, text_run, trained
from unrolled.cli.main import run as command
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.special import BOS, EOS, PAD, SEP, SPECIAL, UNK
from unrolled.errors import CheckpointError, ConfigError, DataError, UnrolledError
from unrolled.interchange.imported import LACKING
from unrolled.runs.run import Run

SORTED = sorted(range(len(LABELS)), key=lambda k: LABELS[k])


def ids_of(run: Run, theirs: Tensor) -> Tensor:
    """Our ids of the network's, by way of the words."""
    ours = {word: i for i, word in run.tokenizer.words().items()} | {word: i for i, word in enumerate(SPECIAL)}
    return torch.tensor([[ours[WORDS[i]] for i in row] for row in theirs.tolist()])


def assert_equal_logits(run: Run, network: Plain) -> None:
    torch.manual_seed(1)
    for B, T in ((1, 1), (3, 7)):
        theirs = torch.tensor([*KNOWN, WORDS.index("<unk>")])[torch.randint(len(KNOWN) + 1, (B, T))]
        with torch.inference_mode():
            expected, (logits, _) = network.eval()(theirs), run.model(ids_of(run, theirs))
        if network.task == "generate":
            logits = logits[..., ids_of(run, torch.arange(len(WORDS))[None])[0]]
        else:
            expected = expected[..., SORTED]
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


OPTIONS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "three layers": {"num_layers": 3},
    "bidirectional": {"bidirectional": True},
    "two layers, bidirectional": {"num_layers": 2, "bidirectional": True},
    "without biases": {"bias": False},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("task", ["classify", "tag", "generate"])
@pytest.mark.parametrize("kind", ["elman", "lstm", "gru"])
def test_logits_are_those_of_the_network(kind: str, task: str, options: str, tmp_path: Path) -> None:
    network = Plain(kind, task, **OPTIONS[options])
    if task == "generate" and OPTIONS[options].get("bidirectional"):
        with pytest.raises(CheckpointError, match="layers in both directions"):
            unrolled.import_run(**arguments(tmp_path, network))
        return
    run = unrolled.import_run(**arguments(tmp_path, network))
    assert run.config.model.name == kind
    assert_equal_logits(run, network)


@pytest.mark.parametrize("read", ["last", "mean", "max"])
def test_each_pooling_of_a_classifier(read: Any, tmp_path: Path) -> None:
    network = Plain("gru", "classify", read=read, bidirectional=True)
    assert_equal_logits(unrolled.import_run(**arguments(tmp_path, network, read=read)), network)


def test_an_rnn_with_relu(tmp_path: Path) -> None:
    network = Plain("elman", "tag", nonlinearity="relu")
    assert_equal_logits(unrolled.import_run(**arguments(tmp_path, network, nonlinearity="relu")), network)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model_state_dict"])
def test_every_form_of_the_file_gives_the_same_weights(wrap: str | None, tmp_path: Path) -> None:
    network = Plain("lstm", "classify")
    expected = unrolled.import_run(**arguments(tmp_path / "a", network)).model.state_dict()
    # As data-parallel training and a trainer save it, in double precision.
    tensors = {f"module.net.{name}": value.double() for name, value in network.state_dict().items()}
    made = make(tmp_path / "b", tensors, file="weights.pt")
    torch.save(tensors if wrap is None else {"epoch": 3, wrap: tensors}, made["source"])
    state = unrolled.import_run(**made, task="classify").model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())


def test_rows_that_the_network_lacks(tmp_path: Path) -> None:
    network = Plain("gru", "generate")
    nn.init.ones_(network.words.weight)  # that of padding, too, as without padding_idx
    state = unrolled.import_run(**arguments(tmp_path, network)).model.state_dict()
    assert (state["embedding.weight"][[PAD, BOS, EOS, SEP]] == 0).all()
    assert torch.equal(state["embedding.weight"][UNK], network.words.weight[WORDS.index("<unk>")])
    assert (state["head.weight"][[BOS, EOS, SEP]] == 0).all()
    assert (state["head.bias"][[BOS, EOS, SEP]] == LACKING).all()
    assert torch.equal(state["head.bias"][[PAD, UNK]], network.out.bias[[WORDS.index("<pad>"), WORDS.index("<unk>")]])


def test_a_classifier_is_a_run(tmp_path: Path) -> None:
    network = Plain("lstm", "classify", bidirectional=True)
    imported = unrolled.import_run(**arguments(tmp_path / "net", network), out=tmp_path / "run")
    run = unrolled.load(tmp_path / "run")
    assert run.labels == ("even", "neg", "pos")
    assert run.record["imported"]["layout"] == "torch.nn"
    files = {Path(file["source"]).name for file in run.record["imported"]["files"]}
    assert files == {"weights.safetensors", "words.txt", "labels.txt"}
    with torch.inference_mode():
        p = network.eval()(torch.tensor([[WORDS.index(word) for word in ("the", "film", "<unk>")]]))[0].softmax(0)
    answer = run.decode("the film xyz", top=3)[0]
    assert answer.label == LABELS[int(p.argmax())]
    np.testing.assert_allclose(answer.probability, p.max(), rtol=1e-5)
    assert run.decode("a film") == imported.decode("a film")
    (tmp_path / "new.csv").write_text("text,label\nthe film,pos\na film,neg\nwas dull,even\n")
    assert run.evaluate(str(tmp_path / "new.csv")).n == 3
    np.testing.assert_allclose(run.explain("the film xyz", attribution=False)["log_prob"], p.max().log(), rtol=1e-5)
    rows = [(f"the film was {word} {'a ' * n}", label) for n in range(8) for word, label in
            (("fine", "pos"), ("dull", "neg"), ("film", "even"))]  # fmt: skip
    small = {"updates": 3, "threads": 1, "valid_fraction": 0.2}
    begun = unrolled.train(rows, start=run, **small)
    assert begun.labels == run.labels
    assert not torch.equal(begun.model.state_dict()["head.weight"], run.model.state_dict()["head.weight"])


def test_a_tagger_and_a_language_model_are_runs(tmp_path: Path) -> None:
    network = Plain("gru", "tag", bidirectional=True)
    run = unrolled.import_run(**arguments(tmp_path / "a", network), out=tmp_path / "tagger")
    with torch.inference_mode():
        best = network.eval()(torch.tensor([[0, 2, 6, 3]]))[0].argmax(1)
    answer = unrolled.load(tmp_path / "tagger").decode("the film was fine")[0]
    assert [word.tag for word in answer.words] == [LABELS[k] for k in best]
    (tmp_path / "new.conllu").write_text("".join(f"{i}\tfilm\t_\tpos\t_\t_\t_\t_\t_\t_\n" for i in (1, 2)) + "\n")
    assert run.evaluate(str(tmp_path / "new.conllu")).words == 2

    network = Plain("lstm", "generate")
    run = unrolled.import_run(**arguments(tmp_path / "b", network), out=tmp_path / "language")
    assert set(run.decode("the film", length=20, temperature=2.0)[0].text.split()) <= set(WORDS)
    (tmp_path / "new.txt").write_text("the film was fine " * 20)
    options = {"cache": str(tmp_path / "cache")}
    result = unrolled.load(tmp_path / "language").evaluate(str(tmp_path / "new.txt"), **options)
    assert 0 < result.loss_nats < 10
    small = {"updates": 3, "chunk": 8, "streams": 2, "threads": 1, **options}
    begun = unrolled.train(str(tmp_path / "new.txt"), start=run, **small)
    assert (begun.model.state_dict()["head.bias"][[BOS, EOS, SEP]] == LACKING).all()


RUNS: dict[str, Callable[[], Any]] = {
    "classify": lambda: trained("lstm", num_layers=2, bidirectional=True, read="mean"),
    "classify, relu": lambda: trained("elman", nonlinearity="relu", read="max"),
    "tag, whole words": lambda: tag_run("gru", bidirectional=True, whole_words=5),
    "generate": lambda: text_run("gru"),
}


@pytest.mark.parametrize("name", RUNS)
def test_an_export_comes_back_with_the_same_bits(name: str, tmp_path: Path) -> None:
    run = RUNS[name]()
    unrolled.export(run, tmp_path / "a", "safetensors")
    again = unrolled.import_run(tmp_path / "a", out=tmp_path / "b")
    state = again.model.state_dict()
    assert all(torch.equal(value.cpu(), state[key]) for key, value in run.model.state_dict().items())
    assert (again.labels, again.temperature) == (run.labels, run.temperature)
    assert again.tokenizer.to_json() == run.tokenizer.to_json()
    text = "the film a"
    options = {"length": 5, "seed": 1} if name == "generate" else {}
    assert unrolled.load(tmp_path / "b").decode(text, **options) == run.decode(text, **options)


def test_an_imported_network_is_exported(tmp_path: Path) -> None:
    network = Plain("gru", "classify", D=6)
    unrolled.export(unrolled.import_run(**arguments(tmp_path, network)), tmp_path / "out", "safetensors")
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(written["layers.weight_hh_l0"], network.encoder.weight_hh_l0)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: trained("feedforward"), "is no export to safetensors of a model elman, lstm or gru: arguments"),
        (lambda: number_run("gru"), "task should be 'classify', 'tag' or 'generate': got 'regress'"),
        (lambda: image_run("gru"), "vocabulary_size should be a valid integer: got None"),
        (
            lambda: unrolled.train(
                [(f"fine film {i}", ["a"] if i % 2 else ["a", "b"]) for i in range(40)], multi_label=True, updates=2
            ),
            "multi_label should be False",
        ),
    ],
)
def test_exports_of_other_runs_are_refused(run: Any, message: str, tmp_path: Path) -> None:
    unrolled.export(run(), tmp_path / "a", "safetensors")
    with pytest.raises(CheckpointError, match=message):
        unrolled.import_run(tmp_path / "a", out=tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("labels", [], "labels should be given for task classify"),
        ("task", "generate", "labels should be empty for task generate"),
        ("task", "tag", "arguments.read should not be last for task tag"),
        ("labels", ["a", "b", "c"], "2 rows in head.weight, and .*export.json 3 labels"),
        ("format_version", 99, "format_version should be less than or equal to 1"),
    ],
)
def test_a_damaged_export_is_refused(entry: str, value: object, message: str, tmp_path: Path) -> None:
    unrolled.export(trained("gru"), tmp_path / "a", "safetensors")
    path = tmp_path / "a" / "export.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {entry: value}))
    with pytest.raises(CheckpointError, match=message):
        unrolled.import_run(tmp_path / "a")


def test_a_tokenizer_of_byte_pairs(tmp_path: Path) -> None:
    learner = LibraryTokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["[UNK]", "[PAD]", "</s>"]
    learner.train_from_iterator(
        ["the film was fine, the film was dull"] * 9,
        trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet, special_tokens=special, show_progress=False),
    )
    V = learner.get_vocab_size()
    embedding, encoder, out = nn.Embedding(V, 5), nn.GRU(5, 4, batch_first=True), nn.Linear(4, V)
    parts = {"e": embedding, "r": encoder, "o": out}
    made = make(
        tmp_path, {f"{n}.{key}": value for n, part in parts.items() for key, value in part.state_dict().items()}
    )
    learner.save(str(tmp_path / "tokenizer.json"))
    run = unrolled.import_run(made["source"], task="generate", vocabulary=tmp_path / "tokenizer.json")
    text = "the dull film — Ü"
    ours, theirs = run.tokenizer.encode([text])[0], learner.encode(text, add_special_tokens=False).ids
    with torch.inference_mode():
        expected = out(encoder(embedding(torch.tensor([theirs])))[0])
        logits, _ = run.model(torch.tensor([ours]))
    every = [*range(V)]
    order = [run.tokenizer.tokens([i])[0] for i in range(run.tokenizer.vocabulary_size)]
    assert len(order) == V + 2  # <bos> and <sep>
    torch.testing.assert_close(logits.log_softmax(2)[..., ours], expected.log_softmax(2)[..., theirs])
    assert torch.equal(run.model.state_dict()["embedding.weight"][EOS], embedding.weight[learner.token_to_id("</s>")])
    assert sorted(logits[0, 0, logits[0, 0] > LACKING / 2].tolist()) == pytest.approx(
        sorted(expected[0, 0, every].tolist()), abs=1e-5
    )


def test_a_matrix_is_named_where_several_fit(tmp_path: Path) -> None:
    network = Plain("lstm", "generate", D=4)
    tensors = {name: value for name, value in network.state_dict().items() if name != "out.bias"}
    made = make(tmp_path, tensors) | {"task": "generate"}
    del made["labels"]
    with pytest.raises(CheckpointError, match=r"could be the embedding: out.weight \(8 × 4\), words.weight \(8 × 4\)"):
        unrolled.import_run(**made)
    nn.init.zeros_(network.out.bias)
    assert_equal_logits(unrolled.import_run(**made, embedding="words"), network)
    assert_equal_logits(unrolled.import_run(**made, head="out.weight"), network)


def test_words_that_are_never_read_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = arguments(tmp_path, Plain("gru", "classify"))
    words = [word if word != "film" else "Film" for word in WORDS]
    made["vocabulary"].write_text("\n".join(words))
    with caplog.at_level(logging.WARNING, logger="unrolled"):
        run = unrolled.import_run(**made, lowercase=True)
    assert (
        '1 of 6 tokens are never read, since texts are split in another way (case folded: yes): "Film"' in caplog.text
    )
    assert run.tokenizer.encode(["THE film"]) == [[5, UNK]]
    caplog.clear()
    made["vocabulary"].write_text("\n".join("?!" if word == "<unk>" else word for word in WORDS))
    assert unrolled.import_run(**made, unknown="?!").tokenizer.encode(["xyz"]) == [[UNK]]
    assert not caplog.records


def _with(**changed: Tensor | None) -> dict[str, Tensor]:
    tensors = Plain("lstm", "classify").state_dict()
    changed = {name.replace("__", "."): value for name, value in changed.items()}
    return {name: value for name, value in (tensors | changed).items() if value is not None}  # type: ignore[operator]


LSTM, ONES = "encoder__", torch.ones
BAD: dict[str, tuple[dict[str, Tensor], str]] = {
    "attention": (_with(attn__in_proj_weight=ONES(12, 4)), r"could be the head: attn\.in_proj_weight \(12 × 4\), out"),
    "a convolution": (_with(conv__weight=ONES(5, 5, 3)), r"no part of an embedding.*: conv\.weight \(5 × 5 × 3\)"),
    "a layer norm": (_with(norm__weight=ONES(4), norm__bias=ONES(4)), r"norm\.bias \(4\), norm\.weight \(4\)"),
    "no recurrence": ({"linear.weight": ONES(3, 4)}, r"has no recurrent layers.* it has linear\.weight \(3 × 4\)"),
    "two modules": (_with(decoder__weight_ih_l0=ONES(16, 5)), r"several recurrent modules, decoder\.\*, encoder\.\*"),
    "a projection": (
        _with(encoder__weight_hr_l0=ONES(2, 4)),
        r"encoder\.weight_hr_l0, which an LSTM without proj_size",
    ),
    "a missing bias": (_with(encoder__bias_hh_l0=None), r"lacks the tensor encoder\.bias_hh_l0 of its LSTM"),
    "a missing direction": (
        _with(encoder__weight_ih_l0_reverse=ONES(16, 5)),
        r"lacks the tensor encoder\.bias_hh_l0_reverse",
    ),
    "a missing layer": (_with(encoder__weight_ih_l7=ONES(16, 4)), r"lacks the tensor encoder\.bias_hh_l1"),
    "a missing matrix": (_with(encoder__weight_hh_l0=None), r"lacks the matrix encoder\.weight_hh_l0"),
    "another shape": (_with(encoder__bias_hh_l0=ONES(12)), r"bias_hh_l0 \(12\): .* would be 16"),
    "two gates": (
        _with(encoder__weight_hh_l0=ONES(8, 4)),
        r"weight_hh_l0 \(8 × 4\): an RNN, GRU or LSTM has 1, 3 or 4",
    ),
    "no columns": (_with(encoder__weight_hh_l0=ONES(8, 0)), r"weight_hh_l0 \(8 × 0\)"),
    "no embedding": (_with(words__weight=None), r"no embedding, a matrix of width 5: there is out\.bias \(3\)"),
    "no head": (_with(out__weight=None), r"no head, a matrix of width 4: there is out\.bias \(3\)"),
    "another bias": (_with(out__bias=ONES(4)), r"out\.bias \(4\): out\.weight asks for 3"),
    "fewer rows": (_with(words__weight=ONES(7, 5)), r"7 rows in words\.weight, and .*words\.txt 8 tokens"),
    "more outputs": (_with(out__weight=ONES(4, 4), out__bias=ONES(4)), r"4 rows in out\.weight, and .*labels\.txt 3"),
    "integers": (_with(out__bias=ONES(3, dtype=torch.int8)), r"floating point numbers: out\.bias \(torch\.int8, "),
    "not a number": (_with(out__bias=torch.full((3,), torch.nan)), r"out\.bias has a number that is not finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_networks_are_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    tensors, message = BAD[name]
    made = make(tmp_path / "a", tensors)
    with pytest.raises(CheckpointError, match=message):
        unrolled.import_run(**made, task="classify", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _lines(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


LINES = "\n".join
BAD_FILES: dict[str, tuple[Callable[[Path], object], dict[str, Any], type[UnrolledError], str]] = {
    "an empty line": (_lines("words.txt", "the\n\nfilm"), {}, DataError, "line 2: the line is empty"),
    "blanks": (_lines("words.txt", "the\n film"), {}, DataError, "line 2: the token has blanks around it"),
    "a word twice": (_lines("words.txt", "a\nb\na"), {}, DataError, 'line 3: "a" is the token of line 1, too'),
    "no words": (_lines("words.txt", ""), {}, DataError, "the vocabulary is empty"),
    "a label twice": (_lines("labels.txt", "a\nb\na"), {}, DataError, "line 3"),
    "two paddings": (_lines("words.txt", "<pad>\n[PAD]"), {}, ConfigError, 'mean <pad>, "<pad>", "\\[PAD\\]"'),
    "no such unknown": (lambda folder: 0, {"unknown": "flim"}, ConfigError, r'no token "flim" \(did you mean "film"'),
    "two unknowns": (lambda folder: 0, {"unknown": "film"}, ConfigError, 'mean <unk>, "<unk>", "film": remove unknown'),
    "no vocabulary": (lambda folder: 0, {"vocabulary": None}, ConfigError, "needs vocabulary, a file with a token a"),
    "no labels": (lambda folder: 0, {"labels": None}, ConfigError, "task classify needs labels, a file with a label"),
    "no task": (lambda folder: 0, {"task": None}, ConfigError, "needs task, one of classify, tag, generate: got none"),
    "another task": (lambda folder: 0, {"task": "regress"}, ConfigError, "one of classify, tag, generate: got regress"),
    "labels of generate": (lambda folder: 0, {"task": "generate"}, ConfigError, "task generate has no labels: remove"),
    "no such head": (lambda folder: 0, {"head": "ouut"}, ConfigError, 'head: .* no tensor "ouut"'),
    "another head": (
        lambda folder: 0,
        {"head": "words"},
        ConfigError,
        r"words.weight \(8 × 5\) is no matrix of width 4",
    ),
    "a nonlinearity": (lambda folder: 0, {"nonlinearity": "relu"}, ConfigError, "nonlinearity"),
    "an unknown one": (lambda folder: 0, {"nonlinearity": "gelu"}, ConfigError, "is tanh or relu: got gelu"),
    "read of tags": (lambda folder: 0, {"task": "tag", "read": "mean"}, ConfigError, "read"),
    "not safetensors": (_lines("weights.safetensors", "xx"), {}, CheckpointError, "is not a safetensors file"),
    "no file": (lambda folder: (folder / "weights.safetensors").unlink(), {}, CheckpointError, "does not exist"),
    "whole words": (
        lambda folder: (folder / "t.json").write_text(Tokenizer("character", (*SPECIAL, "a", "b", " ab")).to_json()),
        {"vocabulary": "t.json"},
        CheckpointError,
        "has whole words after subwords, which only task tag reads",
    ),
    "another tokenizer.json": (
        lambda folder: LibraryTokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(folder / "t.json")),
        {"vocabulary": "t.json"},
        CheckpointError,
        "is a tokenizer.json of neither unrolled nor byte pairs on bytes",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_descriptions_are_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    change, options, kind, message = BAD_FILES[name]
    made = arguments(tmp_path / "a", Plain("lstm", "classify"))
    change(tmp_path / "a")
    if isinstance(path := options.get("vocabulary"), str):
        options = options | {"vocabulary": tmp_path / "a" / path}
    with pytest.raises(kind, match=message):
        unrolled.import_run(**made | options, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pickled_code_is_not_executed(tmp_path: Path) -> None:
    made = make(tmp_path, _with(), file="weights.pt") | {"task": "classify"}
    source = made["source"]
    torch.save(Plain("lstm", "classify"), source)  # a whole module
    with pytest.raises(CheckpointError, match="holds objects other than tensors, which are never unpickled"):
        unrolled.import_run(**made)
    torch.save({"weight": [1.0]}, source)
    with pytest.raises(CheckpointError, match="holds no state_dict"):
        unrolled.import_run(**made)
    torch.save({"model": {"model": {"x": torch.ones(1)}}}, source)
    with pytest.raises(CheckpointError, match="holds no state_dict"):
        unrolled.import_run(**made)
    torch.save(_with(), source)
    whole = source.read_bytes()
    for cut in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        source.write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match="is damaged"):
            unrolled.import_run(**made)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = arguments(tmp_path / "a", Plain("gru", "classify"))
    source, out = str(made["source"]), str(tmp_path / "run")
    flags = ["--vocabulary", str(made["vocabulary"]), "--labels", str(made["labels"])]
    assert command(["import", source, "--out", out, *flags]) == 2
    assert "needs --task, one of classify, tag, generate" in capsys.readouterr().err
    assert command(["import", source, "--task", "classify", "--out", out, *flags, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["model"], figures["task"], figures["vocabulary_size"]) == ("gru", "classify", len(WORDS) + 3)
    assert command(["decode", out, "the film was fine"]) == 0
    assert command(["import", out, "--task", "classify", "--out", str(tmp_path / "b")]) == 2
    assert "is no file of weights, which alone has --task" in capsys.readouterr().err
