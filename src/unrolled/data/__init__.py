"""Data: from files to padded batches, in five stages, each importing only those before it.

reading     data sources and formats: rows of a file, of standard input, of a sample, …
examples    labelled texts, images, pairs, tagged sentences, plain text
splits      train, valid and test of each kind of examples; `splitting.py` has their common rules
encoding    tokenizers, ids, pixels, batches
report      data reports: statistics, issues and a chart, made before training

Before them stand `special.py`, the special tokens, and `synthetic.py`, which generates tasks of any length. The package
itself imports nothing, so that a file of it is loaded without the others.
"""
