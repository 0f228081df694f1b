"""Pronunciations, worked out by hand from CMUdict's symbols, and as eSpeak NG's Received Pronunciation has them."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.pronunciation import american, british

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("word", "ipa"),
    [
        ("aquifer", "ˈækwəfɚ"),
        ("mistake", "mɪˈsteɪk"),  # as many consonants as can begin a syllable belong to the stressed one
        ("extra", "ˈɛkstɹə"),
        ("photosynthesis", "ˌfoʊtoʊˈsɪnθəsɪs"),
        ("singing", "ˈsɪŋɪŋ"),  # no syllable begins with ŋ
        ("bridge", "bɹɪdʒ"),  # one syllable, no mark
        ("employee’s", "ɛmˈplɔɪiz"),
    ],
)
def test_american_stress_stands_where_the_syllable_begins(word: str, ipa: str) -> None:
    assert american(word, "noun") == ipa


def test_british_is_received_pronunciation() -> None:
    assert british("tomato", "noun") == "təmˈɑːtəʊ"
    assert american("tomato", "noun") == "təˈmeɪˌtoʊ"
    assert british("water", "noun").startswith("wˈɔːt")


def test_the_part_of_speech_decides_where_the_stress_is() -> None:
    assert (american("record", "noun"), american("record", "verb")) == ("ˈɹɛkɚd", "ɹəˈkɔːɹd")
    assert (british("record", "noun"), british("record", "verb")) == ("ɹˈɛkɔːd", "ɹɪkˈɔːd")
    assert (american("object", "noun"), american("object", "verb")) == ("ˈɑːbdʒɛkt", "əbˈdʒɛkt")


def test_phrases_are_pronounced_word_by_word_and_their_function_words_have_no_stress() -> None:
    assert american("supply chain", "noun") == "səˈplaɪ tʃeɪn"
    assert american("in addition to", "linking phrase") == "ɪn əˈdɪʃən tuː"
    assert american("decision-making", "noun") == "dɪˈsɪʒən ˈmeɪkɪŋ"
    assert british("supply chain", "noun") == "səplˈaɪ tʃˈeɪn"


def test_words_that_cmudict_lacks_are_read_by_espeak() -> None:
    assert american("bioplastic", "noun") == "ˌbaɪoʊˈplæstɪk"


def test_abbreviations_are_spelled_not_read_as_other_words() -> None:
    assert american("US", "noun") == "juː ɛs"
    assert (american("NGO", "noun"), british("NGO", "noun")) == ("ɛn dʒiː oʊ", "ˈɛn dʒˈiː ˈəʊ")
    assert (american("AOA", "noun"), british("AOA", "noun")) == ("eɪ oʊ eɪ", "ˈeɪ ˈəʊ ˈeɪ")  # the letter, no article
    assert british("NASA", "noun") == "nˈæsɐ"
    assert american("us", "noun") == "ʌs"


@pytest.mark.parametrize("text", ["a", "C++", "R&D", "naïve", "x" * 300, "—", "vitamin D3", "and/or"])
def test_nothing_makes_it_fail(text: str) -> None:
    for pronounce in (american, british):
        assert isinstance(pronounce(text, "noun"), str)


def test_another_process_says_the_same() -> None:
    words = ["record", "phytoremediation", "GDP", "state of the art"]
    code = f"from pipeline.pronunciation import *; print([(american(w, 'noun'), british(w, 'noun')) for w in {words}])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.strip() == str([(american(word, "noun"), british(word, "noun")) for word in words])
