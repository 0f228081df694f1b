"""Stage 1 gives back what was printed: words whole, furniture gone, pages right, each bad file its sentence."""

import re
import unicodedata
from pathlib import Path

import pytest

from pipeline.errors import BadDocument
from pipeline.ingestion import Document, read_file, read_text
from tests.pipeline.pdf_pages import encrypt, make_pdf

PROSE = [
    "The valley had been dry for most of the year, and the farmers were",
    "waiting for the first rain of the season. When it came at last, it",
    "came with a storm that nobody in the village would forget.",
]


def read(tmp_path: Path, data: bytes, name: str = "upload.bin") -> Document:
    path = tmp_path / name
    path.write_bytes(data)
    return read_file(path, lambda share: None)


def text_of(document: Document) -> str:
    return "\n".join(line.text for line in document.lines)


def sentence_for(tmp_path: Path, data: bytes, name: str = "upload.pdf") -> str:
    with pytest.raises(BadDocument) as caught:
        read(tmp_path, data, name)
    return str(caught.value)


def test_lines_of_a_pdf_know_their_page(tmp_path: Path) -> None:
    document = read(tmp_path, make_pdf([PROSE, ["A second page begins here."], ["And a third one."]]))
    assert document.pages == 3
    assert [(line.page, line.text) for line in document.lines if line.page > 1] == [
        (2, "A second page begins here."),
        (3, "And a third one."),
    ]


def test_running_headers_footers_and_page_numbers_are_dropped(tmp_path: Path) -> None:
    pages = [[f"Annual Report {2019 + n}", *PROSE, f"Chapter {n} ends.", f"Page {n} of 4"] for n in range(1, 5)]
    document = read(
        tmp_path, make_pdf([[*page[:1], *page[1:], f"Unique line {'abcd'[n]}"] for n, page in enumerate(pages)])
    )
    text = text_of(document)
    assert "Annual Report" not in text
    assert "of 4" not in text
    assert "Unique line c" in text
    assert document.furniture >= 8


def test_lines_of_a_table_of_contents_are_dropped() -> None:
    text = text_of(read_text("1. Water ............ 7\nHarvest . . . . . . . 9\n" + "\n".join(PROSE * 2)))
    assert "Water" not in text
    assert "Harvest" not in text


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("com-\npiler", "compiler"),  # an English word
        ("well-\nknown", "well-known"),  # two words, and no English word without the hyphen
        ("tracemon-\nkeys", "tracemonkeys"),  # no word either way
        ("deconcen\u2010\ntrated", "deconcentrated"),
        ("Qualifi -\ncations", "Qualifications"),
        ("mem\ufffebers", "members"),  # pdfium's mark
        ("mixed\x02mode", "mixed-mode"),
        ("inter\u00ad\nnational", "international"),
    ],
)
def test_words_broken_at_a_line_end_are_joined(broken: str, whole: str) -> None:
    text = text_of(read_text(f"{' '.join(PROSE)}\nHere is the {broken} at last.\n"))
    assert f"the {whole}" in text


def test_a_dash_at_a_line_end_joins_nothing() -> None:
    assert "rain -\nThe" in text_of(read_text(f"{' '.join(PROSE)}\nAfter the rain -\nThe harvest.\n"))


def test_ligatures_and_the_blank_behind_them_are_undone() -> None:
    text = text_of(read_text(f"{' '.join(PROSE)}\nThe fi rst Offi cers, fi ve of them, ﬁnally fi ll the off ice.\n"))
    assert "The first Officers, five of them, finally fill the off ice." in text


def test_ordinary_text_with_words_in_ff_is_left_alone() -> None:
    assert "The staff ended the sci-fi film." in text_of(
        read_text(f"{' '.join(PROSE)} The staff ended the sci-fi film.")
    )


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "cp1258"]
)
def test_text_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    text = f"{' '.join(PROSE)} The café was “closed” that day."
    data = text.encode(encoding)
    assert text in text_of(read(tmp_path, data))


def test_vietnamese_names_in_their_old_code_page_are_read(tmp_path: Path) -> None:
    # It has letters with a circumflex, a breve or a horn, and puts the marks of tones behind them.
    names = " Ông Đặng và bà Nguyễn ở Đà Nẵng: so they were called, and so were Lê Thị Hồng Gấm and Trần Văn Ơn."
    parts = unicodedata.normalize("NFD", names)
    for letter in "âêôăơưÂÊÔĂƠƯ":
        base = unicodedata.normalize("NFD", letter)
        parts = re.sub(f"{base[0]}([\u0300\u0301\u0303\u0309\u0323]?){base[1]}", rf"{letter}\1", parts)
    data = (" ".join(PROSE) + parts * 3).encode("cp1258")
    assert names.strip() in text_of(read(tmp_path, data))


def test_some_broken_characters_do_not_make_utf8_something_else(tmp_path: Path) -> None:
    data = f"{' '.join(PROSE)} “Closed”, said the café’s owner — “for good”.".encode() + b" Bye \xff now."
    assert "“Closed”, said the café’s owner — “for good”. Bye now." in text_of(read(tmp_path, data))


def test_a_text_with_some_nuls_is_read_without_them(tmp_path: Path) -> None:
    assert text_of(read(tmp_path, "\n".join(PROSE).replace("rain", "ra\0in").encode())) == "\n".join(PROSE)


def test_form_feeds_part_the_pages_of_a_text() -> None:
    document = read_text("\f".join(PROSE))
    assert [line.page for line in document.lines] == [1, 2, 3]


