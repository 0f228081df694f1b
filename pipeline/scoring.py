"""Stage 9: how telling each term is of this document, against general English and with the headings in view.

Describes each term by some thirty figures - how often, how early, where, how written, how much commoner than in
general English (wordfreq), how near the document's vector - and ranks by a sum of small decision trees over them, which
bench/train_ranker.py learned from documents whose terms people had chosen. It chooses none.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bm25 import relevance
from pipeline.dense import Dense, unit
from pipeline.english import CLOSED_CLASSES, GENERIC_ADJECTIVES, GENERIC_NOUNS, is_common_word, zipf
from pipeline.merge import Merged
from pipeline.phrases import SINGLE_WORD, nominals, runs
from pipeline.tokens import CAPITALS, SMALL, Flags, Numbers, Tokens
from pipeline.wordnet import ADJECTIVE, NOUN, VERB

MODEL = Path(__file__).parent / "data" / "ranker.npz"
_UNSEEN = 1.5  # Zipf given to words that wordfreq lacks: rarer would put misprints first

Floats = NDArray[np.float32]


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
    """The scores of all terms; comparable within a document only. `without`: stages that the bench leaves out."""
    rows, vectors, support = describe(tokens, merged, dense, without)
    if 9 in without:
        return Scores(rows[:, OFTEN] / (1 + rows[:, OFTEN].max(initial=0)), support)
    return Scores((1 / (1 + np.exp(-open_ranker()(rows, vectors)))).astype(np.float32), support)


OFTEN, WORDS = 0, 10  # columns of the features


def describe(
    tokens: Tokens, merged: Merged, dense: Dense, without: Collection[int] = ()
) -> tuple[Floats, Floats, Numbers]:
    """Of each candidate: its features, the vectors of its first and its last word, and its supporting sentence."""
    found = merged.candidates
    if not len(found):
        return np.empty((0, WORDS + 1), np.float32), np.empty((0, 1), np.float32), np.empty(0, np.int64)
    begin, total = found.bounds[:-1], len(tokens)
    often = found.frequencies.astype(np.float64)
    first, last = found.at[begin], found.at[found.bounds[1:] - 1]
    words = (found.ids > 0).sum(1)

    def share(of_occurrence: NDArray[Any]) -> NDArray[np.float64]:
        return np.add.reduceat(of_occurrence.astype(np.float64), begin) / often

    def each(of_word: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean, least and greatest of a candidate's words."""
        table = of_word[found.ids]
        held = found.ids > 0
        return (
            np.where(held, table, 0).sum(1) / words,
            np.where(held, table, np.inf).min(1),
            np.where(held, table, -np.inf).max(1),
        )

    def by_word(words: str) -> Flags:
        return tokens.of_words(frozenset(words.split()).__contains__)

    general = np.fromiter((max(zipf(word), _UNSEEN) for word in tokens.words), np.float64, len(tokens.words))
    counts = np.bincount(tokens.lemmas, minlength=len(tokens.words)).astype(np.float64)
    here = np.log10(np.maximum(counts, 1) / max(total, 1000)) + 9
    closed = np.fromiter((word in CLOSED_CLASSES for word in tokens.words), bool, len(tokens.words))
    surprise = np.where(closed, 0, np.maximum(here - general, 0))
    common = np.fromiter(map(is_common_word, tokens.words), np.float64, len(tokens.words))
    sentence = tokens.sentence[found.at]
    opens = found.at == tokens.starts[sentence]
    before, after = np.maximum(found.at - 1, 0), np.minimum(found.after, total - 1)
    determiner, verb, noun = tokens.tagged("D"), tokens.tagged("VX"), tokens.tagged("NP")
    preposition = tokens.tagged("I")
    nominal = nominals(tokens)
    run_ends, run_opens = runs(tokens, nominal)
    nominal_before = nominal[before] & ~run_opens[found.at]
    heading = np.add.reduceat(tokens.headings[sentence].astype(np.float64), begin)
    to_document, to_sentence, support = dense.support(tokens, found)
    sentences = np.add.reduceat(np.diff(sentence, prepend=-1) != 0, begin)
    alone = share(found.alone)
    usual = often * each(surprise)[0]
    columns = [
        np.log(often), often / often.max(), sentences / often, np.log1p(first), first / total, (last - first) / total,
        first / total * np.minimum(1, total / 500), np.log1p(heading), heading / often,
        (sentence[begin] == sentence.min()), words, [sum(map(len, key)) for key in found.keys], alone, np.log1p(alone * often),
        *each(general), *each(surprise), *each(np.log(np.maximum(counts, 1))), each(common)[1], each(closed)[2],
        [lemma is not None for lemma in found.lemmas], merged.names, share(tokens.case[found.at] != SMALL),
        share(tokens.case[found.after - 1] == CAPITALS), [any("-" in word for word in key) for key in found.keys],
        [key[0] in GENERIC_ADJECTIVES for key in found.keys], [key[-1] in GENERIC_NOUNS for key in found.keys],
        share(determiner[before] & ~opens), share(preposition[before] & ~opens), share(verb[after]), share(preposition[after]), share(opens),
        share(verb[before] & ~opens), share(noun[after]),
        share(by_word("a an")[before] & ~opens), share(by_word("of")[before] & ~opens),
        share(by_word("in for on with by using via and or")[before] & ~opens), share(by_word(", ; :")[before] & ~opens),
        share(by_word("( [ “ ‘ \"")[before] & ~opens), share(by_word("(")[after]), share(by_word(", ; and or")[after]),
        share(by_word(". ! ?")[after]), share(by_word("of for in")[after]), share(run_opens[found.at]),
        share(run_ends[found.at] == found.after), share(nominal_before), share(run_ends[found.at] - found.at),
        tokens.tagged("J")[first], tokens.tagged("P")[first], tokens.tagged("G")[first], tokens.tagged("V")[first],
        found.kinds == SINGLE_WORD, [part == ADJECTIVE for part in found.parts], [part == VERB for part in found.parts],
        relevance(tokens, found) * (6 not in without), to_document, to_sentence, np.log(usual + 0.1),
        _rank(-usual * np.log2(1 + words)), _rank(first), _rank(-usual * (1 + alone)),
        np.full(len(found), np.log(total)), np.full(len(found), noun.mean()), np.full(len(found), tokens.tagged("P").mean()),
        np.full(len(found), total / len(tokens.starts)), np.full(len(found), (tokens.case == CAPITALS).mean()),
        np.full(len(found), np.log(len(found))),
    ]  # fmt: skip
    rows = np.stack([np.asarray(column, np.float32) for column in columns], axis=1)
    plain = unit(dense.words)
    last_words = found.ids[np.arange(len(found)), words - 1]
    return rows, np.concatenate([plain[found.ids[:, 0]], plain[last_words]], axis=1), support


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The place of each in their order, from 1, as a logarithm."""
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return np.log(ranks)
