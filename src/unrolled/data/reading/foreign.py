"""Files that no task reads: what they are, by their names, and the way to one that is read."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

from unrolled.data.reading.files import PACKINGS, unpacked_name
from unrolled.errors import DataError

__all__ = ["NO_SERIES", "TAGGED", "foreign"]

NO_SERIES = "series of numbers are not data of a task yet: tasks read texts, tagged words, pairs, and images"


class _Kind(NamedTuple):
    """A kind of file, and a remedy with {old} and {new}, shell-quoted names of it and of a file to write."""

    what: str
    fix: str


def _by_pandas(reader: str, *needs: str) -> str:
    return (
        f"save it as CSV, or: python -c 'import sys, pandas; pandas.{reader}(sys.argv[1]).to_csv(sys.argv[2], "
        f"index=False)' {{old}} {{new}}.csv (pip install pandas{''.join(f' {name}' for name in needs)})"
    )


_ARRAYS = _Kind(
    f"a file of arrays; {NO_SERIES}",
    "for images load it in Python, and give them with their labels: unrolled.train((images, labels))",
)
_SPREADSHEET = _Kind("a spreadsheet", _by_pandas("read_excel", "openpyxl"))
_DOCUMENT = _Kind("a document", "save its text as UTF-8, in a table or one file for each class")
_SOUND = _Kind("sound", "sound is not data of a task: give its transcript as text")
_PAIRS = _Kind("a file of translations with markup", "write its pairs as TSV: a source, a tab, a target")
TAGGED = (".conllu", ".conll", ".bio", ".iob", ".iob2", ".bioes", ".bilou", ".bmes")
"""Endings of files with tagged words, which only task tag reads."""
KINDS = {
    ".npy": _ARRAYS,
    ".npz": _ARRAYS,
    ".mat": _ARRAYS,
    ".h5": _ARRAYS,
    ".hdf5": _ARRAYS,
    ".pt": _ARRAYS,
    ".ts": _Kind(f"a time series; {NO_SERIES}", "give texts, or images in Python: unrolled.train((images, labels))"),
    ".arff": _Kind("a table of Weka", "save it as CSV, in Weka's explorer"),
    ".xlsx": _SPREADSHEET,
    ".xls": _SPREADSHEET._replace(fix=_by_pandas("read_excel", "xlrd")),
    ".ods": _SPREADSHEET._replace(fix=_by_pandas("read_excel", "odfpy")),
    ".pkl": _Kind("a pickle, which may run any program when it is read", "load it in Python, and give its data"),
    ".feather": _Kind("a table of Arrow", _by_pandas("read_feather", "pyarrow")),
    ".arrow": _Kind("a table of Arrow", "read it by load_from_disk of the library datasets, and give the data set"),
    ".dta": _Kind("a table of Stata", _by_pandas("read_stata")),
    ".sav": _Kind("a table of SPSS", _by_pandas("read_spss", "pyreadstat")),
    ".db": _Kind("a database", "write its table as CSV: sqlite3 -header -csv {old} 'SELECT * FROM NAME' > {new}.csv"),
    ".xml": _Kind("XML", "write its texts and labels as CSV or JSON lines"),
    ".html": _Kind("HTML", "write its texts and labels as CSV or JSON lines"),
    ".docx": _DOCUMENT,
    ".doc": _DOCUMENT,
    ".odt": _DOCUMENT,
    ".pdf": _DOCUMENT,
    ".zip": _Kind("an archive", "unpack it: unzip {old}"),
    ".tar": _Kind("an archive", "unpack it: tar -xf {old}"),
    ".tgz": _Kind("an archive", "unpack it: tar -xf {old}"),
    ".7z": _Kind("an archive", "unpack it: 7z x {old}"),
    ".zst": _Kind("compressed by Zstandard", f"unpack it: unzstd {{old}} ({', '.join(PACKINGS)} are read packed)"),
    ".wav": _SOUND,
    ".mp3": _SOUND,
    ".flac": _SOUND,
    ".tmx": _PAIRS,
    ".xlf": _PAIRS,
    ".xliff": _PAIRS,
    ".po": _PAIRS,
    **dict.fromkeys(TAGGED, _Kind("a file of tagged words", "add --task tag")),
}
KINDS |= {".sqlite": KINDS[".db"], ".pickle": KINDS[".pkl"], ".sqlite3": KINDS[".db"]}


def foreign(path: Path, file: str) -> DataError | None:
    """Return the error about a file that is known by its name and read by no task that reads tables.

    Args:
        path: path of the file.
        file: its name in messages.
    """
    kind = KINDS.get(Path(unpacked_name(path.name)).suffix) or KINDS.get(path.suffix.lower())
    if kind is None:
        return None
    new = path.with_name(path.name.split(".")[0] or "data")
    return DataError(
        f"is {kind.what}", file=file, fix=kind.fix.format(old=shlex.quote(str(path)), new=shlex.quote(str(new)))
    )
