"""How hard a word is, A1 to C2, as cefrpy's word list has it; the stage that leaves out easy ones asks this.

A phrase is as hard as its hardest word, a phrasal verb or collocation at least B1, since easy words do not tell what
it means; it has no level where one of its words has none.
"""

from functools import cache
from typing import Any

from pipeline.english import CLOSED_CLASSES
from pipeline.wordnet import ADJECTIVE, ADVERB, NOUN, VERB

LEVELS = ("A1", "A2", "B1", "B2", "C1", "C2")
_TAGS = {NOUN: "NN", VERB: "VB", ADJECTIVE: "JJ", ADVERB: "RB"}


def level(key: tuple[str, ...], part_of_speech: str) -> str | None:
    """The level of a term's lower-case words, or None."""
    levels = [_word_level(word, part_of_speech if len(key) == 1 else "") for word in key if word not in CLOSED_CLASSES]
    if not levels or 0.0 in levels:
        return None
    least = 3 if len(key) > 1 and part_of_speech == VERB else 1
    return LEVELS[min(max(round(max(levels)), least), 6) - 1]


@cache
def _analyzer() -> Any:
    # Imported here because it takes a fifth of a second: who sets no level does without.
    from cefrpy import CEFRAnalyzer

    return CEFRAnalyzer()


def _word_level(word: str, part_of_speech: str) -> float:
    tag = _TAGS.get(part_of_speech)
    found = _analyzer().get_word_pos_level_float(word, tag) if tag else None
    return found or _analyzer().get_average_word_level_float(word) or 0.0
