"""Agreement of the files of a run with each other: each of them may be valid, and from another run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from unrolled.config import Config
from unrolled.data.encoding.pairs import PairTokenizers
from unrolled.data.encoding.pixels import Pixels
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.errors import CheckpointError, excerpt
from unrolled.runs.preprocessor import Preprocessor, inputs_of
from unrolled.runs.schema import Manifest

__all__ = ["refuse_disagreement", "refuse_other_preprocessor"]


def refuse_disagreement(
    folder: Path, manifest: Manifest, config: Config, data: Mapping[str, Any], preprocessor: Preprocessor
) -> None:
    """Refuse a run whose files disagree.

    Args:
        folder: folder of the run, for the message.
        manifest: contents of config.json.
        config, data: entries of run.json.
        preprocessor: the preprocessor that its own file holds.

    Raises:
        CheckpointError: names the file, the entry and both values.
    """
    inputs = manifest.inputs.inputs()
    if inputs_of(preprocessor) != inputs:
        raise CheckpointError(
            f"{folder / preprocessor.FILE} makes {inputs_of(preprocessor)}, and the model reads {inputs}: it belongs "
            "to another run"
        )
    _refuse(folder, (*_settings(manifest, config), *_data(manifest, data)))
    refuse_other_preprocessor(folder, config, preprocessor)


def refuse_other_preprocessor(folder: Path, config: Config, preprocessor: Preprocessor) -> None:
    """Refuse a preprocessor that was not made with these settings.

    Args:
        folder: folder of the run, for the message.
        config: its settings.
        preprocessor: the preprocessor that its own file holds.

    Raises:
        CheckpointError: names the file, the entry and both values.
    """
    text = PairTokenizers if config.task == "translate" else Tokenizer
    expected = Pixels if config.data.by is not None else text
    if not isinstance(preprocessor, expected):
        raise CheckpointError(f"{folder} has {preprocessor.FILE}, and its settings need {expected.FILE}")
    _refuse(folder, _of_preprocessor(config, preprocessor))


def _refuse(folder: Path, entries: Iterable[tuple[str, str, object, object]]) -> None:
    """Refuse the first of the entries (file, entry, its value there, its value in the settings) with two values."""
    for file, entry, here, there in entries:
        if here != there:
            raise CheckpointError(
                f"{folder / file} disagrees with the settings of the run about {entry}: {excerpt(str(here), 40)}, not "
                f"{excerpt(str(there), 40)}"
            )


def _settings(manifest: Manifest, config: Config) -> Iterator[tuple[str, str, object, object]]:
    """Yield the entries of config.json that run.json repeats."""
    yield "config.json", "the task", manifest.task, config.task
    yield "config.json", "several labels a text", manifest.multi_label, config.data.multi_label
    for name, value in manifest.model.model_dump().items():
        yield "config.json", f"the model's {name}", value, getattr(config.model, name)


def _of_preprocessor(config: Config, preprocessor: Preprocessor) -> Iterator[tuple[str, str, object, object]]:
    """Yield the entries of a preprocessor that run.json repeats."""
    file = preprocessor.FILE
    if isinstance(preprocessor, Pixels):
        yield file, "the steps", preprocessor.by, config.data.by
        return
    target = preprocessor
    if isinstance(preprocessor, PairTokenizers):
        target = preprocessor.target
        yield file, "the shared vocabulary", preprocessor.shared, config.data.shared_vocabulary
        source = config.data.source_tokenizer or config.data.tokenizer
        yield file, "the tokenizer of sources", preprocessor.source.kind, source
        yield file, "the whole words of sources", preprocessor.source.num_whole_words, 0
    assert isinstance(target, Tokenizer)
    yield file, "the tokenizer", target.kind, config.data.tokenizer
    if config.task != "tag":
        yield file, "the whole words", target.num_whole_words, 0


def _data(manifest: Manifest, data: Mapping[str, Any]) -> Iterator[tuple[str, str, object, object]]:
    """Yield the entries of config.json that the data of run.json repeat."""
    if manifest.task == "regress":
        yield "config.json", "the number of outputs", len(manifest.labels), 1
    elif manifest.multi_label:
        missing = sorted(set(data["usual"]) - set(manifest.labels))
        yield "config.json", "the most frequent labels", [], missing
    elif manifest.labels:
        majority = data["majority"]
        one = majority if majority in manifest.labels else f"one of {len(manifest.labels):,} labels"
        yield "config.json", "the most frequent label", one, majority
        yield "config.json", "the number of labels", len(manifest.labels), len(data.get("labels") or manifest.labels)
    if manifest.task == "tag":
        unknown = sorted(set(data["words"]) - set(manifest.labels))  # a label need not be the usual one of any word
        yield "config.json", "the labels of words", [], unknown
    if manifest.task == "generate":
        size = manifest.inputs.model_dump()["vocabulary_size"]
        yield "config.json", "the size of the vocabulary", size, len(data["counts"])
