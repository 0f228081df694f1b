"""Stage 4: phrases, with every place where they stand.

Noun phrases of two to five words, and "noun of noun" where WordNet has it or it comes again; phrasal verbs that
WordNet has; a verb with its object where the two come together again and again; and the phrases that link sentences.
Parts of speech decide. It ranks nothing. Of more candidates than any real document has, those that come but once are
left out and counted.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pipeline.english import CLOSED_CLASSES, GENERIC_ADJECTIVES, GENERIC_NOUNS, base_form, word_set
from pipeline.tokens import CAPITAL, CAPITALS, Flags, Ids, Numbers, Tokens, is_word
from pipeline.wordnet import NOUN, VERB, open_wordnet

PHRASE, WORD = "phrase", "word"
NOUN_PHRASE, PHRASAL_VERB, COLLOCATION, LINKING, SINGLE_WORD = range(5)
KINDS = ("noun phrase", "phrasal verb", "collocation", "linking phrase", "word")
_PARTS = (NOUN, VERB, VERB, "linking phrase", NOUN)

_LONGEST = 5  # words of a phrase
_LONGEST_UNKNOWN = 5  # of one that WordNet lacks
_MOST = 300_000  # candidates, each about a kilobyte: a manual of a million words has half as many
_WEAK_VERBS = word_set("be have do get go say see use let make include know want need think")
_PARTICLES = word_set(
    "about across after ahead apart around aside at away back by down for forth forward in into of off on out over"
    " through to together under up upon with without"
)
_LINKING = (
    "in addition to; as a result of; as a result; on the other hand; on the one hand; in contrast to; in contrast;"
    " with respect to; with regard to; in terms of; as well as; in spite of; on behalf of; by means of;"
    " in accordance with; in order to; for the purpose of; due to the fact that; in the case of; in case of;"
    " in the event of; in the light of; in light of; on the basis of; at the expense of; for the sake of; as opposed to;"
    " as long as; as soon as; as far as; even though; provided that; regardless of; in favor of; in favour of;"
    " in line with; in relation to; in response to; in comparison with; in connection with; in conjunction with;"
    " prior to; subject to; pursuant to; according to; such as; rather than; instead of; for instance; for example;"
    " in particular; in general; in practice; in principle; in turn; in fact; in other words; at least; at most;"
    " at the same time; to some extent; by contrast; by no means; under no circumstances; so far; so that; up to date;"
    " a variety of; a wide range of; a great deal of; a number of; a series of; the extent to which; as a whole;"
    " at all times; from time to time; in the long run; in the meantime; not only; no longer; no later than; nothing but;"
    " once again; over time; per se; sooner or later; step by step; the fact that; with the exception of"
)
_LINKS = frozenset(tuple(link.split()) for link in _LINKING.split("; "))
_EVERYDAY_LINKS = frozenset(tuple(link.split()) for link in (
    "such as", "at least", "for example", "so that", "in order to", "according to", "as well as", "a number of",
    "in fact", "the fact that", "not only", "so far", "in general",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates as columns, an entry for each.

    kinds: places in KINDS. keys: the lower-case words of each, nouns in the base form. lemmas: as WordNet has it, or
    None. parts: of speech. ids: `keys` as places in `Tokens.words`, in rows that end in 0. Occurrences stand in order of candidate and place: `at` is the first token of each, `after` the token behind
    its last, `alone` whether no further noun or adjective stands before or behind it; those of candidate c are
    bounds[c] to bounds[c + 1]. `dropped`: how many there was no room for.
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

    def by_kind(self) -> dict[str, int]:
        """For the stage's report: how many of each kind there are."""
        counts = np.bincount(self.kinds, minlength=len(KINDS))
        return {f"{kind}s".replace(" ", "_"): int(count) for kind, count in zip(KINDS[:SINGLE_WORD], counts, strict=False)}

    def only(self, kept: Flags) -> "Candidates":
        """Those of which `kept` is true."""
        occurrences = kept[self.owners]
        numbers = np.flatnonzero(kept)
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
            bounds=np.concatenate([[0], np.cumsum(self.frequencies[kept])]),
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
        bounds = np.concatenate([[0], np.cumsum(np.bincount(mine, minlength=len(self)))])
        given = replace(
            self, lemmas=lemmas, at=self.at[order], after=self.after[order], alone=self.alone[order], bounds=bounds
        )
        return given.only(kept)


@dataclass(frozen=True, slots=True)
class Places:
    """Occurrences of one kind and length, not yet put together: equal rows of `words` are one candidate."""

    kind: int
    words: Ids
    at: Numbers
    after: Numbers
    alone: Flags


