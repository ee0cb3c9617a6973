"""Pictures of what was traced, as SVG: the same in a terminal's file, a notebook, a document and a page.

    draw("cell", [trace], unit=37, step=12)        one picture, of one trace or of several on the same axes
    PICTURES["cell"].shows(trace)                  whether a trace has what the picture draws
    page([trace, other])                           one offline HTML file with every picture that the traces can fill

A picture takes traces and gives SVG text; every number in it is an element of a named tensor of a trace. What is drawn
is decided by the tensors that a trace has, not by the name of its row.

Beside the tensors of inside/names.py and the header of inside/trace.py they read, where they are there:

    about.update                        after how many updates of the training, where weights were kept (None: at its
                                        end): traces of one run at several updates make the gradient over training
    attention.asked (T, E), attention.key (S, E), attention.v (E)     the halves of the additive score, W_q query and
                                        W_k o + b, and v; E is its size (of dot and general: attention.key alone)
    attention.outputs (S, D)            what the encoder left, o_j
"""
