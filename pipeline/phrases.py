"""Stage 4: phrases, with every place where they stand.

Noun phrases of two to five words, and "noun of noun" where WordNet has it or it comes again; phrasal verbs that
WordNet has; a verb with its object where the two come together again and again; and the phrases that link sentences.
Parts of speech decide. It ranks nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from pipeline import definitions
from pipeline.candidates import COLLOCATION, LINKING, LONGEST, NOUN_PHRASE, PHRASAL_VERB, Candidates, gather, together
from pipeline.english import CLOSED_CLASSES, GENERIC_ADJECTIVES, GENERIC_NOUNS, is_common_word, word_set
from pipeline.tokens import CAPITALS, SMALL, Flags, Numbers, Tokens, is_word
from pipeline.wordnet import NOUN, VERB, open_wordnet

_WEAK_VERBS = word_set("be have do get go say see use let make include know want need think")
_PARTICLES = word_set(
    "about across after ahead apart around aside at away back by down for forth forward in into of off on out over"
    " through to together under up upon with without"
)
# With these a verb of the next line keeps its meaning: "go to", "work in" are nothing to learn.
_PLAIN_PARTICLES = word_set("at by from in to with")
_PLAIN_VERBS = word_set(
    "add ask begin bring come do end feel get give go leave like listen live look make move pass play put return run"
    " say sell send show sit speak stand start stay stop take talk tell think travel turn vote wait walk work write"
)
_LINKS = frozenset(tuple(link.split()) for link in definitions.LINKING)


def find_phrases(tokens: Tokens, on_progress: Callable[[float], None]) -> Candidates:
    """All phrases. `on_progress` gets the share of the work done, 0-1."""
    nominal = nominals(tokens)
    found: list[Candidates] = []
    for number, find in enumerate((_noun_phrases, _of_phrases, _phrasal_verbs, _collocations, _linking)):
        found += (_borne_out(tokens, candidates) for candidates in find(tokens, nominal))
        on_progress((number + 1) / 6)
    return together(found)


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


def _noun_phrases(tokens: Tokens, nominal: Flags) -> Iterator[Candidates]:
    ends, opens = runs(tokens, nominal)
    generic = tokens.of_words(GENERIC_ADJECTIVES.__contains__)
    head = (tokens.tagged("NP") & ~generic & tokens.of_words(lambda word: len(word) > 2)) | (tokens.case == CAPITALS)
    after_number = np.zeros(len(tokens), bool)  # in "15 minute increments" not "minute"
    after_number[1:] = tokens.of_words(lambda word: word[:1].isdigit())[:-1]
    base = np.where(tokens.tagged("NP"), tokens.lemmas, tokens.ids)  # a "combined sewer" is not a "combine sewer"
    # A general adjective before it leaves a term as alone as nothing does.
    bare = opens.copy()
    bare[1:] |= generic[:-1]
    for length in range(2, LONGEST + 1):
        at = np.flatnonzero(nominal & ~after_number & (ends >= np.arange(len(tokens)) + length))
        at = at[head[at + length - 1]]
        at = at[base[at] != base[at + length - 1]]  # a table's cells
        words = base[at[:, None] + np.arange(length)]
        yield gather(tokens, NOUN_PHRASE, NOUN, words, at, at + length, bare[at] & (ends[at] == at + length))


def _of_phrases(tokens: Tokens, nominal: Flags) -> Iterator[Candidates]:
    ends, _ = runs(tokens, nominal)
    noun = tokens.tagged("NP") & nominal
    telling = nominal & tokens.of_words(lambda word: word not in GENERIC_NOUNS and word not in GENERIC_ADJECTIVES)
    of = np.flatnonzero(tokens.of_words("of".__eq__)[1:-1]) + 1
    of = of[noun[of - 1] & telling[of - 1] & telling[of + 1] & (tokens.sentence[of - 1] == tokens.sentence[of + 1])]
    for length in (1, 2):
        at = of[ends[of + 1] >= of + 1 + length]
        at = at[noun[at + length]]
        words = tokens.lemmas[at[:, None] + np.arange(-1, length + 1)]
        words[:, 1] = tokens.ids[at]
        after = at + 1 + length
        yield gather(tokens, NOUN_PHRASE, NOUN, words, at - 1, after, ends[at + 1] == after)


def _phrasal_verbs(tokens: Tokens, _: Flags) -> Iterator[Candidates]:
    verb = tokens.tagged("VG") & tokens.clean
    particle = tokens.of_words(_PARTICLES.__contains__)
    # "is made for people": after a passive, a preposition goes with what follows it.
    passive = np.zeros(len(tokens), bool)
    passive[1:] = (tokens.tagged("X")[:-1]) & tokens.of_words(lambda word: not word.endswith("ing"))[1:]
    particle[1:] &= np.where(passive[:-1], tokens.tagged("TR")[1:], tokens.tagged("TRI")[1:])
    at = np.flatnonzero(verb[:-1] & particle[1:] & (tokens.sentence[1:] == tokens.sentence[:-1]))
    words = np.stack([tokens.lemmas[at], tokens.ids[at + 1]], axis=1)
    yield gather(tokens, PHRASAL_VERB, VERB, words, at, at + 2, np.ones(len(at), bool))


def _collocations(tokens: Tokens, nominal: Flags) -> Iterator[Candidates]:
    """Verb, determiner or none, adjectives or none, noun: put together by verb and noun."""
    ends, opens = runs(tokens, nominal)
    small = tokens.case == SMALL
    verb = tokens.tagged("V") & tokens.clean & small
    verb &= tokens.of_words(lambda word: is_word(word) and word not in CLOSED_CLASSES)
    noun = tokens.tagged("N") & small
    start = np.flatnonzero(opens & nominal)
    start = start[start > 1]
    first, last = start - 1 - tokens.tagged("D")[start - 1], ends[start] - 1
    good = verb[first] & noun[last] & (last - start < 3) & (tokens.sentence[first] == tokens.sentence[last])
    first, last = first[good], last[good]
    words = np.stack([tokens.lemmas[first], tokens.lemmas[last]], axis=1)
    yield gather(tokens, COLLOCATION, VERB, words, first, last + 1, np.ones(len(first), bool))


def _linking(tokens: Tokens, _: Flags) -> Iterator[Candidates]:
    numbers = {word: number for number, word in enumerate(tokens.words)}
    links = [[numbers[word] for word in link] for link in sorted(_LINKS) if numbers.keys() >= {*link}]
    for length in range(2, LONGEST + 1):
        wanted = [link for link in links if len(link) == length]
        held = [_standing(tokens, link) for link in wanted]
        at = np.sort(np.concatenate([np.empty(0, np.int64), *held]))
        words = tokens.ids[at[:, None] + np.arange(length)]
        yield gather(tokens, LINKING, "linking phrase", words, at, at + length, np.ones(len(at), bool))


def _standing(tokens: Tokens, words: list[int]) -> Numbers:
    """Where these words stand one after the other in one sentence."""
    at = np.flatnonzero(tokens.ids[: max(len(tokens) - len(words) + 1, 0)] == words[0])
    for place, word in enumerate(words[1:], 1):
        at = at[tokens.ids[at + place] == word]
    return at[tokens.sentence[at] == tokens.sentence[at + len(words) - 1]]


def _borne_out(tokens: Tokens, found: Candidates) -> Candidates:
    """Those that WordNet has, and of the others those that may be phrases all the same."""
    first = found.bounds[:-1]
    places = zip(found.at[first].tolist(), found.after[first].tolist(), strict=True)
    written = (tuple(tokens.words[word] for word in tokens.ids[at:after].tolist()) for at, after in places)
    kinds, often = found.kinds.tolist(), found.frequencies.tolist()
    lemmas = [_lemma(*entry) for entry in zip(found.keys, written, kinds, strict=True)]
    kept = [
        lemma is not None or _may_stay(key, kind, times)
        for lemma, key, kind, times in zip(lemmas, found.keys, kinds, often, strict=True)
    ]
    return replace(found, lemmas=lemmas).only(np.array(kept, bool))


def _lemma(key: tuple[str, ...], written: tuple[str, ...], kind: int) -> str | None:
    """The candidate as WordNet has it: in its base form or, as "United States", as the document has it first."""
    if kind in (LINKING, COLLOCATION):
        return None
    has, phrase = open_wordnet().has, " ".join(key)
    if kind == PHRASAL_VERB:
        plain = key[0] in _PLAIN_VERBS and key[1] in _PLAIN_PARTICLES
        return phrase if has(phrase, VERB) and not plain else None
    forms = [phrase, " ".join(written)]
    if len(key) == 2 and all(map(is_common_word, key)):  # "affi rmation" is a misprint
        forms += ["-".join(key), "".join(key)]  # "health care" stands there as "healthcare"
    return next((form for form in forms if has(form, NOUN)), None)


def _may_stay(key: tuple[str, ...], kind: int, frequency: int) -> bool:
    """Whether a candidate that WordNet lacks is one."""
    if kind == NOUN_PHRASE:
        return "of" not in key or frequency >= 3  # else as often as not a clause's accident
    if kind == COLLOCATION:
        return frequency >= 2 and key[0] not in _WEAK_VERBS and key[1] not in GENERIC_NOUNS and len(key[1]) > 2
    return kind == LINKING
