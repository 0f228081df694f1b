"""Stage 9: ranks terms by what sets this document apart from general English.

A phrase scores by how often it stands here on its own (C-value: Frantzi, Ananiadou and Mima 2000), by how much
commoner its words are here than in general English (wordfreq), and by how early it comes. Then the best are chosen,
variety in mind. Headings and synonyms do not count yet.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.context import Sentence
from pipeline.english import CLOSED_CLASSES, VOCABULARY, is_common_word, singular, zipf
from pipeline.merge import Term
from pipeline.phrases import PHRASE, WORD

# Weights, chosen on the development sets and by reading the cards of real documents.
_LENGTH = 0.4  # 0: a phrase is as telling as its average word; 1: as all of its words together
_WORD = 1.1  # single words beside phrases
_HAS_MEANING = 1.6  # at equal relevance a phrase with a meaning makes the better card
_ONCE = 0.6  # a phrase that comes once, in a document longer than
_SHORT = 100  # sentences
_OBSCURE_WORD = 0.5  # for each abbreviation, foreign word or misprint in a term
_OBSCURE = 3.0  # Zipf below which a word that WordNet lacks is one of those
_NAME = 0.4
_REPEATED_WORD = 0.85  # for each time a term's word stands in a better term already
_UNSEEN = 2.0  # Zipf given to words that wordfreq lacks: rarer would put misprints first


@dataclass(frozen=True, slots=True)
class Scored:
    """A chosen term with its score, comparable within the document only."""

    term: Term
    score: float


def score(terms: Sequence[Term], sentences: Sequence[Sentence]) -> list[Scored]:
    """All terms, best first."""
    surprise = _surprise(sentences, {part for term in terms for word in term.candidate.key for part in word.split("-")})
    standing = _standing(terms)
    scored = [
        Scored(term, _score(term, standing[number], surprise, len(sentences))) for number, term in enumerate(terms)
    ]
    return sorted(scored, key=lambda entry: (-entry.score, entry.term.text))


def choose(scored: Sequence[Scored], max_phrases: int, max_words: int) -> list[Scored]:
    """At most so many of each type, best first; a term whose words the better ones have used up comes later."""
    room = {True: max_phrases, False: max_words}
    pools = {kind: [entry for entry in scored if (entry.term.candidate.type == PHRASE) is kind] for kind in room}
    chosen = [entry for kind, pool in pools.items() for entry in _varied(pool, room[kind])]
    return sorted(chosen, key=lambda entry: (-entry.score, entry.term.text))


def _score(term: Term, standing: float, surprise: dict[str, float], sentences: int) -> float:
    candidate = term.candidate
    words = [word for part in candidate.key for word in part.split("-") if word not in CLOSED_CLASSES]
    rarity = sum(surprise.get(word, 0.0) for word in words) / max(len(words), 1) ** (1 - _LENGTH)
    early = 1.0 + (1.0 - candidate.places[0][0] / max(sentences, 1)) ** 3
    result = math.log2(1.0 + standing) * rarity * early
    obscure = sum(
        1 for word in words if not is_common_word(word) and (zipf(word) < _OBSCURE or word.upper() in term.text)
    )
    result *= _OBSCURE_WORD**obscure
    if candidate.type == WORD:
        result *= _WORD
    elif term.synset:
        result *= _HAS_MEANING
    elif candidate.frequency == 1 and sentences > _SHORT:
        result *= _ONCE
    return result * _NAME if term.is_name else result


def _surprise(sentences: Sequence[Sentence], wanted: set[str]) -> dict[str, float]:
    """How many times commoner a word is here than in general English, as log10, from 0.1; by word or base form."""
    counts: Counter[str] = Counter()
    total = 0
    for sentence in sentences:
        for token in sentence.tokens:
            total += 1
            word = token.lower()
            for part in word.split("-"):
                counts[part] += 1
    lemmas: Counter[str] = Counter()
    for word, count in counts.most_common(VOCABULARY) if len(counts) > VOCABULARY else counts.items():
        base = singular(word)
        if base in wanted:
            lemmas[base] += count
    result = {}
    for word in sorted(wanted & (counts.keys() | lemmas.keys())):
        count = max(counts[word], lemmas[word])
        here = math.log10(count / max(total, 1000)) + 9
        result[word] = max(0.1, here - max(zipf(word), _UNSEEN))
    return result


def _standing(terms: Sequence[Term]) -> list[float]:
    """How often each term stands by itself rather than inside longer ones: phrases by C-value, words by what the
    commonest phrase around them leaves ("horizontal" hardly stands where every one is a "horizontal stabilizer")."""
    numbers = {term.candidate.key: number for number, term in enumerate(terms)}
    holders: list[list[int]] = [[] for _ in terms]
    for term in terms:
        key = term.candidate.key
        for inner in {key[i:j] for i in range(len(key)) for j in range(i + 1, len(key) + 1)} - {key}:
            if inner in numbers:
                holders[numbers[inner]].append(term.candidate.frequency)
    result = []
    for term, around in zip(terms, holders, strict=True):
        candidate = term.candidate
        if candidate.type == WORD:
            result.append(max(candidate.frequency - 0.5 * max(around, default=0), 0.0))
        else:
            nested = [frequency for frequency in around if frequency > 1]
            alone = candidate.frequency - (sum(nested) / len(nested) if nested else 0.0)
            result.append(max(alone, 0.0) * math.log2(len(candidate.key) + 1))
    return result


def _varied(pool: Sequence[Scored], room: int) -> list[Scored]:
    # Only a pool some times the room is looked at, so that the cost does not grow with the document's square.
    left = list(pool[: room * 5])
    used: Counter[str] = Counter()
    chosen: list[Scored] = []
    while left and len(chosen) < room:
        best = max(left, key=lambda entry: (_discounted(entry, used), entry.term.text))
        left.remove(best)
        chosen.append(Scored(best.term, _discounted(best, used)))
        used.update(set(best.term.candidate.key))
    return chosen


def _discounted(entry: Scored, used: Counter[str]) -> float:
    repeats = sum(used[word] for word in set(entry.term.candidate.key) if word not in CLOSED_CLASSES)
    return entry.score * _REPEATED_WORD ** min(repeats, 6)
