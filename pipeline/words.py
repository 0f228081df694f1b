"""Stage 7: single words that carry a document's meaning, each as the part of speech it is mostly used as here.

Nouns, verbs, adjectives and adverbs that WordNet has, and nouns that it lacks where they come again. It ranks nothing.
"""

from dataclasses import replace

import numpy as np

from pipeline.english import CLOSED_CLASSES, GENERIC_ADJECTIVES, GENERIC_NOUNS
from pipeline.phrases import SINGLE_WORD, Candidates, Places, gather
from pipeline.phrases import runs, nominals
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
    alone = opens[at] & (ends[at] == at + 1)
    found = gather(tokens, [Places(SINGLE_WORD, tokens.lemmas[at][:, None], at, at + 1, alone)])
    parts = _parts(tokens, found)
    wordnet = open_wordnet()
    lemmas = [
        next(iter(wordnet.lemmas(word, part)), None) if part in (ADJECTIVE, ADVERB) else word if wordnet.has(word, part) else None
        for (word,), part in zip(found.keys, parts, strict=True)
    ]
    kept = np.array([lemma is not None for lemma in lemmas], bool)
    kept |= np.array([part == NOUN for part in parts], bool)
    return replace(found, lemmas=lemmas, parts=parts).only(kept)


def _parts(tokens: Tokens, found: Candidates) -> list[str]:
    """The commonest part of speech of each; the first of _PARTS where two are as common."""
    owners, tags = found.owners, tokens.tags[found.at]
    counts = [np.bincount(owners, tag_set(letters)[tags], len(found)) for letters in _PARTS.values()]
    names = list(_PARTS)
    return [names[number] for number in np.argmax(counts, axis=0)] if len(found) else []
