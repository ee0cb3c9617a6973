"""`unrolled data`: report on a data set before training."""

from __future__ import annotations

from pathlib import Path

from unrolled.cli.checks import check_data, check_output, check_settings
from unrolled.cli.output import Json, print_json
from unrolled.cli.settings import (
    ConfigFile,
    DataName,
    DataSettings,
    SourceFile,
    TargetFile,
    data_of,
    passed_flags,
    resolve,
)
from unrolled.config import from_toml
from unrolled.errors import ConfigError

__all__ = ["command"]


def command(
    data: DataName | None = None,
    /,
    *,
    source_file: SourceFile = None,
    target_file: TargetFile = None,
    config: ConfigFile = None,
    json: Json = False,
    picture: Path | None = None,
    settings: DataSettings = None,
) -> int:
    """Report on a data set: columns, counts, splits, lengths, labels, examples, and issues that harm training.

    Each issue has example rows and advice: texts with more than one label, texts in two splits, classes too rare to
    learn, sequences that are too long, unknown tokens.

    unrolled data reviews.csv --text review --label stars

    unrolled data photos/

    unrolled data pairs.csv --task translate --source english --target french

    unrolled data --task translate --source-file train.de --target-file train.en

    unrolled data novel.txt --task generate

    Parameters
    ----------
    data
        Texts with labels, or pairs for task translate: .csv, .tsv, .txt, .jsonl, .ndjson, .json or .parquet; lines of
        fastText; a folder of texts or images by class; images as an IDX file. For task tag .conllu, or a word and its
        tag a line: .conll, .bio, .iob, .iob2, .bioes, .bilou, .bmes, .tsv or .txt. For task generate a .txt file or a
        folder of them. All but Parquet also .gz, .xz or .bz2. Or - for standard input; a sample's name: sample:films,
        sample:products, sample:fashion, sample:tags, sample:letters, sample:verses, sample:shakespeare; a synthetic
        task with its parameters, "synthetic:recall?length=40"; or hub:NAME for a data set of the Hugging Face Hub.
    source_file
        File with a source a line, for task translate, in place of DATA; its lines are those of --target-file. The
        targets of --valid and --test are found by their names, which differ as these two do: train.de and train.en,
        valid.de and valid.en.
    target_file
        File with a target a line.
    config
        TOML file with settings (see "unrolled config"); flags take precedence over it.
    json
        Print JSON.
    picture
        SVG file for a chart of lengths and labels.
    """
    resolved = resolve(settings, config)
    named = data_of(data, source_file, target_file, resolved.task)
    if named is None:
        raise ConfigError("no data: give a file, as in `unrolled data reviews.csv`")
    check_output(picture, "--picture", ".svg")
    check_data(named, resolved)
    check_settings(data, passed_flags(settings), resolved)
    from unrolled import api, atomic
    from unrolled.cli.progress import show_log

    with show_log():
        report = api.inspect(named, config=from_toml(config) if config else None, **passed_flags(settings))
    if json:
        print_json(report.to_dict())
    else:
        print(report.text())
    if picture is not None and not report.problem:
        atomic.write_file(picture, report.picture().encode())
    return 2 if report.problem or report.refusals else 0
