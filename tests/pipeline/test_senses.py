"""The sense of a word by its document: each document leaves a reader no doubt which one is meant."""

import pytest

from pipeline.context import find_sentences
from pipeline.dense import embed
from pipeline.ingestion import read_text
from pipeline.senses import Choice, Senses, content_words
from pipeline.tokens import make_tokens

RIVER = (
    "The river rose in spring and flooded its muddy bank. We pulled the canoe up on the bank and slept beneath the"
    " willow trees. Reeds and grass grow along each bank, and the water of the stream is shallow there."
)
MONEY = (
    "The bank raised the interest on deposits and loans. Customers of the bank lost money when the currency fell."
    " A bank that lends too much credit needs capital from its investors."
)
FACTORY = (
    "The company built a new plant to manufacture engines. Workers at the plant assemble four hundred cars a day."
    " Managers closed the plant when industrial production fell."
)
GARDEN = (
    "Water the plant twice a week and keep its roots moist. The leaves of the plant turn yellow without sunlight."
    " Each plant bears flowers and seeds in the garden soil."
)
COMPUTER = (
    "Move the mouse until the pointer is on the icon, then click its left button. The keyboard and the mouse are"
    " connected to the computer. Hold the mouse button down and drag the cursor across the screen."
)
BIRD = (
    "The crane is a tall wading bird with a long neck. A crane builds its nest in marshes, where the female lays two"
    " eggs. The feathers of the young crane are brown."
)


WORDS = ("red", "old", "wet", "dry", "low", "far", "odd", "raw")
FILLER = " Nobody asked about the weather, and the two of them said little more until late in the evening." * 2


def choose(text: str, lemma: str, part: str = "noun") -> Choice:
    sentences = find_sentences(read_text(text + "\n\n" + FILLER))  # a document has thirty words or more
    tokens = make_tokens(sentences)
    places = [
        (number, at, at + 1)
        for number, sentence in enumerate(sentences)
        for at, token in enumerate(sentence.tokens)
        if token.lower() == lemma
    ]
    assert places
    return Senses(tokens, embed(tokens)).choose(lemma, part, places, False)


@pytest.mark.parametrize(
    ("text", "lemma", "gloss"),
    [
        (RIVER, "bank", "sloping land (especially the slope beside a body of water)"),
        (
            MONEY,
            "bank",
            "a financial institution that accepts deposits and channels the money into lending activities",
        ),
        (FACTORY, "plant", "buildings for carrying on industrial labor"),
        (GARDEN, "plant", "(botany) a living organism lacking the power of locomotion"),
        (COMPUTER, "mouse", "a hand-operated electronic device"),
        (BIRD, "crane", "large long-necked wading bird of marshes and plains in many parts of the world"),
    ],
)
def test_the_sense_is_that_of_the_document(text: str, lemma: str, gloss: str) -> None:
    assert choose(text, lemma).senses[0][0].gloss.startswith(gloss)


def test_the_probabilities_of_all_senses_add_up_to_one() -> None:
    choice = choose(RIVER, "bank")
    assert len(choice.senses) == 10
    assert sum(chance for _, chance in choice.senses) == pytest.approx(1.0)
    chances = [chance for _, chance in choice.senses]
    assert chances == sorted(chances, reverse=True)


def test_a_sentence_in_another_sense_fits_less() -> None:
    fit = choose(RIVER + "\n\nThe bank lends money at high interest to its customers.", "bank").fit
    assert fit[3] < min(fit[0], fit[1], fit[2])


def test_the_sense_and_its_probability_stay_when_other_sentences_are_edited() -> None:
    before = choose(RIVER, "bank")
    edited = "Interest rates and loans are high.\n\n" + RIVER + " Customers lost money. The currency fell."
    after = choose(edited, "bank")
    assert after.senses == before.senses
    assert sorted(after.fit.values()) == sorted(before.fit.values())


def test_of_many_sentences_one_more_changes_at_most_one_that_is_looked_at() -> None:
    lines = [f"The {word} bank was steep that {word} day." for word in WORDS]
    seen = []
    for text in (lines, ["The big bank was steep.", *lines]):
        sentences = find_sentences(read_text(" ".join(text) + "\n\n" + FILLER))
        seen.append({sentences[number].text for number in choose(" ".join(text), "bank").fit})
    assert len(seen[0]) == len(seen[1]) == 4
    assert len(seen[0] - seen[1]) <= 1


def test_a_term_may_have_more_words_in_one_place_than_in_another() -> None:
    sentences = find_sentences(read_text("The old power station is shut.\n\nIt is a power-station\n\n" + FILLER))
    tokens = make_tokens(sentences)
    places = [(0, 1, 4), (1, 3, 4)]
    assert [sentences[number].tokens[first:after] for number, first, after in places] == [
        ("old", "power", "station"),
        ("power-station",),
    ]
    for some in (places, places[::-1]):
        assert Senses(tokens, embed(tokens)).choose("station", "noun", some, False).senses


def test_a_sense_written_with_capitals_is_for_names_only() -> None:
    text = "The march of the soldiers was long. They began their march at dawn and rested at noon."
    assert all(chance == 0.0 for synset, chance in choose(text, "march").senses if "march" not in synset.lemmas)


def test_words_of_glosses_are_base_forms_without_function_words() -> None:
    assert content_words("the slopes beside a body of water; He sat there") == ["slope", "body", "water", "sit"]
