"""Settings of the data."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from unrolled.config.section import FEW_BITS, LARGEST_SEED, NO_DATA, NO_MEMORY, Section, one_path
from unrolled.errors import excerpt

__all__ = ["LABEL_SEPARATOR", "SEPARATORS", "DataConfig"]

LABEL_SEPARATOR = ";"
"""Default text between the labels of a text with several."""
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "}
"""Separators of columns that have a name."""


class DataConfig(Section):
    """Settings of the data: columns, splits, tokenizer, images."""

    text: str = Field("text", description="column (or JSON key) of the text")
    label: str = Field(
        "label",
        description="column (or JSON key) of the label, or of the number (task regress); of the tag in CoNLL-U; with "
        "--multi-label also several columns of 0 and 1, with commas between their names",
    )
    strip_labels: bool = Field(False, description="remove blanks around labels (tasks classify and tag)")
    fold_labels: bool = Field(
        False, description="fold the case of labels to small letters, of tags to capitals (tasks classify and tag)"
    )
    multi_label: bool = Field(
        False, description="read and answer any number of labels for a text, also none (task classify)"
    )
    label_separator: str = Field(
        LABEL_SEPARATOR,
        min_length=1,
        max_length=100,
        description="with --multi-label, the text between two labels of a text; \\t: a tab; lists in JSON need none",
    )
    decimal: Literal[".", ","] = Field(
        ".", description="character before the decimals of a number in text (task regress), as in 0.5 or 0,5"
    )
    column: int = Field(
        -1,
        ge=-1,
        le=10**6,
        json_schema_extra=NO_DATA,
        description="number of the column with the tag, from 2, or -1 for the last, in files of tagged words other "
        "than CoNLL-U (task tag)",
    )
    source: str = Field("source", description="column (or JSON key) of the source (task translate)")
    target: str = Field("target", description="column (or JSON key) of the target (task translate)")
    header: bool = Field(
        True,
        description="the first row of a CSV or TSV file names the columns; --no-header: it is data, and columns are "
        "named by number, as in --text 2 --label 1",
    )
    separator: str = Field(
        "auto",
        description="character between the columns of a CSV, TSV or TXT file, or its name: comma, semicolon, tab, bar, "
        "space; auto: recognised from the header",
    )
    valid: str | None = Field(None, description="file with the validation examples, instead of a split of the data")
    test: str | None = Field(None, description="file with the test examples, instead of a split of the data")
    valid_fraction: float = Field(0.1, ge=0, lt=1, description="fraction of the data for the validation split")
    test_fraction: float = Field(0.1, ge=0, lt=1, description="fraction of the data for the test split")
    split_seed: int = Field(
        0,
        ge=0,
        le=LARGEST_SEED,
        json_schema_extra=FEW_BITS,
        description="seed of the splits (equal texts are always in the same split)",
    )
    folds: int | None = Field(
        None,
        ge=2,
        le=1_000,
        json_schema_extra={"reason": "each is a training"},
        description="number of folds of a cross-validation: a training for each, which tests on that fold; the folds "
        "take the place of --test-fraction",
    )
    fold: int | None = Field(
        None,
        ge=1,
        le=1_000,
        json_schema_extra={"reason": "there are no more folds"},
        description="with --folds: train for this fold only, from 1",
    )
    on_bad_row: Literal["stop", "skip"] = Field(
        "stop", description="stop at a bad row, or skip it (skipped rows are counted and listed)"
    )
    tokenizer: Literal["auto", "character", "byte", "word", "bpe"] = Field(
        "auto",
        description="unit of a token; auto: by the data, words or byte pairs as the task usually has them, characters "
        "for short texts of mostly new words, as names are",
    )
    source_tokenizer: Literal["character", "byte", "word", "bpe"] | None = Field(
        None, description="unit of a source token (task translate); default: the same as --tokenizer"
    )
    shared_vocabulary: bool = Field(False, description="one vocabulary for sources and targets (task translate)")
    vocabulary_size: int = Field(
        20_000,
        ge=6,
        le=10**7,
        json_schema_extra=NO_MEMORY,
        description="maximum number of tokens in the vocabulary, including 5 special ones",
    )
    whole_words: int = Field(
        0,
        ge=0,
        le=10**7,
        json_schema_extra=NO_MEMORY,
        description="maximum number of whole words added to the vocabulary, each read after its subwords (task tag)",
    )
    min_frequency: int = Field(
        2,
        ge=1,
        le=10**9,
        json_schema_extra=NO_DATA,
        description="minimum number of occurrences in the training split; rarer tokens become <unk>",
    )
    lowercase: bool = Field(True, description="convert text to lower case (tokenizer word only)")
    normalize: Literal["none", "nfc", "nfkc"] = Field(
        "none",
        description="normal form of Unicode to which all texts are brought: nfc composes characters, nfkc also unifies "
        "their variants (tokenizer word composes anyway)",
    )
    max_length: int = Field(
        512,
        ge=1,
        le=10**9,
        json_schema_extra=NO_DATA,
        description="maximum tokens of a source or target (task translate)",
    )
    truncate: bool = Field(
        False,
        description="truncate sources and targets beyond the maximum length instead of refusing them (task translate)",
    )
    by: Literal["image", "row", "column", "pixel"] | None = Field(
        None,
        description="time steps of an image: the whole image at once, or one row, column or pixel a step; default for "
        "image data: image with model feedforward, else row",
    )
    permutation_seed: int | None = Field(
        None,
        ge=0,
        le=LARGEST_SEED,
        json_schema_extra=FEW_BITS,
        description="seed of a random permutation of the pixels, the same for all images (permuted MNIST)",
    )
    class_names: str | list[str] | None = Field(
        None,
        description="file with the names of numeric labels, a line each, in their order; answers and tables show them "
        "(task classify); in TOML and Python also a list",
    )
    cache: str | None = Field(
        None,
        description="folder where the ids of large data are cached (task generate: of all texts); default: the user's "
        "cache folder",
    )

    @field_validator("column")
    @classmethod
    def _column_is_not_the_word(cls, column: int) -> int:
        if column in (0, 1):
            raise ValueError(f"column should be the number of a column, from 2 (the first is the word): got {column}")
        return column

    @field_validator("separator")
    @classmethod
    def _separator_is_one_character(cls, separator: str) -> str:
        separator = "\t" if separator == "\\t" else separator
        if separator == "auto" or separator in SEPARATORS:
            return separator
        if len(separator) != 1 or separator.isalnum() or separator in '"\r\n\0':
            names = ", ".join(SEPARATORS)
            raise ValueError(
                f"separator must be one of {names} or auto, or a character that is no letter, digit, quote or line "
                f"end: got {excerpt(repr(separator))}"
            )
        return next((name for name, character in SEPARATORS.items() if character == separator), separator)

    @field_validator("valid", "test", "cache")
    @classmethod
    def _path_is_one(cls, path: str | None) -> str | None:
        return one_path(path)

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> Self:
        if self.fold is not None and (self.folds is None or self.fold > self.folds):
            of = "needs the number of folds" if self.folds is None else f"must be from 1 to folds, {self.folds}"
            raise ValueError(f"fold {of}: got {self.fold}; " + ("add folds" if self.folds is None else "change it"))
        if self.folds is not None and self.test_fraction != type(self).model_fields["test_fraction"].default:
            raise ValueError("test_fraction has no use with folds, which are the test splits: remove one of them")
        return self

    @model_validator(mode="after")
    def _separator_is_for_several_labels(self) -> Self:
        if self.label_separator != LABEL_SEPARATOR and not self.multi_label:
            raise ValueError(
                f"label_separator only applies with multi_label: set multi_label, or remove label_separator (got "
                f"{self.label_separator!r})"
            )
        return self

    @model_validator(mode="after")
    def _one_vocabulary_has_one_tokenizer(self) -> Self:
        if self.shared_vocabulary and self.source_tokenizer not in (None, self.tokenizer):
            raise ValueError(
                f"shared_vocabulary needs one tokenizer for both sides: got {self.source_tokenizer} for sources and "
                f"{self.tokenizer} for targets"
            )
        return self
