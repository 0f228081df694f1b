"""Stage 8: phrases and words into one list of terms, each in the form to be shown.

Puts variants of one term together (singular and plural, hyphen and space), chooses the form shown from those that
stand in the document, and leaves out names of people, names of things that are no vocabulary, and what the learner
knows already. It ranks nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.context import HEADING, Sentence
from pipeline.english import CLOSED_CLASSES, is_common_word, singular
from pipeline.phrases import PHRASE, Candidate
from pipeline.wordnet import Synset, open_wordnet


@dataclass(frozen=True, slots=True)
class Term:
    """A candidate as it will be shown. `text` stands in the document, letter case aside; `is_name`: written with
    capitals, so the name of a thing; `synset`: its most frequent meaning, None where WordNet has none."""

    text: str
    candidate: Candidate
    is_name: bool
    synset: Synset | None


def merge(
    candidates: Iterable[Candidate], sentences: Sequence[Sentence], known_words: Iterable[str] = ()
) -> tuple[list[Term], int]:
    """The terms in order of first appearance, and how many were left out because the learner knows them."""
    known = {_loose(word.lower().split()) for word in known_words}
    merged: dict[tuple[str, ...], Candidate] = {}
    for candidate in candidates:
        same = merged.setdefault(_loose(candidate.key), candidate)
        if same is not candidate:
            same.places = sorted({*same.places, *candidate.places})
            same.lemma = same.lemma or candidate.lemma
    wanted = [candidate for key, candidate in merged.items() if key not in known]
    habit = _capitals_are_habit(sentences)
    lower_case = {token for sentence in sentences for token in sentence.tokens if token.islower()}
    terms = (_term(candidate, sentences, habit, lower_case) for candidate in wanted)
    return [term for term in terms if term is not None], len(merged) - len(wanted)


def _loose(key: Sequence[str]) -> tuple[str, ...]:
    return tuple(singular(word) for part in key for word in part.split("-"))


def _capitals_are_habit(sentences: Sequence[Sentence]) -> bool:
    """Whether the document writes common nouns with capitals, as the Constitution of the United States does."""
    capital = common = 0
    for sentence in sentences[:2000]:
        if sentence.kind != HEADING and not sentence.text.isupper():
            for token in sentence.tokens[1:]:
                word = token.lower()
                if len(word) > 3 and word.isalpha() and word not in CLOSED_CLASSES and is_common_word(word):
                    common += 1
                    capital += token[0].isupper()
    return capital > 0.2 * common


def _term(
    candidate: Candidate, sentences: Sequence[Sentence], capitals_are_habit: bool, lower_case: set[str]
) -> Term | None:
    """The candidate in the form shown; None for a person's name and whatever else is one of its kind."""
    forms: Counter[str] = Counter()
    written: Counter[str] = Counter()
    inside: Counter[str] = Counter()  # where a capital means something: within a sentence
    for number, first, last in candidate.places:
        sentence = sentences[number]
        form = sentence.text[sentence.starts[first] : sentence.starts[last - 1] + len(sentence.tokens[last - 1])]
        forms[form.lower()] += 1
        if first == 0 and form[1:].islower():
            form = form.lower()
        written[form] += 1
        if sentence.kind != HEADING and first > 0:
            inside[form] += 1
    text = _form_shown(candidate, forms)
    spellings = inside or written
    alike = [form for form in spellings if form.lower() == text] or list(spellings)
    spelled = max(alike, key=lambda form: (spellings[form], form))
    synsets = _synsets(candidate)
    common = next((synset for synset in synsets if candidate.lemma in synset.lemmas), None)
    if common:
        return Term(text, candidate, False, common)
    if synsets and _capitals(spelled):
        return None if synsets[0].is_instance else Term(spelled, candidate, True, synsets[0])
    capitals = _capitals(spelled)
    unknown = [word for word in capitals if not _written_small(word.lower(), lower_case)]
    if unknown and (capitals_are_habit or spelled.split()[-1] in capitals):
        return None  # a person, or a thing called after one; but "Bayesian network" stays
    if capitals_are_habit:
        return Term(text, candidate, False, None)
    return Term(spelled, candidate, len(unknown) < len(capitals), None)


def _form_shown(candidate: Candidate, forms: Counter[str]) -> str:
    """The base form if the document uses it more than by chance, else the commonest form."""
    base = " ".join(candidate.key)
    if forms[base] >= 2 or forms[base] * 5 >= forms.total():
        return base
    return max(forms, key=lambda form: (forms[form], form))


def _capitals(form: str) -> list[str]:
    """The capitalised words, abbreviations aside."""
    return [word for word in form.split() if word[0].isupper() and not word.isupper()]


def _written_small(word: str, lower_case: set[str]) -> bool:
    return is_common_word(word) or word in lower_case


def _synsets(candidate: Candidate) -> list[Synset]:
    """WordNet's meanings of the candidate, the most frequent first."""
    wordnet, lemma, part = open_wordnet(), candidate.lemma, candidate.part_of_speech
    return [wordnet.synset(offset, part) for offset in wordnet.senses(lemma, part)] if lemma else []


def counts(terms: Sequence[Term]) -> dict[str, int]:
    """For the stage's report."""
    phrases = sum(1 for term in terms if term.candidate.type == PHRASE)
    return {"phrases": phrases, "words": len(terms) - phrases}
