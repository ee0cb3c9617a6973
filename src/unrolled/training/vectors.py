"""Word vectors as the first embeddings of a training: the size that follows from them, their reading, their record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unrolled.config import MODEL_NAME, Config, from_flat
from unrolled.data.encoding.tokenizers import Tokenizer
from unrolled.data.encoding.vectors import Vectors, read_size, read_vectors
from unrolled.errors import ConfigError
from unrolled.runs.preprocessor import Preprocessor
from unrolled.runs.recorded import absolute, sum_of

__all__ = ["read", "with_vector_size"]

log = logging.getLogger("unrolled")


def with_vector_size(config: Config, settings: Mapping[str, Any], base: Config | None) -> Config:
    """Return the settings with the embedding size of the word vectors, if there are any.

    Args:
        config: the resolved settings.
        settings, base: those of the user, from which they were resolved.

    Raises:
        ConfigError: the user has set another size, or there are no vectors to freeze.
        DataError: as `read_size`.
    """
    file = config.training.vectors
    if file is None:
        if config.training.freeze_vectors:
            raise ConfigError(
                "freeze_vectors keeps the embeddings of --vectors or --from: add one of them, or remove it"
            )
        return config
    size = read_size(Path(file))
    requested = settings.get("embedding_size", None if base is None else _chosen_size(base))
    if requested not in (None, size):
        raise ConfigError(
            f"embedding_size is {requested}, and the vectors in {file} have {size} values: remove embedding_size, or "
            f"give vectors of {requested} values"
        )
    return from_flat({"embedding_size": size}, base=config)


def read(config: Config, preprocessor: Preprocessor) -> tuple[Vectors | None, dict[str, Any] | None]:
    """Read the word vectors of a training, log how many words have one, and return them with their record.

    Raises:
        DataError: as `read_vectors`.
    """
    if config.training.vectors is None:
        return None, None
    assert isinstance(preprocessor, Tokenizer)  # the tasks with others do not use the setting
    file = absolute(config.training.vectors)
    vectors = read_vectors(Path(file), preprocessor)
    log.info("%s: %s", file, vectors.coverage(frozen=config.training.freeze_vectors))
    found = int(vectors.found.sum())
    return vectors, {"source": file, **(sum_of(Path(file)) or {}), "words": vectors.words, "words_found": found}


def _chosen_size(base: Config) -> int | None:
    """Return the embedding size of settings, None if it is the default of their task and model."""
    default = from_flat({"task": base.task, MODEL_NAME: base.model.name, "by": base.data.by})
    size = base.model.embedding_size
    return None if size == default.model.embedding_size else size
