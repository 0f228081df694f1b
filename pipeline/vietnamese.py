"""Vietnamese meanings from the operator's own dictionary: a line for each word, `word<TAB>meaning`, in UTF-8.

The file is read line by line for each document, so that it costs no memory. Lines of another form are passed over; of
several for one word the first counts. It translates nothing.
"""

from collections.abc import Collection
from pathlib import Path


def look_up(path: Path, words: Collection[str]) -> dict[str, str]:
    """Meanings of those of the lower-case words that the file has. Raises OSError where it cannot be read."""
    wanted = set(words)
    found: dict[str, str] = {}
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        for line in lines:
            word, tab, meaning = line.partition("\t")
            word = word.strip().lower()
            if tab and word in wanted and meaning.strip():
                found.setdefault(word, meaning.strip())
    return found
