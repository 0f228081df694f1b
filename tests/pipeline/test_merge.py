"""Stage 8: one table, without variants, names, what is known and what is easy."""

import pytest

from pipeline.cefr import level
from pipeline.wordnet import NOUN, VERB
from tests.pipeline.stages import Text, keys, read


def names(text: Text) -> set[str]:
    return {" ".join(key) for key, name in zip(text.merged.candidates.keys, text.merged.names, strict=True) if name}


def test_all_candidates_are_in_one_table_with_their_places() -> None:
    text = read("The storm drain broke.", "A storm drain was cut.")
    assert keys(text.merged.candidates) == {"storm drain": 2, "storm": 2, "drain": 2, "break": 1, "cut": 1}
    assert text.merged.candidates.at.tolist() == [1, 6, 1, 6, 2, 7, 3, 9]


def test_forms_that_differ_in_hyphens_are_one() -> None:
    text = read("A decision-making process is slow.", "The decision making process was rare.")
    assert keys(text.merged.candidates)["decision-making process"] == 2
    assert "decision making process" not in keys(text.merged.candidates)
    assert text.merged.joined == 1


def test_known_words_are_left_out_in_every_form_and_counted() -> None:
    text = read("The aquifers feed a storm drain.", known=("Aquifer", "storm drains", "Fed"))
    assert keys(text.merged.candidates) == {"storm": 1, "drain": 1}
    assert text.merged.known == 3


def test_what_is_easier_than_wanted_is_left_out_and_counted_and_what_has_no_level_stays() -> None:
    lines = "The ubiquitous hydroblorg drinks water.", "A hydroblorg ameliorates a house."
    everything, found = read(*lines).merged.candidates, read(*lines, min_cefr="B2").merged
    assert {"ubiquitous", "hydroblorg", "ameliorate"} <= keys(found.candidates).keys()
    assert not {"water", "house", "drink"} & keys(found.candidates).keys()
    assert found.easy == len(everything) - len(found.candidates) >= 2


@pytest.mark.parametrize(
    ("term", "part", "expected"),
    [("house", NOUN, "A1"), ("ubiquitous", NOUN, "C2"), ("storm drain", NOUN, "B2"), ("hydroblorg", NOUN, None)],
)
def test_a_phrase_is_as_hard_as_its_hardest_word(term: str, part: str, expected: str | None) -> None:
    assert level(tuple(term.split()), part) == expected
    assert level(("the", *term.split()), NOUN) == level(tuple(term.split()), NOUN)


def test_easy_words_make_no_easy_phrasal_verb() -> None:
    assert level(("set", "up"), VERB) == level(("play", "role"), VERB) == "B1"
    assert level(("mitigate", "flood"), VERB) == "C2"


def test_names_of_people_and_places_are_left_out_and_counted() -> None:
    text = read("Yesterday Yekaterina Lushpina met Steve Grant in New York near the resource center.")
    assert keys(text.merged.candidates).keys() & {"yekaterina lushpina", "steve grant", "new york"} == set()
    assert "resource center" in keys(text.merged.candidates)
    assert text.merged.named >= 3


def test_places_that_wordnet_has_in_the_plural_are_names() -> None:
    assert "united state" not in keys(read("He left the United States in May.").merged.candidates)


def test_a_name_that_qualifies_a_common_noun_stays() -> None:
    text = read("We train a Bayesian network, and the Bayesian network was good.")
    assert keys(text.merged.candidates)["bayesian network"] == 2
    assert "bayesian network" not in names(text)


def test_capitals_at_a_sentence_start_or_in_a_heading_make_no_name() -> None:
    text = read("# The Storm Drain", "Storm drains broke.", "The storm drain leaked again.")
    assert keys(text.merged.candidates)["storm drain"] == 3
    assert names(text) == set()


def test_where_common_nouns_are_written_with_capitals_they_are_no_names() -> None:
    text = read(
        "The Congress shall have Power to lay Taxes and to coin Money for the common Defence.",
        "No Person shall hold an Office of Trust, and every Order and Vote shall be shown to the Senate.",
    )
    assert {"power", "tax", "money", "office", "order", "vote"} <= keys(text.merged.candidates).keys()
    assert not {"power", "tax", "money", "office", "order", "vote"} & names(text)


def test_an_adjective_that_only_stands_in_names_is_no_word() -> None:
    text = read("The law of the United Towns is old.", "They serve the United Towns.", "A united family sings.")
    assert ("united",) in text.merged.candidates.keys
    text = read("The law of the United Towns is old.", "They serve the United Towns.")
    assert ("united",) not in text.merged.candidates.keys


def test_a_word_that_is_a_name_first_and_never_written_small_is_a_name() -> None:
    text = read("The law says that Congress has power.", "They asked Congress for help.")
    assert text.merged.names[text.merged.candidates.keys.index(("congress",))]
    text = read("The law says that Congress has power.", "They met at a congress of nurses.")
    assert not text.merged.names[text.merged.candidates.keys.index(("congress",))]


def test_a_place_is_one_with_a_hyphen_too() -> None:
    text = read("The ship sails for New-York at noon.", "They came to New-York in May.", "It left New-York again.")
    assert not {("new-york",), ("new", "york")} & {*text.merged.candidates.keys}
