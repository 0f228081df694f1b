"""Stage 7: single words that are rare in general English and at home in this document.

Takes content words that WordNet has, each as the part of speech it is mostly used as here. Names are left out by
`merge.py`, which sees how a word is written throughout. It ranks nothing.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from pipeline.context import Sentence
from pipeline.english import WordClass, is_common_word, word_class, zipf
from pipeline.phrases import WORD, Candidate, Candidates, classify
from pipeline.wordnet import ADJECTIVE, ADVERB, NOUN, VERB, open_wordnet

_RARE = 1.6  # Zipf; below it stand misprints and words that no learner meets again
_EVERYDAY = 4.3  # Zipf; above it stand words that every advanced learner knows
_PARTS = {
    WordClass.NOUN: NOUN, WordClass.VERB: VERB, WordClass.ADJECTIVE: ADJECTIVE, WordClass.ADVERB: ADVERB,
}  # fmt: skip


def find_words(sentences: Sequence[Sentence], on_progress: Callable[[float], None]) -> Candidates:
    """Candidates by key, a one-word tuple of the base form."""
    places: dict[str, list[tuple[int, int, int]]] = {}
    uses: dict[str, Counter[str]] = {}
    for number, sentence in enumerate(sentences):
        words = [] if sentence.is_noise else [token.lower() for token in sentence.tokens]
        classes: list[WordClass] | None = None
        for position, word in enumerate(words):
            if _worth_learning(word):
                classes = classes or classify(words)
                part = _PARTS.get(classes[position])
                places.setdefault(word, []).append((number, position, position + 1))
                if part:
                    uses.setdefault(word, Counter())[part] += 1
        if number % 500 == 0:
            on_progress(number / len(sentences))
    return _by_lemma(places, uses)


def _worth_learning(word: str) -> bool:
    return (
        len(word) > 3
        and _RARE <= zipf(word) <= _EVERYDAY
        and word_class(word) is not WordClass.OTHER
        and is_common_word(word)
    )


def _by_lemma(places: dict[str, list[tuple[int, int, int]]], uses: dict[str, Counter[str]]) -> Candidates:
    found = Candidates()
    for word, word_places in places.items():
        counts = uses.get(word, Counter())
        choice = next(((part, lemma) for part, _ in counts.most_common() for lemma in _lemmas(word, part)), None)
        if choice is None or zipf(choice[1]) > _EVERYDAY:
            continue
        part, lemma = choice
        candidate = found.setdefault((lemma,), Candidate((lemma,), WORD, part, lemma))
        candidate.places.extend(word_places)
    for candidate in found.values():
        candidate.places.sort()
    return found


def _lemmas(word: str, part_of_speech: str) -> tuple[str, ...]:
    return open_wordnet().lemmas(word, part_of_speech)
