"""Scans and pictures are read by text recognition, page by page; what cannot be is told from its header."""

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pypdf
import pypdfium2
import pytest

from pipeline import CompletePipeline12Stages, ocr
from pipeline.document import Document
from pipeline.errors import BadDocument
from pipeline.ingestion import read_file
from tests.pipeline.pdf_pages import make_pdf, written

PROSE = [
    "The valley had been dry for most of the year, and the farmers were",
    "waiting for the first rain of the season. When it came at last, it",
    "came with a storm that nobody in the village would forget.",
    "They told their children of it for many years to come.",
]
WORDS = " ".join(PROSE).split()


@pytest.fixture(autouse=True)
def _installed() -> None:
    """These tests need the extra and its language data: skipped without on a laptop, failed in CI."""
    if not ocr.tessdata():
        sentence = "text recognition is missing: install requirements-ocr.txt and the Debian package tesseract-ocr-eng"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)


def picture(lines: list[str] = PROSE, dpi: int = 200) -> Any:
    """A page as a scanner sees it, as a Pillow image."""
    pdf = pypdfium2.PdfDocument(make_pdf([lines]))
    image = pdf[0].render(scale=dpi / 72, grayscale=True).to_pil()
    pdf.close()
    return image.convert("L")


def saved(image: Any, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(tmp_path: Path, data: bytes) -> Document:
    path = tmp_path / "upload"
    path.write_bytes(data)
    return read_file(path, lambda share: None)


def sentence_for(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(BadDocument) as caught:
        read(tmp_path, data)
    return str(caught.value)


def share_read(document: Document, page: int = 1) -> float:
    found = " ".join(line.text for line in document.lines if line.page == page).split()
    return sum(1 for word in WORDS if word in found) / len(WORDS)


def scan(pages: int, beside: bytes = b"") -> bytes:
    """A PDF of so many scanned pages, behind those of another PDF."""
    writer = pypdf.PdfWriter(clone_from=BytesIO(beside)) if beside else pypdf.PdfWriter()
    one = saved(picture(), "PDF", resolution=200)
    for _ in range(pages):
        writer.append(BytesIO(one))
    return written(writer)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_picture_of_text_is_read(tmp_path: Path, kind: str) -> None:
    document = read(tmp_path, saved(picture(), kind))
    assert share_read(document) > 0.97
    assert document.counts["pages_recognised"] == 1


def test_a_picture_that_lies_on_its_side_and_one_with_transparency_are_read(tmp_path: Path) -> None:
    turned = picture().rotate(90, expand=True)
    exif = turned.getexif()
    exif[0x0112] = 6  # how a telephone says that it was held upright
    assert share_read(read(tmp_path, saved(turned, "JPEG", exif=exif))) > 0.97
    clear = picture().convert("LA")
    clear.putalpha(clear.getchannel("L").point(lambda value: 255 - value))
    assert share_read(read(tmp_path, saved(clear, "PNG"))) > 0.97


def test_a_screenshot_with_small_letters_is_read(tmp_path: Path) -> None:
    assert share_read(read(tmp_path, saved(picture(dpi=96), "PNG"))) > 0.9


def test_the_pages_of_a_tiff_are_pages(tmp_path: Path) -> None:
    document = read(tmp_path, saved(picture(), "TIFF", save_all=True, append_images=[picture(), picture()]))
    assert document.pages == 3
    assert share_read(document, page=3) > 0.97


def test_a_scanned_pdf_is_read_page_by_page_with_progress(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(scan(2))
    seen: list[float] = []
    document = read_file(tmp_path / "scan.pdf", seen.append)
    assert (share_read(document, 1), share_read(document, 2)) > (0.97, 0.97)
    assert [share for share in seen if share in (0.5, 1.0)][-2:] == [0.5, 1.0]


def test_of_a_mixed_pdf_only_the_pages_without_text_are_recognised(tmp_path: Path) -> None:
    document = read(tmp_path, scan(1, make_pdf([["A first page that has its text, and needs no recognition."]])))
    assert document.counts["pages_recognised"] == 1
    assert document.lines[0].text == "A first page that has its text, and needs no recognition."
    assert share_read(document, page=2) > 0.97


def test_pages_beyond_the_cap_are_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "MAX_PAGES", 1)
    document = read(tmp_path, scan(3))
    assert (document.counts["pages_recognised"], document.counts["pages_not_recognised"]) == (1, 2)
    assert document.notes == ["Text recognition read 1 of 3 pages; the others were left out."]


def test_without_the_extra_the_sentence_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "_TESSDATA", ("/nowhere",))
    for data in (scan(1), saved(picture(), "PNG")):
        assert "requirements-ocr.txt" in sentence_for(tmp_path, data)
    mixed = read(tmp_path, scan(1, make_pdf([PROSE])))
    assert mixed.notes == ["1 of 2 pages are pictures without text and were left out."]


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int) -> bytes:
    data = saved(picture(), "JPEG")
    start = data.index(b"\xff\xc0")
    return data[: start + 5] + struct.pack(">HH", height, width) + data[start + 9 :]


def test_a_picture_of_65535_squared_is_refused_by_its_header(tmp_path: Path) -> None:
    for data in (png_header(65535, 65535), jpeg_header(65535, 65535)):
        assert "65,535 × 65,535 pixels" in sentence_for(tmp_path, data)


def test_a_picture_that_is_cut_or_says_nothing_is_told_so(tmp_path: Path) -> None:
    whole = saved(picture(), "PNG")
    assert sentence_for(tmp_path, whole[:30]) == ocr.DAMAGED
    assert sentence_for(tmp_path, saved(picture([]), "PNG")) == ocr.NO_WORDS


def test_a_scan_gives_cards(tmp_path: Path) -> None:
    lines = [
        "Deep under the ground lies an aquifer full of clear water.",
        "The aquifer feeds the wells of every village in the valley.",
        "A treatment plant removes the sediment from the river.",
        "Engineers built a reservoir behind the dam in the hills.",
        "Nobody knows how old the aqueduct above the village is.",
    ]
    (tmp_path / "a.png").write_bytes(saved(picture(lines), "PNG"))
    result = CompletePipeline12Stages().process_file(tmp_path / "a.png", "a", "a")
    assert "aquifer" in {card["word"] for card in result["flashcards"]}
    assert result["stages"]["stage1"]["pages_recognised"] == 1
