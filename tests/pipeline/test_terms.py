"""Stages 4 to 9 on texts whose terms can be told by hand."""

import pytest

from pipeline.context import find_sentences
from pipeline.ingestion import Document, Line
from pipeline.merge import Term, merge
from pipeline.phrases import find_phrases
from pipeline.scoring import choose, score
from pipeline.words import find_words


def terms(text: str, known: tuple[str, ...] = ()) -> list[Term]:
    sentences = find_sentences(Document([Line(1, text)], pages=1, words=0, furniture=0))
    candidates = [*find_phrases(sentences, print).values(), *find_words(sentences, print).values()]
    return merge(candidates, sentences, known)[0]


def phrases(text: str) -> set[str]:
    return {term.text for term in terms(text) if term.candidate.type == "phrase"}


def words(text: str) -> set[str]:
    return {term.text for term in terms(text) if term.candidate.type == "word"}


def test_noun_phrases_are_found_without_determiner() -> None:
    assert phrases("The old pumping station supplies a combined sewer.") >= {"pumping station", "combined sewer"}


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
    assert phrases(text) == set()


def test_singular_and_plural_are_one_term_in_a_form_of_the_document() -> None:
    found = terms("A storm drain is small. Two storm drains were full. Storm drains can overflow.")
    drains = [term for term in found if term.candidate.key == ("storm", "drain")]
    assert [(term.text, term.candidate.frequency) for term in drains] == [("storm drain", 3)]
    only_plural = [term.text for term in terms("The storm drains were full of leaves.")]
    assert "storm drains" in only_plural
    assert "storm drain" not in only_plural


def test_of_phrases_need_wordnet_or_repetition() -> None:
    assert "rule of law" in phrases("The rule of law protects everybody.")
    assert "lake of tea" not in phrases("She dreamt about a lake of tea.")


def test_names_of_people_and_places_are_left_out() -> None:
    found = phrases("Yesterday Yekaterina Lushpina met Steve Grant in New York near the resource center.")
    assert found == {"resource center"}


def test_a_name_that_qualifies_a_common_noun_stays() -> None:
    assert "Bayesian network" in phrases("We train a Bayesian network, and the Bayesian network learns.")


def test_abbreviations_keep_their_capitals() -> None:
    assert "AOA sensor" in phrases("A faulty AOA sensor was found because the AOA sensor failed.")


def test_labels_in_capitals_and_code_give_no_terms() -> None:
    assert phrases("DEPARTMENT NAME SALARY CODE") == set()
    assert phrases("mov edi, ebx(748) // load activation record; mov esi, 3 // (*) store") == set()


def test_words_are_rare_in_english_and_in_wordnet() -> None:
    found = words("The aquifer is a good thing to have, said the hydroblorg.")
    assert found == {"aquifer"}


def test_a_word_is_the_part_of_speech_that_it_is_used_as() -> None:
    (docket,) = (term for term in terms("The docket was full.") if term.text == "docket")
    assert docket.candidate.part_of_speech == "noun"
    (mitigate,) = (term for term in terms("Trees can mitigate the heat.") if term.text == "mitigate")
    assert mitigate.candidate.part_of_speech == "verb"


def test_known_words_are_left_out_in_every_form_and_counted() -> None:
    sentences = find_sentences(Document([Line(1, "The aquifers feed a storm drain.")], pages=1, words=0, furniture=0))
    candidates = [*find_phrases(sentences, print).values(), *find_words(sentences, print).values()]
    kept, left_out = merge(candidates, sentences, ["Aquifer", "storm drains"])
    assert not {"aquifers", "aquifer", "storm drain"} & {term.text for term in kept}
    assert left_out == 2


def test_what_is_frequent_here_and_rare_in_english_comes_first() -> None:
    text = "The aquifer holds water. An aquifer is deep. This aquifer is old. People drink tea in a nice garden."
    sentences = find_sentences(Document([Line(1, text)], pages=1, words=0, furniture=0))
    ranked = score(terms(text), sentences)
    assert ranked[0].term.text == "aquifer"


def test_no_more_are_chosen_than_asked_for() -> None:
    text = "The aquifer feeds a storm drain, a combined sewer and a pumping station with turbid sewage."
    sentences = find_sentences(Document([Line(1, text)], pages=1, words=0, furniture=0))
    chosen = choose(score(terms(text), sentences), max_phrases=2, max_words=1)
    assert sorted(entry.term.candidate.type for entry in chosen) == ["phrase", "phrase", "word"]
    assert choose(score(terms(text), sentences), max_phrases=0, max_words=0) == []
