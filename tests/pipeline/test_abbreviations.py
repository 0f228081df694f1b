"""What abbreviations stand for, and brackets that only look as if they said so."""

import pytest

from pipeline.abbreviations import abbreviations
from pipeline.context import find_sentences
from pipeline.ingestion import read_text


def found(text: str) -> dict[str, str]:
    filler = "Nobody asked about the weather, and they said little more until late in the evening. " * 3
    return abbreviations(find_sentences(read_text(f"{text}\n\n{filler}")))


@pytest.mark.parametrize(
    ("text", "short", "long"),
    [
        ("The test is part of the Consumer Products Task (CPT) of that year.", "CPT", "Consumer Products Task"),
        ("The angle of attack (or “AOA”) is measured by a vane.", "AOA", "angle of attack"),
        ("It uses SQL (Structured Query Language) to ask for rows.", "SQL", "Structured Query Language"),
        ("It is written as QBE (Query-By-Example) in the menu.", "QBE", "Query-By-Example"),
        ("It reads a double-byte character set (DBCS) as well.", "DBCS", "double-byte character set"),
        ("It runs on low-level intermediate code (LIC) here.", "LIC", "low-level intermediate code"),
        ("CPT: Current Procedural Terminology, published by the association.", "CPT", "Current Procedural Terminology"),
        ("MRI stands for magnetic resonance imaging in a hospital.", "MRI", "magnetic resonance imaging"),
        ("The primary flight displays (PFDs) went dark at once.", "PFD", "primary flight display"),
        ("Evaluation and Management (E&M) codes are for visits.", "E&M", "Evaluation and Management"),
    ],
)
def test_a_long_form_has_the_letters_of_its_abbreviation(text: str, short: str, long: str) -> None:
    assert found(text) == {short: long}


@pytest.mark.parametrize(
    "text",
    [
        "The president of the commission (Vasiliev) was late that day.",
        "He left the United States of America (USSR) in a hurry.",
        "In the second part of it (IT) there is a long list.",  # function words at both ends
        "NOTE: now open the enclosed letter with care.",
        "The office of the director (OOTDX) was closed.",
    ],
)
def test_what_does_not_spell_it_is_no_long_form(text: str) -> None:
    assert found(text) == {}


def test_of_several_long_forms_the_commonest_is_taken() -> None:
    task, tool = "Consumer Products Task (CPT)", "Consumer Pricing Tool (CPT)"
    assert found(f"The {tool} is old. The {task} is new. A {task} is good.") == {"CPT": "Consumer Products Task"}
