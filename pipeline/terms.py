"""The chosen terms: who gets one of the document's cards, and in which form a term is shown.

What tells most of the document comes first, phrases and words mixed. A learner wants more than that: of the room for
phrases a fifth goes to phrasal verbs, collocations and linking phrases, and what room for words is left behind the
first ten terms goes to those that are rare in general English. These follow the first ten.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipeline.candidates import COLLOCATION, KINDS, LINKING, NOUN_PHRASE, PHRASAL_VERB, PHRASE, SINGLE_WORD, WORD
from pipeline.context import HEADING, SENTENCE, Sentence
from pipeline.definitions import mine
from pipeline.english import GENERIC_ADJECTIVES, is_common_word, word_set, zipf
from pipeline.merge import Merged
from pipeline.scoring import Scores
from pipeline.tokens import Numbers, Tokens
from pipeline.wordnet import NOUN, VERB, Synset, open_wordnet

_FIRST = 10  # terms whose order the ranker alone decides
_OTHERS = {PHRASAL_VERB: 3, COLLOCATION: 3, LINKING: 2}  # of every 40 phrases at most
_RARE, _EVERYDAY = 1.6, 4.3  # Zipf: below stand misprints, above what every advanced learner knows
# Of the phrases behind the first ten so many of three have a meaning of their own, if the document has them: what is
# known elsewhere is met again, but a document's own terms are not to be crowded out by it.
_KNOWN_OF_THREE = 2
_MIXED = 1000  # phrases so
_ASKED = 400  # of these, which the document is asked for if no dictionary has them
_SAME_HEAD = 2  # phrases with one head noun, of those without a meaning
# A phrase counts less there that comes but once, or hardly ever stands by itself, being a piece of a longer one
# ("federal aviation"), or is a name that no dictionary has, or stands in no whole
# sentence that can be read at once.
_ONCE, _PIECE, _ALONE, _LONGEST = 0.5, 0.3, 0.2, 45
_SUBJECT = re.compile(r"\((?:\w+ )*(\w+)\)")  # before a gloss: "(music) the relative duration of a note"
_POINTING = word_set("this that these those such its their his her our your my")  # "run this query" is no collocation
_LOOKED_AT = 300  # occurrences that decide on a form


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
    so the name of a thing; `support`: the sentence that says most about it."""

    text: str
    candidate: Candidate
    is_name: bool
    support: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """A chosen term with its score, 0 to 1, comparable within the document only. `variants`: synonyms that it stands
    for, as they are written in the document."""

    term: Term
    score: float
    variants: tuple[str, ...] = ()


def rank(
    tokens: Tokens, sentences: Sequence[Sentence], merged: Merged, scores: Scores, max_phrases: int, max_words: int
) -> list[Scored]:
    """The best terms first, with some in reserve for those that stage 10 takes away; `limit` then cuts the list."""
    found = merged.candidates
    values = _values(tokens, sentences, merged, scores.scores.astype(np.float64), max_phrases)
    order = np.lexsort((np.arange(len(found)), -values))
    order = order[values[order] > 0]
    is_word = found.kinds[order] == SINGLE_WORD
    pool = [*order[~is_word][: _reserve(max_phrases)].tolist(), *order[is_word][: _reserve(max_words)].tolist()]
    terms = [
        Scored(_term(tokens, sentences, merged, number, int(scores.support[number])), float(values[number]))
        for number in pool
    ]
    return sorted(terms, key=lambda entry: (-entry.score, entry.term.text))


def limit(ranked: Sequence[Scored], max_phrases: int, max_words: int) -> list[Scored]:
    """At most so many of each type, in their order; no term twice in another form, and of two phrases that only come
    one in the other the better."""
    room = {PHRASE: max_phrases, WORD: max_words}
    chosen: list[Scored] = []
    seen = set()
    for entry in ranked:
        candidate, text = entry.term.candidate, entry.term.text.lower()
        if (
            room[candidate.type] > 0
            and text not in seen
            and not any(_always_together(entry, other) for other in chosen)
        ):
            room[candidate.type] -= 1
            seen.add(text)
            chosen.append(entry)
    return chosen


def _always_together(one: Scored, other: Scored) -> bool:
    a, b = one.term.candidate, other.term.candidate
    if a.type == WORD or b.type == WORD or a.frequency != b.frequency:
        return False
    (number, first, last), (other_number, other_first, other_last) = a.places[0], b.places[0]
    return number == other_number and (
        first <= other_first <= other_last <= last or other_first <= first <= last <= other_last
    )


def counts(chosen: Sequence[Scored]) -> dict[str, int]:
    """For the stage's report: how many of each kind."""
    kinds = Counter(entry.term.candidate.kind for entry in chosen)
    return {f"{kind}s".replace(" ", "_"): kinds[kind] for kind in KINDS}


def _reserve(room: int) -> int:
    return room + room // 2 + 5 if room > 0 else 0


