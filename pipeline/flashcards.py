"""Stage 12: a card for each chosen term; the fields are those of design.md section 6.

A meaning is looked up or mined, never made up, and its source is named: WordNet's sense for this document, two where
the choice is close; else what the document says the term is; else the gloss of its head noun ("chain: ..."); else
none. Levels of phrases are those of their hardest word, and say that they are estimated.

Roles: `topic` names a group of terms, `concept` belongs to one, `detail` stands alone; what is no noun is an `action`,
a `property` or a `connector`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import definitions, examples, vietnamese
from pipeline.abbreviations import abbreviations
from pipeline.candidates import KINDS, LINKING
from pipeline.cefr import LEVELS, level
from pipeline.context import Sentence
from pipeline.dense import Dense, open_vectors, unit
from pipeline.english import CLOSED_CLASSES, zipf
from pipeline.graph import Topic
from pipeline.pronunciation import american, british
from pipeline.senses import Choice, Senses
from pipeline.terms import Scored, Term, in_subject, speaks_of
from pipeline.tokens import Tokens
from pipeline.wordnet import ADJECTIVE, ADVERB, NOUN, PARTS_OF_SPEECH, SOURCE, VERB, Synset, open_wordnet

HEAD_NOUN = "head noun"

_CLOSE = 0.8  # a second sense that is so much as likely as the first stands beside it
_SYNONYMS, _RELATED = 5, 6
_PART = 4  # letters of each of the two words that a compound is made of
_BANDS = ((5.0, "very common"), (4.0, "common"), (3.0, "less common"), (-1.0, "rare"))  # from this Zipf value on
_ROLES = {VERB: "action", ADJECTIVE: "property", ADVERB: "property"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """`synset` is the term's own, None where WordNet lacks it; `fit`: as in Choice."""

    text: str | None
    source: str | None
    synset: Synset | None
    fit: dict[int, float]


@dataclass(frozen=True, slots=True)
class Material:
    """What cards are made from: the document, read, and the operator's dictionary."""

    sentences: Sequence[Sentence]
    tokens: Tokens
    dense: Dense
    title: str
    dictionary: Path | None = None


def make_cards(
    chosen: Sequence[Scored], topics: Sequence[Topic], material: Material, on_progress: Callable[[float], None]
) -> list[dict[str, Any]]:
    """One card for each term, in the same order."""
    best = max((entry.score for entry in chosen), default=1.0) or 1.0
    senses = Senses(material.tokens, material.dense)
    used: Counter[int] = Counter()
    marks = examples.Marks.of(material.tokens)
    long_forms = abbreviations(material.sentences)
    places = {
        member: (number, rank) for number, topic in enumerate(topics) for rank, member in enumerate(topic.members)
    }
    cards = []
    for number, entry in enumerate(chosen):
        cluster, rank = places[number]
        card = _card(entry, _meaning(entry.term, senses, material, long_forms), material, marks, used)
        members = [chosen[member].term.text for member in topics[cluster].members]
        card |= {"importance_score": round(entry.score / best, 4)}
        card |= {"cluster_id": cluster, "cluster_name": members[0], "cluster_rank": rank + 1}
        card["semantic_role"] = _role(entry.term, rank, len(members))
        if not card["related_words"]:
            card["related_words"] = [text for text in members if text != entry.term.text][:_RELATED]
        cards.append(card)
        on_progress((number + 1) / len(chosen))
    if material.dictionary:
        found = vietnamese.look_up(material.dictionary, {form for entry in chosen for form in _forms(entry.term)})
        for card, entry in zip(cards, chosen, strict=True):
            card["meaning_vi"] = next((found[form] for form in _forms(entry.term) if form in found), None)
    return cards


