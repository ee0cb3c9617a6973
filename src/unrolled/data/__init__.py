"""Data: files become examples, examples become ids, ids become batches.

doors (rows of a file, of standard input, …) -> examples (texts with labels) -> splits (train, valid, test) ->
tokenizers (ids) -> batches (padded tensors). `samples` are data sets that come with the package; `report` is what is
known before anything is trained. Import `Tokenizer`, `Sequences`, `Batches` and `inspect` from their own files: this
package itself imports neither torch nor tokenizers.
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
