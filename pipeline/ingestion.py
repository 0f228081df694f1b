"""Stage 1: a file or a text into clean lines with page numbers.

Reads PDF (pypdfium2, and pypdf where that fails or finds hardly a word), plain text and Markdown; the type is told
by content, never by name. Undoes what typesetting did (ligatures, line-end hyphens) and drops page furniture:
running headers and footers, page numbers, tables of contents. It does not find headings, paragraphs or sentences,
does no OCR and reads no Office formats.
"""

import logging
import re
import struct
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pypdf
import pypdfium2

from pipeline.english import is_common_word, zipf
from pipeline.errors import BadDocument
from pipeline.language import require_english

ACCEPTED = "PDF, plain text or Markdown"
MIN_WORDS = 30
_HARDLY_A_WORD = 10  # fewer words than this and the other PDF reader gets its turn

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line. `page` counts from 1; an empty `text` is a blank line; `heading` where the format says so."""

    page: int
    text: str
    heading: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """What is left of a document's text: its lines in reading order."""

    lines: list[Line]
    pages: int
    words: int
    furniture: int  # lines dropped as running headers, page numbers and tables of contents


_HYPHEN = "\x02"  # a hyphen at a line's end, where pdfium has joined the lines already (it writes U+FFFE or U+0002)
_TRANSLATION = {
    **dict.fromkeys([*range(2), *range(3, 9), *range(14, 32), 127], None),
    **dict.fromkeys(range(0xD800, 0xE000), None),  # halves of characters, which no UTF-8 can carry on
    **dict.fromkeys([0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0xFFFD], None),
    **dict.fromkeys([*range(0xE000, 0xF900), 0x0B], " "),  # private use: fonts' own blanks and ornaments
    **dict.fromkeys(map(ord, "⁰¹²³⁴⁵⁶⁷⁸⁹"), None),  # note marks, which NFKC would glue to the word as figures
    **dict.fromkeys(map(ord, "\u2010\u2011"), "-"),
    0xFFFE: _HYPHEN,
    0x85: "\n",
    0x2028: "\n",
}
_WORDS = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_PAGE_NUMBER = re.compile(r"(?:page\s*)?[-–—|\s]*(?:\d{1,4}|[ivxlc]{1,7}|[A-Z]-?\d{1,3})[-–—|\s]*(?:of\s+\d+)?", re.I)
_LEADERS = re.compile(r"\.{4,}|(?:\. ){4,}|…{2,}|_{6,}")
_EDGE = 5  # lines at the top and bottom of a page among which running headers are looked for
_RUNNING = 3  # pages on which a line must stand there


def read_file(path: Path, on_progress: Progress) -> Document:
    """Read a document. `on_progress` gets the share read, 0-1. Raises BadDocument with a sentence for its owner."""
    data = path.read_bytes()
    if not data:
        raise BadDocument("This file is empty (0 bytes). Upload it again.")
    if b"%PDF-" in data[:1024]:
        return _document(_read_pdf(data, on_progress))
    _refuse_other_formats(data)
    text = _decode(data)
    on_progress(1.0)
    return read_text(text)


def read_text(text: str) -> Document:
    """Plain text or Markdown; form feeds part its pages. Raises BadDocument."""
    pages = [text] if _is_markdown(text) else text.split("\f")
    return _document(pages, markdown=_is_markdown(text))


# --- What kind of file it is ---------------------------------------------------------------------------------------

_SIGNATURES = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"BM", "a bitmap picture"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (.doc, .xls or .ppt)"),
    (b"\x1f\x8b", "a compressed archive (gzip)"),
    (b"7z\xbc\xaf", "a compressed archive (7z)"),
    (b"Rar!", "a compressed archive (RAR)"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "a sound file"),
    (b"%!PS", "a PostScript file"),
)
_ZIP_MEMBERS = (
    (b"word/", "a Word document (DOCX)"),
    (b"xl/", "an Excel sheet (XLSX)"),
    (b"ppt/", "a PowerPoint file (PPTX)"),
    (b"application/epub", "an e-book (EPUB)"),
    (b"opendocument", "an OpenDocument file"),
)


def _refuse_other_formats(data: bytes) -> None:
    kind = next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)
    if data.startswith(b"PK\x03\x04"):
        # A zip's directory, where the members' names stand, is at its end.
        members = data[:4096] + data[-65536:]
        kind = next((kind for member, kind in _ZIP_MEMBERS if member in members), "a ZIP archive")
    elif data.startswith(b"RIFF"):
        kind = "a WebP picture" if data[8:12] == b"WEBP" else "a sound or video file"
    elif data[4:8] == b"ftyp":
        kind = "a video or HEIC picture"
    elif re.match(rb"\s*<(?:!doctype html|html)", data[:256], re.I):
        kind = "a web page (HTML)"
    if kind and not (kind in ("a bitmap picture", "a program", "a sound file") and b"\x00" not in data[:4096]):
        raise BadDocument(f"This file is {kind}, not a {ACCEPTED} document. Save it as one of these and upload that.")


