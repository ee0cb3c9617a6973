"""Pictures of what was traced, as SVG: the same in a terminal's file, a notebook, a document and a page.

    draw("cell", [trace], unit=37, step=12)        one picture, of one trace or of several on the same axes
    PICTURES["cell"].shows(trace)                  whether a trace has what the picture draws
    page([trace, other])                           one offline HTML file with every picture that the traces can fill

A picture takes traces and gives SVG text; every number in it is an element of a named tensor of a trace. What is drawn
is decided by the tensors that a trace has, not by the name of its row.

Beside what inside/names.py has already they read `top_log_prob` (A, k): ln p of each of the outputs in `top`, which a
tree needs; its largest logits do not say it.
"""
