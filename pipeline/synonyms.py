"""Stage 10: terms that mean the same become one, which keeps the others as its variants.

Two words mean the same where WordNet has them together in one of their commonest meanings and their vectors are near;
two phrases where they differ in such a word only; an abbreviation and its long form where the document explains the
one by the other. Antonyms are never one, however near. The better term stays.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.abbreviations import abbreviations
from pipeline.context import Sentence
from pipeline.dense import open_vectors
from pipeline.terms import Scored
from pipeline.wordnet import ADJECTIVE, NOUN, PARTS_OF_SPEECH, open_wordnet

_SENSES = 2  # of each word, the commonest
_NEAR = 0.4  # cosine; WordNet's rare pairs ("body" and "consistency") are farther apart
_MOST = 300  # terms, each compared with each


def collapse(ranked: Sequence[Scored], sentences: Sequence[Sentence]) -> tuple[list[Scored], int]:
    """The terms without those that a better one stands for, and how many those are."""
    explained = {(long.lower(), short.lower()) for short, long in abbreviations(sentences).items()}
    kept: list[Scored] = []
    for entry in ranked:
        same = next((at for at, better in enumerate(kept[:_MOST]) if _same(better, entry, explained)), None)
        if same is None:
            kept.append(entry)
        else:
            kept[same] = replace(kept[same], variants=(*kept[same].variants, entry.term.text, *entry.variants))
    return kept, len(ranked) - len(kept)


def _same(one: Scored, other: Scored, explained: set[tuple[str, str]]) -> bool:
    a, b = one.term.candidate, other.term.candidate
    if a.part_of_speech != b.part_of_speech:
        return False
    names = [{entry.term.text.lower(), " ".join(entry.term.candidate.key)} for entry in (one, other)]
    if any((x, y) in explained or (y, x) in explained for x in names[0] for y in names[1]):
        return True
    if len(a.key) != len(b.key) or one.term.is_name or other.term.is_name:
        return False
    different = [(x, y) for x, y in zip(a.key, b.key, strict=True) if x != y]
    return len(different) == 1 and are_synonyms(*different[0])


def are_synonyms(a: str, b: str) -> bool:
    """Whether two lower-case words mean the same in one of their commonest senses."""
    return bool(_commonest(a) & _commonest(b)) and not are_antonyms(a, b) and _near(a, b)


def are_antonyms(a: str, b: str) -> bool:
    """Whether WordNet has them as opposites in any sense."""
    wordnet = open_wordnet()
    return any(b in wordnet.antonyms(a, part) or a in wordnet.antonyms(b, part) for part in PARTS_OF_SPEECH)


def _commonest(word: str) -> set[tuple[int, str]]:
    wordnet = open_wordnet()
    return {(offset, part) for part in (NOUN, ADJECTIVE, "verb") for offset in wordnet.senses(word, part)[:_SENSES]}


def _near(a: str, b: str) -> bool:
    one, two = open_vectors().of(a), open_vectors().of(b)
    if one is None or two is None:
        return True  # rare words have few senses
    return float(one @ two) >= _NEAR * float(np.linalg.norm(one) * np.linalg.norm(two))
