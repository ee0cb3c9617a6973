"""Every gate of every step of a trained LSTM, recomputed from x and the h that the fast path returned."""

import torch

import unrolled
from unrolled.scan.replay import replay

run = unrolled.train("sample:films", model="lstm", hidden_size=32, updates=40)
text = "not a good film, but never a dull one"
ids = torch.tensor(run.tokenizer.encode([text]))  # (1, T)
layer = run.model.layers.layers[0]
with torch.no_grad():
    x = run.model.vectors(ids)  # (1, T, D)
    h, _ = layer(x)  # (1, T, H)
    gates, states = replay(layer.cell, x, h)  # i, f, g, o and h, c, each (1, T, H)

print(f"{'token':<8} forget  input output    |c|   (means over 32 units)")
for t, token in enumerate(run.tokenizer.tokens(ids[0].tolist())):
    means = [values[0, t].mean() for values in (gates.f, gates.i, gates.o, states.c.abs())]
    print(f"{token:<8} " + " ".join(f"{mean:6.2f}" for mean in means))
