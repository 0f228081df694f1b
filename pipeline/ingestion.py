"""Stage 1: a file or a text into clean lines with page numbers.

Tells the type by content, calls the reader for it, has the lines cleaned, and keeps the English among them. The
readers are `pdf.py`, `docx.py`, `plaintext.py` and `ocr.py`; headings, paragraphs and sentences are found later.
"""

from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from pipeline import docx, ocr, sandbox
from pipeline.document import Document, Extract, Line, Page, Style
from pipeline.errors import BadDocument
from pipeline.filetypes import DOCX, IMAGE, PDF, kind_of
from pipeline.language import keep_english
from pipeline.layout import TOO_LONG, clean, count_words
from pipeline.pdf import NO_TEXT, read_pdf
from pipeline.plaintext import MAX_BYTES, read_bytes, read_string
from pipeline.sandbox import Ending, Limits

__all__ = ["Document", "Line", "read_file", "read_text"]

MIN_WORDS = 5  # a headline has some worth learning
_TOO_BIG = "This document takes more memory to read than Docdeck gives to one. Upload it in parts, or save it anew."

Progress = Callable[[float], None]


def read_file(path: Path, on_progress: Progress) -> Document:
    """Read a document. `on_progress` gets the share read, 0-1. Raises BadDocument with a sentence for its owner."""
    try:
        return _document(extract_file(path, on_progress))
    except MemoryError:
        raise BadDocument(_TOO_BIG) from None


def read_text(text: str) -> Document:
    """Plain text or Markdown; form feeds part its pages. Raises BadDocument."""
    return _document(read_string(text))


def extract_file(path: Path, on_progress: Progress) -> Extract:
    """What is written in a file, in whatever language, uncleaned. Raises BadDocument."""
    if not path.stat().st_size:
        raise BadDocument("This file is empty (0 bytes). Upload it again.")
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        kind = kind_of(data)
    if kind == PDF:
        return _pdf(path, on_progress)
    if kind == DOCX:
        return _docx(path)
    if kind == IMAGE:
        return _picture(path, on_progress)
    with path.open("rb") as file:
        return read_bytes(file.read(MAX_BYTES))


def _document(extract: Extract) -> Document:
    document = clean(extract)
    if document.words < MIN_WORDS:
        words = document.words
        count = f"only {words} word{'s' * (words > 1)}" if words else "no words"
        raise BadDocument(f"This document has {count}; Docdeck needs at least {MIN_WORDS} to make cards.")
    return keep_english(document)


# PDF and pictures -----------------------------------------------------------------------------------------------------


def _pdf(path: Path, on_progress: Progress) -> Extract:
    """A PDF; pages that are only pictures are recognised, where that can be done."""
    extract, pictures = read_pdf(path, on_progress)
    if not pictures:
        if not _has_words(extract):
            raise BadDocument(NO_TEXT)
        return extract
    if _has_words(extract) and not ocr.tessdata():
        extract.counts["pages_not_recognised"] = len(pictures)
        of = f"{len(pictures)} of {len(extract.pages)} pages"
        extract.notes.append(f"{of} are pictures without text and were left out.")
        return extract
    return _recognised(extract, ocr.read_pages(path, pictures, on_progress), len(pictures))


def _picture(path: Path, on_progress: Progress) -> Extract:
    pages, count = ocr.read_picture(path, on_progress)
    return _recognised(Extract([Page([]) for _ in range(count)]), pages, count)


def _recognised(extract: Extract, pages: dict[int, Page], wanted: int) -> Extract:
    for number, page in pages.items():
        extract.pages[number] = page
    if not _has_words(extract):
        raise BadDocument(ocr.NO_WORDS)
    extract.counts["pages_recognised"] = len(pages)
    if len(pages) < wanted:
        extract.counts["pages_not_recognised"] = wanted - len(pages)
        extract.notes.append(f"Text recognition read {len(pages):,} of {wanted:,} pages; the others were left out.")
    return extract


def _has_words(extract: Extract) -> bool:
    return any(count_words(page.lines, 1) for page in extract.pages)


# Word -----------------------------------------------------------------------------------------------------------------

_DOCX_LOCKED = "This Word document is locked with a password. Remove the password and upload it again."
_DOCX_DAMAGED = "This Word document is cut off or damaged: it cannot be opened. Upload it again from the original."
_DOCX_TOO_HARD = (
    "This Word document takes more time or memory to read than Docdeck gives to one document. "
    "Save it anew, or as plain text, and upload that."
)


def _docx(path: Path) -> Extract:
    pages: list[Page] = []
    end = "died"

    def hear(message: list[Any]) -> None:
        nonlocal end
        if message[0] != "lines":
            end = message[0]
            return
        for number, level, text in message[1]:
            while len(pages) < number:
                pages.append(Page([]))
            pages[-1].lines.append(text)
            pages[-1].styles.append(Style(level))

    ending = sandbox.run(lambda send: docx.read(path, send), hear, Limits(15, 15, 256))
    extract = Extract(pages, flows=True)
    if end == "locked":
        raise BadDocument(_DOCX_LOCKED)
    if not pages and end != "whole":
        raise BadDocument(_DOCX_DAMAGED if ending is Ending.DONE else _DOCX_TOO_HARD)
    if end == "cut" or ending is not Ending.DONE:
        extract.notes.append(TOO_LONG)
        extract.counts["cut"] = 1
    elif end == "torn":
        extract.notes.append("The document is damaged; the cards are from what stands before the damage.")
        extract.counts["damaged"] = 1
    return extract
