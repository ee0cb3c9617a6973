"""ONNX: a run as graphs that onnxruntime and other runtimes answer with, without torch and without this package.

graph.py        a builder of graphs
emit.py         the registry: one function for each kind of layer, found by its exact type
cells.py        the cells; recurrent.py, layers.py, attention.py, seq2seq.py the layers; models.py the models
build.py        the graphs of a run, with their inputs and outputs
check.py        the comparison with the run, before anything is written
write.py        the folder: graphs, tokenisers, export.json, README.md

The graphs are built from ONNX's operators, layer by layer, instead of recorded from a call: a recording has neither the
recurrent operators nor loops over a length that is not known before.
"""
