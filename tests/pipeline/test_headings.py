"""Stage 2 finds every heading of a document with its level, whatever the document's format says of them."""

from pathlib import Path

import pytest

from pipeline import CompletePipeline12Stages
from pipeline.context import find_sentences
from pipeline.document import Document
from pipeline.headings import Headings, find_headings
from pipeline.ingestion import read_file, read_text
from tests.pipeline.docx_files import make_docx, paragraph
from tests.pipeline.pdf_pages import Set, make_set_pdf

# 27 headings: 3 chapters of 2 sections of 3 parts.
CHAPTERS = ("Water and the Valley", "The Long Road of the Rain", "What a River Remembers")
SECTIONS = ("Wells", "Floods", "Bridges", "Old mills", "Fish of the upper river", "Ice")
PARTS = (
    "How they were dug", "Who drank from them", "What is left of them", "The year of the great flood", "Warnings",
    "After the water", "Stone and wood", "Tolls", "The bridge that burned", "Wheels", "Flour for the town",
    "The last miller", "Trout", "Eels", "Why there is no salmon", "Skating", "Cutting ice for summer",
    "Winters of today",
)  # fmt: skip
OUTLINE = [
    entry
    for chapter, title in enumerate(CHAPTERS)
    for entry in [
        (1, title),
        *(
            entry
            for section in (2 * chapter, 2 * chapter + 1)
            for entry in [(2, SECTIONS[section]), *((3, PARTS[3 * section + part]) for part in range(3))]
        ),
    ]
]
NAMES = ("Ann", "Bela", "Chi", "Dora", "Emil", "Finn", "Gao", "Hoa", "Ida", "Jan", "Kim", "Lan", "Minh", "Nora", "Otto")


def prose(number: int) -> list[str]:
    """Some lines that stand on no other page, or they would be running headers."""
    names = f"{NAMES[number % len(NAMES)]} and {NAMES[number // len(NAMES) % len(NAMES)]}"
    return [
        f"The farmers {names} had been waiting for the first rain of the season, and",
        f"when it came to {names} it came with a storm that nobody would ever forget.",
        f"The sons of {names} spoke of it for many years, as people by a river do.",
    ]


PROSE = prose(0)


def headings(document: Document) -> list[tuple[int, str]]:
    return [(line.style.level, line.text) for line in find_headings(document)[0].lines if line.heading]


def read(tmp_path: Path, data: bytes) -> Document:
    path = tmp_path / "document"
    path.write_bytes(data)
    return read_file(path, lambda share: None)


def pdf(outline: bool) -> bytes:
    sizes = {1: Set("", 20), 2: Set("", 15), 3: Set("", 11, True)}
    pages: list[list[Set]] = [[]]
    entries = []
    for level, title in OUTLINE:
        if len(pages[-1]) > 30 or (level == 1 and pages[-1]):
            pages.append([])
        entries.append((level, title, len(pages)))
        pages[-1].append(Set(title, sizes[level].size, sizes[level].bold))
        pages[-1] += map(Set, prose(len(entries)))
    return make_set_pdf(pages, entries if outline else None)


def test_there_are_27_headings_of_three_levels() -> None:
    assert len(OUTLINE) == 27
    assert {level for level, _ in OUTLINE} == {1, 2, 3}


@pytest.mark.parametrize("outline", [False, True])
def test_all_headings_of_a_pdf_are_found_with_and_without_an_outline(tmp_path: Path, outline: bool) -> None:
    document = read(tmp_path, pdf(outline))
    assert headings(document) == OUTLINE
    assert find_headings(document)[1] == Headings("outline" if outline else "type", {1: 3, 2: 6, 3: 18})


def test_all_headings_of_a_word_document_are_found(tmp_path: Path) -> None:
    styles = {1: "berschrift1", 2: "berschrift2", 3: "EigenRot"}
    body = "".join(paragraph(title, styles[level]) + paragraph(" ".join(PROSE)) for level, title in OUTLINE)
    document = read(tmp_path, make_docx(body))
    assert headings(document) == OUTLINE
    assert find_headings(document)[1].by == "format"


def test_all_headings_of_markdown_are_found() -> None:
    source = "\n\n".join(f"{'#' * level} {title}\n\n{' '.join(PROSE)}" for level, title in OUTLINE)
    assert headings(read_text(source)) == OUTLINE


def test_underlined_headings_of_markdown_are_found() -> None:
    source = f"Water\n=====\n\n{' '.join(PROSE)}\n\nWells\n-----\n\nSee [this](./a) and [that](./b).\n"
    assert headings(read_text(source)) == [(1, "Water"), (2, "Wells")]


