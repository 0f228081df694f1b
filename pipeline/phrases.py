"""Stage 4: noun phrases of two to five words, with every place where they stand.

There is no tagger yet: WordNet's parts of speech, closed classes, endings and the neighbouring words decide what is
an adjective or a noun. Finds runs of adjectives and nouns that end in a noun, the runs within them, and "noun of
noun" where WordNet has it or it comes again. It ranks nothing. Of more words and candidates than any real document
has, the rarest are left out and counted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.context import Sentence
from pipeline.english import (
    GENERIC_ADJECTIVES,
    GENERIC_NOUNS,
    VOCABULARY,
    WordClass,
    singular,
    usage,
    word_class,
    word_set,
)
from pipeline.wordnet import ADJECTIVE, NOUN, VERB, open_wordnet

PHRASE, WORD = "phrase", "word"
_LONGEST = 4
_LONGEST_KNOWN = 5  # of phrases that WordNet has


@dataclass(slots=True)
class Candidate:
    """A term that may become a card. `key`: its lower-case words, the head in its base form. `places`: (sentence,
    first token, token after the last) of each occurrence, in reading order."""

    key: tuple[str, ...]
    type: str
    part_of_speech: str
    lemma: str | None  # as WordNet has it; None when it lacks the term
    places: list[tuple[int, int, int]] = field(default_factory=list)
    complete: int = 0  # occurrences after which no further noun comes: "repeated airplane nose-down trim" has none

    @property
    def frequency(self) -> int:
        return len(self.places)


class Candidates(dict[tuple[str, ...], Candidate]):
    """Candidates by key. `rare_words`: how many words were not looked at, as no real document has so many."""

    rare_words = 0


def find_phrases(sentences: Sequence[Sentence], on_progress: Callable[[float], None]) -> Candidates:
    """All phrases. `on_progress` gets the share of the sentences done, 0-1."""
    found = Candidates()
    vocabulary = Counter(token.lower() for sentence in sentences for token in sentence.tokens)
    found.rare_words = max(0, len(vocabulary) - VOCABULARY)
    common = {word for word, _ in vocabulary.most_common(VOCABULARY)} if found.rare_words else None
    del vocabulary
    for number, sentence in enumerate(sentences):
        if not sentence.is_noise:
            words = [token.lower() for token in sentence.tokens]
            if common is not None:
                words = [word if word in common else "" for word in words]
            classes = classify(words)
            for start, end in _noun_runs(words, classes):
                _collect_run(found, number, words, start, end)
            _collect_of_phrases(found, number, words, classes)
        if number % 500 == 0:
            on_progress(number / len(sentences))
    for key in [key for key, entry in found.items() if entry.lemma is None and not _is_phrase(entry)]:
        del found[key]
    return found


def _is_phrase(candidate: Candidate) -> bool:
    # "Noun of noun" is as often as not a clause's accident, unless it comes again and again.
    return candidate.complete > 0 and ("of" not in candidate.key or candidate.frequency >= 3)


def classify(words: Sequence[str]) -> list[WordClass]:
    """The classes of a sentence's lower-case tokens: what `word_class` leaves open is settled by the neighbours."""
    raw = [word_class(word) for word in words]
    settled: list[WordClass] = []
    for number, kind in enumerate(raw):
        before = settled[-1] if settled else WordClass.OTHER
        after = raw[number + 1] if number + 1 < len(raw) else WordClass.OTHER
        before_finite = number + 1 < len(raw) and words[number + 1] in _FINITE
        if kind is WordClass.NOUN_OR_VERB and before_finite and before not in _BEFORE_VERB:
            kind = WordClass.NOUN  # "storm drains were"
        elif kind is WordClass.NOUN_OR_VERB:
            kind = _noun_or_verb(words[number], words[number - 1] if number else "", before, after)
        elif kind is WordClass.GERUND:
            kind = _gerund(words[number], before, after)
        elif kind is WordClass.PARTICIPLE:
            kind = _participle(words[number], before, after)
        settled.append(kind)
    return settled


_FINITE = word_set("is are was were has have had do does did can could may might must shall should will would cannot")
_NOMINAL = (WordClass.NOUN, WordClass.ADJECTIVE, WordClass.NOUN_OR_VERB, WordClass.GERUND, WordClass.PARTICIPLE)
_BEFORE_VERB = (WordClass.VERB_MARKER, WordClass.PRONOUN)
_BEFORE_NOUN = (WordClass.DETERMINER, WordClass.PREPOSITION, WordClass.ADJECTIVE)
_OPENS_OBJECT = (WordClass.DETERMINER, WordClass.PRONOUN)


