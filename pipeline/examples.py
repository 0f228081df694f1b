"""The document's best sentence for a term: whole, unchanged, easy to read, with the term in the sense chosen.

Prefers whole sentences of readable length to list items, captions, references and headings, which are examples only
where there is nothing else; of equal ones, the sentence that says most about the term, and none twice if it can be
helped. It writes and shortens nothing, but for a "sentence" that never ends.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.context import HEADING, SENTENCE, Sentence
from pipeline.english import word_set
from pipeline.terms import Term
from pipeline.tokens import Flags, Numbers, Tokens

_SHORTEST, _LONGEST = 8, 28  # words of an example that reads well
_LONGEST_TEXT = 600  # characters of an example, whatever else
_LOOKED_AT = 40  # sentences among which the example is chosen, evenly from all with the term
_SECOND_SENTENCE = re.compile(r"\w{3}[.!?] \w")  # not {3,}: a long word would cost its length squared
_REFERENCE = re.compile(
    r"\bet al\b|\[|\b(?:doi|ISBN|ISSN|arXiv|Proceedings|pp\.|vol\.)|https?:|www\.|%20"
    r"|\(\d{4}[a-z]?\)",
    re.I,
)
_CAPTION = re.compile(r"(?:figure|fig\.|table|exhibit|box|chart|appendix|note|source|example|see)\b[\s\d.:]", re.I)
_TORN = re.compile(r"[\w’'-]+, (?:and|or|nor|but)\b")  # the end of a sentence of which a page break took the beginning
_CLAUSE = re.compile(r"(?:if|when|where|because|although|while|unless|since)\b[^,;]*$", re.I)  # without a main one
_POINTS_BACK = word_set(  # as a first word
    "this these those it they he she such its their his her that both which but and so thus hence therefore however"
    " namely moreover furthermore nevertheless"
)


def pattern_of(text: str) -> re.Pattern[str]:
    """Finds a term in a sentence, whatever the case of its letters."""
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)", re.I)


@dataclass(frozen=True, slots=True)
class Marks:
    """Of each sentence whether it has a verb, without which a line that ends in a full stop is no sentence; of each
    token whether it is a noun; where sentences begin among the tokens."""

    verbs: Flags
    nouns: Flags
    starts: Numbers

    @classmethod
    def of(cls, tokens: Tokens) -> "Marks":
        verbs = np.bincount(tokens.sentence, tokens.tagged("VX"), len(tokens.starts) - 1) > 0
        return cls(verbs, tokens.tagged("NP"), tokens.starts)

    def leads_to_noun(self, sentence: int, after: int) -> bool:
        """Whether the token behind a place is a noun: the term is a piece of something else there."""
        place = int(self.starts[sentence]) + after
        return place < self.starts[sentence + 1] and bool(self.nouns[place])


def choose(
    term: Term, sentences: Sequence[Sentence], marks: Marks, used: Counter[int], fit: Mapping[int, float]
) -> int:
    """The number of the best sentence with the term as it is shown. `fit`: of some sentences, how probable the sense
    chosen is there; `used`: how often sentences are examples already."""
    pattern = pattern_of(term.text)
    numbers = list(dict.fromkeys(number for number, _, _ in term.candidate.places))
    pieces = {number for number, _, after in term.candidate.places if marks.leads_to_noun(number, after)}
    holding = [number for number in numbers if pattern.search(sentences[number].text)]
    some = holding[:: max(1, len(holding) // _LOOKED_AT)][:_LOOKED_AT]
    looked_at = {*some, *({term.support, *fit} & set(holding))}
    middling = sum(fit.values()) / len(fit) if fit else 0.0
    return max(
        sorted(looked_at),
        key=lambda number: (
            quality(sentences[number])
            - 2.0 * (not marks.verbs[number])
            + 2.0 * fit.get(number, middling)
            + 0.5 * (number == term.support)
            - 0.7 * (number in pieces)
            - used[number]
        ),
        default=numbers[0],
    )


def quality(sentence: Sentence) -> float:
    """How well it reads, the higher the better; about 3 for a good one."""
    words = [token for token in sentence.tokens if token[0].isalpha()]
    value = {SENTENCE: 3.0, HEADING: -2.0}.get(sentence.kind, 0.0)
    if len(words) < _SHORTEST:
        value -= (_SHORTEST - len(words)) * 0.4
    elif len(words) > _LONGEST:
        value -= (len(words) - _LONGEST) * 0.15
    odd = sum(1 for token in sentence.tokens if not token[0].isalpha() and token not in ",.'’\"“”-")
    capitals = sum(1 for word in words[1:] if word[0].isupper())
    value -= 4.0 * odd / (len(sentence.tokens) or 1) + 3.0 * capitals / (len(words) or 1)
    if _SECOND_SENTENCE.search(sentence.text):
        value -= 2.0
    if _TORN.match(sentence.text) or _CLAUSE.match(sentence.text):
        value -= 3.0
    if any("/" in word for word in words):
        value -= 1.0
    if _REFERENCE.search(sentence.text) or _CAPTION.match(sentence.text):
        value -= 2.0
    if words and words[0].lower() in _POINTS_BACK:
        value -= 0.7
    if not sentence.text.endswith((".", "!", ".”", '."')):
        value -= 2.0 if sentence.text.endswith(":") else 1.0
    if "{" in sentence.text or "}" in sentence.text or "::" in sentence.text:
        value -= 5.0  # would break the cloze
    return value


def shown(text: str, pattern: re.Pattern[str]) -> str:
    """The sentence itself, or words around the term where what should be a sentence never ends."""
    if len(text) <= _LONGEST_TEXT:
        return text
    match = pattern.search(text)
    start = match.start() if match else 0
    left = text.rfind(" ", 0, max(0, start - _LONGEST_TEXT // 2)) + 1
    right = text.find(" ", min(len(text), left + _LONGEST_TEXT))
    return text[left : right if right > 0 else len(text)].strip()
