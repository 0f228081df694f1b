"""How well sentences read: each fault costs something, whatever else is the same."""

import pytest

from pipeline.context import find_sentences
from pipeline.examples import quality
from pipeline.ingestion import read_text

GOOD = "The keeper of the old mill opened the valve in May and shut it in June."


def value(text: str) -> float:
    sentences = find_sentences(read_text(f"{text}\n\n{GOOD}\n\nNobody else lived in the little town by the sea."))
    assert sentences[0].text == text
    return quality(sentences[0])


@pytest.mark.parametrize(
    "worse",
    [
        "If the keeper of the old mill opened the valve in May and shut it in June.",
        "Mills, and the keeper of the old mill opened the valve in May and shut it.",
        "But the keeper of the old mill opened the valve in May and shut it in June.",
        "The keeper of the old mill [shown here] opened the valve in May and shut it.",
        "The keeper of the old mill opened the valve in May and shut it in Report%20Final.",
        "The keeper of the old mill opened the valve in May and shut it in June:",
        "The keeper of the old mill opened the valve in May and shut it in June",
        "The keeper of the old mill opened/shut the valve in May and shut it in June.",
        "The keeper shut the valve.",
        " ".join(["The keeper of the old mill opened the valve in May and shut it in June, and"] * 3) + " slept.",
    ],
)
def test_a_fault_costs_something(worse: str) -> None:
    assert value(worse) < value(GOOD) - 0.4


def test_what_leads_to_a_list_costs_more_than_what_only_has_no_end() -> None:
    assert value(GOOD[:-1] + ":") < value(GOOD[:-1]) - 0.5


def test_a_clause_with_a_main_one_is_a_sentence() -> None:
    assert value("If the keeper of the old mill opened the valve in May, he shut it in June.") > value(GOOD) - 0.5