def find_phrases(tokens: Tokens, on_progress: Callable[[float], None]) -> Candidates:
    """All phrases. `on_progress` gets the share of the work done, 0-1."""
    nominal = nominals(tokens)
    found = []
    for number, find in enumerate((_noun_phrases, _of_phrases, _phrasal_verbs, _collocations, _linking)):
        found += find(tokens, nominal)
        on_progress((number + 1) / 6)
    return gather(tokens, found)


def nominals(tokens: Tokens) -> Flags:
    """Whether each token can stand in a noun phrase."""
    content = tokens.of_words(lambda word: is_word(word) and word not in CLOSED_CLASSES)
    return tokens.tagged("NPJG") & content & tokens.clean


def runs(tokens: Tokens, nominal: Flags) -> tuple[Numbers, Flags]:
    """Of each token: where the run of nominals ends that it stands in, and whether that begins here."""
    opens = np.ones(len(tokens), bool)
    opens[1:] = ~nominal[:-1] | ~nominal[1:] | (tokens.sentence[1:] != tokens.sentence[:-1])
    breaks = np.append(np.flatnonzero(opens), len(tokens))
    return breaks[np.searchsorted(breaks, np.arange(len(tokens)), side="right")], opens


def _noun_phrases(tokens: Tokens, nominal: Flags) -> list[Places]:
    ends, opens = runs(tokens, nominal)
    generic = tokens.of_words(lambda word: word in GENERIC_ADJECTIVES)
    head = tokens.tagged("NP") & ~generic & tokens.of_words(lambda word: len(word) > 2) | (tokens.case == CAPITALS)
    after_number = np.zeros(len(tokens), bool)  # in "15 minute increments" not "minute"
    after_number[1:] = tokens.tagged("M")[:-1]
    # A general adjective before it leaves a term as alone as nothing does.
    bare = opens.copy()
    bare[1:] |= generic[:-1]
    places = []
    for length in range(2, _LONGEST + 1):
        at = np.flatnonzero(nominal & ~after_number & (ends >= np.arange(len(tokens)) + length))
        at = at[head[at + length - 1]]
        words = tokens.lemmas[at[:, None] + np.arange(length)]
        at, words = at[(words[:, 0] != words[:, -1])], words[words[:, 0] != words[:, -1]]  # a table's cells
        places.append(Places(NOUN_PHRASE, words, at, at + length, bare[at] & (ends[at] == at + length)))
    return places


def _of_phrases(tokens: Tokens, nominal: Flags) -> list[Places]:
    ends, _ = runs(tokens, nominal)
    noun = tokens.tagged("NP") & nominal
    generic = tokens.of_words(lambda word: word in GENERIC_NOUNS or word in GENERIC_ADJECTIVES)
    of = np.flatnonzero(tokens.of_words("of".__eq__)[1:-1]) + 1
    of = of[noun[of - 1] & ~generic[of - 1] & nominal[of + 1] & ~generic[of + 1] & (tokens.sentence[of - 1] == tokens.sentence[of + 1])]
    places = []
    for length in (1, 2):
        at = of[(ends[of + 1] >= of + 1 + length)]
        at = at[noun[at + length]]
        words = tokens.lemmas[at[:, None] + np.arange(-1, length + 1)]
        words[:, 1] = tokens.ids[at]
        places.append(Places(NOUN_PHRASE, words, at - 1, at + 1 + length, ends[at + 1] == at + 1 + length))
    return places


def _phrasal_verbs(tokens: Tokens, _: Flags) -> list[Places]:
    verb = tokens.tagged("VG") & tokens.clean
    particle = tokens.of_words(_PARTICLES.__contains__) & tokens.tagged("TRI")
    at = np.flatnonzero(verb[:-1] & particle[1:] & (tokens.sentence[1:] == tokens.sentence[:-1]))
    words = np.stack([tokens.lemmas[at], tokens.ids[at + 1]], axis=1)
    return [Places(PHRASAL_VERB, words, at, at + 2, np.ones(len(at), bool))]


def _collocations(tokens: Tokens, nominal: Flags) -> list[Places]:
    """Verb, determiner or none, adjectives or none, noun: put together by verb and noun."""
    ends, opens = runs(tokens, nominal)
    verb = tokens.tagged("V") & tokens.clean & tokens.of_words(lambda word: is_word(word) and word not in CLOSED_CLASSES)
    determiner = tokens.tagged("D")
    small = tokens.case == 0
    start = np.flatnonzero(opens & nominal)
    start = start[start > 1]
    first = np.where(determiner[start - 1], start - 2, start - 1)
    last = ends[start] - 1
    good = verb[first] & small[first] & tokens.tagged("N")[last] & small[last] & (last - start < 3)
    good &= tokens.sentence[first] == tokens.sentence[last]
    first, last = first[good], last[good]
    return [Places(COLLOCATION, np.stack([tokens.lemmas[first], tokens.lemmas[last]], axis=1), first, last + 1, np.ones(len(first), bool))]


