"""Traces of every model and task: the answers are those of an unwatched model, and the tensors obey the formulas."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import small
from modules import MODERN
from unrolled.data.encoding.tokenizers import BOS, EOS
from unrolled.inside import Trace, find
from unrolled.lineage import architectures_for
from unrolled.training import Run

RUNS: dict[str, tuple[Callable[[], Run], Any]] = {}
for _model in architectures_for("classify"):
    RUNS[f"classify-{_model.name}"] = (
        lambda name=_model.name: small.trained(name, num_layers=2),
        "the film is no5 warm",
    )
    RUNS[f"image-{_model.name}"] = (lambda name=_model.name: small.image_run(name), small.pictures()[0][0])
for _model in architectures_for("regress"):
    RUNS[f"regress-{_model.name}"] = (lambda name=_model.name: small.number_run(name), "the film is no5 warm")
for _model in architectures_for("tag"):
    RUNS[f"tag-{_model.name}"] = (lambda name=_model.name: small.tag_run(name), "the no3 plot is fine")
for _model in architectures_for("generate"):
    RUNS[f"generate-{_model.name}"] = (lambda name=_model.name: small.text_run(name), "the film")
for _model in architectures_for("translate"):
    RUNS[f"translate-{_model.name}"] = (lambda name=_model.name: small.translation_run(name), ("abcd", "DCBA"))
for _name, _own in {
    "both": {"bidirectional": True, "num_layers": 2, "cell": "lstm"},
    "dot": {"score": "dot", "cell": "elman", "bidirectional": False},
    "fed": {"score": "general", "input_feeding": True, "cell": "lstm", "num_layers": 2},
}.items():
    RUNS[f"translate-attention-{_name}"] = (
        lambda own=_own: small.translation_run("attention", **own),
        ("abcd", "DCBA"),
    )
BACKWARDS = {"reverse_source": True, "bidirectional": False, "cell": "lstm"}
RUNS["translate-reversed"] = (lambda: small.translation_run("encoder_decoder", **BACKWARDS), ("abc", "AB"))
RUNS["classify-both"] = (lambda: small.trained("lstm", num_layers=2, bidirectional=True), "the film is no5 warm")
LATER = {**MODERN, "hidden_size": 8, "num_heads": 4}
RUNS["classify-transformer-modern"] = (lambda: small.trained("transformer", **LATER), "the film is no5 warm")
RUNS["generate-gpt-modern"] = (lambda: small.text_run("gpt", **LATER), "the film")
RUNS["translate-transformer-modern"] = (lambda: small.translation_run("transformer", **LATER), ("abcd", "DCBA"))
EVERY = pytest.mark.parametrize("name", RUNS)


def explained(name: str) -> tuple[Run, Trace]:
    make, text = RUNS[name]
    run = make()
    return run, run.explain(text)


def untraced(run: Run, text: Any) -> torch.Tensor:
    """The logits (A, V) without any watching."""
    example = run.example(text)
    with torch.inference_mode():
        state = None if example.source is None else run.model.encode(example.source.ids)
        logits, _ = run.model(example.inputs, state)
    return logits if run.model.answer == "once" else logits[0, example.steps]


@EVERY
def test_watching_changes_no_bit_of_the_answer(name: str) -> None:
    run, trace = explained(name)
    logits = untraced(run, RUNS[name][1])
    assert torch.equal(trace["logits"], logits.topk(trace["logits"].shape[1]).values)
    assert not any(module._forward_hooks for module in run.model.modules()), "a hook was left behind"


@EVERY
def test_every_tensor_is_in_the_table_with_its_shape(name: str) -> None:
    _, trace = explained(name)
    sizes: dict[str, int] = {}
    for tensor, value in trace.items():
        spec = find(tensor)
        assert spec is not None, tensor
        axes = spec.axes.split()
        assert len(axes) == value.dim(), tensor
        assert value.dtype in (torch.float32, torch.int64)
        for letter, size in zip(axes, value.shape, strict=True):
            if letter in "AS":  # the same wherever they stand
                assert sizes.setdefault(letter, size) == size, tensor
    assert len(trace.about.answers) == len(trace["steps"]) == len(trace.about.guesses)


@EVERY
def test_recurrent_layers_obey_their_equations(name: str) -> None:
    _, trace = explained(name)
    for tensor in [tensor for tensor in trace if tensor.endswith(".from_x")]:
        layer = tensor.removesuffix("from_x")
        h, h0 = trace[layer + "h"], trace[layer + "h0"]
        before = torch.cat([h[1:], h0[None]]) if ".reverse." in layer else torch.cat([h0[None], h[:-1]])
        sums = trace[layer + "from_x"] + trace[layer + "bias"]
        past = trace[layer + "from_h"]
        if f"{layer}f" in trace:
            i, f, g, o = (sums + past).unbind(1)
            c, c0 = trace[layer + "c"], trace[layer + "c0"]
            c_before = torch.cat([c[1:], c0[None]]) if ".reverse." in layer else torch.cat([c0[None], c[:-1]])
            close(trace[layer + "f"], f.sigmoid())
            close(c, f.sigmoid() * c_before + i.sigmoid() * g.tanh())
            close(h, o.sigmoid() * c.tanh())
        elif f"{layer}z" in trace:
            r, z = (sums + past)[:, :2].sigmoid().unbind(1)
            n = (sums[:, 2] + r * (past[:, 2] + trace[layer + "bias_n"])).tanh()
            close(trace[layer + "n"], n)
            close(h, (1 - z) * n + z * before)
        else:
            close(h, (sums + past)[:, 0].tanh())


@EVERY
def test_weights_are_the_softmax_of_scores_and_make_the_context(name: str) -> None:
    _, trace = explained(name)
    for tensor in [tensor for tensor in trace if tensor.endswith("weights")]:
        base = tensor.removesuffix("weights")
        weights = trace[tensor]
        close(weights, trace[base + "score"].softmax(dim=-1))
        if f"{base}value" in trace:
            close(trace[base + "context"], weights @ trace[base + "value"])
    if "attention.weights" in trace:
        run, text = RUNS[name][0](), RUNS[name][1]
        outputs = run.model.encode(run.example(text).source.ids).memory.outputs[0]
        close(trace["attention.context"], trace["attention.weights"] @ outputs)


@pytest.mark.parametrize("modern", [False, True])
def test_the_context_of_blocks_is_that_of_the_fast_path(modern: bool) -> None:
    """What the block's attention puts out, from its own output layer over the traced contexts."""
    run = small.translation_run("transformer", **(LATER if modern else {}))
    trace = run.explain(("abcd", "DCBA"))
    if modern:
        assert trace["decoder.transformer.l1.cross.key"].shape == (4, 4, 2)
        assert trace["decoder.transformer.l0.inner"].shape == (5, 24)
    block = run.model.decoder.blocks[0]
    seen = []
    with torch.no_grad():
        handle = block.mixer.register_forward_hook(lambda module, args, returned: seen.append(returned[0]))
        example = run.example(("abcd", "DCBA"))
        run.model(example.inputs, run.model.encode(example.source.ids))
        handle.remove()
        context = trace["decoder.transformer.l0.context"].transpose(0, 1).flatten(1)
        close(seen[0][0], block.mixer.output(context))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_adds_the_output_of_each_sublayer_to_its_input(norm: str) -> None:
    run = small.translation_run("transformer", norm=norm, dropout=0.0)
    trace = run.explain(("abcd", "DCBA"))
    close(trace["decoder.transformer.token"] + trace["decoder.transformer.position"], trace["decoder.transformer.l0.x"])
    block, layer = run.model.decoder.blocks[0], "decoder.transformer.l0."
    x = trace[layer + "x"]
    for norm_layer, sublayer in zip(block.norms, ("attention_", "cross.", "feedforward_"), strict=True):
        with torch.no_grad():
            close(trace[f"{layer}{sublayer}input"], norm_layer(x) if norm == "pre" else x)
            x = x + trace[f"{layer}{sublayer}output"]
            x = x if norm == "pre" else norm_layer(x)
    close(trace[layer + "y"], x)


