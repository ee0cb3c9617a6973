"""Decoding with a GPT and a Transformer next to CTranslate2, torch with a cache by hand and Hugging Face generate.

python benchmarks/decoding_peers.py gpt translate short growth gpt_int8 translate_int8 --python .venv-peers/bin/python

The peers (ctranslate2, transformers) are those of another environment of the same Python, which is read after this one;
torch is ours for all. Random weights of the same shapes. Calls go in turn in one process on one thread, in CPU seconds
of the process; a ratio is theirs / ours, the median over pairs. Each part into benchmarks/results/decoding_peers.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import save_part
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled import scan
from unrolled.config import ModelConfig
from unrolled.decoding.sampling import GREEDY
from unrolled.decoding.search import Beam, search
from unrolled.kernels import freeze
from unrolled.models import Ids, Model, Pairs
from unrolled.runs.build import build

Call = Callable[[], Any]
SIZES = {"4 x 128": (128, 4, 4), "6 x 384": (384, 6, 6)}
WINDOW, V, PROMPT, WRITTEN = 256, 256, 8, 200
SOURCE, TARGET, PAIRS_V, SIZE, LAYERS, HEADS = 30, 40, 4_000, 256, 3, 4


def in_turn(calls: dict[str, Call], seconds: float, least: int = 5) -> dict[str, list[float]]:
    """Return CPU seconds of each call, called in turn for at least so long and so often."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while len(times["ours"]) < least or time.perf_counter() < end:
        for name, call in calls.items():
            began = time.process_time()
            call()
            times[name].append(time.process_time() - began)
    return times


def figures(times: dict[str, list[float]], steps: int) -> dict[str, Any]:
    """Return the median milliseconds of a step of each, and theirs / ours."""
    found: dict[str, Any] = {"pairs": len(times["ours"])}
    for name, seconds in times.items():
        found[name] = {"ms": round(statistics.median(seconds) / steps * 1e3, 4)}
        if name != "ours":
            ratios = [a / b for a, b in zip(seconds, times["ours"], strict=True)]
            found[name]["theirs_to_ours"] = round(statistics.median(ratios), 3)
            found[name]["theirs_to_ours_by_minima"] = round(min(seconds) / min(times["ours"]), 3)
    return found


class ByHand(nn.Module):
    """A GPT in plain torch with a cache of its full length, as nanoGPT's blocks."""

    def __init__(self, size: int, layers: int, heads: int) -> None:
        super().__init__()
        self.size, self.heads = size, heads
        self.embedding, self.position = nn.Embedding(V, size), nn.Embedding(WINDOW, size)
        self.blocks = nn.ModuleList(
            nn.ModuleList([nn.LayerNorm(size), nn.Linear(size, 3 * size), nn.Linear(size, size), nn.LayerNorm(size),
                           nn.Linear(size, 4 * size), nn.Linear(4 * size, size)])
            for _ in range(layers)
        )  # fmt: skip
        self.norm, self.head = nn.LayerNorm(size), nn.Linear(size, V, bias=False)

    def forward(self, ids: Tensor, caches: list[tuple[Tensor, Tensor]], at: int) -> Tensor:
        """Return the logits after the last of ids (B, T), which begin at step `at`."""
        B, T = ids.shape
        x = self.embedding(ids) + self.position(torch.arange(at, at + T))
        for (norm, qkv, out, norm_2, inner, outer), (keys, values) in zip(self.blocks, caches, strict=True):
            q, k, v = (z.view(B, T, self.heads, -1).transpose(1, 2) for z in qkv(norm(x)).split(self.size, 2))
            keys[:, :, at : at + T], values[:, :, at : at + T] = k, v
            y = F.scaled_dot_product_attention(q, keys[:, :, : at + T], values[:, :, : at + T], is_causal=T > 1)
            x = x + out(y.transpose(1, 2).reshape(B, T, self.size))
            x = x + outer(F.gelu(inner(norm_2(x))))
        logits: Tensor = self.head(self.norm(x[:, -1:]))
        return logits

    @torch.inference_mode()
    def generate(self, ids: Tensor) -> None:
        """Write greedily."""
        B = len(ids)
        shape = (B, self.heads, PROMPT + WRITTEN, self.size // self.heads)
        caches = [(torch.zeros(shape), torch.zeros(shape)) for _ in self.blocks]
        at = 0
        for _ in range(WRITTEN):
            logits = self(ids, caches, at)
            at, ids = at + ids.shape[1], logits[:, -1].argmax(-1, keepdim=True)


def gpt(seconds: float, folder: Path, precision: scan.Precision = "float32") -> dict[str, Any]:
    """Greedy, 200 tokens after 8, V = 256: milliseconds a step. Ours in int8 is compared with int8 alone."""
    import ctranslate2
    from ctranslate2.converters import transformers as converters
    from transformers import GPT2Config, GPT2LMHeadModel

    found = {}
    for name, (size, layers, heads) in SIZES.items():
        config = ModelConfig(embedding_size=size, hidden_size=size, num_layers=layers, num_heads=heads, dropout=0.0,
                             window=WINDOW, position="learned", tied=True)  # fmt: skip
        ours = build("gpt", Ids(V), V, config, answer="each").eval()
        freeze.keep(ours)  # as a loaded run's
        plain = ByHand(size, layers, heads).eval()
        theirs = GPT2LMHeadModel(GPT2Config(
            vocab_size=V, n_positions=WINDOW, n_embd=size, n_layer=layers, n_head=heads, bos_token_id=2, eos_token_id=2,
            pad_token_id=0)).eval()  # fmt: skip
        spec = converters._MODEL_LOADERS["GPT2Config"].get_model_spec(theirs)
        spec.register_vocabulary([f"t{i}" for i in range(V)])
        spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "t2"
        spec.validate()
        (folder / name).mkdir()
        spec.save(str(folder / name))
        generators = {
            q: ctranslate2.Generator(str(folder / name), compute_type=q, inter_threads=1, intra_threads=1)
            for q in ("float32", "int8")
        }
        prompts = torch.randint(5, V, (8, PROMPT))
        for B in (1, 8):
            ids, words = prompts[:B], [[f"t{i}" for i in each] for each in prompts[:B].tolist()]

            def by_ct2(q: str, words: list[list[str]] = words, of: dict[str, Any] = generators) -> Call:
                options = {"max_length": WRITTEN, "min_length": WRITTEN, "sampling_topk": 1, "beam_size": 1}
                return lambda: of[q].generate_batch(words, include_prompt_in_result=False, max_batch_size=0, **options)

            @torch.inference_mode()
            def by_transformers(ids: Tensor = ids, model: Any = theirs) -> None:
                model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=WRITTEN,
                               min_new_tokens=WRITTEN, pad_token_id=0, use_cache=True)  # fmt: skip

            def by_ours(model: Model = ours, ids: Tensor = ids) -> None:
                with scan.frozen(model, precision):  # as a run's `decode` does
                    search(model, ids.tolist(), GREEDY, min_length=WRITTEN, max_length=WRITTEN)

            calls: dict[str, Call] = {"ours": by_ours, "ctranslate2 int8": by_ct2("int8")}
            if precision == "float32":
                calls |= {
                    "torch by hand": lambda m=plain, p=ids: m.generate(p),
                    "transformers": by_transformers,
                    "ctranslate2 float32": by_ct2("float32"),
                }
            found[f"{name}, B = {B}"] = figures(in_turn(calls, seconds), WRITTEN)
    return found


