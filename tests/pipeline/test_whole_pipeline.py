"""The pipeline as its callers see it: result, cards, progress, options, errors, the same bytes each time."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import BadDocument, CompletePipeline12Stages
from tests.pipeline.pdf_pages import make_pdf

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "samples" / "how-a-city-drinks.pdf"


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return CompletePipeline12Stages().process_file(SAMPLE, "job-1", "how-a-city-drinks.pdf")


@pytest.fixture(scope="module")
def sample_text() -> str:
    return (ROOT / "samples" / "how-a-city-drinks.txt").read_text("utf-8")


def flat(text: str) -> str:
    return " ".join(text.split()).lower()


def test_the_result_has_the_fields_of_the_design(result: dict[str, Any]) -> None:
    assert set(result) == {
        "document_id", "document_title", "timestamp", "pipeline_version", "stages", "vocabulary", "vocabulary_count",
        "knowledge_graph", "flashcards", "flashcards_count",
    }  # fmt: skip
    assert (result["document_id"], result["document_title"]) == ("job-1", "how-a-city-drinks.pdf")
    assert list(result["stages"]) == [f"stage{number}" for number in range(1, 13)]
    assert all(stage["seconds"] >= 0 for stage in result["stages"].values())
    assert result["vocabulary_count"] == len(result["vocabulary"]) == result["flashcards_count"] == 50


def test_what_was_left_out_is_counted(result: dict[str, Any]) -> None:
    found = {stage["name"]: stage for stage in result["stages"].values()}
    assert found["bm25"]["kept"] + found["bm25"]["left_out"] == found["phrases"]["candidates"]
    merge = found["merge"]
    both = found["bm25"]["kept"] + found["words"]["candidates"]
    assert merge["terms"] == both - merge["variants_joined"] - merge["known"] - merge["easy"] - merge["named"]
    synonyms = found["synonyms"]
    assert synonyms["not_chosen"] + synonyms["collapsed"] + result["vocabulary_count"] == merge["terms"]


def test_the_vocabulary_is_best_first_and_its_terms_are_the_cards(result: dict[str, Any]) -> None:
    scores = [entry["score"] for entry in result["vocabulary"]]
    assert scores == sorted(scores, reverse=True)
    assert [entry["term"] for entry in result["vocabulary"]] == [card["word"] for card in result["flashcards"]]
    assert all(entry["pages"] == sorted(entry["pages"]) and entry["frequency"] > 0 for entry in result["vocabulary"])


def test_every_word_stands_in_the_document_and_in_its_example(result: dict[str, Any], sample_text: str) -> None:
    # The PDF breaks words at its line ends, so its text without blanks and hyphens is compared.
    squeezed = re.sub(r"[\s-]", "", sample_text.lower())
    for card in result["flashcards"]:
        assert re.sub(r"[\s-]", "", card["word"].lower()) in squeezed
        assert flat(card["word"]) in flat(card["example"])
        assert 1 <= card["example_page"] <= result["stages"]["stage1"]["pages"]


def test_a_cloze_hides_every_occurrence_and_restores_to_its_example(result: dict[str, Any]) -> None:
    for card in result["flashcards"]:
        hidden = re.findall(r"\{\{c1::(.*?)\}\}", card["cloze"])
        assert hidden
        assert {form.lower() for form in hidden} == {card["word"].lower()}
        assert re.sub(r"\{\{c1::(.*?)\}\}", r"\1", card["cloze"]) == card["example"]
        rest = re.sub(r"\{\{c1::.*?\}\}", "", card["cloze"]).lower()
        assert not re.search(rf"(?<!\w){re.escape(card['word'].lower())}(?!\w)", rest)


def test_a_meaning_names_its_source_and_what_has_none_says_so(result: dict[str, Any]) -> None:
    for card in result["flashcards"]:
        assert (card["meaning"] is None) == (card["definition_source"] is None)
        if card["word_type"] == "word":
            assert card["definition_source"] == "WordNet 3.0"
    assert sum(1 for card in result["flashcards"] if card["meaning"]) >= 25


def test_most_examples_are_whole_sentences_of_readable_length(result: dict[str, Any]) -> None:
    whole = [
        card["example"] for card in result["flashcards"] if re.match(r"[“\"(]?[A-Z].*[.!?][”\")]?$", card["example"])
    ]
    assert len(whole) >= 45
    readable = [example for example in whole if 6 <= len(example.split()) <= 40]
    assert len(readable) >= 40


def test_card_ids_are_unique_and_survive_a_change_around_the_card(sample_text: str) -> None:
    pipeline = CompletePipeline12Stages()
    before = pipeline.process_document(sample_text, "a", "a.txt")["flashcards"]
    after = pipeline.process_document("A new first sentence stands here. " + sample_text, "b", "b.txt")["flashcards"]
    assert len({card["id"] for card in before}) == len(before)
    ids = {card["word"]: card["id"] for card in before}
    assert len([card for card in after if card["word"] in ids]) >= 45
    assert all(card["id"] == ids[card["word"]] for card in after if card["word"] in ids)


def test_the_options_are_upper_limits(sample_text: str) -> None:
    pipeline = CompletePipeline12Stages()
    small = pipeline.process_document(sample_text, "a", "a.txt", max_phrases=7, max_words=3)
    types = [card["word_type"] for card in small["flashcards"]]
    assert (types.count("phrase"), types.count("word")) == (7, 3)
    none = pipeline.process_document(sample_text, "a", "a.txt", max_phrases=0, max_words=0)
    assert none["flashcards"] == []


def test_known_words_make_no_cards(sample_text: str) -> None:
    result = CompletePipeline12Stages().process_document(
        sample_text, "a", "a.txt", known_words=["Aquifer", "treatment plants"]
    )
    assert not {"aquifer", "treatment plant"} & {card["word"] for card in result["flashcards"]}
    assert result["stages"]["stage8"]["known"] == 2


def test_without_flashcards_there_is_the_vocabulary_only(sample_text: str) -> None:
    result = CompletePipeline12Stages().process_document(sample_text, "a", "a.txt", generate_flashcards=False)
    assert result["flashcards"] == []
    assert result["vocabulary_count"] == 50
    assert "stage12" not in result["stages"]


def test_progress_rises_from_0_over_20_to_90(sample_text: str) -> None:
    seen: list[tuple[str, int]] = []
    CompletePipeline12Stages().process_file(
        SAMPLE, "a", "a", on_progress=lambda stage, percent: seen.append((stage, percent))
    )
    percents = [percent for _, percent in seen]
    assert percents == sorted(percents)
    assert percents[0] == 0
    assert percents[-1] == 90
    assert ("ingestion", 20) in seen
    assert list(dict.fromkeys(stage for stage, _ in seen)) == [
        "ingestion", "headings", "context", "phrases", "dense", "bm25", "words", "merge", "scoring", "synonyms",
        "graph", "flashcards",
    ]  # fmt: skip


def test_pages_of_examples_are_those_of_the_pdf(tmp_path: Path) -> None:
    filler = ["The people of the valley talked about many things all day long."] * 4
    path = tmp_path / "three.pdf"
    path.write_bytes(make_pdf([filler, [*filler, "Deep under the ground lies an aquifer full of water."], filler]))
    cards = CompletePipeline12Stages().process_file(path, "a", "three.pdf")["flashcards"]
    (aquifer,) = (card for card in cards if card["word"] == "aquifer")
    assert aquifer["example_page"] == 2
    assert aquifer["example_source"] == "three.pdf"
    assert aquifer["cloze"] == "Deep under the ground lies an {{c1::aquifer}} full of water."


def test_a_long_document_gives_at_least_forty_cards_and_a_small_result(sample_text: str) -> None:
    result = CompletePipeline12Stages().process_document(sample_text * 6, "a", "a.txt")
    assert result["flashcards_count"] >= 40
    assert len(json.dumps(result)) < 300_000


def test_bad_documents_raise_bad_document_from_both_entrances(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(BadDocument, match="empty"):
        CompletePipeline12Stages().process_file(tmp_path / "empty", "a", "a")
    with pytest.raises(BadDocument, match="only 2 words"):
        CompletePipeline12Stages().process_document("Two words.", "a", "a")


def test_halves_of_characters_do_not_reach_the_result(sample_text: str) -> None:
    result = CompletePipeline12Stages().process_document(sample_text.replace(".", "\ud800."), "a", "a")
    assert json.dumps(result, ensure_ascii=False).encode()


def test_a_document_without_sentences_is_told_so() -> None:
    rows = "".join(f"from the {n} {n * 7} {n * 13} {n * 17} {n * 19} 12345\n" for n in range(1000, 1100))
    with pytest.raises(BadDocument, match="no sentences that cards could be made from"):
        CompletePipeline12Stages().process_document(rows, "a", "a")


def test_two_hash_seeds_give_the_same_bytes() -> None:
    def run(seed: str) -> str:
        command = [sys.executable, "-m", "pipeline", str(SAMPLE)]
        output = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        )
        return re.sub(r'"(timestamp|seconds)": [^,\n]+', "", output.stdout)

    assert run("1") == run("2")


def test_the_command_ends_with_the_sentence_of_a_bad_document(tmp_path: Path) -> None:
    (tmp_path / "empty.pdf").write_bytes(b"")
    command = [sys.executable, "-m", "pipeline", str(tmp_path / "empty.pdf")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True)
    assert (ended.returncode, ended.stderr) == (1, "This file is empty (0 bytes). Upload it again.\n")


def test_a_child_with_a_gigabyte_of_address_space_is_enough() -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); import pipeline;"
        "print(pipeline.CompletePipeline12Stages().process_file(sys.argv[1], 'a', 'a')['flashcards_count'])"
    )
    command = [sys.executable, "-c", code, str(SAMPLE)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    assert subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout == b"50\n"