def test_the_rank_of_an_answer_is_the_number_of_more_probable_ones() -> None:
    trace = small.text_run("gru").explain("the film a cat", attribution=False)
    logits = small.text_run("gru").model(trace["tokens"].long()[None])[0][0].detach()
    for step, answer, rank in zip(*(trace[name].tolist() for name in ("steps", "answers", "rank")), strict=True):
        order = logits[step].argsort(descending=True).tolist()
        assert order.index(answer) == rank
    assert small.trained("gru").explain("the film is warm", attribution=False)["rank"].tolist() == [0]


def test_the_answers_of_a_text() -> None:
    run = small.text_run("gru")
    trace = run.explain("the film")
    ids = run.tokenizer.encode(["the film"])[0]
    assert trace["tokens"].tolist() == [BOS, *ids]
    assert trace["answers"][:-1].tolist() == ids
    assert trace["answers"][-1] == trace["top"][-1, 0]
    assert trace.about.tokens[:4] == ("<bos>", "t", "h", "e")
    assert run.explain("")["tokens"].tolist() == [BOS]


def test_a_source_alone_is_traced_with_its_translation() -> None:
    run = small.translation_run("attention")
    trace, answer = run.explain("abcd"), run.decode("abcd")[0]
    assert trace.about.text == answer.text
    assert (trace["answers"][-1] == EOS) == (answer.targets[0].ended == "eos")
    assert trace["log_prob"].sum() == pytest.approx(answer.targets[0].log_probability, abs=1e-4) or not answer.text


def test_words_are_answered_at_their_last_step() -> None:
    trace = small.tag_run("gru").explain("the plot is")
    assert [trace.about.text[:end][-1:] for _, end in trace["spans"][trace["steps"]].tolist()] == ["e", "t", "s"]
    assert trace.about.answers == tuple(w.tag for w in small.tag_run("gru").decode("the plot is")[0].words)


def test_a_long_text_is_truncated_and_reported() -> None:
    trace = small.trained("gru").explain("film " * 30, max_length=7)
    assert len(trace["tokens"]) == 7
    assert trace.about.truncated == "truncated after the first 7 of 30 tokens"


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=2e-6)
