"""What stage 9 knows of each candidate: a row of some seventy figures, and two vectors.

How often, where, how written, what stands around it, how much commoner than in general English (wordfreq), how near
the document. Ranks nothing. bench/train_ranker.py learns from these rows, so that who changes them trains anew.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bm25 import relevance
from pipeline.candidates import SINGLE_WORD, Candidates
from pipeline.dense import Dense, unit
from pipeline.english import CLOSED_CLASSES, GENERIC_ADJECTIVES, GENERIC_NOUNS, is_common_word, zipf
from pipeline.phrases import nominals, runs
from pipeline.tokens import CAPITALS, SMALL, Flags, Numbers, Tokens
from pipeline.wordnet import ADJECTIVE, VERB

OFTEN, WORDS = 0, 1  # columns
_UNSEEN = 1.5  # Zipf given to words that wordfreq lacks: rarer would put misprints first

Floats = NDArray[np.float32]
Column = NDArray[Any] | Sequence[float]


def describe(tokens: Tokens, found: Candidates, names: Flags, dense: Dense) -> tuple[Floats, Floats, Numbers]:
    """Of each candidate, of which there is at least one: its row, the vectors of its first and last word one behind
    the other, and the sentence that supports it best. `names`: whether each is written as a name."""
    alone = found.share(found.alone)
    rarity, usual = _rarity(tokens, found)
    near, support = _nearness(tokens, found, dense)
    groups = [
        _frequency(tokens, found, alone),
        _form(tokens, found, names),
        rarity,
        near,
        _around(tokens, found),
        _ranks(found, usual, alone),
        _document(tokens, found),
    ]
    plain = unit(dense.words)
    last = found.ids[np.arange(len(found)), found.lengths - 1]
    return np.concatenate(groups, axis=1), np.concatenate([plain[found.ids[:, 0]], plain[last]], axis=1), support


def _rows(columns: Sequence[Column]) -> Floats:
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def _frequency(tokens: Tokens, found: Candidates, alone: NDArray[np.float64]) -> Floats:
    often, total = found.frequencies, len(tokens)
    sentence = tokens.sentence[found.at]
    first, last = found.at[found.bounds[:-1]], found.at[found.bounds[1:] - 1]
    headings = found.total(tokens.headings[sentence])
    return _rows([
        np.log(often), found.lengths, often / often.max(), found.total(np.diff(sentence, prepend=-1) != 0) / often,
        alone, np.log1p(alone * often), np.log1p(headings), headings / often,
        np.log1p(first), first / total, (last - first) / total, first / total * min(1, total / 500),
        sentence[found.bounds[:-1]] == sentence.min(),
    ])  # fmt: skip


def _form(tokens: Tokens, found: Candidates, names: Flags) -> Floats:
    first = found.at[found.bounds[:-1]]
    return _rows([
        [sum(map(len, key)) for key in found.keys],
        [lemma is not None for lemma in found.lemmas],
        [any("-" in word for word in key) for key in found.keys],
        [key[0] in GENERIC_ADJECTIVES for key in found.keys],
        [key[-1] in GENERIC_NOUNS for key in found.keys],
        names, found.share(tokens.case[found.at] != SMALL), found.share(tokens.case[found.after - 1] == CAPITALS),
        *(tokens.tagged(letter)[first] for letter in "JPGV"),
        found.kinds == SINGLE_WORD, [part == ADJECTIVE for part in found.parts], [part == VERB for part in found.parts],
    ])  # fmt: skip


def _rarity(tokens: Tokens, found: Candidates) -> tuple[Floats, NDArray[np.float64]]:
    """Also how often each comes beyond what general English leads to expect."""
    words = tokens.words
    general = np.fromiter((max(zipf(word), _UNSEEN) for word in words), np.float64, len(words))
    counts = np.maximum(np.bincount(tokens.lemmas, minlength=len(words)), 1)
    closed = np.fromiter((word in CLOSED_CLASSES for word in words), bool, len(words))
    here = np.log10(counts / max(len(tokens), 1000)) + 9  # Zipf in this document
    surprise = np.where(closed, 0.0, np.maximum(here - general, 0.0))
    held = found.ids > 0

    def each(of_words: NDArray[np.float64]) -> tuple[Column, Column, Column]:
        """Mean, least and greatest of a candidate's words."""
        table = of_words[found.ids]
        mean = np.where(held, table, 0.0).sum(1) / found.lengths
        return mean, np.where(held, table, np.inf).min(1), np.where(held, table, -np.inf).max(1)

    usual = found.frequencies * np.asarray(each(surprise)[0])
    common = np.fromiter(map(is_common_word, words), np.float64, len(words))
    columns = [*each(general), *each(surprise), *each(np.log(counts)), each(common)[1], each(closed.astype(float))[2]]
    return _rows([*columns, np.log(usual + 0.1)]), usual


def _nearness(tokens: Tokens, found: Candidates, dense: Dense) -> tuple[Floats, Numbers]:
    to_document, to_sentence, support = dense.support(tokens, found)
    return _rows([relevance(tokens, found), to_document, to_sentence]), support


def _around(tokens: Tokens, found: Candidates) -> Floats:
    """What stands before and behind."""
    opens = found.at == tokens.starts[tokens.sentence[found.at]]
    before, after = np.maximum(found.at - 1, 0), np.minimum(found.after, len(tokens) - 1)
    run_ends, run_opens = runs(tokens, nominals(tokens))

    def leads(flags: Flags) -> Column:
        return found.share(flags[before] & ~opens)

    def follows(flags: Flags) -> Column:
        return found.share(flags[after])

    def words(text: str) -> Flags:
        return tokens.of_words(frozenset(text.split()).__contains__)

    return _rows([
        found.share(opens), *(leads(tokens.tagged(letters)) for letters in ("D", "I", "VX")),
        *(leads(words(text)) for text in ("a an", "of", "in for on with by using via and or", ", ; :", '( [ “ ‘ "')),
        *(follows(tokens.tagged(letters)) for letters in ("VX", "I", "NP")),
        *(follows(words(text)) for text in ("(", ", ; and or", ". ! ?", "of for in")),
        found.share(run_opens[found.at]), found.share(run_ends[found.at] == found.after),
        found.share(run_ends[found.at] - found.at),
    ])  # fmt: skip


def _ranks(found: Candidates, usual: NDArray[np.float64], alone: NDArray[np.float64]) -> Floats:
    """Places in the order of the best single figures, as logarithms."""
    orders = (-usual * np.log2(1 + found.lengths), found.at[found.bounds[:-1]])
    return _rows([_rank(order) for order in (*orders, -usual * (1 + alone))])


def _rank(values: NDArray[Any]) -> NDArray[np.float64]:
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return np.log(ranks)


def _document(tokens: Tokens, found: Candidates) -> Floats:
    """The document itself, the same in each row."""
    row = [
        np.log(len(tokens)), tokens.tagged("NP").mean(), tokens.tagged("P").mean(), len(tokens) / len(tokens.starts),
        (tokens.case == CAPITALS).mean(), np.log(len(found)),
    ]  # fmt: skip
    return np.tile(np.array(row, np.float32), (len(found), 1))
