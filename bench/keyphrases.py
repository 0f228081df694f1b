"""Documents whose terms people have chosen, and how right ten terms are.

Reads a folder of JSON Lines, gzipped, {"id", "text", "keyphrases": [...]}; each file is a set. F1 is macro, of the
first ten terms, after stemming, against all that people have chosen, those that do not stand in the text included.
"""

import gzip
import json
import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import snowballstemmer


@dataclass(frozen=True)
class Document:
    """`gold`: the chosen terms, stemmed."""

    id: str
    text: str
    gold: frozenset[str]


Documents = list[Document]


def read(folder: Path) -> dict[str, Documents]:
    """The sets by name, in order of their documents' ids."""
    sets: dict[str, Documents] = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = sorted(map(json.loads, file), key=lambda row: row["id"])
        sets[path.name.partition(".")[0]] = [
            Document(str(row["id"]), row["text"], frozenset(map(stemmed, row["keyphrases"])) - {""}) for row in rows
        ]
    return sets


def sample(documents: Documents, count: int) -> Documents:
    """The same ones at each call."""
    return random.Random(13).sample(documents, min(count, len(documents)))


@cache
def _stem(word: str) -> str:
    return snowballstemmer.stemmer("porter").stemWord(word)


def stemmed(phrase: str) -> str:
    """As phrases are compared: in small letters, without signs, each word stemmed."""
    return " ".join(map(_stem, re.findall(r"[^\W_]+", phrase.lower())))


def f1(documents: Documents, found: list[list[str]]) -> float:
    """Of the terms found in each document, the best first; in percent."""
    total = 0.0
    told = [(document, terms) for document, terms in zip(documents, found, strict=True) if document.gold]
    for document, terms in told:
        first = [stem for stem in dict.fromkeys(map(stemmed, terms)) if stem][:10]
        total += 2 * len(document.gold.intersection(first)) / (len(first) + len(document.gold)) if first else 0.0
    return 100 * total / len(told)
