"""The text of a PDF by pdfium, line by line with the size of its type; the first reader of two.

pdfium is fast and right, and C++ that a file can crash, hang or bloat: this is to be called in a sandbox only. It
reads no form fields and no annotations, and judges nothing.
"""

import ctypes
import itertools
import math
import re
from collections import Counter
from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from pipeline.sandbox import Send

MAX_PAGES = 5000
MAX_PAGE_CHARACTERS = 1_000_000
_MAX_BOOKMARKS = 3000
_SAMPLED = 8  # of the lines that cannot be headings, one in so many has its size looked up

# A line ends with CR LF, or behind U+FFFE or U+0002, which stands for a hyphen at which pdfium joined two lines.
_LINE_END = re.compile("\r\n|(?<=[\ufffe\x02])(?!\r\n)|[\n\r]")
_FIRST = re.compile(r"[^\W_]")
# By the font's name: also TeX's "CMBX12" and "NimbusRomNo9L-Medi".
_BOLD = re.compile(rb"bold|black|heavy|semib|demi|[a-z]bx[a-z]{0,2}\d|-medi(?:ital)?$", re.I)


def read(path: Path, first: int, send: Send) -> None:
    """Say `locked`, or `unopened`, or `open COUNT`, then for each page from `first` (0 is the first) either
    `page NUMBER TEXT TYPES IS_PICTURE` or `broken NUMBER`, then `bookmarks [[level, title, page] ...]`.

    TYPES has a number for each line of TEXT: the size of its type, negative if it is bold, 0 if it was not looked up.
    """
    try:
        pdf = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        locked = error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
        return send("locked" if locked else "unopened")
    send("open", len(pdf))
    type_ = _Type()
    for number in range(first, min(len(pdf), MAX_PAGES)):
        _read_page(pdf, number, type_, send)
    entries = itertools.islice(pdf.get_toc(), _MAX_BOOKMARKS)
    return send("bookmarks", [[entry.level + 1, entry.get_title()[:500], _page_of(entry)] for entry in entries])


def _page_of(bookmark: pypdfium2.PdfBookmark) -> int:
    destination = bookmark.get_dest()
    index = destination.get_index() if destination else None
    return 0 if index is None else index + 1


def _read_page(pdf: pypdfium2.PdfDocument, number: int, type_: "_Type", send: Send) -> None:
    # pdfium's own functions: the helpers of pypdfium2 would take a third of the whole time.
    page = raw.FPDF_LoadPage(pdf.raw, number)
    text_page = raw.FPDFText_LoadPage(page) if page else None
    if not text_page:
        return send("broken", number)
    text = _text(text_page)
    lines, types = _lines(text, type_.at(text_page, len(text)))
    is_picture = not text.strip() and _shows_a_picture(page)
    send("page", number, "\n".join(lines), types, is_picture)
    raw.FPDFText_ClosePage(text_page)
    raw.FPDF_ClosePage(page)
    return None


def _text(text_page: raw.FPDF_TEXTPAGE) -> str:
    count = max(0, min(raw.FPDFText_CountChars(text_page), MAX_PAGE_CHARACTERS))
    buffer = (ctypes.c_ushort * (2 * count + 1))()
    length = raw.FPDFText_GetText(text_page, 0, count, buffer) - 1
    return bytes(buffer)[: 2 * max(length, 0)].decode("utf-16-le", "surrogatepass")


def _lines(text: str, type_: "_Type") -> tuple[list[str], list[float]]:
    lines: list[str] = []
    types: list[float] = []
    start = 0
    stands_out = False
    for end, after in [*(match.span() for match in _LINE_END.finditer(text)), (len(text), len(text))]:
        line = text[start:end]
        lines.append(line)
        looked_up = 0.0
        # A heading's second line may begin as it likes, and so may a bold paragraph's.
        if stands_out or _may_be_heading(line) or len(lines) % _SAMPLED == 0:
            found = _FIRST.search(line)
            if found:
                looked_up = type_.of(start + found.start(), start + len(line.rstrip(" .:)\ufffe\x02")) - 1)
        stands_out = looked_up < 0 or looked_up > type_.usual
        types.append(looked_up)
        start = after
    return lines, types


def _may_be_heading(line: str) -> bool:
    return len(line) <= 120 and not line[:1].islower() and not line.endswith((",", ";", ", ", "; "))


class _Type:
    """Looks up the type of lines, at as little cost as can be: every call of pdfium's counts."""

    def __init__(self) -> None:
        self._page: raw.FPDF_TEXTPAGE | None = None
        self._direct = True
        self._matrix, self._flags = raw.FS_MATRIX(), ctypes.c_int()
        self._name = ctypes.create_string_buffer(100)
        self._sizes: Counter[float] = Counter()
        self.usual = 0.0  # of the body, as far as is known

    def at(self, text_page: raw.FPDF_TEXTPAGE, length: int) -> "_Type":
        """Go to a page with a text of this length; where pdfium counts otherwise, places are translated."""
        self._page = text_page
        self._direct = length == raw.FPDFText_CountChars(text_page)
        if self._sizes:
            self.usual = self._sizes.most_common(1)[0][0]
        return self

    def of(self, first: int, last: int) -> float:
        """Size and boldness (a minus) of a line that goes from `first` to `last`; of the smaller and thinner end if it
        stands out, since what only begins large or bold is no heading."""
        size, bold = self._size(first), self._bold(first)
        self._sizes[size] += 1
        if bold or size > self.usual:
            size, bold = min(size, self._size(last)), bold and self._bold(last)
        return -size if bold else size

    def _size(self, position: int) -> float:
        index = position if self._direct else raw.FPDFText_GetCharIndexFromTextIndex(self._page, position)
        raw.FPDFText_GetMatrix(self._page, index, self._matrix)
        size = raw.FPDFText_GetFontSize(self._page, index) * math.hypot(self._matrix.c, self._matrix.d)
        return round(size * 2) / 2 if 0 < size < 1000 else 0.0  # to half points: 11.9 and 12.1 are one size

    def _bold(self, position: int) -> bool:
        index = position if self._direct else raw.FPDFText_GetCharIndexFromTextIndex(self._page, position)
        length = raw.FPDFText_GetFontInfo(self._page, index, self._name, 100, self._flags)
        return 0 < length <= 100 and bool(_BOLD.search(self._name.value))


def _shows_a_picture(page: raw.FPDF_PAGE) -> bool:
    """Whether a picture takes at least a quarter of the page."""
    area = raw.FPDF_GetPageWidthF(page) * raw.FPDF_GetPageHeightF(page)
    sides = [ctypes.c_float() for _ in range(4)]
    for number in range(min(raw.FPDFPage_CountObjects(page), 100)):
        thing = raw.FPDFPage_GetObject(page, number)
        # A form may hold the picture: its own extent is taken for that.
        if raw.FPDFPageObj_GetType(thing) in (raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM):
            raw.FPDFPageObj_GetBounds(thing, *sides)
            left, bottom, right, top = (side.value for side in sides)
            if (right - left) * (top - bottom) >= area / 4:
                return True
    return False