def test_markdown_loses_its_marks_and_keeps_its_headings() -> None:
    source = "# The *Valley*\n\nSee [the **map**](https://example.org/map.png).\n\n```\nx = 1\n```\n\n## Rain\n"
    document = read_text(source + "\n> " + "\n> ".join(PROSE))
    assert [line.text for line in document.lines if line.heading] == ["The Valley", "Rain"]
    text = text_of(document)
    assert "See the map." in text
    assert "x = 1" not in text
    assert "example.org" not in text


def test_the_type_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    assert read(tmp_path, make_pdf([PROSE]), "notes.txt").words > 30
    assert read(tmp_path, "\n".join(PROSE).encode(), "notes.pdf").words > 30


def test_a_pdf_with_an_owner_password_only_is_read(tmp_path: Path) -> None:
    assert "valley" in text_of(read(tmp_path, encrypt(make_pdf([PROSE]), "", "owner")))


def test_a_locked_pdf_is_told_so(tmp_path: Path) -> None:
    assert "locked with a password" in sentence_for(tmp_path, encrypt(make_pdf([PROSE]), "secret", "owner"))


def test_a_pdf_without_text_is_told_so(tmp_path: Path) -> None:
    assert "no text in it: its pages are empty" in sentence_for(tmp_path, make_pdf([[], []]))


def test_a_pdf_that_is_cut_off_is_told_so(tmp_path: Path) -> None:
    assert "cut off or damaged" in sentence_for(tmp_path, make_pdf([PROSE * 9])[:150])
    assert "cut off or damaged" in sentence_for(tmp_path, b"%PDF-1.7\n" + bytes(range(256)) * 40)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GIF89a" + bytes(99), "a GIF picture"),
        (b"PK\x03\x04" + bytes(99), "a ZIP archive"),
        (b"PK\x03\x04" + bytes(99) + b"xl/workbook.xml", "an Excel sheet (XLSX)"),
        (b"<!DOCTYPE html><p>hello", "a web page (HTML)"),
        (b"\xef\xbb\xbf\n<!-- saved from - url -->\n<!-- and -->\n<HTML lang='en'><p>hello", "a web page (HTML)"),
        (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC><html>", "a web page (HTML)"),
        (b"<?xml version='1.0'?><article>", "an XML file"),
        (b"{\\rtf1 hello}", "an RTF document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "an old Office document (.doc, .xls or .ppt)"),
    ],
)
def test_other_formats_are_named_with_what_is_accepted(tmp_path: Path, data: bytes, kind: str) -> None:
    sentence = sentence_for(tmp_path, data)
    assert sentence.startswith(f"This file is {kind}. Docdeck reads PDF, Word documents (DOCX), plain text, Markdown")


def test_an_office_document_with_a_password_is_told_so(tmp_path: Path) -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99) + "EncryptedPackage".encode("utf-16-le")
    assert "locked with a password" in sentence_for(tmp_path, data)


def test_binary_junk_is_refused(tmp_path: Path) -> None:
    assert "Docdeck reads PDF, Word documents (DOCX), plain text" in sentence_for(tmp_path, bytes(range(256)) * 9)


@pytest.mark.parametrize(
    "head",
    [
        "A file that begins with %PDF-1.7 is one that a reader of such files will open.\n",
        "%PDF-1.7 is what stands at the head of such files.\n",
        "The header:\n%PDF-1.4\nstands in a line of its own.\n",
    ],
)
def test_a_text_that_only_speaks_of_pdf_is_a_text(tmp_path: Path, head: str) -> None:
    assert "such files" in text_of(read(tmp_path, (head + "\n".join(PROSE) + " So are such files.").encode()))


def test_a_pdf_behind_some_junk_is_a_pdf(tmp_path: Path) -> None:
    assert read(tmp_path, b"HTTP/1.1 200 OK\r\n\r\n" + make_pdf([PROSE])).lines[0].style.size == 11


def test_markdown_with_a_comment_first_is_markdown(tmp_path: Path) -> None:
    source = "<!-- a comment -->\n# The Valley\n\n" + "\n".join(PROSE) + "\n\n## Rain\n\nIt came."
    assert [line.text for line in read(tmp_path, source.encode()).lines if line.heading] == ["The Valley", "Rain"]


def test_an_empty_file_is_told_so(tmp_path: Path) -> None:
    assert "empty (0 bytes)" in sentence_for(tmp_path, b"")


def test_too_few_words_are_counted(tmp_path: Path) -> None:
    assert sentence_for(tmp_path, b"Four words stand here.") == (
        "This document has only 4 words; Docdeck needs at least 5 to make cards."
    )
    assert "has no words" in sentence_for(tmp_path, b" 1 2 3 \n")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("Portuguese", "As opiniões expressas nesta publicação são dos autores e não reflectem os pontos de vista. "),
        ("German", "Die Würde des Menschen ist unantastbar. Sie zu achten ist Verpflichtung aller Gewalt. "),
        ("Vietnamese", "Tất cả mọi người đều sinh ra có quyền bình đẳng và không ai có thể xâm phạm được. "),
    ],
)
def test_another_language_is_named(language: str, text: str) -> None:
    with pytest.raises(BadDocument) as caught:
        read_text(text * 20)
    assert str(caught.value) == f"This document is in {language}; Docdeck makes cards from English documents only."


def test_english_in_capitals_and_with_tables_is_english() -> None:
    assert read_text("\n".join(PROSE).upper() + "\n12 13 14 15\n" * 50).words > 30