def _decode(data: bytes) -> str:
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
    ):  # fmt: skip
        if data.startswith(mark):
            encodings: tuple[str, ...] = (encoding,)
            break
    else:
        encodings = ("utf-8", "cp1252")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        control = sum(1 for character in text[:100_000] if character < " " and character not in "\t\n\r\f")
        if "\x00" not in text and control * 100 <= len(text[:100_000]):
            return text
    raise BadDocument(f"This file is not a {ACCEPTED} document, or it is damaged. Upload one of these.")


# --- PDF -----------------------------------------------------------------------------------------------------------

_LOCKED = "This PDF is locked with a password. Remove the password and upload it again."
_DAMAGED = "This PDF is cut off or damaged: it cannot be opened. Upload it again from the original."
_SCANNED = (
    "This PDF has no text in it: its pages are pictures, as from a scanner. "
    "Run text recognition (OCR) over it and upload the result."
)
# pypdf documents PyPdfError only; on malformed files its parsers raise any of these as well.
_PYPDF_ERRORS = (
    pypdf.errors.PyPdfError, pypdf.errors.DependencyError, ArithmeticError, AssertionError, AttributeError, LookupError,
    NotImplementedError, RecursionError, TypeError, ValueError, OSError, struct.error, zlib.error,
)  # fmt: skip


def _read_pdf(data: bytes, on_progress: Progress) -> list[str]:
    pages = _read_with_pdfium(data, on_progress)
    if pages is None or _count_words(pages) < _HARDLY_A_WORD:
        second = _read_with_pypdf(data, on_progress)
        if pages is None and second is None:
            raise BadDocument(_DAMAGED)
        pages = max(pages or [], second or [], key=_count_words)
    if _count_words(pages) < _HARDLY_A_WORD:
        raise BadDocument(_SCANNED if pages else _DAMAGED)
    return pages


def _read_with_pdfium(data: bytes, on_progress: Progress) -> list[str] | None:
    """The text of each page, or None when pdfium cannot open the file. Not thread-safe: pdfium is not."""
    try:
        pdf = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise BadDocument(_LOCKED) from error
        return None
    try:
        pages = []
        for number in range(len(pdf)):
            pages.append(_page_text(pdf, number))
            on_progress((number + 1) / len(pdf))
        return pages
    finally:
        pdf.close()


def _page_text(pdf: pypdfium2.PdfDocument, number: int) -> str:
    try:
        page = pdf[number]
        try:
            text = page.get_textpage()
            try:
                return str(text.get_text_range())
            finally:
                text.close()
        finally:
            page.close()
    except pypdfium2.PdfiumError:
        return ""  # one broken page does not cost the document its others


