"""Data: from files to padded batches, in five stages, each importing only those before it.

reading     data sources and formats: rows of a file, of standard input, of a sample, …
examples    labelled texts, images, pairs, tagged sentences, plain text
splits      train, valid and test of each kind of examples; `splitting.py` has their common rules
encoding    tokenizers, ids, pixels, batches
report      data reports: statistics, issues and a chart, made before training

`synthetic.py` generates tasks of any length. Import `Tokenizer`, `Sequences`, `Batches` and `inspect` from their own
files: this package itself imports neither torch nor tokenizers.
"""

from unrolled.data.examples.columns import Example
from unrolled.data.examples.labelled import Examples, load_examples, read_texts
from unrolled.data.reading.counts import Counts, Skipped
from unrolled.data.reading.samples import SAMPLES, Sample
from unrolled.data.splits.labelled import Splits, load_splits

__all__ = [
    "SAMPLES",
    "Counts",
    "Example",
    "Examples",
    "Sample",
    "Skipped",
    "Splits",
    "load_examples",
    "load_splits",
    "read_texts",
]
