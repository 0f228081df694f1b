"""A PDF is read by two readers and no page costs the document the others."""

import textwrap
import time
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdf
import pytest
from pypdf.annotations import FreeText
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, TextStringObject

from pipeline import CompletePipeline12Stages
from pipeline.document import Document
from pipeline.errors import BadDocument
from pipeline.ingestion import read_file
from tests.pipeline.pdf_pages import make_pages, make_pdf, written

ROOT = Path(__file__).parents[2]
PROSE = [
    "The valley had been dry for most of the year, and the farmers were",
    "waiting for the first rain of the season. When it came at last, it",
    "came with a storm that nobody in the village would forget.",
]


def read(tmp_path: Path, data: bytes) -> Document:
    path = tmp_path / "upload"
    path.write_bytes(data)
    return read_file(path, lambda share: None)


def sentence_for(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(BadDocument) as caught:
        read(tmp_path, data)
    return str(caught.value)


def shown(lines: list[str]) -> bytes:
    return b"BT /F1 11 Tf 14 TL 50 780 Td %s ET" % b" T* ".join(b"(%s) Tj" % line.encode() for line in lines)


@cache
def bomb(size: int, pattern: bytes = b" ") -> bytes:
    """A content stream that expands to so many bytes, deflated."""
    squeeze = zlib.compressobj(9)
    block = pattern * ((1 << 20) // len(pattern))
    return b"".join([*(squeeze.compress(block) for _ in range(size >> 20)), squeeze.flush()])


def test_a_page_that_eats_all_memory_costs_that_page_only(tmp_path: Path) -> None:
    pages: list[Any] = [shown([f"Page {'abcdefghij'[n]} speaks of other things.", *PROSE]) for n in range(10)]
    pages[3] = pages[7] = (bomb(320 << 20), "/FlateDecode")
    started = time.monotonic()
    document = read(tmp_path, make_pages(pages))
    assert time.monotonic() - started < 40
    assert document.pages == 10
    assert {line.page for line in document.lines if line.text.startswith("Page")} == {1, 2, 3, 5, 6, 7, 9, 10}
    assert document.counts["pages_unreadable"] == 2
    assert document.notes == ["2 of 10 pages could not be read; the cards are from the others."]


def test_a_hundred_pages_of_which_ninety_can_be_read_give_cards_and_say_so(tmp_path: Path) -> None:
    text = (ROOT / "samples" / "how-a-city-drinks.txt").read_text("utf-8")
    lines = textwrap.wrap(text.encode("ascii", "ignore").decode().translate({40: None, 41: None}), 80)
    pages: list[Any] = [shown(lines[5 * number : 5 * number + 5]) for number in range(100)]
    for number in range(3, 100, 10):
        pages[number] = (bomb(320 << 20), "/FlateDecode")
    (tmp_path / "a.pdf").write_bytes(make_pages(pages))
    started = time.monotonic()
    result = CompletePipeline12Stages().process_file(tmp_path / "a.pdf", "a", "a")
    assert time.monotonic() - started < 60
    assert result["flashcards_count"] >= 40
    stage = result["stages"]["stage1"]
    assert (stage["pages"], stage["pages_unreadable"]) == (100, 10)
    assert stage["notes"] == ["10 of 100 pages could not be read; the cards are from the others."]


def test_a_document_of_nothing_but_bombs_ends_in_a_sentence(tmp_path: Path) -> None:
    pages = [(bomb(320 << 20), "/FlateDecode")] * 5
    started = time.monotonic()
    assert sentence_for(tmp_path, make_pages(pages)).endswith(".")
    assert time.monotonic() - started < 45


def test_values_of_form_fields_and_notes_are_read_where_there_is_no_other_text(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=BytesIO(make_pdf([[], []])))
    field = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject("/Widget"),
            NameObject("/FT"): NameObject("/Tx"),
            NameObject("/T"): TextStringObject("story"),
            NameObject("/V"): TextStringObject("\n".join(PROSE)),
            NameObject("/Rect"): ArrayObject(map(FloatObject, (50, 50, 500, 500))),
        }
    )
    writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(field)])
    writer.add_annotation(page_number=1, annotation=FreeText(text="The river rose at night.", rect=(50, 50, 500, 500)))
    writer.add_metadata({"/Title": "The Dry Year"})
    text = [(line.page, line.text) for line in read(tmp_path, written(writer)).lines]
    assert (1, PROSE[0]) in text
    assert (1, "The Dry Year") in text
    assert (2, "The river rose at night.") in text


def test_a_file_with_a_million_pages_in_its_count_is_read_for_those_it_has(tmp_path: Path) -> None:
    data = make_pdf([PROSE]).replace(b"/Count 1 ", b"/Count 1000000 ")
    document = read(tmp_path, data)
    assert document.lines[0].text == PROSE[0]
    assert (document.pages, document.counts["pages_unreadable"]) == (1, 0)


def test_only_so_many_pages_are_read_and_the_rest_is_told(tmp_path: Path) -> None:
    document = read(tmp_path, make_pdf([PROSE, *[[f"Line {n}"] for n in range(5100)]]))
    assert document.pages == 5000
    assert document.counts["pages_left_out"] == 101
    assert "Only the first 5,000 of 5,101 pages were read." in document.notes


def test_columns_keep_their_order(tmp_path: Path) -> None:
    left = [f"left {word} goes on and" for word in ("one", "two", "three", "four")]
    right = [f"right {word} goes on and" for word in ("one", "two", "three", "four")]
    columns = b"BT /F1 9 Tf 12 TL 50 780 Td %s ET BT /F1 9 Tf 12 TL 320 780 Td %s ET" % tuple(
        b" T* ".join(b"(%s) Tj" % line.encode() for line in lines) for lines in (left, right)
    )
    assert [line.text for line in read(tmp_path, make_pages([columns])).lines] == left + right


def test_a_pdf_that_lost_its_table_is_read(tmp_path: Path) -> None:
    data = make_pdf([[f"Page {'abcdefghij'[n]} has words.", *PROSE] for n in range(10)])
    assert read(tmp_path, data[: data.rfind(b"startxref")]).pages == 10
    assert read(tmp_path, data.replace(b"endobj\n3 0 obj", b"endobj\n\n\n\n3 0 obj")).pages == 10


def test_pages_that_are_all_alike_are_not_taken_for_running_headers(tmp_path: Path) -> None:
    pages = [["The Annual Report", *PROSE, f"{number}"] for number in range(1, 9)]
    document = read(tmp_path, make_pdf(pages))
    assert [line.text for line in document.lines] == PROSE * 8
    assert document.furniture == 16
