"""Small PDF files for the pipeline's tests, written by hand so that every line on every page is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pypdf


def make_pdf(pages: list[list[str]]) -> bytes:
    """One page for each list of lines (Latin-1), in Helvetica, the lines below each other."""
    contents = []
    for lines in pages:
        shown = b" T* ".join(b"(%s) Tj" % _escape(line) for line in lines)
        contents.append(b"BT /F1 11 Tf 14 TL 50 780 Td %s ET" % shown)
    return make_pages(contents)


def make_pages(contents: Sequence[bytes | tuple[bytes, str]]) -> bytes:
    """One page for each content stream; a pair is one that is encoded, and the name of its filter. /F1 is Helvetica,
    /F2 is its bold."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(contents), b" ".join(b"%d 0 R" % (5 + 2 * number) for number in range(len(contents)))),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number, content in enumerate(contents):
        data, encoding = content if isinstance(content, tuple) else (content, "")
        named = b" /Filter %s" % encoding.encode() if encoding else b""
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>" % (6 + 2 * number)
        )
        objects.append(b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(data), named, data))
    return _assemble(objects)


@dataclass(frozen=True)
class Set:
    """A line as it is set."""

    text: str
    size: float = 11
    bold: bool = False


def make_set_pdf(pages: list[list[Set]], outline: list[tuple[int, str, int]] | None = None) -> bytes:
    """Pages whose lines have sizes of their own. outline: (level from 1, title, page from 1) in order."""
    contents = []
    for lines in pages:
        shown = b" ".join(
            b"/F%d %g Tf %g TL T* (%s) Tj" % (1 + line.bold, line.size, line.size * 1.4, _escape(line.text))
            for line in lines
        )
        contents.append(b"BT 50 800 Td %s ET" % shown)
    pdf = make_pages(contents)
    return _with_outline(pdf, outline) if outline else pdf


def _with_outline(pdf: bytes, outline: list[tuple[int, str, int]]) -> bytes:
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf))
    above: list[Any] = [None]
    for level, title, page in outline:
        del above[level:]
        above.append(writer.add_outline_item(title=title, page_number=page - 1, parent=above[-1]))
    return written(writer)


def written(writer: pypdf.PdfWriter) -> bytes:
    """A writer's file."""
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def encrypt(pdf: bytes, user_password: str, owner_password: str) -> bytes:
    """The same file, encrypted; an empty `user_password` opens without asking."""
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf))
    writer.encrypt(user_password, owner_password, algorithm="RC4-128")
    return written(writer)


def _escape(line: str) -> bytes:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")


def _assemble(objects: list[bytes]) -> bytes:
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(data)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    return data + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer
