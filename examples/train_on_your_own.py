"""From Python objects to a network that answers, is measured, saved and loaded."""

import tempfile
from pathlib import Path

import unrolled

good = ["a fine film", "warm and funny", "truly wonderful acting", "the best of the year", "a joy from start to end"]
bad = ["a dull film", "flat and tedious", "truly dreadful acting", "the worst of the year", "a bore from start to end"]
pairs = [(text, "pos") for text in good] + [(text, "neg") for text in bad]

run = unrolled.train(pairs, row="lstm", hidden_size=16, embedding_size=16, updates=60, min_frequency=1, dropout=0.0)
for answer in run.decode(["wonderful and funny", "dull and dreadful"]):
    print(answer.label, round(answer.probability, 2), answer.text)

with tempfile.TemporaryDirectory() as folder:
    kept = run.save(Path(folder) / "lstm")
    print(unrolled.load(kept.path).evaluate(pairs).accuracy)
