"""Stage 8: phrases and words into one table, without what is no vocabulary.

Puts variants together ("decision-making" and "decision making"), and leaves out names of people and places, what the
learner knows already, and what is easier than he wants. It ranks nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.candidates import LINKING, SINGLE_WORD, Candidates, together
from pipeline.cefr import level
from pipeline.english import CLOSED_CLASSES, base_form, is_common_word
from pipeline.tokens import CAPITAL, SMALL, Flags, Tokens
from pipeline.wordnet import NOUN, VERB, open_wordnet


@dataclass(frozen=True, slots=True)
class Merged:
    """`names`: of each candidate, whether it is written with capitals, so the name of a thing. The numbers are those
    left out: `joined` to a variant, `known` to the learner, `easy` for him, `named` after people and places."""

    candidates: Candidates
    names: Flags
    joined: int
    known: int
    easy: int
    named: int


def merge(
    tokens: Tokens,
    parts: Sequence[Candidates],
    known_words: Iterable[str] = (),
    min_cefr: str | None = None,
    bare: bool = False,
) -> Merged:
    """All candidates in one table. `min_cefr`: A1 to C2; what is easier is left out, what has no level stays. `bare`:
    nothing but put into one table, for the bench."""
    found = together(parts)
    if bare:
        return Merged(found, np.zeros(len(found), bool), 0, 0, 0, 0)
    candidates = _variants(found)
    joined = len(found) - len(candidates)
    candidates, known = _without_known(candidates, known_words)
    candidates, easy = _without_easy(candidates, min_cefr)
    names, people = _names(tokens, candidates)
    return Merged(candidates.only(~people), names[~people], joined, known, easy, int(people.sum()))


def _without_known(candidates: Candidates, known_words: Iterable[str]) -> tuple[Candidates, int]:
    phrases = [word.lower().replace("-", " ").split() for word in known_words]
    known = {tuple(base_form(word, part) for word in phrase) for phrase in phrases for part in (NOUN, VERB)}
    known |= {(base_form(phrase[0], VERB), *phrase[1:]) for phrase in phrases if phrase}
    if not known:
        return candidates, 0
    loose = (tuple(word for part in key for word in part.split("-")) for key in candidates.keys)
    kept = np.fromiter((key not in known for key in loose), bool, len(candidates))
    return candidates.only(kept), int((~kept).sum())


def _without_easy(candidates: Candidates, min_cefr: str | None) -> tuple[Candidates, int]:
    if min_cefr is None:
        return candidates, 0
    levels = map(level, candidates.keys, candidates.parts)
    kept = np.fromiter((found is None or found >= min_cefr for found in levels), bool, len(candidates))
    return candidates.only(kept), int((~kept).sum())


def _variants(candidates: Candidates) -> Candidates:
    """Those that differ in hyphens only put together under the first of them."""
    first: dict[tuple[str, ...], int] = {}
    owners = np.arange(len(candidates))
    hyphened = {
        tuple(word for part in key for word in part.split("-")) for key in candidates.keys if "-" in "".join(key)
    }
    for number, key in enumerate(candidates.keys) if hyphened else ():
        loose = tuple(word for part in key for word in part.split("-")) if "-" in "".join(key) else key
        if loose in hyphened and candidates.parts[number] == NOUN:
            owners[number] = first.setdefault(loose, number)
    return candidates.regrouped(owners)


# Names ----------------------------------------------------------------------------------------------------------------


def _names(tokens: Tokens, candidates: Candidates) -> tuple[Flags, Flags]:
    """Of each candidate: whether it is the name of a thing, and whether of a person, a place and what is called so."""
    # A capital says something within a sentence only.
    inside = ~tokens.headings[tokens.sentence]
    inside[tokens.starts[:-1][np.diff(tokens.starts) > 0]] = False
    habit = _capitals_are_habit(tokens, inside)
    small = np.zeros(len(tokens.words), bool)
    small[tokens.ids[tokens.case == SMALL]] = True
    names, people = np.zeros(len(candidates), bool), np.zeros(len(candidates), bool)
    capital = tokens.case == CAPITAL
    sums = np.concatenate([[0], np.cumsum(capital)])
    count = sums[candidates.after] - sums[candidates.at]
    weight = np.where(inside[candidates.at], 1.0, 0.01)  # where it only ever opens sentences, that is all there is
    total = np.add.reduceat(weight, candidates.bounds[:-1]) if len(candidates) else weight
    written = np.add.reduceat(weight * (count > 0), candidates.bounds[:-1]) if len(candidates) else weight
    only_opens = total < 1
    for number in np.flatnonzero((written > 0.5 * total) & (candidates.kinds != LINKING)).tolist():
        at, after = _typical(candidates, number, inside)
        capitals = [place for place in range(at, after) if capital[place]]
        if only_opens[number] and all(is_common_word(tokens.words[tokens.ids[place]]) for place in capitals):
            continue
        names[number], people[number] = _judge(tokens, candidates, number, capitals, after - 1, habit, small)
    return names, people


def _typical(candidates: Candidates, number: int, inside: Flags) -> tuple[int, int]:
    begin, end = candidates.bounds[number], candidates.bounds[number + 1]
    which = next((place for place in range(begin, min(end, begin + 20)) if inside[candidates.at[place]]), begin)
    return int(candidates.at[which]), int(candidates.after[which])


def _judge(
    tokens: Tokens, candidates: Candidates, number: int, capitals: list[int], last: int, habit: bool, small: Flags
) -> tuple[bool, bool]:
    lemma, part = candidates.lemmas[number], candidates.parts[number]
    if lemma:
        wordnet = open_wordnet()
        synsets = [wordnet.synset(offset, part) for offset in wordnet.senses(lemma, part)]
        if any(lemma in synset.lemmas for synset in synsets):
            always = not any(small[tokens.ids[place]] for place in capitals)
            # "United" is an adjective only within names here; "Congress" is first of all that one, in WordNet too.
            piece = always and part != NOUN and bool(candidates.kinds[number] == SINGLE_WORD)
            return always and lemma not in synsets[0].lemmas, piece
        return (True, False) if synsets and not synsets[0].is_instance else (False, bool(synsets))
    ids = tokens.ids
    unknown = [place for place in capitals if not small[ids[place]] and not is_common_word(tokens.words[ids[place]])]
    if unknown and (habit or last in capitals):
        return False, True  # a person, or a thing called after one; but "Bayesian network" stays
    return not habit and len(unknown) < len(capitals), False


def _capitals_are_habit(tokens: Tokens, inside: Flags) -> bool:
    """Whether the document writes common nouns with capitals, as the Constitution of the United States does."""
    common = inside & tokens.of_words(
        lambda word: len(word) > 3 and word not in CLOSED_CLASSES and is_common_word(word)
    )
    return bool(np.count_nonzero(common & (tokens.case == CAPITAL)) > 0.2 * np.count_nonzero(common))
