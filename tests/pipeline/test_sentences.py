"""Stage 3 finds the sentences a reader would, with the page on which each begins."""

import pytest

from pipeline.context import FRAGMENT, HEADING, SENTENCE, find_sentences
from pipeline.ingestion import Document, Line


def sentences(*lines: str) -> list[str]:
    return [sentence.text for sentence in find_sentences(document(*lines))]


def document(*lines: str) -> Document:
    return Document([Line(1, line) for line in lines], pages=1, words=0, furniture=0)


def test_a_sentence_runs_over_line_ends() -> None:
    assert sentences("The farmers were waiting for the", "rain. It came at last.") == [
        "The farmers were waiting for the rain.",
        "It came at last.",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Smith met Mr. J. R. Brown in the U.S. Senate.",
        "See Fig. 3 and Sec. 4 for details.",
        "It costs 3.50 a piece, e.g. in Hanoi.",
        "Several authors (Brown et al. 2004) disagree.",
    ],
)
def test_abbreviations_initials_and_figures_do_not_end_a_sentence(sentence: str) -> None:
    assert sentences(sentence) == [sentence]


def test_a_note_mark_behind_the_stop_does_not_hide_the_end() -> None:
    assert sentences("Voters are needed to make them valid.18 Elected officials have no incentive.") == [
        "Voters are needed to make them valid.18",
        "Elected officials have no incentive.",
    ]


def test_quotation_marks_stay_with_their_sentence() -> None:
    assert sentences("“It rains.” She ran home.") == ["“It rains.”", "She ran home."]


def test_headings_stand_alone() -> None:
    found = find_sentences(
        document(
            "The Long Way Home",
            "They had walked for many hours through the hills before they saw the light",
            "of the village below them.",
        )
    )
    assert [(sentence.kind, sentence.text[:9]) for sentence in found] == [
        (HEADING, "The Long "),
        (SENTENCE, "They had "),
    ]


def test_list_items_stand_alone_and_lose_their_bullets() -> None:
    found = find_sentences(document("You need:", "• a rope", "• two strong poles"))
    assert [(sentence.kind, sentence.text) for sentence in found[1:]] == [
        (FRAGMENT, "a rope"),
        (FRAGMENT, "two strong poles"),
    ]


def test_rows_of_figures_are_left_out() -> None:
    assert sentences("Rain fell on the hills.", "12.5 13.7 11.0 9.8", "The river rose.") == [
        "Rain fell on the hills.",
        "The river rose.",
    ]


def test_a_sentence_over_a_page_break_has_the_page_where_it_begins() -> None:
    lines = [Line(1, "First it was dry. Then the rain"), Line(2, ""), Line(2, "began to fall. Nobody was ready.")]
    found = find_sentences(Document(lines, pages=2, words=0, furniture=0))
    assert [(sentence.page, sentence.text) for sentence in found] == [
        (1, "First it was dry."),
        (1, "Then the rain began to fall."),
        (2, "Nobody was ready."),
    ]


def test_tokens_stand_where_their_starts_say_and_addresses_stay_whole() -> None:
    (sentence,) = find_sentences(document("Write to a.b@example.org or see https://example.org/x?y=1 today."))
    assert all(
        sentence.text.startswith(token, start) for token, start in zip(sentence.tokens, sentence.starts, strict=True)
    )
    assert "a.b@example.org" in sentence.tokens
    assert "https://example.org/x?y=1" in sentence.tokens
