"""Pictures of what was traced, as SVG: the same in a terminal's file, a notebook, a document and a page.

    draw("cell", [trace], unit=37, step=12)        one picture, of one trace or of several on the same axes
    PICTURES["cell"].shows(trace)                  whether a trace has what the picture draws
    page([trace, other])                           one offline HTML file with every picture that the traces can fill

A picture takes traces and gives SVG text; every number in it is an element of a named tensor of a trace. What is drawn is
decided by the tensors that a trace has, not by the name of its row.

Of a trace (inside/trace.py) they read, beside its tensors:

    about.run, row, cell, task, score   the caption: "films-lstm-1, row lstm, classify, positive 98 %"
    about.tokens, about.source          what stands at the steps, and at those of the source, where there is one
    about.update                        after how many updates of the training, where weights were kept; else None
    about.guesses                       what was likely at each step, (T, k) strings, with `guesses` (T, k) log-probabilities
    about.notice                        what was left out: "the first 512 of 2,048 tokens"; it stands in the picture

and in a recurrent layer, for the sum before each gate: `from_x` (T, G, H) = W_x x, `from_h` (T, G, H) = W_h h, `bias` (G, H)
(the GRU's `bias_n` (H), too), and `first_h`, `first_c` (H) where a layer does not begin with 0.
"""
