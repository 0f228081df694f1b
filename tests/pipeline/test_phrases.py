"""Stages 4 and 7 on sentences whose phrases and words can be told by hand."""

from itertools import product

import pytest

from pipeline.candidates import COLLOCATION, LINKING, NOUN_PHRASE, PHRASAL_VERB, SINGLE_WORD
from pipeline.tokens import VOCABULARY
from tests.pipeline.stages import keys, read

LETTERS = "bcdfghjklmnpqrstvwxyz"


def phrases(*lines: str) -> dict[str, int]:
    return keys(read(*lines).phrases, NOUN_PHRASE)


def test_noun_phrases_are_runs_of_adjectives_and_nouns_that_end_in_a_noun() -> None:
    assert phrases("The old pumping station supplies a combined sewer.") == {
        "old pumping": 1, "pumping station": 1, "old pumping station": 1, "combined sewer": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "The pilots trim the aircraft before they land it.",
        "They will record changes of every kind soon.",
        "It is very cold and we are happy.",
        "Many of the others were there, too.",
    ],
)
def test_verbs_determiners_and_stop_words_make_no_phrase(text: str) -> None:
    assert keys(read(text).phrases) == {}


def test_singular_and_plural_are_one() -> None:
    assert phrases("A storm drain is small.", "Two storm drains were full.", "He saw storm drains.")["storm drain"] == 3


def test_phrases_end_at_sentences_signs_and_numbers() -> None:
    assert phrases("They saw the station. Pipes broke.", "The city, streets and 15 minute steps were old.") == {}


def test_of_phrases_need_wordnet_or_repetition() -> None:
    assert phrases("The rule of law protects everybody.", "She dreamt about a lake of tea.") == {"rule of law": 1}
    often = ["She dreamt about a lake of tea."] * 3
    assert phrases(*often) == {"lake of tea": 3}


def test_phrasal_verbs_are_those_of_wordnet_in_every_form() -> None:
    text = read("She looked up the word and looks up another.", "They carried out a survey.", "He sat under a tree.")
    assert keys(text.phrases, PHRASAL_VERB) == {"look up": 2, "carry out": 1}


def test_a_preposition_behind_a_passive_makes_no_phrasal_verb() -> None:
    text = read("Payment cannot be made for it.", "It makes for a long day.")
    assert keys(text.phrases, PHRASAL_VERB) == {"make for": 1}


def test_a_plain_verb_with_a_plain_preposition_is_nothing_to_learn() -> None:
    text = read("They went to the river and came with a boat.", "He carried out the plan.", "It depends on them.")
    assert keys(text.phrases, PHRASAL_VERB) == {"carry out": 1, "depend on": 1}


def test_a_word_torn_in_two_is_no_phrase() -> None:
    text = read("The health care here is free.", "By oath or affi rmation.")
    found = keys(text.phrases, NOUN_PHRASE)
    assert "health care" in found
    number = text.phrases.keys.index(("affi", "rmation"))
    assert text.phrases.lemmas[number] is None


def test_collocations_are_verb_and_object_that_come_together_again() -> None:
    text = read("She took the difficult decision.", "He took a decision.", "They took photographs.", "He has it.")
    assert keys(text.phrases, COLLOCATION) == {"take decision": 2}


def test_linking_phrases_are_found_within_a_sentence() -> None:
    text = read("In spite of the rain they won, as a result of luck.", "They looked in.", "Spite of that kind is rare.")
    assert keys(text.phrases, LINKING) == {"in spite of": 1, "as a result": 1, "as a result of": 1}


def test_labels_in_capitals_and_code_give_nothing() -> None:
    text = read("DEPARTMENT NAME SALARY CODE", "mov edi, ebx(748) // load activation record; mov esi, 3 // (*) store")
    assert keys(text.phrases) == keys(text.words) == {}


def test_words_are_counted_by_base_form_and_named_by_what_they_mostly_are() -> None:
    text = read("Trees can mitigate the turbid heat swiftly.", "It mitigated heat.", "A run ended.", "He likes a run.")
    assert keys(text.words, SINGLE_WORD) == {
        "tree": 1, "mitigate": 2, "turbid": 1, "heat": 2, "swiftly": 1, "run": 2, "end": 1,
        "like": 1,
    }  # fmt: skip
    parts = dict(zip(keys(text.words), text.words.parts, strict=True))
    assert parts == {
        "tree": "noun", "mitigate": "verb", "turbid": "adjective", "heat": "noun", "swiftly": "adverb", "run": "noun",
        "end": "verb", "like": "verb",
    }  # fmt: skip


def test_what_wordnet_lacks_is_a_word_from_the_second_time_on() -> None:
    assert keys(read("The hydroblorg is an aquifer.").words) == {"aquifer": 1}
    assert keys(read("The hydroblorg is an aquifer.", "A hydroblorg leaks.").words)["hydroblorg"] == 2


def test_occurrences_say_where_a_phrase_stands_and_whether_it_stands_alone() -> None:
    text = read("The storm drain broke.", "A big storm drain cover fell.")
    number = text.phrases.keys.index(("storm", "drain"))
    begin, end = text.phrases.bounds[number : number + 2]
    assert text.phrases.at[begin:end].tolist() == [1, 7]
    assert text.phrases.after[begin:end].tolist() == [3, 9]
    assert text.phrases.alone[begin:end].tolist() == [True, False]


def test_of_more_different_words_than_there_is_room_for_the_rarest_go_and_are_counted() -> None:
    rare = [f"{'x' * (number % 9)}{word}" for number, word in enumerate(map("".join, product(LETTERS, repeat=4)))]
    lines = (" ".join(rare[begin : begin + 20]) + "." for begin in range(0, VOCABULARY + 100, 20))
    text = read("The aquifer leaks. An aquifer is deep.", *lines)
    assert text.tokens.rare_words > 100
    assert keys(text.words)["aquifer"] == 2
    assert len(text.tokens.words) <= 2 * VOCABULARY
