"""Translations by an exported encoder and decoder, by beam search, with numpy, onnxruntime and tokenizers alone.

python translate_with_onnx.py letters-attention-1-onnx bahdanau
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

BEAM, ALPHA = 5, 0.6  # open hypotheses, and the exponent of the length penalty, as in `unrolled decode --beam 5`
folder = Path(sys.argv[1])
export = json.loads((folder / "export.json").read_text(encoding="utf-8"))
source, target = (Tokenizer.from_file(str(folder / export["tokenizers"][side])) for side in ("source", "target"))
encoder, decoder = (InferenceSession(folder / export["graphs"][name]["file"]) for name in ("encoder", "decoder"))
inputs = [(port["name"], port["dtype"], port["shape"]) for port in export["graphs"]["decoder"]["inputs"]]
special = export["special_ids"]
DYNAMIC = {"batch": 1, "past_time": 0}  # sizes of the axes of a state before the first step


def run(graph, feeds):
    names = [port.name for port in graph.get_outputs()]
    values = dict(zip(names, graph.run(names, feeds), strict=True))
    return {name.replace("present.", "past."): value for name, value in values.items()}


def translate(text):
    ids = source.encode(text, add_special_tokens=False).ids or [special["unk"]]
    known = run(encoder, {"ids": [ids], "lengths": [len(ids)]})
    zeros = {n: np.zeros([DYNAMIC.get(size, size) for size in shape], kind) for n, kind, shape in inputs if "past" in n}
    state, memory = ({n: v for n, v in (zeros | known).items() if n.startswith(p)} for p in ("past.", "memory."))
    longest = export["default_length"]
    if (limit := export["max_length"]) is not None:
        longest = min(longest, limit - 1 - len(ids) if export["shared_length"] else limit)
    log_p, written, ended, tokens = np.zeros(1), [[]], [], np.array([special["bos"]])
    for step in range(1, longest + 1):
        every = {name: np.repeat(value, len(tokens), axis=0) for name, value in memory.items()}
        answers = run(decoder, {"ids": tokens[:, np.newaxis], **every, **state})
        logits = answers["logits"][:, -1].astype(np.float64)
        largest = logits.max(axis=1, keepdims=True)
        sums = log_p[:, np.newaxis] + logits - largest - np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))
        ends, words = sums[:, special["eos"]], sums[:, len(special) :]
        best = np.argsort(-words, axis=None, kind="stable")[:BEAM]
        parents, tokens = np.divmod(best, words.shape[1])
        log_p, bar = words.flat[best], np.sort([*words.flat[best], *ends])[-BEAM:][0]
        penalty = ((5 + step) / 6) ** ALPHA
        ended += [(p / penalty, hypothesis) for p, hypothesis in zip(ends, written, strict=True) if p >= bar]
        tokens = tokens + len(special)
        written = [[*written[parent], int(token)] for parent, token in zip(parents, tokens, strict=True)]
        top = max(ended, default=(-np.inf, []), key=lambda each: each[0])
        hope = log_p[0] / ((5 + longest) / 6) ** ALPHA
        if top[0] >= hope or (len(ended) >= BEAM and top[0] >= log_p[0] / penalty):
            break
        state = {name: answers[name][parents] for name in state}
    return target.decode(top[1] if ended else written[0])


for text in sys.argv[2:]:
    print(translate(text), text, sep="\t")
