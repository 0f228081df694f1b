"""A Word document is read as its reader sees it: paragraphs, lists, tables, notes, pages; what cannot be is told."""

import time
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from pipeline import CompletePipeline12Stages
from pipeline.document import Document
from pipeline.errors import BadDocument
from pipeline.ingestion import read_file
from tests.pipeline.docx_files import STYLES, W, make_docx, paragraph

ROOT = Path(__file__).parents[2]
PROSE = (
    "The valley had been dry for most of the year, and the farmers were waiting for the first rain of the season. "
    "When it came at last, it came with a storm that nobody in the village would forget."
)


def read(tmp_path: Path, data: bytes) -> Document:
    path = tmp_path / "upload"
    path.write_bytes(data)
    return read_file(path, lambda share: None)


def texts(document: Document) -> list[str]:
    return [line.text for line in document.lines if line.text]


def sentence_for(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(BadDocument) as caught:
        read(tmp_path, data)
    return str(caught.value)


def test_the_sample_gives_the_same_cards_as_its_text() -> None:
    pipeline = CompletePipeline12Stages()
    samples = ROOT / "samples"
    word = pipeline.process_file(samples / "how-a-city-drinks.docx", "a", "a")
    text = pipeline.process_file(samples / "how-a-city-drinks.txt", "a", "a")
    both = {card["word"] for card in word["flashcards"]} & {card["word"] for card in text["flashcards"]}
    assert word["flashcards_count"] == 50
    assert len(both) >= 40


def test_paragraphs_stand_apart_and_list_items_have_their_bullet(tmp_path: Path) -> None:
    items = "".join(
        paragraph(item, properties='<w:numPr><w:numId w:val="1"/></w:numPr>') for item in ("a rope", "two poles")
    )
    document = read(tmp_path, make_docx(paragraph(PROSE) + items))
    assert texts(document) == [PROSE, "• a rope", "• two poles"]
    assert document.lines[1].text == ""


def test_cells_of_a_table_are_read_row_by_row(tmp_path: Path) -> None:
    rows = [("River", "Length"), ("Mekong", "4,350 km")]
    cells = ["".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows]
    table = "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"
    assert texts(read(tmp_path, make_docx(paragraph(PROSE) + table)))[1:] == ["River", "Length", "Mekong", "4,350 km"]


def test_notes_are_read_and_their_separators_are_not(tmp_path: Path) -> None:
    notes = (
        f"<w:footnotes {W}><w:footnote w:type='separator' w:id='0'>{paragraph('never')}</w:footnote>"
        f"<w:footnote w:id='1'>{paragraph('The wells were dug by hand.')}</w:footnote></w:footnotes>"
    )
    endnotes = f"<w:endnotes {W}><w:endnote w:id='1'>{paragraph('So the priest wrote.')}</w:endnote></w:endnotes>"
    parts = {"word/footnotes.xml": notes, "word/endnotes.xml": endnotes}
    assert texts(read(tmp_path, make_docx(paragraph(PROSE), parts)))[1:] == [
        "The wells were dug by hand.",
        "So the priest wrote.",
    ]


def test_what_is_deleted_hidden_moved_or_said_twice_is_not_read(tmp_path: Path) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        paragraph(PROSE)
        + "<w:p><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del><w:r><w:instrText>PAGE</w:instrText></w:r>"
        + "<w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>"
        + f"<w:moveFrom>{run.format('moved')}</w:moveFrom><w:ins>{run.format('What is seen.')}</w:ins></w:p>"
        + '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        + f"<mc:Choice>{paragraph('Once.')}</mc:Choice><mc:Fallback>{paragraph('Once.')}</mc:Fallback>"
        + "</mc:AlternateContent>"
    )
    assert texts(read(tmp_path, make_docx(body)))[1:] == ["What is seen.", "Once."]


def test_a_text_box_within_a_paragraph_is_a_paragraph_of_its_own(tmp_path: Path) -> None:
    box = f"<w:r><w:pict><w:txbxContent>{paragraph('In the box.')}</w:txbxContent></w:pict></w:r>"
    body = f"<w:p><w:r><w:t>{PROSE} </w:t></w:r>{box}<w:r><w:t>And after it.</w:t></w:r></w:p>"
    assert texts(read(tmp_path, make_docx(body))) == ["In the box.", f"{PROSE} And after it."]


