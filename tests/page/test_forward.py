"""The page's networks in TypeScript against traces of the product: every tensor that both have, within 1e-5."""

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch

import unrolled
from unrolled.inside import Trace
from unrolled.page import NETWORKS, networks, pack
from unrolled.page.pack import is_packed, quantized
from unrolled.runs.run import Run

HERE = Path(__file__).parent
PAGE = Path(str(files("unrolled.page")))
TOLERANCE = 1e-5  # the product computes in float32, the page in float64
MEASURED = 1e-3  # a gradient by central differences, and bits of a difference of logarithms
MEASURES = ("occlusion", "retention", "gradient_norm")
SENTENCES = (
    "it is not, as some say, a pointless film",
    "It’s not a film you'd forget; I don't regret a minute of xyzzy!",
    "good",
)
MODELS = ("feedforward", "elman", "lstm", "gru", "encoder_decoder", "attention", "transformer", "gpt")
PHRASES = [("new", "it is"), ("old", "not so"), ("long", "as such"), ("short", "as is")]
WORDS = ("craftsmanship", "schmidhuber", "a")
TEXTS = {"classify": SENTENCES, "translate": WORDS, "generate": ("the film is not, as some say, dull", "good")}


pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed: it runs the page's script")


def small(model: str, **settings: Any) -> Run:
    """Return a run with other settings than those of the page's networks, trained for two updates."""
    pairs = model in ("encoder_decoder", "attention")
    rows = [("ab", "x y"), ("ba", "y x"), ("aab", "x x y"), ("bba", "y y x")] * 6 if pairs else [
        (f"a {word} film, {other}", "good" if k % 2 else "bad")
        for k, (word, other) in enumerate(PHRASES * 3)
    ]  # fmt: skip
    same = {"hidden_size": 6, "embedding_size": 5, "updates": 2, "min_frequency": 1, "seed": 3}
    kind = {"task": "translate", "tokenizer": "character"} if pairs else {"task": "classify"}
    run = unrolled.train(rows, model=model, **kind, **same, **settings)
    with torch.no_grad():
        for weight in run.model.parameters():
            if is_packed(weight):
                weight.copy_(quantized(weight))
    return run


OTHERS: dict[str, dict[str, Any]] = {
    "two layers in two directions, maximum": {"model": "gru", "num_layers": 2, "bidirectional": True, "read": "max"},
    "both ends": {"model": "lstm", "bidirectional": True},
    "mean": {"model": "elman", "read": "mean"},
    "relu": {"model": "elman", "nonlinearity": "relu"},
    "bag by maximum": {"model": "feedforward", "read": "max", "num_layers": 2},
    "post-norm, learned positions": {
        "model": "transformer", "norm": "post", "position": "learned", "gated": False, "normalization": "layer",
        "num_heads": 2,
    },
    "LSTM with attention": {"model": "attention", "cell": "lstm"},
    "reversed source": {"model": "encoder_decoder", "reverse_source": True, "bidirectional": False},
    "tied": {"model": "attention", "tied": True},
}  # fmt: skip


