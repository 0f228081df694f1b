"""Candidates for terms as columns of numbers: what stages 4 and 7 find, and what the stages behind them weigh.

Puts equal occurrences together. It does not know what makes a phrase, and ranks nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.tokens import Flags, Ids, Numbers, Tokens

PHRASE, WORD = "phrase", "word"
NOUN_PHRASE, PHRASAL_VERB, COLLOCATION, LINKING, SINGLE_WORD = range(5)
KINDS = ("noun phrase", "phrasal verb", "collocation", "linking phrase", "word")

LONGEST = 5  # words of a candidate
_MOST = 100_000  # of one kind and length: a manual of a million words has as many, half a gigabyte would be too much


@dataclass(frozen=True, slots=True)
class Candidates:
    """One entry for each candidate and one for each occurrence.

    kinds: places in KINDS. keys: lower-case words, nouns and verbs in the base form. lemmas: as WordNet has it, or
    None. parts: of speech. ids: `keys` as places in `Tokens.words`, in rows filled up with 0.

    Occurrences stand in order of candidate and place: `at` is the first token of each, `after` the one behind its
    last, `alone` whether no noun or adjective before or behind it could belong to it. Those of candidate c are
    bounds[c] to bounds[c + 1]. `dropped`: how many candidates there was no room for.
    """

    kinds: Ids
    keys: list[tuple[str, ...]]
    lemmas: list[str | None]
    parts: list[str]
    ids: Ids
    at: Numbers
    after: Numbers
    alone: Flags
    bounds: Numbers
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def frequencies(self) -> Numbers:
        """How often each stands in the document."""
        return np.diff(self.bounds)

    @property
    def owners(self) -> Numbers:
        """Of each occurrence, whose it is."""
        return np.repeat(np.arange(len(self)), self.frequencies)

    @property
    def lengths(self) -> Numbers:
        """Of each, how many words it has."""
        return np.count_nonzero(self.ids, axis=1)

    def share(self, of_occurrences: NDArray[np.generic]) -> NDArray[np.float64]:
        """The mean over each candidate's occurrences."""
        return self.total(of_occurrences) / self.frequencies

    def total(self, of_occurrences: NDArray[np.generic]) -> NDArray[np.float64]:
        """The sum over each candidate's occurrences."""
        values = of_occurrences.astype(np.float64)
        return np.add.reduceat(values, self.bounds[:-1]) if len(self) else values

    def by_kind(self) -> dict[str, int]:
        """For the stage's report: how many of each kind there are."""
        counts = np.bincount(self.kinds, minlength=len(KINDS))
        return {f"{KINDS[kind]}s".replace(" ", "_"): int(counts[kind]) for kind in range(SINGLE_WORD)}

    def only(self, kept: Flags) -> "Candidates":
        """Those of which `kept` is true."""
        occurrences = kept[self.owners]
        numbers = np.flatnonzero(kept).tolist()
        return replace(
            self,
            kinds=self.kinds[kept],
            keys=[self.keys[number] for number in numbers],
            lemmas=[self.lemmas[number] for number in numbers],
            parts=[self.parts[number] for number in numbers],
            ids=self.ids[kept],
            at=self.at[occurrences],
            after=self.after[occurrences],
            alone=self.alone[occurrences],
            bounds=_bounds(self.frequencies[kept]),
        )

    def regrouped(self, owners: Numbers) -> "Candidates":
        """Each candidate's occurrences given to that of the number owners[number]; those left without any go."""
        kept = owners == np.arange(len(self))
        if kept.all():
            return self
        lemmas = list(self.lemmas)
        for number in np.flatnonzero(~kept).tolist():
            lemmas[owners[number]] = lemmas[owners[number]] or lemmas[number]
        mine = owners[self.owners]
        order = np.lexsort((self.at, mine))
        given = replace(
            self,
            lemmas=lemmas,
            at=self.at[order],
            after=self.after[order],
            alone=self.alone[order],
            bounds=_bounds(np.bincount(mine, minlength=len(self))),
        )
        return given.only(kept)


def gather(tokens: Tokens, kind: int, part: str, words: Ids, at: Numbers, after: Numbers, alone: Flags) -> Candidates:
    """Occurrences put together: equal rows of `words` are one candidate, in order of first appearance. Where there are
    more than any real document has, those that come most rarely are dropped."""
    _, first, owner, often = np.unique(_hash(words), return_index=True, return_inverse=True, return_counts=True)
    least = 1
    while np.count_nonzero(often >= least) > _MOST:
        least += 1
    kept = np.flatnonzero(often >= least)
    kept = kept[np.argsort(first[kept])]
    place = np.full(len(first), len(kept))
    place[kept] = np.arange(len(kept))
    order = np.argsort(place[owner], kind="stable")[: often[kept].sum()]
    ids = np.zeros((len(kept), LONGEST), np.int32)
    ids[:, : words.shape[1]] = words[first[kept]]
    return Candidates(
        kinds=np.full(len(kept), kind, np.int32),
        keys=[tuple(tokens.words[word] for word in row) for row in words[first[kept]].tolist()],
        lemmas=[None] * len(kept),
        parts=[part] * len(kept),
        ids=ids,
        at=at[order],
        after=after[order],
        alone=alone[order],
        bounds=_bounds(often[kept]),
        dropped=len(first) - len(kept),
    )


def together(parts: Sequence[Candidates]) -> Candidates:
    """All of them in one table."""
    return Candidates(
        kinds=np.concatenate([part.kinds for part in parts]),
        keys=[key for part in parts for key in part.keys],
        lemmas=[lemma for part in parts for lemma in part.lemmas],
        parts=[speech for part in parts for speech in part.parts],
        ids=np.concatenate([part.ids for part in parts]),
        at=np.concatenate([part.at for part in parts]),
        after=np.concatenate([part.after for part in parts]),
        alone=np.concatenate([part.alone for part in parts]),
        bounds=_bounds(np.concatenate([part.frequencies for part in parts])),
        dropped=sum(part.dropped for part in parts),
    )


def _bounds(frequencies: Numbers) -> Numbers:
    return np.concatenate([[0], np.cumsum(frequencies)])


_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64
)


def _hash(words: Ids) -> NDArray[np.uint64]:
    """A number of 64 bits for each row: two of a million different rows share one once in 30 million documents."""
    with np.errstate(over="ignore"):
        mixed = (words.astype(np.uint64) + np.uint64(1)) * _FACTORS[: words.shape[1]]
        mixed ^= mixed >> np.uint64(31)
        return (mixed * _FACTORS[::-1][: words.shape[1]]).sum(1, dtype=np.uint64)
