"""Stage 5: how near candidates are to the sentences that they stand in, and to the document, by vectors of words.

A sentence's vector is the sum of its words', the rarer in general English the heavier (Arora, Liang and Ma 2017). Of
those that hold a candidate, the sentence whose other words are nearest to it supports it best: it says most about it,
and becomes its example if it reads well. Vectors are GloVe's, of 40,000 words; what they lack has none. It ranks
nothing itself.

GloVe (6B, 50 dimensions): of whole words, public domain, and ahead of MiniLM's table of word pieces in choosing
WordNet's synonyms (bench/make_vectors.py); no package that carries vectors is small or free of requirements, so the 2
MB that are used come along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.candidates import Candidates
from pipeline.english import zipf
from pipeline.tokens import Numbers, Tokens

MODEL = Path(__file__).parent / "data" / "vectors.npz"
_AT_ONCE = 1 << 15  # rows of vectors in memory at a time
_SMOOTH = 1e-4  # a word of this share of all English has half of a rare one's weight

Floats = NDArray[np.float32]


class Vectors:
    """The file's words and their vectors, eight bits a number."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self._rows = {word: row for row, word in enumerate(bytes(file["words"]).decode("ascii").split("\n"))}
            self._table: NDArray[np.int8] = file["vectors"]

    def of(self, word: str) -> Floats | None:
        """A lower-case word's vector; None where it has none."""
        row = self._rows.get(word)
        return None if row is None else self._table[row].astype(np.float32)

    def table(self, words: Sequence[str]) -> Floats:
        """Vectors of length 1, and zeros for words without."""
        rows = np.array([self._rows.get(word, -1) for word in words])
        found = self._table[rows].astype(np.float32)
        found[rows < 0] = 0.0
        return unit(found)


@cache
def open_vectors() -> Vectors:
    """The vectors that come with the pipeline."""
    return Vectors(MODEL)


def unit(vectors: Floats) -> Floats:
    """Each of length 1, but those of length 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Dense:
    """Sums of the document's words' vectors, weighted: of each word, each sentence, and all. `known`: how many words
    have one."""

    words: Floats
    sentences: Floats
    document: Floats
    known: int

    def support(self, tokens: Tokens, found: Candidates) -> tuple[Floats, Floats, Numbers]:
        """Of each candidate: how near it is to the document and to what else stands in its nearest sentence, -1 to 1,
        and that sentence. A sentence that says nothing else is not near."""
        own = np.zeros((len(found), self.words.shape[1]), np.float32)
        for column in found.ids.T:
            own += self.words[column]
        vectors = unit(own)
        places, owners = tokens.sentence[found.at], found.owners
        near = np.empty(len(places), np.float32)
        for begin in range(0, len(places), _AT_ONCE):
            some = slice(begin, begin + _AT_ONCE)
            others = unit(self.sentences[places[some]] - own[owners[some]])
            near[some] = np.einsum("ij,ij->i", vectors[owners[some]], others)
        if not len(found):
            return np.empty(0, np.float32), near, np.empty(0, np.int64)
        best = np.maximum.reduceat(near, found.bounds[:-1])
        # The first of those that are as near as the nearest.
        first = np.flatnonzero(near == best[owners])
        _, which = np.unique(owners[first], return_index=True)
        return vectors @ unit(self.document[None])[0], best, places[first[which]].astype(np.int64)


def weigh(words: Sequence[str]) -> Floats:
    """The vectors of lower-case words, the rarer in general English the longer; zeros for words without."""
    general = np.fromiter((10 ** (zipf(word) - 9) for word in words), np.float32, len(words))
    return open_vectors().table(words) * (_SMOOTH / (_SMOOTH + general))[:, None]


def embed(tokens: Tokens) -> Dense:
    """The vectors of a document."""
    words = weigh(tokens.words)
    sentences = np.zeros((len(tokens.starts) - 1, words.shape[1]), np.float32)
    for begin in range(0, len(tokens), _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        rows = tokens.sentence[some]
        first = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
        sentences[rows[first]] += np.add.reduceat(words[tokens.lemmas[some]], first)
    return Dense(words, sentences, unit(sentences).sum(0), int(words.any(axis=1).sum()))


def no_vectors(tokens: Tokens) -> Dense:
    """Zeros: what the later stages do without this one."""
    nothing = np.zeros((len(tokens.words), open_vectors().table([""]).shape[1]), np.float32)
    return Dense(nothing, np.zeros((len(tokens.starts) - 1, nothing.shape[1]), np.float32), nothing[0], 0)
