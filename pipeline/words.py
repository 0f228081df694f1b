"""Stage 7: single words that carry a document's meaning, each as the part of speech it is mostly used as here.

Nouns, verbs, adjectives and adverbs that WordNet has, and nouns that it lacks where they come again. It ranks nothing.
"""

from dataclasses import replace

import numpy as np

from pipeline.candidates import SINGLE_WORD, Candidates, gather
from pipeline.english import CLOSED_CLASSES, GENERIC_ADJECTIVES
from pipeline.phrases import nominals, runs
from pipeline.tokens import Tokens, is_word, tag_set
from pipeline.wordnet import ADJECTIVE, ADVERB, NOUN, VERB, open_wordnet

_PARTS = {NOUN: "NP", VERB: "VG", ADJECTIVE: "J", ADVERB: "R"}
_OFTEN = 2  # times that a noun must come which WordNet lacks


def find_words(tokens: Tokens) -> Candidates:
    """One candidate for each base form."""
    content = tokens.of_words(
        lambda word: is_word(word) and word not in CLOSED_CLASSES and word not in GENERIC_ADJECTIVES
    )
    at = np.flatnonzero(content & tokens.clean & tokens.tagged("NPVGJR"))
    ends, opens = runs(tokens, nominals(tokens))
    found = gather(
        tokens, SINGLE_WORD, NOUN, tokens.lemmas[at][:, None], at, at + 1, opens[at] & (ends[at] == at + 1)
    )
    parts = _parts(tokens, found)
    lemmas = [_lemma(word, part) for (word,), part in zip(found.keys, parts, strict=True)]
    known = np.array([lemma is not None for lemma in lemmas], bool)
    nouns = np.array([part == NOUN for part in parts], bool)
    return replace(found, lemmas=lemmas, parts=parts).only(known | (nouns & (found.frequencies >= _OFTEN)))


def _parts(tokens: Tokens, found: Candidates) -> list[str]:
    """The commonest part of speech of each; the first of _PARTS where two are as common."""
    tags = tokens.tags[found.at]
    counts = np.stack([found.total(tag_set(letters)[tags]) for letters in _PARTS.values()])
    names = list(_PARTS)
    return [names[number] for number in counts.argmax(0).tolist()]


def _lemma(word: str, part: str) -> str | None:
    if part in (NOUN, VERB):  # in the base form already
        return word if open_wordnet().has(word, part) else None
    return next(iter(open_wordnet().lemmas(word, part)), None)