def transformer(V: int, size: int, layers: int) -> Model:
    """Return a Transformer from a source to a target."""
    config = ModelConfig(embedding_size=size, hidden_size=size, num_layers=layers, num_heads=HEADS, dropout=0.0)
    return build("transformer", Pairs(V, V), V, config, answer="each").eval()


def translators(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return CTranslate2's Transformer of the same sizes by type of its weights, and its vocabulary."""
    import ctranslate2
    from ctranslate2.specs import TransformerSpec, common_spec

    spec = TransformerSpec.from_config((LAYERS, LAYERS), HEADS, pre_norm=True, activation=common_spec.Activation.RELU)
    draw = np.random.default_rng(0)

    def linear(of: Any, outputs: int, inputs: int) -> None:
        of.weight = (draw.standard_normal((outputs, inputs)) / inputs**0.5).astype(np.float32)
        of.bias = np.zeros(outputs, np.float32)

    def norm(of: Any) -> None:
        of.gamma, of.beta = np.ones(SIZE, np.float32), np.zeros(SIZE, np.float32)

    for side in (spec.encoder, spec.decoder):
        embeddings = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embeddings.weight = draw.standard_normal((PAIRS_V, SIZE)).astype(np.float32)
        side.scale_embeddings = False
        angle = np.arange(512)[:, None] / 10_000 ** (2 * np.arange(SIZE // 2) / SIZE)
        side.position_encodings.encodings = np.concatenate([np.sin(angle), np.cos(angle)], 1).astype(np.float32)
        norm(side.layer_norm)
        for layer in side.layer:
            linear(layer.self_attention.linear[0], 3 * SIZE, SIZE)
            linear(layer.self_attention.linear[1], SIZE, SIZE)
            norm(layer.self_attention.layer_norm)
            if hasattr(layer, "attention"):
                for i, outputs in enumerate((SIZE, 2 * SIZE, SIZE)):
                    linear(layer.attention.linear[i], outputs, SIZE)
                norm(layer.attention.layer_norm)
            linear(layer.ffn.linear_0, 4 * SIZE, SIZE)
            linear(layer.ffn.linear_1, SIZE, 4 * SIZE)
            norm(layer.ffn.layer_norm)
    linear(spec.decoder.projection, PAIRS_V, SIZE)
    words = ["<unk>", "<s>", "</s>"] + [f"t{i}" for i in range(PAIRS_V - 3)]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.validate()
    (folder / "translate").mkdir()
    spec.save(str(folder / "translate"))
    return {
        q: ctranslate2.Translator(str(folder / "translate"), compute_type=q, inter_threads=1, intra_threads=1)
        for q in ("float32", "int8")
    }, words


def compared(
    model: Model,
    source: Tensor,
    length: int,
    of: dict[str, Any],
    words: list[str],
    precision: scan.Precision = "float32",
) -> dict[str, Call]:
    """Return the calls that translate sources (B, S) into targets of this length with a beam of 5."""
    B, S = source.shape
    texts = [[words[i] for i in each] for each in source.tolist()]

    def ours() -> None:
        with scan.frozen(model, precision):  # as a run's `decode` does
            with torch.inference_mode():
                state = model.encode(source, torch.full((B,), S))
            search(model, [[]] * B, Beam(5), state=state, min_length=length, max_length=length)

    def theirs(q: str) -> Call:
        options = {"beam_size": 5, "length_penalty": 0.6, "max_batch_size": 0}
        lengths = {"min_decoding_length": length, "max_decoding_length": length}
        return lambda: of[q].translate_batch(texts, **options, **lengths)

    return {"ours": ours, **{f"ctranslate2 {q}": theirs(q) for q in of if precision in ("float32", q)}}


def translate(seconds: float, folder: Path, precision: scan.Precision = "float32") -> dict[str, Any]:
    """Beam 5, 30 tokens in, 40 out, 3 + 3 x 256, V = 4,000: milliseconds a batch; and the model attention, H = 256."""
    of, words = translators(folder)
    source, found = torch.randint(5, PAIRS_V, (16, SOURCE)), {}
    options = ModelConfig(embedding_size=SIZE, hidden_size=SIZE, dropout=0.0, cell="gru")
    attention = build("attention", Pairs(PAIRS_V, PAIRS_V), PAIRS_V, options, answer="each").eval()
    for name, model in (("", transformer(PAIRS_V, SIZE, LAYERS)), ("attention, ", attention)):
        freeze.keep(model)  # as a loaded run's
        for B in (1, 16):
            calls = compared(model, source[:B], TARGET, of, words, precision)
            found[f"{name}B = {B}"] = figures(in_turn(calls, seconds), 1)
    return found


def short(seconds: float, folder: Path) -> dict[str, Any]:
    """Beam 5, 8 tokens in, 1 or 8 out, as words to phonemes: milliseconds an answer."""
    of, words = translators(folder)
    source, found = torch.randint(5, PAIRS_V, (1, 8)), {}
    for kept in (True, False):
        model = transformer(PAIRS_V, SIZE, LAYERS)
        if kept:
            freeze.keep(model)
        for length in (1, 8):
            name = f"{length} tokens, {'a loaded run' if kept else 'packed in every call'}"
            found[name] = figures(in_turn(compared(model, source, length, of, words), seconds), 1)
    return found


def growth(seconds: float, folder: Path) -> dict[str, Any]:
    """Beam 5 of a Transformer of 2 + 2 x 128, V = 200: milliseconds a token, over targets of each length."""
    model, found = transformer(200, 128, 2), {}
    freeze.keep(model)
    with torch.inference_mode():
        state = model.encode(torch.randint(5, 200, (1, 20)))
    for length in (50, 100, 200, 400, 800):

        def ours(length: int = length) -> None:
            search(model, [[]], Beam(5), state=state, min_length=length, max_length=length)

        times = in_turn({"ours": ours}, seconds)["ours"]
        found[str(length)] = round(statistics.median(times) / length * 1e3, 4)
    found["increment_400_to_800_over_200_to_400"] = round(
        (found["800"] - found["400"]) / (found["400"] - found["200"]), 2
    )
    return found


PARTS: dict[str, Callable[[float, Path], dict[str, Any]]] = {
    "gpt": gpt,
    "translate": translate,
    "short": short,
    "growth": growth,
    "gpt_int8": partial(gpt, precision="int8"),
    "translate_int8": partial(translate, precision="int8"),
}


def main() -> None:
    """Measure the parts that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--python", type=Path, required=True, help="the peers' environment")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each case")
    arguments = parser.parse_args()
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    sys.path.append(
        subprocess.run([arguments.python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    )
    sys.argv[sys.argv.index("--python") + 1] = ".venv-peers/bin/python"  # in the record, no path of this machine
    torch.set_num_threads(1)
    os.environ["CT2_VERBOSE"] = "-1"
    torch.manual_seed(0)
    versions = {name: metadata.version(name) for name in ("ctranslate2", "transformers")}
    for part in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            found = PARTS[part](arguments.seconds, Path(folder))
        for case, values in found.items():
            print(part, case, values, flush=True)
        save_part("decoding_peers", part, {"peers": versions, "cpu": "CPU seconds of the process", **found})


if __name__ == "__main__":
    main()