def _read_with_pypdf(data: bytes, on_progress: Progress) -> list[str] | None:
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of every flaw, thousands of lines for some files
    try:
        reader = pypdf.PdfReader(BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise BadDocument(_LOCKED)
        pages = []
        for number, page in enumerate(reader.pages):
            pages.append(page.extract_text())
            on_progress((number + 1) / len(reader.pages))
        return pages
    except _PYPDF_ERRORS:
        return None


def _count_words(pages: list[str]) -> int:
    return sum(1 for page in pages for _ in _WORDS.finditer(page))


# --- Markdown ------------------------------------------------------------------------------------------------------

_MARKDOWN_HEADING = re.compile(r"#{1,6} +(.+)")
# The lengths are bounded: unbounded, a file of brackets alone would take minutes.
_MARKDOWN_SIGN = re.compile(
    r"^(?:#{1,6} \S|```|~~~|[-*] \[[ x]\] )|\[[^\]\n]{1,300}\]\((?:https?:|[./#])[^)\n]{0,500}\)", re.M
)
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_MARKDOWN_INLINE = (
    (re.compile(r"!\[([^\]]{0,300})\]\([^)]{0,500}\)"), ""),
    (re.compile(r"\[([^\]]{1,300})\]\([^)]{0,500}\)"), r"\1"),
    (re.compile(r"\[([^\]]{1,300})\]\[[^\]]{0,300}\]"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^>\n]{0,300}>"), ""),
    (re.compile(r"`([^`]{0,300})`"), r"\1"),
    (re.compile(r"(\*\*|__)(?=[^\s*_])(.{1,300}?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w*])[*_](?=\S)([^*_\n]{1,300})(?<=\S)[*_](?![\w*])"), r"\1"),
)


def _is_markdown(text: str) -> bool:
    return sum(1 for _ in zip(range(2), _MARKDOWN_SIGN.finditer(text), strict=False)) == 2


def _markdown_lines(text: str) -> Iterator[Line]:
    fenced = False
    for raw in text.splitlines():
        if _FENCE.match(raw):
            fenced = not fenced
            yield Line(1, "")
        elif not fenced:
            heading = _MARKDOWN_HEADING.match(raw)
            line = heading[1].rstrip("# ") if heading else raw
            if line.lstrip().startswith("|") or re.fullmatch(r"\s*[-=*_]{3,}\s*", line):
                line = ""  # a table's row or a rule
            for pattern, replacement in _MARKDOWN_INLINE:
                line = pattern.sub(replacement, line)
            yield Line(1, " ".join(line.lstrip("> ").split()), heading=bool(heading))


# --- Cleaning ------------------------------------------------------------------------------------------------------


def _document(pages: list[str], markdown: bool = False) -> Document:
    pages = [_clean_characters(page) for page in pages]
    words = _count_words(pages)
    if words < MIN_WORDS:
        count = f"only {words} word{'s' * (words > 1)}" if words else "no words"
        raise BadDocument(f"This document has {count}; Docdeck needs at least {MIN_WORDS} to make cards.")
    require_english("\n".join(pages))
    if markdown:
        lines, furniture = list(_markdown_lines(pages[0])), 0
    else:
        numbered = [_page_lines(number, page) for number, page in enumerate(pages, 1)]
        lines, furniture = _without_furniture(numbered)
    return Document(lines=_join_broken_words(lines), pages=len(pages), words=words, furniture=furniture)


_LOST_BREAK = re.compile(rf"{_HYPHEN}(?!\n)")


def _page_lines(number: int, page: str) -> list[Line]:
    return [Line(number, " ".join(line.split())) for line in page.splitlines()]


def _clean_characters(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xad\n", _HYPHEN + "\n").replace("\xad", "")
    text = unicodedata.normalize("NFKC", text.translate(_TRANSLATION)).replace("\u2010", "-")
    # pdfium drops the line break behind a hyphen; lines of their printed length tell context.py what a paragraph is.
    return _LOST_BREAK.sub(_HYPHEN + "\n", text)


def _without_furniture(pages: list[list[Line]]) -> tuple[list[Line], int]:
    edges = [{_shape(line.text) for line in page[:_EDGE] + page[-_EDGE:]} for page in pages]
    seen = Counter(shape for shapes in edges for shape in shapes if shape)
    running = {shape for shape, count in seen.items() if count >= _RUNNING}
    kept = []
    for page in pages:
        for number, line in enumerate(page):
            at_edge = len(pages) >= _RUNNING and (number < _EDGE or number >= len(page) - _EDGE)
            repeats = _shape(line.text) in running or bool(_PAGE_NUMBER.fullmatch(line.text))
            if not (at_edge and repeats) and not _LEADERS.search(line.text):
                kept.append(line)
    return kept, sum(map(len, pages)) - len(kept)


def _shape(line: str) -> str:
    """A line with its figures levelled, so that a header with the page's number is one header."""
    return re.sub(r"\d+", "#", line).strip().lower()


_SPLIT_LIGATURE = re.compile(r"\b([^\W\d_]*(?:fi|fl|ff|ffi|ffl)) ([^\W\d_]+)")
_LINE_END_HYPHEN = re.compile(r"([^\W\d_]+)(?: ?-|\x02)$")
_LONG_LINE = 2000  # characters
_LINE_START = re.compile(r"([a-zß-ÿ][^\W\d_]*)(\S*)\s?")


def _join_broken_words(lines: list[Line]) -> list[Line]:
    """Brings the rest of a word that was broken at a line's end back to that line."""
    known = Counter(word.lower() for line in lines for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", line.text))
    # Some files have a blank behind each ligature: "fi rst", "Offi cers". Ordinary text is left alone.
    ligatures_split = sum(known[stump] for stump in ("fi", "fl", "offi", "ffi", "affi", "diffi")) >= 3
    result: list[Line] = []
    for line in lines:
        text = line.text
        # No printed line is that long; without the limit a chain of hyphens would cost its length squared.
        end = _LINE_END_HYPHEN.search(result[-1].text) if result and len(result[-1].text) < _LONG_LINE else None
        start = _LINE_START.match(text)
        if end and start:
            before = result[-1]
            whole = before.text[: end.start()] + _join(end[1], start[1], known) + start[2]
            result[-1] = Line(before.page, whole, before.heading)
            text = text[start.end() :]
            if not text:
                continue
        if ligatures_split:
            text = _SPLIT_LIGATURE.sub(_join_ligature, text)
        result.append(Line(line.page, text, line.heading))
    return [Line(line.page, line.text.replace(_HYPHEN, "-").strip(), line.heading) for line in result]


def _join(left: str, right: str, known: Counter[str]) -> str:
    """The word that was broken: with its hyphen where English or the document writes it so."""
    joined, hyphened = left + right, f"{left}-{right}"
    if is_common_word(joined.lower()) or known[joined.lower()] > known[hyphened.lower()]:
        return joined
    # wordfreq has "wellknown" too, once in a while: two common words do not make a rare one.
    parts = min(zipf(left.lower()), zipf(right.lower()))
    if known[hyphened.lower()] or (parts >= 4 and zipf(joined.lower()) < 3):
        return hyphened
    return joined if zipf(joined.lower()) or parts < 3 else hyphened


def _join_ligature(match: re.Match[str]) -> str:
    left, right = match.groups()
    # Not in "off ice" or "sci-fi films".
    return left + right if not is_common_word(left.lower()) and zipf((left + right).lower()) >= 2 else match[0]
