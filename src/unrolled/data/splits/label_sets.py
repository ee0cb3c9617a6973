"""Training, validation and test split of texts with several labels each; see `unrolled.data.splits.labelled`."""

from __future__ import annotations

from unrolled.config import DataConfig
from unrolled.data.examples.label_sets import label_sets, load_label_sets, members
from unrolled.data.examples.labelled import Examples
from unrolled.data.reading.faults import RAISED, Faults
from unrolled.data.splits.labelled import Splits, split_texts, without_unknown
from unrolled.data.splitting import HELD_OUT, refuse_empty, refuse_one_label

__all__ = ["split_label_sets"]


def split_label_sets(data: object, config: DataConfig, faults: Faults = RAISED) -> Splits:
    """Read `data` and the files `config.valid` and `config.test`, and split off the missing splits.

    Args:
        data: see `load_label_sets`.
        config: settings that say how it is read.
        faults: the collector, which raises a fault or keeps it for a report.

    Raises:
        DataError: as `load_label_sets`; or the validation split is empty, all texts of the training split have the same
            labels, or a label of another split does not occur in it.
    """

    def load(source: object, train: Examples | None) -> Examples:
        return load_label_sets(source, config, labels=_labels(train) if train else None, faults=faults)

    splits = split_texts(data, config, load, faults=faults)
    different = tuple(dict.fromkeys(splits.train.labels()))
    fix = f'check that "{config.label}" is the column with the labels'
    refuse_one_label(different, splits.train, label="set of labels", units="rows", fix=fix, faults=faults)
    labels = _labels(splits.train)
    named = splits.named()
    held_out = {name: without_unknown(named[name], name, labels, config, members, faults=faults) for name in HELD_OUT}
    if splits.train:
        refuse_empty(held_out["valid"], "rows", train=splits.train, faults=faults)
    return Splits(**vars(splits) | held_out, labels=labels)


def _labels(train: Examples) -> tuple[str, ...]:
    return tuple(sorted({label for own in label_sets(train) for label in own}))
