"""Definitions that a document gives, and sentences that look like one and are none."""

import pytest

from pipeline.context import find_sentences
from pipeline.definitions import LINKING, mine
from pipeline.ingestion import read_text

FILLER = "Nobody asked about the weather, and they said little more until late in the evening. " * 3


def mined(text: str, term: str) -> str | None:
    sentences = find_sentences(read_text(text + "\n\n" + FILLER))
    words = term.split(" ")
    places = [
        (number, at, at + len(words))
        for number, sentence in enumerate(sentences)
        for at in range(len(sentence.tokens))
        if [token.lower() for token in sentence.tokens[at : at + len(words)]] == words
    ]
    assert places
    return mine(places, sentences)


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        (
            "A supply chain is a network of firms that brings a product to its buyers.",
            "a network of firms that brings a product to its buyers",
        ),
        (
            "In this report, a supply chain (SC) is defined as all the firms behind one product.",
            "all the firms behind one product",
        ),
        (
            "The term “supply chain” refers to the path of goods from maker to buyer.",
            "the path of goods from maker to buyer",
        ),
        (
            "Supply chain means the sequence of firms through which goods pass.",
            "the sequence of firms through which goods pass",
        ),
        (
            "The supply chain (that is, the path of goods from maker to buyer) broke down.",
            "the path of goods from maker to buyer",
        ),
        (
            "Supply chain: a network of firms that brings a product to its buyers.",
            "a network of firms that brings a product to its buyers",
        ),
        (
            "A supply chain, or “pipeline”, is simply the path of goods from maker to buyer.",
            "the path of goods from maker to buyer",
        ),
        (
            "3. The supply chain is used to describe all the firms behind one product.",
            "all the firms behind one product",
        ),
        (
            "They study the supply chain, which is the path of goods from maker to buyer.",
            None,
        ),
        (
            "In trade, the supply chain, which is the path of goods from maker to buyer, grew longer.",
            "the path of goods from maker to buyer",
        ),
        (
            "Firms form a long network of makers and buyers called a supply chain.",
            None,
        ),
        (
            "They belong to a network of many firms that is often called the supply chain.",
            "a network of many firms",
        ),
        (
            "Supply chain — the path that goods take from maker to buyer.",
            "the path that goods take from maker to buyer",
        ),
    ],
)
def test_a_definition_is_the_sentences_own_words(text: str, definition: str) -> None:
    assert mined(text, "supply chain") == definition


@pytest.mark.parametrize(
    "text",
    [
        "The supply chain is the main problem of the industry this year.",
        "A good supply chain is a network of firms that trust each other.",  # of a good one only
        "The supply chain is broken in many places at once.",
        "The length of the supply chain is a measure of risk that firms watch.",  # the length is
        "A global supply chain is a network that spans the whole world.",  # of another term
        "The supply chain is a key part of the economy that people forget.",
        "A supply chain means that goods arrive on time.",
        "Supply chain: see page 12 of the report.",
    ],
)
def test_what_only_looks_like_a_definition_is_none(text: str) -> None:
    assert mined(text, "supply chain") is None


def test_the_meanings_of_linking_phrases_are_short() -> None:
    assert all(4 <= len(meaning) <= 80 for meaning in LINKING.values())
