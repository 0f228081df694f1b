"""Cards as a learner gets them: meanings and their sources, examples, clozes, ids, levels, Vietnamese."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import CompletePipeline12Stages
from pipeline.cefr import LEVELS
from pipeline.senses import Choice
from pipeline.wordnet import open_wordnet

SPRING = """Water in the desert

An aquifer is a body of rock that holds groundwater. Rain feeds the aquifer slowly, and a spring brings its water to
the surface. The village drank from the spring for a hundred years. When the aquifer sank, the spring dried up, and the
people dug a deep well beside it.

A recharge basin is a shallow pond from which river water returns to the ground in wet years. The town pays for each
recharge basin out of its water rates. The recharge basin keeps the aquifer full, in accordance with state law, and a
spring that had died flows again. Wet years carry out most of the work. Pumping costs rise when the aquifer falls, and
farmers pay the
pumping costs themselves. Nobody likes pumping costs.
"""
METAL = """Springs in machines

A spring is made of steel wire wound into a coil. When the spring is compressed it stores elastic energy, and when the
load is removed the spring returns to its shape. A mattress rests on many a spring, and a clock is driven by a spring
that unwinds. Engineers test each spring for metal fatigue, because a broken spring stops the machine.
"""


def cards_of(text: str, **options: Any) -> dict[str, dict[str, Any]]:
    dictionary = options.pop("vi_dictionary", None)
    pipeline = CompletePipeline12Stages(vi_dictionary=dictionary)
    cards = pipeline.process_document(text, "id", "the-title.txt", 60, 40, **options)["flashcards"]
    return {card["word"]: card for card in cards}


@pytest.fixture(scope="module")
def cards() -> dict[str, dict[str, Any]]:
    return cards_of(SPRING)


def test_every_card_has_every_field_of_the_design(cards: dict[str, dict[str, Any]]) -> None:
    for card in cards.values():
        assert set(card) == {
            "id", "word", "word_type", "part_of_speech", "meaning", "definition_source", "synonyms", "related_words",
            "cluster_id", "cluster_name", "cluster_rank", "semantic_role", "importance_score", "example",
            "example_page", "example_source", "cloze", "ipa", "ipa_us", "ipa_uk", "cefr", "cefr_estimated",
            "frequency", "occurrences", "difficulty", "tags",
        }  # fmt: skip
        assert card["ipa"] == card["ipa_us"]
        assert card["ipa_us"]
        assert card["ipa_uk"]
        assert card["example_source"] == "the-title.txt"


def test_a_word_has_the_sense_of_its_document(cards: dict[str, dict[str, Any]]) -> None:
    assert cards["spring"]["meaning"].startswith("a natural flow of ground water")
    assert cards["spring"]["definition_source"] == "WordNet 3.0"
    metal = cards_of(METAL)["spring"]
    assert metal["meaning"].startswith("a metal elastic device that returns to its shape")
    assert metal["id"] != cards["spring"]["id"]


def test_a_phrase_without_an_entry_has_the_documents_definition(cards: dict[str, dict[str, Any]]) -> None:
    card = cards["recharge basin"]
    assert card["meaning"] == "a shallow pond from which river water returns to the ground in wet years"
    assert card["definition_source"] == "document"


def test_a_phrase_without_entry_and_definition_has_the_gloss_of_its_head_noun(
    cards: dict[str, dict[str, Any]],
) -> None:
    card = cards["pumping costs"]
    assert card["definition_source"] == "head noun"
    assert card["meaning"].startswith("cost: ")


def test_an_abbreviation_means_what_the_document_writes_out_and_so_do_phrases_with_it() -> None:
    found = cards_of(
        "The Office of Special Tests (OST) is small. The OST has a chief. Nurses like it, and keep the OST score."
        " A low OST score is rare. They sent the OST score home when the OST was shut."
    )
    assert (found["OST"]["meaning"], found["OST"]["definition_source"]) == ("Office of Special Tests", "document")
    assert found["OST score"]["meaning"] == "Office of Special Tests score"
    assert found["OST score"]["definition_source"] == "document"


def test_an_abbreviation_has_the_entry_of_its_long_form_and_not_of_another_word() -> None:
    text = "They have magnetic resonance imaging (MRI). An MRI is loud. The MRI was paid for. Each MRI takes an hour. "
    words = CompletePipeline12Stages().process_document(text * 2, "id", "title", 0, 40)["flashcards"]
    card = next(card for card in words if card["word"] == "MRI")
    assert card["meaning"].startswith("magnetic resonance imaging: the use of nuclear magnetic resonance")
    assert card["definition_source"] == "WordNet 3.0"


def test_a_compound_that_no_dictionary_has_has_the_gloss_of_its_second_word() -> None:
    found = cards_of("The flightcrew slept. Each flightcrew was tired, and the pilot told the flightcrew to wait. " * 2)
    assert found["flightcrew"]["meaning"].startswith("crew: ")
    assert found["flightcrew"]["definition_source"] == "head noun"


def test_a_name_has_no_gloss_of_its_second_word() -> None:
    found = cards_of("Much JavaScript is in it. Old JavaScript is slow, and JavaScript was made in a week. " * 2)
    assert found["JavaScript"]["meaning"] is None


def test_a_sense_of_a_subject_that_the_document_does_not_speak_of_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(*_: Any) -> Choice:  # the likeliest: "(psychology) the performance of some composite cognitive activity"
        synsets = [open_wordnet().synset(offset, "noun") for offset in open_wordnet().senses("process", "noun")]
        likely = sorted(synsets, key=lambda synset: not synset.gloss.startswith("(psychology)"))
        return Choice(tuple((synset, 0.5**rank) for rank, synset in enumerate(likely, 1)), {})

    monkeypatch.setattr("pipeline.senses.Senses.choose", choose)
    text = "The process was slow, and they say that a process is long. They saw the process in the valley. "
    assert cards_of(text)["process"]["meaning"].startswith("a particular course of action")
    assert cards_of(text + "Psychology is old.")["process"]["meaning"].startswith("(psychology)")


def test_an_example_has_the_term_for_itself() -> None:
    piece = "The keeper of the mill by the sea saw the valve spring again in May."
    alone = "The keeper of the mill by the sea saw the valve again in the spring."
    for text in (f"{piece}\n\n{alone}", f"{alone}\n\n{piece}"):
        assert cards_of(text + "\n\nNobody else lived in the little town by the sea.")["valve"]["example"] == alone


def test_a_linking_phrase_has_a_meaning_of_our_own(cards: dict[str, dict[str, Any]]) -> None:
    card = cards["in accordance with"]
    assert (card["meaning"], card["definition_source"]) == ("as a rule, law or wish says", "Docdeck")
    assert card["semantic_role"] == "connector"


def test_no_source_no_meaning() -> None:
    sentence = "A florbix glimmers at night, and the keeper of the lamps feeds his florbix well. "
    card = cards_of(sentence * 4)["florbix"]
    assert (card["meaning"], card["definition_source"], card["synonyms"]) == (None, None, [])


def test_an_example_is_a_whole_sentence_of_the_document_and_its_cloze_restores_it(
    cards: dict[str, dict[str, Any]],
) -> None:
    flat = " ".join(SPRING.split())
    for card in cards.values():
        assert card["example"] in flat
        assert re.fullmatch(r"[A-Z].*\.", card["example"]) or card["word"] in ("desert", "water in the desert")
        assert "{{c1::" in card["cloze"]
        assert re.sub(r"\{\{c1::(.*?)\}\}", r"\1", card["cloze"]) == card["example"]


def test_a_heading_a_caption_and_a_reference_are_examples_only_where_there_is_nothing_else() -> None:
    text = """Reservoir levels

    Figure 3. Reservoir levels in the dry years of the last decade, by month.

    The reservoir levels of the dry years were reported by Smith et al. (2004), pp. 12-19.

    In the third year of the drought the reservoir levels fell below the lowest pipe. Nobody had foreseen that.

    Reservoir levels
    """
    lines = "\n".join(line.strip() for line in text.splitlines())
    card = cards_of(lines)["reservoir levels"]
    assert card["example"] == "In the third year of the drought the reservoir levels fell below the lowest pipe."


def test_ids_stay_when_the_document_is_edited_around_a_card(cards: dict[str, dict[str, Any]]) -> None:
    edited = SPRING.replace("Nobody likes pumping costs.", "Nobody likes the bills.") + "\nThe end came in autumn.\n"
    after = cards_of("A note on the desert stands first.\n\n" + edited)
    both = cards.keys() & after.keys()
    assert {"aquifer", "spring", "recharge basin"} <= both
    assert len(both) >= 20
    assert all(after[word]["id"] == cards[word]["id"] for word in both)


def test_levels_of_phrases_say_that_they_are_estimated(cards: dict[str, dict[str, Any]]) -> None:
    assert cards["pumping costs"]["cefr_estimated"]
    assert cards["rain"]["cefr"] in LEVELS[:2]
    assert not cards["rain"]["cefr_estimated"]
    assert cards["rain"]["difficulty"] == "easy"
    assert cards["aquifer"]["difficulty"] == "hard"
    assert (cards["rain"]["frequency"], cards["aquifer"]["frequency"]) == ("common", "rare")


def test_topics_and_roles_agree_with_each_other(cards: dict[str, dict[str, Any]]) -> None:
    clusters: dict[int, list[dict[str, Any]]] = {}
    for card in cards.values():
        clusters.setdefault(card["cluster_id"], []).append(card)
    for members in clusters.values():
        assert sorted(card["cluster_rank"] for card in members) == list(range(1, len(members) + 1))
        first = next(card for card in members if card["cluster_rank"] == 1)
        assert {card["cluster_name"] for card in members} == {first["word"]}
        roles = {card["semantic_role"] for card in members}
        assert roles <= {"topic", "concept", "detail", "action", "property", "connector"}
        assert "detail" not in roles or len(members) == 1


def test_synonyms_are_those_of_the_sense_with_their_nearness() -> None:
    sentence = "The physician examined the child, and a physician wrote down what he had seen. "
    card = cards_of(sentence * 4)["physician"]
    assert {"doctor", "MD"} <= {synonym["word"] for synonym in card["synonyms"]}
    assert all(synonym["similarity"] is None or 0 <= synonym["similarity"] <= 1 for synonym in card["synonyms"])


def test_vietnamese_comes_from_the_operators_dictionary_only(tmp_path: Path, cards: dict[str, dict[str, Any]]) -> None:
    dictionary = tmp_path / "vi.tsv"
    dictionary.write_text("no tab here\nAquifer\ttầng ngậm nước\nrecharge basin\tbể bổ cập\n", "utf-8")
    found = cards_of(SPRING, vi_dictionary=dictionary)
    assert found["aquifer"]["meaning_vi"] == "tầng ngậm nước"
    assert found["recharge basin"]["meaning_vi"] == "bể bổ cập"
    assert found["spring"]["meaning_vi"] is None
    assert "meaning_vi" not in cards["aquifer"]
