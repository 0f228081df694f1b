"""Stage 9: how telling each term is of this document, against general English and with the headings in view.

Ranks by a sum of small decision trees over each term's features (features.py), which bench/train_ranker.py learned from
documents whose terms people had chosen. It chooses none.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from pipeline.dense import Dense
from pipeline.features import OFTEN, WORDS, Floats, describe
from pipeline.merge import Merged
from pipeline.tokens import Numbers, Tokens

MODEL = Path(__file__).parent / "data" / "ranker.npz"


class Ranker:
    """Trees that ask the same question at each of their levels, so that a row's leaf is a number of few bits; and
    weights of vectors, by which words are told that often are terms."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self._features, self._thresholds, self._leaves = file["features"], file["thresholds"], file["leaves"]
            self._vector_weights = file["vector_weights"]

    def __call__(self, rows: Floats, vectors: Floats) -> Floats:
        """The log-odds, about, that each is a term: `rows` and `vectors` as `describe` gives them."""
        total = np.zeros(len(rows), np.float32)
        columns = np.concatenate([rows, termhood(rows, vectors, self._vector_weights)[:, None]], axis=1).T.copy()
        for features, thresholds, leaves in zip(self._features, self._thresholds, self._leaves, strict=True):
            place = np.zeros(len(rows), np.int32)
            for feature, threshold in zip(features, thresholds, strict=True):
                place = 2 * place + (columns[feature] > threshold)
            total += leaves[place]
        return total


@cache
def open_ranker() -> Ranker:
    """The ranker that comes with the pipeline."""
    return Ranker(MODEL)


def termhood(rows: Floats, vectors: Floats, weights: Floats) -> Floats:
    """A sum of a term's vectors by the weights for single words, or those for phrases."""
    size = vectors.shape[1]
    single, phrase = vectors @ weights[:size], vectors @ weights[size : 2 * size]
    return (np.where(rows[:, WORDS] == 1, single, phrase) + weights[-1]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Scores:
    """Of each candidate: its score, from 0 to 1, and the sentence that supports it best."""

    scores: Floats
    support: Numbers


def score(tokens: Tokens, merged: Merged, dense: Dense, without: Collection[int] = ()) -> Scores:
    """The scores of all terms; comparable within a document only. `without` 9 they are ranked by frequency alone."""
    if not len(merged.candidates):
        return Scores(np.empty(0, np.float32), np.empty(0, np.int64))
    rows, vectors, support = describe(tokens, merged.candidates, merged.names, dense)
    if 9 in without:
        return Scores(rows[:, OFTEN] / (1 + rows[:, OFTEN].max()), support)
    return Scores((1 / (1 + np.exp(-open_ranker()(rows, vectors)))).astype(np.float32), support)