def test_all_headings_of_a_numbered_text_are_found() -> None:
    numbers = [0, 0, 0]
    wanted, blocks = [], []
    for level, title in OUTLINE:
        numbers[level - 1 :] = [numbers[level - 1] + 1, *[0] * (3 - level)]
        wanted.append((level, f"{'.'.join(map(str, numbers[:level]))} {title}"))
        blocks += [wanted[-1][1], "\n".join(PROSE)]
    assert headings(read_text("\n\n".join(blocks))) == wanted


def test_the_items_of_a_numbered_list_are_no_headings() -> None:
    items = "\n\n".join(f"{number}. Take the rope of the boat" for number in range(1, 6))
    assert headings(read_text(f"{' '.join(PROSE)}\n\n{items}\n\n{' '.join(PROSE)}")) == []


def test_a_heading_over_two_lines_is_one_heading(tmp_path: Path) -> None:
    page = [Set("The Long Road of the Rain", 18), Set("from the Hills to the Sea", 18), *map(Set, PROSE * 3)]
    (heading,) = headings(read(tmp_path, make_set_pdf([page])))
    assert heading == (1, "The Long Road of the Rain from the Hills to the Sea")


def test_a_line_that_only_begins_bold_and_a_bold_paragraph_are_no_headings(tmp_path: Path) -> None:
    bold = [Set(line, 11, True) for line in PROSE * 2]
    assert headings(read(tmp_path, make_set_pdf([[*map(Set, PROSE * 9), *bold, *map(Set, PROSE * 9)]]))) == []


def test_a_title_page_takes_no_level_from_the_chapters(tmp_path: Path) -> None:
    pages = [[Set("A Book", 40), Set("by Nobody", 25)]]
    for number, title in enumerate(CHAPTERS):
        pages.append([Set(title, 16), *map(Set, prose(2 * number)), Set(f"More of {title}", 13)])
        pages[-1] += map(Set, prose(2 * number + 1))
    levels = {title: level for level, title in headings(read(tmp_path, make_set_pdf(pages)))}
    assert [levels[title] for title in CHAPTERS] == [1, 1, 1]
    assert [levels[f"More of {title}"] for title in CHAPTERS] == [2, 2, 2]


def test_numbers_tell_levels_apart_that_are_set_alike(tmp_path: Path) -> None:
    titles = ["1 Rain", "1.1 Clouds", "1.2 Wind", "2 Rivers", "2.1 Springs"]
    page = [line for title in titles for line in (Set(title, 13, True), *map(Set, PROSE))]
    assert [level for level, _ in headings(read(tmp_path, make_set_pdf([page])))] == [1, 2, 2, 1, 2]


def test_a_chapters_title_survives_the_running_header_that_repeats_it(tmp_path: Path) -> None:
    pages = [[Set("Wells of the Valley", 9), *map(Set, prose(number))] for number in range(4)]
    pages.insert(0, [Set("Wells of the Valley", 20), *map(Set, prose(5))])
    document = read(tmp_path, make_set_pdf(pages))
    assert headings(document) == [(1, "Wells of the Valley")]
    assert document.furniture >= 4


def test_numbered_chapters_at_the_head_of_pages_are_no_running_headers() -> None:
    pages = [f"Chapter {number}\n\n" + "\n".join(prose(number)) for number in range(1, 5)]
    assert headings(read_text("\f".join(pages))) == [(1, f"Chapter {number}") for number in range(1, 5)]


def test_an_outline_that_does_not_fit_the_text_is_not_believed(tmp_path: Path) -> None:
    page = [Set("The Valley", 18), *map(Set, PROSE * 3)]
    outline = [(1, "Sheet 1", 1), (1, "Sheet 2", 1), (1, "The Valley", 1)]
    assert find_headings(read(tmp_path, make_set_pdf([page], outline)))[1].by == "type"


def test_every_sentence_knows_the_heading_above_it(tmp_path: Path) -> None:
    document = find_headings(read(tmp_path, pdf(outline=False)))[0]
    under = {sentence.under for sentence in find_sentences(document) if sentence.text.startswith("The farmers")}
    assert under == {title for _, title in OUTLINE}


def test_the_result_counts_headings_by_level(tmp_path: Path) -> None:
    (tmp_path / "book.pdf").write_bytes(pdf(outline=True))
    stage = CompletePipeline12Stages().process_file(tmp_path / "book.pdf", "a", "a")["stages"]["stage2"]
    del stage["seconds"]
    assert stage == {"name": "headings", "by": "outline", "headings": 27, "levels": {"1": 3, "2": 6, "3": 18}}