def _values(
    tokens: Tokens, sentences: Sequence[Sentence], merged: Merged, scores: NDArray[np.float64], max_phrases: int
) -> NDArray[np.float64]:
    """Of each candidate what it is ranked by; 0: not at all."""
    found = merged.candidates
    single, main = found.kinds == SINGLE_WORD, (found.kinds == SINGLE_WORD) | (found.kinds == NOUN_PHRASE)
    values = np.where(main, scores, 0.0)
    first = np.lexsort((np.arange(len(found)), -values))[:_FIRST]
    level = values[first].min(initial=1.0, where=values[first] > 0)
    behind = main.copy()
    behind[first] = False
    words = np.flatnonzero(behind & single)
    interest = np.array([_interest(merged, number) for number in words.tolist()])
    values[words] *= 0.1
    phrases = np.flatnonzero(behind & ~single)
    worth = _worth(tokens, sentences, merged)
    values[phrases] *= worth[phrases]
    values[phrases] *= min(1.0, 0.99 * level / max(values[phrases].max(initial=0.0), 1e-9))
    best = phrases[np.lexsort((phrases, -values[phrases]))][: max(_MIXED, 3 * max_phrases)]
    values[_mixed(tokens, sentences, merged, best)] = values[best]
    rising = words[interest > 0][np.lexsort((words[interest > 0], -(interest * scores[words])[interest > 0]))]
    values[rising] = level * _falling(len(rising))
    for kind, share in _OTHERS.items():
        these = np.flatnonzero(found.kinds == kind)
        often = _association(tokens, merged, these) if kind == COLLOCATION else np.log1p(found.frequencies[these])
        order = np.lexsort((these, -(often * worth[these])))
        best = these[order[(often[order] > 0) & (worth[these][order] > _PIECE)]][: share * max_phrases // 40]
        values[best] = level * _falling(len(best))
    return values


def _worth(tokens: Tokens, sentences: Sequence[Sentence], merged: Merged) -> NDArray[np.float64]:
    """How much less than its score each candidate counts."""
    found = merged.candidates
    if not len(found):
        return np.ones(0)
    whole = np.array([sentence.kind == SENTENCE for sentence in sentences], bool) & (np.diff(tokens.starts) <= _LONGEST)
    no_example = found.total(whole[tokens.sentence[found.at]]) == 0
    name = merged.names & np.array([lemma is None for lemma in found.lemmas], bool)
    poor = no_example | name | (found.share(found.alone) < _ALONE)
    return np.where(found.frequencies == 1, _ONCE, 1.0) * np.where(poor, _PIECE, 1.0)


def _mixed(tokens: Tokens, sentences: Sequence[Sentence], merged: Merged, phrases: Numbers) -> list[int]:
    """The phrases, which come the best first, with _KNOWN_OF_THREE that WordNet or the document explains to each three;
    of the others those with a new head noun before those that vary one."""
    known: list[int] = []
    others: list[int] = []
    again: list[int] = []
    heads: Counter[str] = Counter()
    for place, number in enumerate(phrases.tolist()):
        if _is_entry(tokens, merged, number) or (place < _ASKED and _is_defined(tokens, sentences, merged, number)):
            known.append(number)
            continue
        key = merged.candidates.keys[number]
        head = key[key.index("of") - 1] if "of" in key else key[-1]
        heads[head] += 1
        (others if heads[head] <= _SAME_HEAD else again).append(number)
    rest, first = iter([*others, *again]), iter(known)
    return [
        number
        for _ in phrases
        for number in (*islice(first, _KNOWN_OF_THREE), *islice(rest, 3 - _KNOWN_OF_THREE))
    ]


def _is_defined(tokens: Tokens, sentences: Sequence[Sentence], merged: Merged, number: int) -> bool:
    return not merged.names[number] and mine(_places(tokens, merged, number), sentences) is not None


def _is_entry(tokens: Tokens, merged: Merged, number: int) -> bool:
    """Whether a dictionary has a phrase for its own sake: no name, and no "large number"."""
    found, lemma = merged.candidates, merged.candidates.lemmas[number]
    if not lemma or merged.names[number] or found.keys[number][0] in GENERIC_ADJECTIVES:
        return False
    return in_subject(lemma, found.parts[number], tokens)


def in_subject(lemma: str, part_of_speech: str, tokens: Tokens) -> bool:
    """Whether a phrase can mean in this document what WordNet says, if that is but one thing."""
    offsets = open_wordnet().senses(lemma, part_of_speech)
    return " " not in lemma or len(offsets) > 1 or speaks_of(open_wordnet().synset(offsets[0], part_of_speech), tokens)


def speaks_of(synset: Synset, tokens: Tokens) -> bool:
    """Whether a document may have a meaning: one that belongs to a subject ("time value": "(music) the relative
    duration ...") needs that subject's name, or a word like it."""
    subject = _SUBJECT.match(synset.gloss)
    if subject is None:
        return True
    begin = subject[1][:5].lower()
    return any(word.startswith(begin) for word in tokens.words)


def _falling(count: int) -> NDArray[np.float64]:
    return 0.99 * np.power(0.9, np.arange(count))


def _interest(merged: Merged, number: int) -> float:
    """How much a single word is worth to an advanced learner, 0 to 1, whatever the document: it has a meaning, and is
    neither everyday English nor so rare that it is not met again."""
    found = merged.candidates
    word, common = found.keys[number][0], zipf(found.keys[number][0])
    if not found.lemmas[number] or merged.names[number] or not _RARE <= common <= _EVERYDAY or len(word) < 4:
        return 0.0
    return 0.5 + 0.5 * (_EVERYDAY - common) / (_EVERYDAY - _RARE) if is_common_word(word) else 0.0


def _association(tokens: Tokens, merged: Merged, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much oftener verb and noun come together than by chance, times how often; more if they are an idiom of
    WordNet's, 0 if there is no saying what the noun means or if they are rather two nouns ("edit code")."""
    found = merged.candidates
    nouns = np.flatnonzero(found.kinds == NOUN_PHRASE)
    as_nouns = dict(zip((found.keys[number] for number in nouns), found.frequencies[nouns].tolist(), strict=True))
    counts = np.bincount(tokens.lemmas, minlength=len(tokens.words))
    free = tokens.of_words(lambda word: word not in _POINTING)
    often = found.total(free[np.minimum(found.at + 1, len(tokens) - 1)])[numbers]
    by_chance = counts[found.ids[numbers, 0]] * counts[found.ids[numbers, 1]] / max(len(tokens), 1)
    has = open_wordnet().has
    keys = [found.keys[number] for number in numbers.tolist()]
    weight = np.array([(1 + 2 * has(" ".join(key), VERB)) * has(key[1], NOUN) for key in keys], np.float64)
    weight *= 2 * np.array([as_nouns.get(key, 0) for key in keys]) < found.frequencies[numbers]
    return weight * often * np.log(np.maximum(often / np.maximum(by_chance, 1e-9), 1.0))


# The form shown -------------------------------------------------------------------------------------------------------


def _term(tokens: Tokens, sentences: Sequence[Sentence], merged: Merged, number: int, support: int) -> Term:
    found, is_name = merged.candidates, bool(merged.names[number])
    kind, places = KINDS[found.kinds[number]], _places(tokens, merged, number)
    candidate = Candidate(
        found.keys[number], WORD if kind == WORD else PHRASE, found.parts[number], found.lemmas[number], places, kind
    )
    return Term(_form_shown(sentences, candidate, is_name), candidate, is_name, support)


def _places(tokens: Tokens, merged: Merged, number: int) -> list[tuple[int, int, int]]:
    """As a Candidate has them."""
    found = merged.candidates
    begin, end = found.bounds[number], found.bounds[number + 1]
    at, after = found.at[begin:end], found.after[begin:end]
    holding = tokens.sentence[at]
    first = at - tokens.starts[holding]
    return list(zip(holding.tolist(), first.tolist(), (first + after - at).tolist(), strict=True))


def _form_shown(sentences: Sequence[Sentence], candidate: Candidate, is_name: bool) -> str:
    """The base form if the document uses it more than by chance, and often enough for a choice of examples, else the
    commonest of the shortest; in small letters but for names and abbreviations."""
    written: Counter[str] = Counter()
    forms: Counter[str] = Counter()
    for number, first, last in candidate.places[:_LOOKED_AT]:
        sentence = sentences[number]
        form = sentence.text[sentence.starts[first] : sentence.starts[last - 1] + len(sentence.tokens[last - 1])]
        forms[form.lower()] += 1
        # What stands within a sentence says most about capitals.
        written[form] += 1 if sentence.kind == HEADING or first == 0 else 1000
    base = " ".join(candidate.key)
    if forms[base] * (10 if forms[base] >= 2 else 5) >= forms.total():
        text = base
    else:  # the shortest first: "took a decision" rather than "took the following decision", and "take" if it is there
        verb = f"{candidate.key[0]} " if candidate.part_of_speech == VERB else ""
        text = max(forms, key=lambda form: (-form.count(" "), form.startswith(verb), forms[form], form))
    spelled = max((form for form in written if form.lower() == text), key=lambda form: (written[form], form))
    if is_name:
        return spelled
    if " " in spelled and spelled.isupper() and all(map(is_common_word, text.split(" "))):
        return text  # "RULE OF LAW" shouts, and holds no abbreviation
    return " ".join(_small(word) for word in spelled.split(" "))


def _small(word: str) -> str:
    """Without the capitals of a heading, but with those of an abbreviation or of a name within a term."""
    low = word.lower()
    if word.isupper() and (len(word) < 4 or not is_common_word(low)):
        return word
    return word if any(map(str.isupper, word)) and not is_common_word(low) else low
