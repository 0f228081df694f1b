"""How hard a word is, A1 to C2, as cefrpy's word list has it; the stage that leaves out easy ones asks this.

A phrase is as hard as its hardest word, a phrasal verb or collocation at least B1, since easy words do not tell what
it means; it has no level where one of its words has none.
"""

from collections.abc import Iterator
from functools import cache

from marisa_trie import RecordTrie

from pipeline import tables
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
def _levels() -> RecordTrie:
    return tables.open_table("levels", "cefrpy", "<f", _read_levels)


def _read_levels() -> Iterator[tables.Row]:
    """A level for each word and part of speech ("run VB"), and the mean for each word ("run")."""
    from cefrpy import CEFRAnalyzer  # here, as it reads all its words at once

    analyzer = CEFRAnalyzer()
    for word in analyzer.yield_words():
        yield word, (analyzer.get_average_word_level_float(word),)
        for tag, level in analyzer.get_pos_level_dict_for_word(word, True, True).items():
            if tag in _TAGS.values():
                yield f"{word} {tag}", (level,)


def _word_level(word: str, part_of_speech: str) -> float:
    found: list[tuple[float]] | None = _levels().get(f"{word} {_TAGS.get(part_of_speech)}") or _levels().get(word)
    return found[0][0] if found else 0.0
