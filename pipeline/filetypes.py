"""What kind of file bytes are, by their content alone: neither names nor claimed types count.

Names what Docdeck cannot read as well, so that its owner is told what he has uploaded. It opens nothing: whether a
file is whole is found by its reader.
"""

import codecs
import re
from mmap import mmap

from pipeline.errors import BadDocument

ACCEPTED = "PDF, Word documents (DOCX), plain text, Markdown and pictures of text (PNG, JPEG, TIFF, WebP)"

PDF, DOCX, TEXT, IMAGE = "PDF", "DOCX", "text", "image"

_HEAD = 65536  # bytes from which a file is judged; a PDF's first object may come later
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OTHERS = (
    (_OLE, "an old Office document (.doc, .xls or .ppt)"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"8BPS", "a Photoshop picture"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"{\\rtf", "an RTF document"),
    (b"\x1f\x8b\x08", "a compressed archive (gzip)"),
    (b"BZh", "a compressed archive (bzip2)"),
    (b"\xfd7zXZ\x00", "a compressed archive (xz)"),
    (b"(\xb5/\xfd", "a compressed archive (zstd)"),
    (b"7z\xbc\xaf\x27\x1c", "a compressed archive (7z)"),
    (b"Rar!\x1a\x07", "a compressed archive (RAR)"),
    (b"\x7fELF", "a program"),
    (b"OggS", "a sound or video file"),
    (b"fLaC", "a sound file"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"SQLite format 3\x00", "a database"),
    (b"%!PS", "a PostScript file"),
    (b"AT&TFORM", "a DjVu document"),
    (b"wOF", "a font"),
)
_ONLY_WITH_NULS = ((b"BM", "a bitmap picture"), (b"MZ", "a program"), (b"ID3", "a sound file"))
_ZIP_MEMBERS = (
    (b"xl/", "an Excel sheet (XLSX)"),
    (b"ppt/", "a PowerPoint file (PPTX)"),
    (b"application/epub", "an e-book (EPUB)"),
    (b"opendocument", "an OpenDocument file"),
)
_MARKUP = re.compile(rb"<(!doctype\s+html|html|head|body|\?xml|svg|!doctype)\b", re.I)
_BEFORE_MARKUP = re.compile(rb"(?:\s+|<!--(?:[^-]|-(?!->)){0,60000}-->)*")
_PDF_HEADER = re.compile(rb"%PDF-\d")
_PDF_OBJECT = re.compile(rb"\d{1,10}\s{1,9}\d{1,5}\s{1,9}obj\b")


def kind_of(data: bytes | mmap) -> str:
    """PDF, DOCX, TEXT or IMAGE. Raises BadDocument with the name of what it is otherwise."""
    head = data[:_HEAD]
    if head.startswith(_IMAGES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return IMAGE
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        # A zip's directory, where the members' names stand, is at its end.
        members = head[:4096] + data[-_HEAD:]
        if b"word/" in members:
            return DOCX
        return _refuse(next((kind for member, kind in _ZIP_MEMBERS if member in members), "a ZIP archive"))
    if _is_pdf(data):
        return PDF
    if head.startswith(_OLE) and data.find("EncryptedPackage".encode("utf-16-le")) >= 0:
        raise BadDocument("This Office document is locked with a password. Remove the password and upload it again.")
    kind = _other(head)
    return _refuse(kind) if kind else TEXT


def _is_pdf(data: bytes | mmap) -> bool:
    """Readers look for the header in the first kilobyte. A text may speak of it there: it has no objects."""
    header = _PDF_HEADER.search(data[:1032])
    if not header or header.start() > 1024:
        return False
    begins_line = header.start() == 0 or data[header.start() - 1 : header.start()] in (b"\r", b"\n", b"\x00")
    if begins_line and _PDF_OBJECT.search(data):
        return True
    return header.start() == 0 and not _is_clean_text(data[:_HEAD])


def _is_clean_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # whose last character may be cut
    except UnicodeDecodeError:
        return False
    return len(text.split(None, 30)) > 30 and not re.search(r"[\x00-\x08\x0e-\x1f]", text)


def _other(head: bytes) -> str | None:
    if head.startswith(b"RIFF") and head[8:12] in (b"WAVE", b"AVI "):
        return "a sound or video file"
    if head[4:8] == b"ftyp":
        return "a video or HEIC picture"
    known = _OTHERS + (_ONLY_WITH_NULS if b"\x00" in head[:4096] else ())
    kind = next((kind for signature, kind in known if head.startswith(signature)), None)
    return kind or _markup(head.removeprefix(b"\xef\xbb\xbf"))


def _markup(data: bytes) -> str | None:
    before = _BEFORE_MARKUP.match(data)
    found = _MARKUP.match(data, before.end() if before else 0)
    if not found:
        return None
    name = found[1].lower()
    if name == b"?xml":
        page = re.search(rb"<(?:html|!doctype\s+html)\b", data[:4096], re.I)
        return "a web page (HTML)" if page else "an XML file"
    return {b"svg": "an SVG picture", b"!doctype": "an XML file"}.get(name, "a web page (HTML)")


def _refuse(kind: str) -> str:
    raise BadDocument(f"This file is {kind}. Docdeck reads {ACCEPTED}: save it as one of these.")
