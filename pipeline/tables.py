"""Lookup tables: what the installed word lists say of each word, as tries that every process maps and none loads.

    python -m pipeline.warm

builds them beside the other data, which takes some seconds: dev.py does so when it installs, the Dockerfile with the
image; where nobody did, the first look-up does. A file is named for its package's version, so that a new list gets a
new table. What a list means is the business of the module that asks for its table.
"""

import os
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from marisa_trie import RecordTrie

FOLDER = Path(__file__).parent / "data" / "tables"
FORM = 1  # raised when a table's rows become others

Row = tuple[str, tuple[float, ...]]


def open_table(name: str, package: str, record: str, rows: Callable[[], Iterable[Row]]) -> RecordTrie:
    """The table of this name, built of `rows` if it is not there: (word, numbers) in any order, a word as often as it
    likes. record: the numbers' format, as of `struct`; `get(word)` lists them in the order of their bytes.
    """
    path = FOLDER / f"{name}-{version(package)}-{FORM}.trie"
    if not path.exists():
        FOLDER.mkdir(exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        RecordTrie(record, rows()).save(str(unfinished))
        unfinished.replace(path)  # of two that build it at once either may win
    table = RecordTrie(record)
    table.mmap(str(path))
    return table