def _card(
    entry: Scored, meaning: Meaning, material: Material, marks: examples.Marks, used: Counter[int]
) -> dict[str, Any]:
    term, candidate = entry.term, entry.term.candidate
    number = examples.choose(term, material.sentences, marks, used, meaning.fit)
    used[number] += 1
    pattern = examples.pattern_of(term.text)
    example = examples.shown(material.sentences[number].text, pattern)
    sense = meaning.synset.key if meaning.synset else ""
    identity = "|".join([" ".join(candidate.key), candidate.part_of_speech, sense])
    ipa = american(term.text, candidate.part_of_speech)
    rarest = min((zipf(word) for word in candidate.key if word not in CLOSED_CLASSES), default=6.0)
    cefr = level(candidate.key, candidate.part_of_speech)
    return {
        "id": hashlib.sha256(identity.encode()).hexdigest()[:16],
        "word": term.text,
        "word_type": candidate.type,
        "part_of_speech": candidate.part_of_speech,
        "meaning": meaning.text,
        "definition_source": meaning.source,
        "synonyms": _synonyms(entry, meaning.synset),
        "related_words": _related(meaning.synset, term),
        "example": example,
        "example_page": material.sentences[number].page,
        "example_source": material.title,
        "cloze": pattern.sub(lambda match: "{{c1::" + match[0] + "}}", example),
        "ipa": ipa,
        "ipa_us": ipa,
        "ipa_uk": british(term.text, candidate.part_of_speech),
        "cefr": cefr,
        "cefr_estimated": cefr is not None and len(candidate.key) > 1,
        "frequency": next(band for least, band in _BANDS if rarest >= least),
        "occurrences": candidate.frequency,
        "difficulty": _difficulty(cefr, rarest),
        "tags": list(
            filter(None, [candidate.type, candidate.part_of_speech, meaning.synset and meaning.synset.topic, cefr])
        ),
    }


# Meanings -------------------------------------------------------------------------------------------------------------


def _meaning(term: Term, senses: Senses, material: Material, long_forms: Mapping[str, str]) -> Meaning:
    candidate, text = term.candidate, term.text
    if candidate.kind == KINDS[LINKING]:
        own = definitions.LINKING.get(text.lower())
        return Meaning(own, definitions.OWN if own else None, None, {})
    # What the document calls "AD" is not WordNet's "ad".
    stands_for = long_forms.get(text)
    entry = (stands_for.lower(), NOUN) if stands_for else _entry(term, material.tokens)
    if entry and open_wordnet().has(*entry):
        choice = _choose(senses, *entry, term, material.tokens)
        label = f"{stands_for}: " if stands_for else "" if entry[1] == candidate.part_of_speech else f"({entry[1]}) "
        return Meaning(label + _glosses(choice), SOURCE, choice.senses[0][0], choice.fit)
    mined = stands_for or definitions.mine(candidate.places, material.sentences) or _spelled_out(text, long_forms)
    if mined:
        return Meaning(mined, definitions.MINED, None, {})
    # "JavaScript" is no kind of script.
    head = _head(candidate.key) if text.islower() or len(candidate.key) > 1 else None
    if head is None:
        return Meaning(None, None, None, {})
    choice = _choose(senses, head, NOUN, term, material.tokens)
    return Meaning(f"{head}: {choice.senses[0][0].gloss}", HEAD_NOUN, None, {})


def _choose(senses: Senses, lemma: str, part_of_speech: str, term: Term, tokens: Tokens) -> Choice:
    """The term's senses without those of subjects that the document does not speak of, if any are left."""
    choice = senses.choose(lemma, part_of_speech, term.candidate.places, term.is_name)
    likely = tuple(entry for entry in choice.senses if speaks_of(entry[0], tokens))
    return replace(choice, senses=likely) if likely else choice


def _spelled_out(text: str, long_forms: Mapping[str, str]) -> str | None:
    """A phrase with what its abbreviations stand for: "AOA sensor" is an "angle of attack sensor"."""
    spelled = " ".join(long_forms.get(word, word) for word in text.split(" "))
    return None if spelled == text else spelled


