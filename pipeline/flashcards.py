"""Stage 12: a card for each chosen term.

The meaning is WordNet's most frequent sense of the part of speech, or none: it is looked up, never made up, and not
yet chosen by context. The example is the document's best sentence with the term, unchanged.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from pipeline.context import SENTENCE, Sentence
from pipeline.merge import Term
from pipeline.scoring import Scored
from pipeline.wordnet import SOURCE, Synset

_SHORTEST, _LONGEST = 8, 30  # words of an example that reads well
_LONGEST_TEXT = 600  # characters of an example, whatever else
_LOOKED_AT = 300  # places among which the example is chosen
_SYNONYMS = 5
_SECOND_SENTENCE = re.compile(r"\w{3}[.!?] \w")  # not {3,}: a long word would cost its length squared


def make_cards(
    chosen: Sequence[Scored], sentences: Sequence[Sentence], title: str, on_progress: Callable[[float], None]
) -> list[dict[str, Any]]:
    """One card for each term, in the same order; fields as in design.md section 6."""
    best = max((entry.score for entry in chosen), default=1.0) or 1.0
    cards = []
    used: Counter[int] = Counter()  # sentences that are examples already
    for number, entry in enumerate(chosen):
        cards.append(_card(entry.term, entry.score / best, sentences, title, used))
        on_progress((number + 1) / len(chosen))
    return cards


def _card(
    term: Term, importance: float, sentences: Sequence[Sentence], title: str, used: Counter[int]
) -> dict[str, Any]:
    candidate = term.candidate
    synset = term.synset
    number = _best_example(term, sentences, used)
    used[number] += 1
    pattern = _pattern(term.text)
    example = _shortened(sentences[number].text, pattern)
    sense = synset.key if synset else ""
    identity = "|".join([" ".join(candidate.key), candidate.part_of_speech, sense])
    return {
        "id": hashlib.sha256(identity.encode()).hexdigest()[:16],
        "word": term.text,
        "word_type": candidate.type,
        "part_of_speech": candidate.part_of_speech,
        "meaning": synset.gloss if synset else None,
        "definition_source": SOURCE if synset else None,
        "synonyms": [{"word": lemma} for lemma in _synonyms(synset, term)],
        "importance_score": round(importance, 4),
        "example": example,
        "example_page": sentences[number].page,
        "example_source": title,
        "cloze": pattern.sub(lambda match: "{{c1::" + match[0] + "}}", example),
        "frequency": candidate.frequency,
        "tags": [candidate.type, candidate.part_of_speech, *([synset.topic] if synset else [])],
    }


def _synonyms(synset: Synset | None, term: Term) -> list[str]:
    if synset is None:
        return []
    own = {term.text.lower(), term.candidate.lemma, " ".join(term.candidate.key)}
    return [lemma for lemma in synset.lemmas if lemma.lower() not in own][:_SYNONYMS]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)", re.I)


def _best_example(term: Term, sentences: Sequence[Sentence], used: Counter[int]) -> int:
    """The number of the best sentence that has the term in the form shown."""
    pattern = _pattern(term.text)
    numbers = dict.fromkeys(number for number, _, _ in term.candidate.places)
    holding = islice((number for number in numbers if pattern.search(sentences[number].text)), _LOOKED_AT)
    return max(
        holding, key=lambda number: _example_quality(sentences[number]) - used[number], default=next(iter(numbers))
    )


def _example_quality(sentence: Sentence) -> float:
    """Higher is better: a whole sentence of readable length, of words rather than figures, capitals and signs."""
    words = [token for token in sentence.tokens if token[0].isalpha()]
    quality = 3.0 if sentence.kind == SENTENCE else 0.0
    length = len(words)
    if length < _SHORTEST:
        quality -= (_SHORTEST - length) * 0.4
    elif length > _LONGEST:
        quality -= (length - _LONGEST) * 0.1
    odd = sum(1 for token in sentence.tokens if not token[0].isalpha() and token not in ",.;'’\"“”-")
    capitals = sum(1 for word in words[1:] if word[0].isupper())
    if _SECOND_SENTENCE.search(sentence.text):
        quality -= 1.0
    quality -= 4.0 * odd / (len(sentence.tokens) or 1) + 3.0 * capitals / (len(words) or 1)
    if "{" in sentence.text or "}" in sentence.text or "::" in sentence.text:
        quality -= 5.0  # would break the cloze
    return quality


def _shortened(text: str, pattern: re.Pattern[str]) -> str:
    """The sentence itself, or words around the term where what should be a sentence never ends."""
    if len(text) <= _LONGEST_TEXT:
        return text
    match = pattern.search(text)
    start = match.start() if match else 0
    left = text.rfind(" ", 0, max(0, start - _LONGEST_TEXT // 2)) + 1
    right = text.find(" ", min(len(text), left + _LONGEST_TEXT))
    return text[left : right if right > 0 else len(text)].strip()