def _noun_or_verb(word: str, previous: str, before: WordClass, after: WordClass) -> WordClass:
    if before in _BEFORE_VERB:
        return WordClass.VERB
    if before in _BEFORE_NOUN:
        return WordClass.NOUN
    if after in _OPENS_OBJECT:
        return WordClass.VERB
    after_plural = singular(previous) != previous
    if before is WordClass.NOUN and after_plural is word.endswith("s"):
        return WordClass.NOUN  # a verb would agree: "the stabilizer trim", but "pilots trim"
    noun, verb = usage(word, NOUN), usage(word, VERB)
    return WordClass.NOUN if noun >= verb or (before is WordClass.NOUN and 2 * noun >= verb) else WordClass.VERB


def _gerund(word: str, before: WordClass, after: WordClass) -> WordClass:
    wordnet = open_wordnet()
    if before in _BEFORE_VERB or after in _OPENS_OBJECT:
        return WordClass.VERB
    if wordnet.senses(word, NOUN):
        return WordClass.VERB if after is WordClass.ADJECTIVE else WordClass.NOUN
    if after not in _NOMINAL or before is WordClass.NOUN:
        return WordClass.VERB
    modifies = before in (WordClass.DETERMINER, WordClass.ADJECTIVE) or bool(wordnet.senses(word, ADJECTIVE))
    return WordClass.ADJECTIVE if modifies else WordClass.VERB


def _participle(word: str, before: WordClass, after: WordClass) -> WordClass:
    if after not in _NOMINAL or before in (*_BEFORE_VERB, WordClass.NOUN):
        return WordClass.VERB
    if before in _BEFORE_NOUN or open_wordnet().senses(word, ADJECTIVE):
        return WordClass.ADJECTIVE
    return WordClass.VERB


def _noun_runs(words: Sequence[str], classes: Sequence[WordClass]) -> list[tuple[int, int]]:
    runs, start = [], None
    for number in range(len(words) + 1):
        inside = number < len(words) and classes[number] in (WordClass.ADJECTIVE, WordClass.NOUN)
        if inside and start is None:
            start = number + (number > 0 and words[number - 1].isdigit())  # in "15 minute increments" not "minute"
        elif not inside and start is not None:
            end = number
            while end > start and classes[end - 1] is not WordClass.NOUN:
                end -= 1
            if end - start > 1:
                runs.append((start, end))
            start = None
    return runs


def _collect_run(found: Candidates, sentence: int, words: Sequence[str], start: int, end: int) -> None:
    for first in range(start, end - 1):
        for last in range(first + 2, min(first + _LONGEST_KNOWN, end) + 1):
            if _can_head(words[last - 1]):
                _add(found, sentence, words, first, last, complete=last == end)


def _collect_of_phrases(found: Candidates, sentence: int, words: Sequence[str], classes: Sequence[WordClass]) -> None:
    for number in range(1, len(words) - 1):
        if words[number] == "of" and classes[number - 1] is WordClass.NOUN and words[number - 1] not in GENERIC_NOUNS:
            for last in (number + 2, number + 3):
                if last > len(words) or classes[last - 1] not in (WordClass.ADJECTIVE, WordClass.NOUN):
                    break
                if classes[last - 1] is WordClass.NOUN and words[number + 1] not in GENERIC_ADJECTIVES:
                    following = classes[last] if last < len(words) else WordClass.OTHER
                    _add(found, sentence, words, number - 1, last, complete=following is not WordClass.NOUN)


def _can_head(word: str) -> bool:
    return word not in GENERIC_ADJECTIVES and len(word) > 2


def _add(found: Candidates, sentence: int, words: Sequence[str], first: int, last: int, complete: bool) -> None:
    if len({*words[first:last]}) < last - first:
        return  # "very very": a table's cells
    form = words[first:last]
    # The head of "rule of law" is its first noun.
    key = (singular(form[0]), *form[1:]) if form[1] == "of" else (*form[:-1], singular(form[-1]))
    candidate = found.get(key)
    if candidate is None:
        lemma = _in_wordnet(key, form)
        generic = form[0] in GENERIC_ADJECTIVES or form[0] in GENERIC_NOUNS or form[-1] in GENERIC_NOUNS
        if lemma is None and (generic or len(form) > _LONGEST):
            return
        candidate = found[key] = Candidate(key, PHRASE, NOUN, lemma)
    candidate.places.append((sentence, first, last))
    candidate.complete += complete


def _in_wordnet(key: Sequence[str], words: Sequence[str]) -> str | None:
    wordnet = open_wordnet()
    forms = [" ".join(words), " ".join(key)]
    if len(key) == 2:
        forms += ["-".join(key), "".join(key)]  # "health care" stands there as "healthcare"
    return next((form for form in forms if wordnet.has(form, NOUN)), None)