def _linking(tokens: Tokens, _: Flags) -> list[Places]:
    numbers = {word: number for number, word in enumerate(tokens.words)}
    places = []
    for length in sorted({len(link) for link in _LINKS}):
        links = [[numbers[word] for word in link] for link in sorted(_LINKS - _EVERYDAY_LINKS) if len(link) == length and numbers.keys() >= {*link}]
        if not links or len(tokens) < length:
            continue
        wanted = np.array(links, np.int32)
        first = np.flatnonzero(np.isin(tokens.ids[: len(tokens) - length + 1], wanted[:, 0]))
        words = tokens.ids[first[:, None] + np.arange(length)]
        hashes = _hash(words)
        held = np.isin(hashes, _hash(wanted)) & (tokens.sentence[first] == tokens.sentence[first + length - 1])
        places.append(Places(LINKING, words[held], first[held], first[held] + length, np.ones(int(held.sum()), bool)))
    return places


# Putting together -----------------------------------------------------------------------------------------------------

_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64)


def _hash(words: Ids) -> np.ndarray:
    with np.errstate(over="ignore"):
        mixed = (words.astype(np.uint64) + np.uint64(1)) * _FACTORS[: words.shape[1]]
        mixed ^= mixed >> np.uint64(31)
        return (mixed * _FACTORS[::-1][: words.shape[1]]).sum(1, dtype=np.uint64)


def gather(tokens: Tokens, found: list[Places]) -> Candidates:
    """Occurrences put together into candidates, in order of their first appearance within a kind and a length."""
    kinds: list[int] = []
    keys: list[tuple[str, ...]] = []
    lemmas: list[str | None] = []
    counts: list[int] = []
    columns, ids = [], []
    dropped = 0
    for places in found:
        _, first, owner = np.unique(_hash(places.words), return_index=True, return_inverse=True)
        frequency = np.bincount(owner, minlength=len(first))
        least = 1
        while np.count_nonzero(frequency >= least) > _MOST:
            least += 1
        dropped += int(np.count_nonzero(frequency < least))
        order = np.argsort(first, kind="stable")
        rows = [
            (number, key, lemma)
            for number in order[frequency[order] >= least].tolist()
            if (lemma := _known(key := tuple(tokens.words[word] for word in places.words[first[number]].tolist()), places.kind))
            or _may_stay(key, places.kind, int(frequency[number]))
        ]
        rank = np.full(len(first), -1)
        rank[[number for number, _, _ in rows]] = np.arange(len(rows))
        mine = rank[owner]
        chosen = np.argsort(mine, kind="stable")[np.count_nonzero(mine < 0) :]
        kinds += [places.kind] * len(rows)
        keys += [key for _, key, _ in rows]
        lemmas += [lemma for _, _, lemma in rows]
        wide = np.zeros((len(rows), _LONGEST), np.int32)
        wide[:, : places.words.shape[1]] = places.words[first[[number for number, _, _ in rows]]]
        ids.append(wide)
        counts += frequency[[number for number, _, _ in rows]].tolist()
        columns.append((places.at[chosen], places.after[chosen], places.alone[chosen]))
    at, after, alone = (np.concatenate(column) for column in zip(*columns, strict=True))
    bounds = np.concatenate([[0], np.cumsum(np.array(counts, np.int64))])
    parts = [_PARTS[kind] for kind in kinds]
    return Candidates(
        np.array(kinds, np.int32), keys, lemmas, parts, np.concatenate(ids), at, after, alone, bounds, dropped
    )


def _known(key: tuple[str, ...], kind: int) -> str | None:
    """The candidate as WordNet has it."""
    if kind == LINKING or kind == COLLOCATION:
        return None
    part = VERB if kind == PHRASAL_VERB else NOUN
    forms = [" ".join(key)]
    if len(key) == 2 and kind == NOUN_PHRASE:
        forms += ["-".join(key), "".join(key)]  # "health care" stands there as "healthcare"
    has = open_wordnet().has
    return next((form for form in forms if has(form, part)), None)


def _may_stay(key: tuple[str, ...], kind: int, frequency: int) -> bool:
    """Whether a candidate that WordNet lacks is one."""
    if kind == NOUN_PHRASE:
        if "of" in key:
            return frequency >= 3  # else as often as not a clause's accident
        return len(key) <= _LONGEST_UNKNOWN
    if kind == COLLOCATION:
        return frequency >= 2 and key[0] not in _WEAK_VERBS and key[1] not in GENERIC_NOUNS and len(key[1]) > 2
    return kind == LINKING
