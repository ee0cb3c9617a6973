"""The answers of an exported classifier of texts, with numpy, onnxruntime and tokenizers alone.

python answer_with_onnx.py films-gru-1-onnx "a fine film" "not a dull moment"
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer

folder, texts = Path(sys.argv[1]), sys.argv[2:]
export = json.loads((folder / "export.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file(str(folder / export["tokenizers"]["text"]))
graph = InferenceSession(folder / export["graphs"]["model"]["file"])

unknown = export["special_ids"]["unk"]  # a text without tokens is one unknown token
ids = [tokenizer.encode(text, add_special_tokens=False).ids or [unknown] for text in texts]
lengths = np.array([len(each) for each in ids])
padded = np.zeros((len(ids), lengths.max()), dtype=np.int64)
for row, each in zip(padded, ids, strict=True):
    row[: len(each)] = each

(probabilities,) = graph.run(["probabilities"], {"ids": padded, "lengths": lengths})
for text, p in zip(texts, probabilities, strict=True):
    print(export["labels"][p.argmax()], f"{p.max():.3f}", text, sep="\t")