def _entry(term: Term, tokens: Tokens) -> tuple[str, str] | None:
    """(lemma, part of speech) that WordNet has the whole term as."""
    candidate, wordnet = term.candidate, open_wordnet()
    forms = dict.fromkeys(
        [candidate.lemma or term.text.lower(), *(joint.join(candidate.key) for joint in (" ", "-", ""))]
    )
    # A word that WordNet lacks as this part of speech it may have as another: "recharge" is a verb only there.
    others = PARTS_OF_SPEECH if len(candidate.key) == 1 else (VERB, ADVERB)
    parts = (candidate.part_of_speech, *others)
    found = ((form, part) for part in parts for form in forms if part in PARTS_OF_SPEECH and wordnet.has(form, part))
    return next((entry for entry in found if in_subject(*entry, tokens)), None)


def _head(key: tuple[str, ...]) -> str | None:
    """The longest end of the phrase, or of what stands before its "of", that WordNet has as a noun; of a word, the
    second of the two that it is made of ("flightcrew")."""
    has, front = open_wordnet().has, key[: key.index("of")] if "of" in key else key
    words = [part for word in front for part in word.split("-")] if len(front) == 1 else list(front)
    ends = [" ".join(words[begin:]) for begin in range(1 if front == key else 0, len(words))]
    if len(words) == 1:
        cuts = [(words[0][:cut], words[0][cut:]) for cut in range(_PART, len(words[0]) - _PART + 1)]
        ends += [second for first, second in cuts if has(first, NOUN)]
    return next((end for end in ends if has(end, NOUN)), None)


def _glosses(choice: Choice) -> str:
    (first, chance), *others = choice.senses
    if others and others[0][1] >= _CLOSE * chance:
        return f"1. {first.gloss}; 2. {others[0][0].gloss}"
    return first.gloss


# The other fields -----------------------------------------------------------------------------------------------------


def _forms(term: Term) -> list[str]:
    """What the term is looked up as in a dictionary."""
    return list(dict.fromkeys([term.text.lower(), " ".join(term.candidate.key)]))


def _synonyms(entry: Scored, synset: Synset | None) -> list[dict[str, Any]]:
    """The document's own first; similarity is the cosine of their vectors, 0 to 1, None where a word has none."""
    own = {entry.term.text.lower(), entry.term.candidate.lemma, " ".join(entry.term.candidate.key)}
    words = [*entry.variants, *(synset.lemmas if synset else ())]
    found = [word for word in dict.fromkeys(words) if word.lower() not in own][:_SYNONYMS]
    return [{"word": word, "similarity": _similarity(entry.term.text, word)} for word in found]


def _similarity(one: str, other: str) -> float | None:
    words = (text.lower().replace("-", " ").split() for text in (one, other))
    vectors = [open_vectors().table(each).sum(0, keepdims=True) for each in words]
    if not all(vector.any() for vector in vectors):
        return None
    a, b = map(unit, vectors)
    return round(float(np.clip(a[0] @ b[0], 0.0, 1.0)), 2)


def _related(synset: Synset | None, term: Term) -> list[str]:
    """Of WordNet: what it is a kind of, words derived from it, adjectives like it, kinds of it."""
    if synset is None:
        return []
    found = [
        open_wordnet().synset(offset, part).lemmas[0]
        for wanted in ("@", "+", "&", "~")
        for sign, offset, part in synset.relations
        if sign == wanted
    ]
    own = {term.text.lower(), term.candidate.lemma, *synset.lemmas}
    return [word for word in dict.fromkeys(found) if word not in own][:_RELATED]


def _role(term: Term, rank: int, members: int) -> str:
    candidate = term.candidate
    if candidate.kind == KINDS[LINKING]:
        return "connector"
    if candidate.part_of_speech in _ROLES:
        return _ROLES[candidate.part_of_speech]
    if members == 1:
        return "detail"
    return "concept" if rank else "topic"


def _difficulty(cefr: str | None, rarest: float) -> str:
    """`easy`, `medium` or `hard`: the mean of the level, A1 to C2, and the rarity of the rarest word, Zipf 6 to 2."""
    rarity = min(max((6.0 - rarest) / 4.0, 0.0), 1.0)
    value = rarity if cefr is None else (rarity + LEVELS.index(cefr) / (len(LEVELS) - 1)) / 2
    return "easy" if value < 0.34 else "medium" if value < 0.67 else "hard"