def test_breaks_and_hyphens_within_a_paragraph(tmp_path: Path) -> None:
    body = paragraph(PROSE) + (
        "<w:p><w:r><w:t>one</w:t><w:br/><w:t>two</w:t><w:tab/><w:t>three</w:t><w:noBreakHyphen/><w:t>four</w:t></w:r></w:p>"
    )
    assert texts(read(tmp_path, make_docx(body)))[1:] == ["one", "two three-four"]


def test_pages_are_those_that_word_marked(tmp_path: Path) -> None:
    mark, broken = "<w:r><w:lastRenderedPageBreak/></w:r>", '<w:p><w:r><w:br w:type="page"/></w:r></w:p>'
    body = paragraph(PROSE) + broken + f"<w:p>{mark}<w:r><w:t>The second.</w:t></w:r></w:p>"
    body += f"<w:p>{mark}<w:r><w:t>The third.</w:t></w:r></w:p>"
    document = read(tmp_path, make_docx(body))
    assert [(line.page, line.text) for line in document.lines if line.text][1:] == [
        (2, "The second."),
        (3, "The third."),
    ]
    assert document.pages == 3


def test_without_such_marks_pages_are_those_that_the_author_broke(tmp_path: Path) -> None:
    broken = '<w:p><w:r><w:br w:type="page"/></w:r></w:p>'
    body = paragraph(PROSE) + broken + paragraph("The second.")
    body += paragraph("The third.", properties="<w:pageBreakBefore/>")
    assert [line.page for line in read(tmp_path, make_docx(body)).lines if line.text] == [1, 2, 3]


def test_a_table_of_contents_is_left_out(tmp_path: Path) -> None:
    body = paragraph("Water 7", "Verzeichnis1") + paragraph("Water", "berschrift1") + paragraph(PROSE)
    assert texts(read(tmp_path, make_docx(body))) == ["Water", PROSE]


def test_styles_that_are_based_on_each_other_in_a_ring_are_no_trouble(tmp_path: Path) -> None:
    ring = "".join(
        f'<w:style w:styleId="{a}"><w:name w:val="{a}"/><w:basedOn w:val="{b}"/></w:style>' for a, b in ("AB", "BA")
    )
    styles = {"word/styles.xml": f"<w:styles {W}>{ring}</w:styles>"}
    assert not read(tmp_path, make_docx(paragraph(PROSE, "A"), styles)).lines[0].heading


def test_entities_are_refused(tmp_path: Path) -> None:
    head = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    body = paragraph(PROSE) + "<w:p><w:r><w:t>&b;</w:t></w:r></w:p>"
    assert "damaged" in sentence_for(tmp_path, make_docx(body, head=head))


def test_a_cut_file_is_told_so_and_a_torn_part_gives_what_stands_before_the_damage(tmp_path: Path) -> None:
    assert "cut off or damaged" in sentence_for(tmp_path, make_docx(paragraph(PROSE) * 50)[:700] + b"word/")
    torn = read(tmp_path, make_docx(paragraph(PROSE) * 2000 + "<w:p><w:r>"))
    assert torn.counts["damaged"] == 1
    assert texts(torn)[0] == PROSE


def test_a_bomb_costs_little_and_what_was_read_of_it_is_kept(tmp_path: Path) -> None:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("word/styles.xml", STYLES)
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            part.write(f"<w:document {W}><w:body>".encode())
            block = (paragraph(PROSE) * 1000).encode()
            for _ in range(500):  # 160 MB
                part.write(block)
    started = time.process_time()
    document = read(tmp_path, out.getvalue())
    assert time.process_time() - started < 20
    assert document.counts["cut"] == 1
    assert document.words > 100_000


@pytest.mark.parametrize("body", ["<w:p>" * 20_000, "<w:x>" * 500_000, paragraph("x" * 3_000_000)])
def test_deep_nesting_and_endless_words_end_in_a_sentence(tmp_path: Path, body: str) -> None:
    assert sentence_for(tmp_path, make_docx(body)).endswith(".")


def test_100_000_words_are_read_in_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "long.docx"
    path.write_bytes(make_docx(paragraph(PROSE) * 2800))
    started = time.perf_counter()
    assert read_file(path, lambda share: None).words > 100_000
    assert time.perf_counter() - started < 3  # 0.3 s on a free machine, cleaning and all
