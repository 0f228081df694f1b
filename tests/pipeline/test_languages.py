"""English is kept, another language is named, and what is no language is called none."""

import base64
import random
import string
from pathlib import Path

import pytest

from pipeline import CompletePipeline12Stages
from pipeline.document import Document
from pipeline.errors import BadDocument
from pipeline.ingestion import read_text

ROOT = Path(__file__).parents[2]
ENGLISH = (
    "The valley had been dry for most of the year, and the farmers were waiting for the first rain of the season. "
    "When it came at last, it came with a storm that nobody in the village would forget."
)
VIETNAMESE = (
    "Thung lũng đã khô hạn gần như cả năm, và những người nông dân đang chờ đợi cơn mưa đầu tiên của mùa. "
    "Cuối cùng khi mưa đến, nó kéo theo một cơn bão mà không ai trong làng có thể quên được."
)
PORTUGUESE = (
    "As opiniões expressas nesta publicação são dos autores e não reflectem os pontos de vista da organização, "
    "que agradece a todos os que deram o seu tempo e a sua ajuda durante a realização deste inquérito."
)


def text_of(document: Document) -> str:
    return "\n".join(line.text for line in document.lines)


def refusal(text: str) -> str:
    with pytest.raises(BadDocument) as caught:
        read_text(text)
    return str(caught.value)


@pytest.mark.parametrize("other", [VIETNAMESE, PORTUGUESE], ids=["vietnamese", "portuguese"])
@pytest.mark.parametrize("share", [1, 3])
def test_of_a_document_in_two_languages_the_english_is_kept_and_the_rest_is_counted(other: str, share: int) -> None:
    document = read_text("\n\n".join([ENGLISH, *[other] * share] * 6))
    assert [line.text for line in document.lines if line.text] == [ENGLISH] * 6
    assert document.counts["foreign_words"] == pytest.approx(len(other.split()) * 6 * share, rel=0.05)
    assert "words that are not English were left out." in document.notes[0]


def test_the_result_says_how_much_was_left_out() -> None:
    blocks = (ROOT / "samples" / "how-a-city-drinks.txt").read_text("utf-8").split("\n\n")
    text = f"\n\n{VIETNAMESE}\n\n".join(blocks)
    result = CompletePipeline12Stages().process_document(text, "a", "a")
    words = len(VIETNAMESE.split()) * (len(blocks) - 1)
    assert result["stages"]["stage1"]["foreign_words"] == pytest.approx(words, rel=0.02)
    assert result["flashcards_count"] == 50
    assert not any("mưa" in card["example"] for card in result["flashcards"])


def test_lines_of_a_page_in_two_languages_are_told_apart() -> None:
    page = "\n".join(ENGLISH.replace(". ", ".\n").split(", ")) + "\n\n" + VIETNAMESE.replace(", ", ",\n")
    document = read_text("\f".join([page] * 2))
    assert "cơn" not in text_of(document)
    assert "nobody in the village" in text_of(document)


def test_a_foreign_title_or_quotation_within_english_stays() -> None:
    document = read_text(f"{ENGLISH}\n\nHe called his book “Die Würde des Menschen”, and nobody read it.\n\n{ENGLISH}")
    assert "Die Würde" in text_of(document)
    assert "foreign_words" not in document.counts


def test_terms_and_names_without_small_words_are_english() -> None:
    terms = "hydrogen oxygen nitrogen carbon helium lithium sodium magnesium aluminium silicon phosphorus"
    names = "Smith, Jones, Brown, Garcia, Martinez, Lopez, Wang, Li, Zhang, Nguyen, Tran, Müller, Schmidt, Rossi, Silva"
    text = text_of(read_text(f"{ENGLISH}\n\n{terms}\n\n{names}\n\n{ENGLISH}"))
    assert terms in text
    assert names in text


def test_a_foreign_document_with_an_english_sentence_is_foreign() -> None:
    text = "\n\n".join([ENGLISH, *[PORTUGUESE] * 40])
    assert refusal(text) == "This document is in Portuguese; Docdeck makes cards from English documents only."


def test_nonsense_is_given_no_language() -> None:
    dice = random.Random(5)
    letters = " ".join("".join(dice.choices(string.ascii_lowercase, k=dice.randint(2, 9))) for _ in range(400))
    code = base64.b64encode(dice.randbytes(3000)).decode()
    for text in (letters, "\n".join(code[at : at + 76] for at in range(0, len(code), 76))):
        assert refusal(text) == (
            "This document does not seem to be in English; Docdeck makes cards from English documents only."
        )


def test_a_long_text_in_one_line_is_as_foreign_as_a_short_one() -> None:
    assert "Portuguese" in refusal(PORTUGUESE * 3000)
