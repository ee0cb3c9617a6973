"""Every gate of every step of a trained LSTM, by replay: `cell.gates` over all steps at once, from x and h."""

import torch

import unrolled

run = unrolled.train("sample:films", row="lstm", hidden_size=32, updates=40)
text = "not a good film, but never a dull one"
ids = torch.tensor(run.tokenizer.encode([text]))  # (1, T)
layer = run.model.layers.layers[0]
with torch.no_grad():
    x = run.model.vectors(ids)  # (1, T, D)
    h, _ = layer(x)  # (1, T, H): what the fast path returned
    before = torch.cat([torch.zeros_like(h[:, :1]), h[:, :-1]], dim=1)  # h_{t−1} of every step
    gates = layer.cell.gates(layer.cell.project(x), layer.cell.State(before, before))  # no gate looks at c

print(f"{'token':<8} forget  input output   (means over 32 units)")
for t, token in enumerate(run.tokenizer.tokens(ids[0].tolist())):
    print(f"{token:<8} {gates.f[0, t].mean():6.2f} {gates.i[0, t].mean():6.2f} {gates.o[0, t].mean():6.2f}")
