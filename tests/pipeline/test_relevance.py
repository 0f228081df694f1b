"""Stages 5 and 6: which sentence says most about a candidate, and which candidates no sentence bears out."""

import math

import numpy as np
import pytest

from pipeline.bm25 import borne_out, relevance
from pipeline.candidates import NOUN_PHRASE
from pipeline.dense import embed, no_vectors, open_vectors
from tests.pipeline.stages import keys, read


def nearness(a: str, b: str) -> float:
    one, two = open_vectors().table([a, b])
    return float(one @ two)


@pytest.mark.parametrize(
    ("word", "near", "far"),
    [("doctor", "physician", "river"), ("buy", "purchase", "sing"), ("sewage", "drainage", "parliament")],
)
def test_words_of_one_field_are_nearer_than_others(word: str, near: str, far: str) -> None:
    assert nearness(word, near) > nearness(word, far) + 0.2


def test_words_without_a_vector_are_near_nothing() -> None:
    assert nearness("hydroblorg", "water") == 0.0


def test_the_sentence_that_says_most_about_a_term_supports_it() -> None:
    text = read(
        "Yesterday Peter told us of the aquifer.",
        "An aquifer is a layer of rock that holds groundwater for wells.",
        "We like the aquifer and the parliament.",
    )
    found = text.words
    to_document, to_sentence, support = embed(text.tokens).support(text.tokens, found)
    number = found.keys.index(("aquifer",))
    assert support[number] == 1
    assert to_sentence[number] > to_sentence[found.keys.index(("parliament",))]
    assert to_document[number] > to_document[found.keys.index(("parliament",))]


def test_without_vectors_the_first_sentence_supports() -> None:
    text = read("The aquifer is old.", "An aquifer is a layer of rock that holds groundwater.")
    support = no_vectors(text.tokens).support(text.tokens, text.words)[2]
    assert support[text.words.keys.index(("aquifer",))] == 0


def test_relevance_is_bm25_of_the_best_sentence_for_each_word() -> None:
    text = read("The storm drain broke.", "A big storm drain cover fell.", "It rained.", "They slept.")
    number = text.phrases.keys.index(("storm", "drain"))
    # Four sentences, both words in two of them; the shorter of the two has 5 tokens, all have 18.
    rarity = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    best = 2.2 / (1 + 1.2 * (0.25 + 0.75 * 5 / (18 / 4)))
    assert relevance(text.tokens, text.phrases)[number] == pytest.approx(rarity * best, rel=1e-5)


def test_phrases_that_stand_in_endless_enumerations_only_are_not_borne_out() -> None:
    good = [f"The {word} drain broke." for word in ("storm", "floor", "roof", "street", "yard", "cellar", "garden")]
    junk = " ".join("The blue chair and the red lamp of the old table" for _ in range(60))
    text = read(*good * 2, junk + ".")
    kept = keys(text.phrases.only(borne_out(text.tokens, text.phrases)), NOUN_PHRASE)
    assert keys(text.phrases, NOUN_PHRASE).keys() - kept.keys() == {"blue chair", "red lamp", "old table"}


def test_nothing_is_borne_out_of_nothing() -> None:
    text = read("It is so.")
    assert np.array_equal(borne_out(text.tokens, text.phrases), np.ones(0, bool))
