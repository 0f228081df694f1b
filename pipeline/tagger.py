"""Parts of speech: a linear-chain tagger, run over a whole document at once.

A word's score for each tag is the sum of the weights of its features (the word, its beginning and end, its shape,
what WordNet knows of it) and of its four neighbours'; a Viterbi search over pairs of tags finds the best sequence. All
but the search depends on the different words of a document only, so that a token costs a few additions in numpy.

The weights are an averaged perceptron's, trained by bench/train_tagger.py on the UD English Web Treebank; the tags are
UD's, as letters, and PARTICIPLE for a verb that qualifies a noun ("combined sewer"). It does not parse.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.wordnet import PARTS_OF_SPEECH, open_wordnet

MODEL = Path(__file__).parent / "data" / "tagger.npz"

UPOS = {
    "NOUN": "N", "PROPN": "P", "ADJ": "J", "VERB": "V", "AUX": "X", "ADV": "R", "DET": "D", "ADP": "I", "PRON": "O",
    "NUM": "M", "CCONJ": "C", "SCONJ": "S", "PART": "T", "PUNCT": "U", "SYM": "Y", "INTJ": "E", "X": "Z",
}  # fmt: skip
PARTICIPLE = "G"
TAGS = "".join(UPOS.values()) + PARTICIPLE

_OWN, _AROUND = 17, 3  # features of a word as itself, and as a neighbour
NEIGHBOURS = (-1, 1, -2, 2)  # of the farther ones only the word itself counts
_AT_ONCE = 1 << 14  # words or sentences, which bounds the memory


class Tagger:
    """The model of one file. `features` gives rows of `weights`; row 0 is all zeros, for what training has not seen."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            names = bytes(file["names"]).decode().split("\n")
            self.weights: NDArray[np.float32] = file["weights"].astype(np.float32) * file["scale"]
            self.transitions: NDArray[np.float32] = file["transitions"]
        self._rows = {name: row for row, name in enumerate(names, 1)}

    def tag(self, words: Sequence[str], ids: NDArray[np.int32], starts: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A place in TAGS for each token. `ids[i]` is the token's place in `words`; sentence s is
        ids[starts[s]:starts[s + 1]]."""
        rows = np.array([row for word in words for row in self._word_rows(word)], np.int32)
        rows = rows.reshape(len(words), _OWN + len(NEIGHBOURS) * _AROUND)
        own = self._summed(rows[:, : _OWN - 1])
        capital = self.weights[rows[:, _OWN - 1]]
        tables = []
        for number, offset in enumerate(NEIGHBOURS):
            begin = _OWN + number * _AROUND
            edge = self.weights[[self._rows.get(f"{offset}:edge", 0)]]
            tables.append(np.vstack([self._summed(rows[:, begin : begin + _AROUND]), edge]))
        tags = np.zeros(len(ids), np.uint8)
        first = 0
        while first < len(starts) - 1:
            last = max(int(np.searchsorted(starts, starts[first] + _AT_ONCE)), first + 2)
            begin, end = starts[first], starts[min(last, len(starts)) - 1]
            bounds = starts[first:last] - begin
            tags[begin:end] = self._search(self._scores(ids[begin:end], bounds, own, capital, tables), bounds)
            first = last - 1
        return tags

    def _scores(
        self,
        ids: NDArray[np.int32],
        starts: NDArray[np.int64],
        own: NDArray[np.float32],
        capital: NDArray[np.float32],
        tables: Sequence[NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        lengths = np.diff(starts)
        scores = own[ids]
        opens = np.zeros(len(ids), bool)
        opens[starts[:-1][lengths > 0]] = True
        # A capital tells nothing at a sentence's start.
        scores += np.where(opens[:, None], self.weights[self._rows.get("first", 0)], capital[ids])
        sentence = np.repeat(np.arange(len(lengths)), lengths)
        place = np.arange(len(ids))
        for offset, table in zip(NEIGHBOURS, tables, strict=True):
            at = np.clip(place + offset, 0, len(ids) - 1)
            inside = (sentence[at] == sentence) & (at == place + offset)
            scores += table[np.where(inside, ids[at], len(table) - 1)]
        return scores

    def _summed(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        result = np.zeros((len(rows), len(TAGS)), np.float32)
        for column in range(rows.shape[1]):
            result += self.weights[rows[:, column]]
        return result

    def _word_rows(self, word: str) -> list[int]:
        own, around = features(word)
        return [self._rows.get(name, 0) for names in (own, *around) for name in names]

    def _search(self, scores: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Viterbi over all these sentences at once, those that are the longest last."""
        tags = np.zeros(len(scores), np.uint8)
        lengths = np.diff(starts)
        order = np.argsort(lengths, kind="stable")
        begins, lengths = starts[:-1][order], lengths[order]
        begins, lengths = begins[lengths > 0], lengths[lengths > 0]
        longest = int(lengths[-1]) if len(lengths) else 0
        alive = np.searchsorted(lengths, np.arange(longest), side="right")  # the first that has a token at each step
        best = scores[begins]
        back: list[NDArray[np.uint8]] = []
        for step in range(1, longest):
            paths = best[alive[step] :, :, None] + self.transitions
            back.append(paths.argmax(1).astype(np.uint8))
            best[alive[step] :] = paths.max(1) + scores[begins[alive[step] :] + step]
        now = best.argmax(1).astype(np.uint8)
        for step in range(longest - 1, -1, -1):
            tags[begins[alive[step] :] + step] = now[alive[step] :]
            if step:
                reached = now[alive[step] :]
                now[alive[step] :] = back[step - 1][np.arange(len(reached)), reached]
        return tags


@cache
def open_tagger() -> Tagger:
    """The tagger that comes with the pipeline."""
    return Tagger(MODEL)


def features(word: str) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The names of a word's features: those it has as itself, its capital's last, and those it has for a neighbour at
    each of NEIGHBOURS."""
    low = word.lower()[:30]
    own = (
        "w" + low, "1" + low[-1:], "2" + low[-2:], "3" + low[-3:], "4" + low[-4:], "5" + low[-5:],
        "a" + low[:1], "b" + low[:2], "c" + low[:3], "d" + low[:4], "h" + _shape(word), *_known(low), "bias",
        "C" + _capital(word),
    )  # fmt: skip
    around = []
    for offset in NEIGHBOURS:
        near = (f"{offset}:3{low[-3:]}", f"{offset}:C{_capital(word)}") if abs(offset) == 1 else ("", "")
        around.append((f"{offset}:w{low}", *near))
    return own, tuple(around)


def _shape(word: str) -> str:
    if not any(map(str.isalnum, word)):
        return word[:1]
    return ("d" if any(map(str.isdigit, word)) else "") + ("-" if "-" in word else "") + ("." if "." in word else "")


def _capital(word: str) -> str:
    return ("A" if word.isupper() and len(word) > 1 else "C") if word[:1].isupper() else "a"


def _known(word: str) -> tuple[str, str, str, str]:
    """Which parts of speech WordNet has the word as, and how its corpus uses it."""
    wordnet = open_wordnet()
    uses = []
    for part in PARTS_OF_SPEECH:
        lemmas = wordnet.lemmas(word, part)
        uses.append(max((wordnet.usage(lemma, part) + 0.5 for lemma in lemmas), default=0.0))
    total = sum(uses) or 1.0
    shares = "".join("0" if not use else str(1 + int(use / total * 3.99)) for use in uses)
    return "k" + shares, "l" + shares + word[-2:], "n" + shares[0] + word[-1:], "v" + shares[1] + word[-3:]
