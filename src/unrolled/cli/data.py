"""`unrolled data`: what is understood of a file, before anything is trained."""

from __future__ import annotations

from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import ConfigFile, DataName, DataSettings, resolve

__all__ = ["command"]


def command(data: DataName, /, *, config: ConfigFile = None, json: Json = False, settings: DataSettings = None) -> int:
    """Say what is understood of the data: columns, counts, splits, lengths, labels, duplicates, three examples.

    unrolled data reviews.csv --text review --label stars

    unrolled data novel.txt --task generate

    Parameters
    ----------
    data
        CSV, TSV, JSON lines or Parquet; for task generate a .txt file or a folder of them (all but Parquet also .gz,
        .xz or .bz2); - for standard input; a sample's name: sample:films, sample:products, sample:shakespeare; or
        hub:NAME for a data set of the Hugging Face Hub.
    config
        TOML file with settings (see "unrolled config"); flags go before it.
    json
        Print JSON.
    """
    resolved = resolve(settings, config)
    from unrolled import api

    report = api.inspect(data, config=resolved)
    if json:
        print_json(report.to_dict())
    else:
        print(report.text())
    return 2 if report.problem else 0
