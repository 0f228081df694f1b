"""Small PDF files for the pipeline's tests, written by hand so that every line on every page is known."""

from io import BytesIO

import pypdf


def make_pdf(pages: list[list[str]]) -> bytes:
    """One page for each list of lines (Latin-1), in Helvetica, the lines below each other."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(pages), b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(pages)))),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        shown = b" T* ".join(b"(%s) Tj" % _escape(line) for line in lines)
        content = b"BT /F1 11 Tf 14 TL 50 780 Td %s ET" % shown
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    return _assemble(objects)


def encrypt(pdf: bytes, user_password: str, owner_password: str) -> bytes:
    """The same file, encrypted; an empty `user_password` opens without asking."""
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf))
    writer.encrypt(user_password, owner_password, algorithm="RC4-128")
    encrypted = BytesIO()
    writer.write(encrypted)
    return encrypted.getvalue()


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