def answered(packed: list[dict[str, Any]], asked: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Return the page's answers to questions."""
    questions, answers = folder / "questions.json", folder / "answers.json"
    questions.write_text(json.dumps({"networks": packed, "asked": asked}), encoding="utf-8")
    command = ["node", str(HERE / "forward.mjs"), str(PAGE / "built/model.mjs"), str(questions), str(answers)]
    subprocess.run(command, check=True, timeout=120)
    found: list[dict[str, Any]] = json.loads(answers.read_text(encoding="utf-8"))
    return found


def compare(run: Run, text: str, answer: dict[str, Any], *, measures: bool = True) -> int:
    """Compare every tensor of an answer with the trace; return the number of tensors."""
    trace = run.explain(text, attribution=measures)
    compared = 0
    for name, tensor in answer["tensors"].items():
        if tensor is None or (name in MEASURES and not measures):
            continue
        assert name in trace, f"the page has {name}, which no trace of this run has"
        numbers = [float("-inf") if number is None else number for number in tensor["data"]]
        ours = torch.tensor(numbers, dtype=torch.float64).reshape(tensor["shape"])
        theirs = trace[name].double()
        if name in MEASURES:
            ours = ours[-len(theirs) :]
        tolerance = MEASURED if name in ("occlusion", "gradient_norm") else TOLERANCE
        torch.testing.assert_close(
            ours, theirs, atol=tolerance, rtol=tolerance, msg=lambda m, name=name: f"{name}: {m}"
        )
        compared += 1
    probabilities(trace, answer)
    return compared


def probabilities(trace: Trace, answer: dict[str, Any]) -> None:
    """Compare the probability of each answer."""
    p = trace["log_prob"].double().exp()
    if "steps" in answer:
        assert [step["id"] for step in answer["steps"]] == trace["answers"].tolist()
        ours = [step["p"] for step in answer["steps"]]
    elif len(p) == 1:
        ours = [answer["answers"][-1][trace["answers"][0]]]
    else:  # a language model: the probability of each next token
        steps = zip(trace["steps"].tolist(), trace["answers"].tolist(), strict=True)
        ours = [answer["answers"][step][token] for step, token in steps]
    torch.testing.assert_close(torch.tensor(ours, dtype=torch.float64), p, atol=TOLERANCE, rtol=TOLERANCE)


def test_the_shipped_networks(tmp_path: Path) -> None:
    runs = {folder.name: unrolled.load(folder) for folder in sorted((PAGE / NETWORKS).iterdir()) if folder.is_dir()}
    assert set(runs) == set(MODELS)
    asked = [
        {"model": name, "text": text, "options": {}, "measures": MEASURES if run.config.task == "classify" else []}
        for name, run in runs.items()
        for text in TEXTS[run.config.task]
    ]
    answers = answered(list(networks()), asked, tmp_path)
    for question, answer in zip(asked, answers, strict=True):
        assert compare(runs[question["model"]], question["text"], answer) >= 3


@pytest.mark.parametrize("name", OTHERS)
def test_other_settings(name: str, tmp_path: Path) -> None:
    run = small(**OTHERS[name])
    text = "abba" if run.config.task == "translate" else "a new film, not so long as it is"
    packed = pack(run)
    assert packed["exact"]
    pairs = run.config.task == "translate"
    options = {"forced": run.explain(text)["answers"].tolist()} if pairs else {}  # a new run may not find an end
    question = {"model": run.config.model.name, "text": text, "options": options, "measures": []}
    [answer] = answered([packed], [question], tmp_path)
    assert compare(run, text, answer, measures=False) >= 2


def test_a_held_gate_changes_the_rest_as_in_the_cell(tmp_path: Path) -> None:
    """The input gate of every unit is shut at step 2; the cell's own steps from there give the same h."""
    folder = PAGE / NETWORKS / "lstm"
    run, text, step = unrolled.load(folder), SENTENCES[0], 2
    question = {"model": "lstm", "text": text, "options": {"edits": {str(step): {"i": 0.0}}}}
    [answer] = answered([pack(run)], [question], tmp_path)
    ids = torch.tensor([run.example(text).inputs[0].tolist()])
    cell = run.model.layers.cells[0]
    x, state = run.model.vectors(ids), type(cell).State(torch.zeros(1, 12), torch.zeros(1, 12))
    with torch.no_grad():
        for t in range(ids.shape[1]):
            gates = cell.gates(cell.project(x[:, t]), state)
            if t == step:
                gates = gates._replace(i=torch.zeros_like(gates.i))
            h, state = cell.advance(gates, state)
        p = run.model.head(h).softmax(1)[0].double()
    tensor = answer["tensors"]["lstm.l0.h"]
    ours = torch.tensor(tensor["data"], dtype=torch.float64).reshape(tensor["shape"])[-1]
    torch.testing.assert_close(ours, h[0].double(), atol=TOLERANCE, rtol=TOLERANCE)
    torch.testing.assert_close(torch.tensor(answer["answers"][-1]).double(), p, atol=TOLERANCE, rtol=TOLERANCE)
