"""Stage 8: phrases and words into one table, without what is no vocabulary.

Puts variants together ("decision-making" and "decision making"), and leaves out names of people and places, what the
learner knows already, and what is easier than he wants. It ranks nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.cefr import LEVELS, level
from pipeline.english import CLOSED_CLASSES, base_form, is_common_word
from pipeline.phrases import LINKING, SINGLE_WORD, Candidates
from pipeline.tokens import CAPITAL, SMALL, Flags, Tokens
from pipeline.wordnet import NOUN, open_wordnet


@dataclass(frozen=True, slots=True)
class Merged:
    """`names`: of each candidate, whether it is written with capitals, so the name of a thing. The numbers are those
    left out: `known` to the learner, `easy` for him, `named` after people and places."""

    candidates: Candidates
    names: Flags
    known: int
    easy: int
    named: int


def merge(
    tokens: Tokens, parts: Sequence[Candidates], known_words: Iterable[str] = (), min_cefr: str | None = None
) -> Merged:
    """All candidates in one table. `min_cefr`: A1 to C2; what is easier is left out, what has no level stays."""
    candidates = _variants(_together(parts))
    known = {_loose(word.lower().split()) for word in known_words}
    is_known = np.fromiter((_loose(key) in known for key in candidates.keys), bool, len(candidates)) if known else np.zeros(len(candidates), bool)
    candidates = candidates.only(~is_known)
    is_easy = np.zeros(len(candidates), bool)
    if min_cefr:
        least = LEVELS.index(min_cefr)
        levels = (level(key, part) for key, part in zip(candidates.keys, candidates.parts, strict=True))
        is_easy = np.fromiter((found is not None and LEVELS.index(found) < least for found in levels), bool, len(candidates))
        candidates = candidates.only(~is_easy)
    names, people = _names(tokens, candidates)
    return Merged(candidates.only(~people), names[~people], int(is_known.sum()), int(is_easy.sum()), int(people.sum()))


def _together(parts: Sequence[Candidates]) -> Candidates:
    starts = np.cumsum([0, *(part.bounds[-1] for part in parts)])
    return Candidates(
        np.concatenate([part.kinds for part in parts]),
        [key for part in parts for key in part.keys],
        [lemma for part in parts for lemma in part.lemmas],
        [speech for part in parts for speech in part.parts],
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.after for part in parts]),
        np.concatenate([part.alone for part in parts]),
        np.concatenate([[0], *(part.bounds[1:] + start for part, start in zip(parts, starts, strict=False))]),
    )


def _loose(key: Sequence[str]) -> tuple[str, ...]:
    return tuple(base_form(word, NOUN) for part in key for word in part.split("-"))


def _variants(candidates: Candidates) -> Candidates:
    """Variants put together under the first of them."""
    hyphened = {"".join(word.split("-")) for key in candidates.keys for word in key if "-" in word}
    if not hyphened:
        return candidates
    first: dict[tuple[str, ...], int] = {}
    owners = np.arange(len(candidates))
    for number, key in enumerate(candidates.keys):
        if candidates.kinds[number] != LINKING and (any("-" in word for word in key) or "".join(key) in hyphened or len(key) > 1):
            owners[number] = first.setdefault(tuple(word for part in key for word in part.split("-")), number)
    kept = owners == np.arange(len(candidates))
    if kept.all():
        return candidates
    numbers = np.cumsum(kept) - 1
    mine = numbers[owners][candidates.owners]
    order = np.lexsort((candidates.at, mine))
    lemmas = list(candidates.lemmas)
    for number in np.flatnonzero(~kept).tolist():
        lemmas[owners[number]] = lemmas[owners[number]] or lemmas[number]
    whole = replace(
        candidates.only(np.ones(len(candidates), bool)),
        at=candidates.at[order],
        after=candidates.after[order],
        alone=candidates.alone[order],
    )
    rows = np.flatnonzero(kept)
    return replace(
        whole,
        kinds=whole.kinds[kept],
        keys=[whole.keys[row] for row in rows],
        lemmas=[lemmas[row] for row in rows],
        parts=[whole.parts[row] for row in rows],
        ids=whole.ids[kept],
        bounds=np.concatenate([[0], np.cumsum(np.bincount(mine, minlength=len(rows)))]),
    )


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
        if only_opens[number] and capitals == [at] and is_common_word(tokens.words[tokens.ids[at]]):
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
            return False, False
        return (True, False) if synsets and not synsets[0].is_instance else (False, bool(synsets))
    ids = tokens.ids
    unknown = [place for place in capitals if not small[ids[place]] and not is_common_word(tokens.words[ids[place]])]
    if unknown and (habit or last in capitals):
        return False, True  # a person, or a thing called after one; but "Bayesian network" stays
    return not habit and len(unknown) < len(capitals), False


def _capitals_are_habit(tokens: Tokens, inside: Flags) -> bool:
    """Whether the document writes common nouns with capitals, as the Constitution of the United States does."""
    common = inside & tokens.of_words(lambda word: len(word) > 3 and word not in CLOSED_CLASSES and is_common_word(word))
    return bool(np.count_nonzero(common & (tokens.case == CAPITAL)) > 0.2 * np.count_nonzero(common))
