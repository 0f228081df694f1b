"""The chosen terms: who gets one of the document's cards, and in which form a term is shown.

What tells most of the document comes first, phrases and words mixed. A learner wants more than that: of the room for
phrases a fifth goes to phrasal verbs, collocations and linking phrases, and what room for words is left behind the
first ten terms goes to those that are rare in general English. These follow the first ten.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.context import HEADING, Sentence
from pipeline.english import CLOSED_CLASSES, GENERIC_ADJECTIVES, GENERIC_NOUNS, is_common_word, zipf
from pipeline.merge import Merged
from pipeline.phrases import COLLOCATION, KINDS, LINKING, NOUN_PHRASE, PHRASAL_VERB, PHRASE, SINGLE_WORD, WORD
from pipeline.scoring import Scores
from pipeline.tokens import Tokens
from pipeline.wordnet import Synset, open_wordnet

_FIRST = 10  # terms whose order the ranker alone decides
_OTHERS = {PHRASAL_VERB: 3, COLLOCATION: 3, LINKING: 2}  # of every 40 phrases at most
_RARE, _EVERYDAY = 1.6, 4.3  # Zipf: below stand misprints, above what every advanced learner knows
_LOOKED_AT = 300  # occurrences that decide on a form
_REPEATED_WORD = 0.9  # for each time that a term's word stands in a better term already


@dataclass(slots=True)
class Candidate:
    """A term's place in the document. `key`: its lower-case words, nouns and verbs in the base form. `places`:
    (sentence, first token, token after the last) of each occurrence, in reading order."""

    key: tuple[str, ...]
    type: str
    part_of_speech: str
    lemma: str | None  # as WordNet has it; None when it lacks the term
    places: list[tuple[int, int, int]] = field(default_factory=list)
    kind: str = KINDS[NOUN_PHRASE]

    @property
    def frequency(self) -> int:
        """How often it stands in the document."""
        return len(self.places)


@dataclass(frozen=True, slots=True)
class Term:
    """A candidate as it is shown. `text` stands in the document, letter case aside; `is_name`: written with capitals,
    so the name of a thing; `synset`: its most frequent meaning, None where WordNet has none; `support`: the sentence
    that says most about it."""

    text: str
    candidate: Candidate
    is_name: bool
    synset: Synset | None
    support: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """A chosen term with its score, 0 to 1, comparable within the document only. `variants`: synonyms that it stands
    for, as they are written in the document."""

    term: Term
    score: float
    variants: tuple[str, ...] = ()


def choose(
    tokens: Tokens, sentences: Sequence[Sentence], merged: Merged, scores: Scores, max_phrases: int, max_words: int
) -> list[Scored]:
    """The best terms, with as many again in reserve as synonyms may need: `limit` makes the lists as long as asked."""
    found = merged.candidates
    ranked = np.lexsort((np.arange(len(found)), -scores.scores.astype(np.float64)))
    main = [int(number) for number in ranked if found.kinds[number] in (NOUN_PHRASE, SINGLE_WORD)]
    chosen = {number: float(scores.scores[number]) for number in main[:_FIRST]}
    # What follows ranks below what stands before it.
    level = min(chosen.values(), default=0.5)
    phrases = [number for number in main if found.kinds[number] == NOUN_PHRASE]
    used = Counter(word for number in chosen for word in found.keys[number])
    for number in phrases[: _reserve(max_phrases)]:
        if number not in chosen:
            chosen[number] = level * _discounted(float(scores.scores[number]), found.keys[number], used)
            used.update(found.keys[number])
    words = sorted(
        (number for number in main if found.kinds[number] == SINGLE_WORD and number not in chosen),
        key=lambda number: (-_for_learners(merged, number, scores), number),
    )
    for place, number in enumerate(words[: _reserve(max_words)]):
        chosen[number] = level * (0.5 + 0.49 * _falling(place)) if _for_learners(merged, number, scores) else level * 0.1
    for kind, share in _OTHERS.items():
        these = sorted(np.flatnonzero(found.kinds == kind).tolist(), key=lambda number: (-_interest(merged, number), number))
        for place, number in enumerate(these[: share * max_phrases // 40]):
            chosen[number] = level * (0.3 + 0.69 * _falling(place))
    terms = [Scored(_term(tokens, sentences, merged, number, int(scores.support[number])), value) for number, value in chosen.items()]
    return sorted(terms, key=lambda entry: (-entry.score, entry.term.text))
