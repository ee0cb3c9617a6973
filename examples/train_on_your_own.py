"""Training on Python objects: answers, a saved run, loading, evaluation."""

import tempfile
from pathlib import Path

import unrolled

good = ["fine", "warm", "wonderful", "great", "lovely"]
bad = ["dull", "flat", "dreadful", "poor", "tedious"]
things = ["film", "story", "cast", "score", "ending", "plot"]
pairs = [
    (f"a {word} {thing}", label) for label, words in (("pos", good), ("neg", bad)) for word in words for thing in things
]

run = unrolled.train(pairs, model="lstm", hidden_size=16, embedding_size=16, updates=200, dropout=0.0)
for answer in run.decode(["a wonderful, warm film", "a tedious plot"]):
    print(answer.label, round(answer.probability, 2), answer.text)

with tempfile.TemporaryDirectory() as folder:
    saved = run.save(Path(folder) / "lstm")
    print(unrolled.load(saved.path).evaluate(pairs).accuracy)
