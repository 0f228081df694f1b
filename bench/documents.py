"""Documents for bench/: of real English sentences, each unlike all others, in the sizes that the specification names.

The sentences are WordNet's usage examples (30,000, 230,000 words), drawn by chance with a seed. They are no prose, but
cost the pipeline what a book's do: 2 s of CPU for 100,000 words.
"""

import io
import random
import re
import zipfile
from dataclasses import dataclass
from functools import cache

from pipeline.wordnet import open_wordnet

MB = 1024 * 1024
PICTURE = 400 * 512  # bytes of a grey one that cannot be compressed
KINDS = ("pdf", "docx", "txt")
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_TYPES = "http://schemas.openxmlformats.org/package/2006"
_MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


@dataclass(frozen=True)
class Document:
    """A file in parts; those that documents share are in memory once."""

    name: str
    parts: tuple[bytes, ...]
    sha256: str = ""

    def content(self) -> bytes:
        """The whole file."""
        return b"".join(self.parts)


def small(number: int) -> Document:
    """About 1 MB: a PDF or a Word file of 10,000 words with pictures, or a text of 170,000 words, in turns."""
    kind = KINDS[number % len(KINDS)]
    if kind == "pdf":
        return Document(f"report-{number}.pdf", _pdf(_pages(number, 10_000), 5))
    if kind == "docx":
        return Document(f"report-{number}.docx", (_docx(_pages(number, 10_000)),))
    written = "\n\n".join(" ".join(page) for page in _pages(number, 180_000))
    return Document(f"book-{number}.txt", (written[:MB].encode(),))


def usual(number: int) -> Document:
    """A PDF of 5 MB: 10,000 words on 25 pages, with pictures."""
    return Document(f"report-{number}.pdf", _pdf(_pages(number, 10_000), 24))


def big(number: int) -> Document:
    """A PDF of 50 MB: 100,000 words on 250 pages, each with a picture."""
    return Document(f"book-{number}.pdf", _pdf(_pages(number, 100_000), 250))


def _pages(seed: int, words: int) -> list[list[str]]:
    """So many words of sentences, 400 on each page."""
    chance, pages = random.Random(seed), list[list[str]]()
    for _ in range(words // 400):
        page, count = list[str](), 0
        while count < 400:
            sentence = chance.choice(sentences())
            page.append(sentence)
            count += sentence.count(" ") + 1
        pages.append(page)
    return pages


@cache
def sentences() -> tuple[str, ...]:
    """WordNet's examples of five words and more."""
    quoted = list[str]()
    for part in ("noun", "verb", "adj", "adv"):
        told = (open_wordnet().folder / f"data.{part}").read_text("ascii", "replace").splitlines()
        quoted += (example for line in told for example in re.findall(r'"([^"]*)"', line.partition(" | ")[2]))
    return tuple(f"{each[0].upper()}{each[1:]}." for each in quoted if each.count(" ") > 3)


# Files ----------------------------------------------------------------------------------------------------------------


@cache
def _picture() -> bytes:
    return random.Random(0).randbytes(PICTURE)


def _pdf(pages: list[list[str]], pictures: int) -> tuple[bytes, ...]:
    """A PDF 1.4 with its text uncompressed, and so many pictures on its first pages."""
    count, first = len(pages), 4 + 2 * len(pages)  # 1 the catalogue, 2 the pages, 3 the font
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects: list[tuple[bytes, ...]] = [
        (b"<</Type/Catalog/Pages 2 0 R>>",),
        (f"<</Type/Pages/Count {count}/Kids[{kids}]>>".encode(),),
        (b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",),
    ]
    for number, page in enumerate(pages):
        shown = f"/XObject<</Im {first + number} 0 R>>" if number < pictures else ""
        resources = f"<</Font<</F 3 0 R>>{shown}>>"
        place = f"/MediaBox[0 0 595 842]/Resources{resources}/Contents {5 + 2 * number} 0 R"
        objects.append((f"<</Type/Page/Parent 2 0 R{place}>>".encode(),))
        drawn = " T* ".join(f"({line}) Tj" for line in _lines(page))
        content = f"BT /F 9 Tf 11 TL 40 800 Td {drawn} ET" + (" q 400 0 0 200 50 20 cm /Im Do Q" if shown else "")
        objects.append((f"<</Length {len(content)}>>stream\n{content}\nendstream".encode("latin-1", "replace"),))
    head = f"Subtype/Image/Width 400/Height 512/ColorSpace/DeviceGray/BitsPerComponent 8/Length {PICTURE}"
    objects += [(f"<</Type/XObject/{head}>>stream\n".encode(), _picture(), b"\nendstream")] * pictures
    parts, table, size = [b"%PDF-1.4\n"], [b"0000000000 65535 f \n"], 9
    for number, body in enumerate(objects, 1):
        table.append(b"%010d 00000 n \n" % size)
        whole = (b"%d 0 obj\n" % number, *body, b"\nendobj\n")
        parts += whole
        size += sum(map(len, whole))
    trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(table), size)
    return (*parts, b"xref\n0 %d\n" % len(table), *table, trailer)


def _lines(page: list[str]) -> list[str]:
    """A page's sentences in lines of some 100 letters, as PDF writes them."""
    lines, line = list[str](), ""
    for word in re.sub(r"([\\()])", r"\\\1", " ".join(page)).split():
        if len(line) > 100:
            lines.append(line)
            line = ""
        line += word + " "
    return [*lines, line]


def _docx(pages: list[list[str]]) -> bytes:
    """The least that is a Word file: paragraphs, and pictures that nothing shows."""
    told = "".join(f"<w:p><w:r><w:t>{_escaped(' '.join(page))}</w:t></w:r></w:p>" for page in pages)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        types = f'{_XML}<Types xmlns="{_TYPES}/content-types">'
        types += '<Default Extension="xml" ContentType="application/xml"/>'
        types += '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        types += '<Default Extension="png" ContentType="image/png"/>'
        types += f'<Override PartName="/word/document.xml" ContentType="{_MAIN}"/></Types>'
        file.writestr("[Content_Types].xml", types)
        link = f'<Relationship Id="r1" Type="{_OFFICE}" Target="word/document.xml"/>'
        file.writestr("_rels/.rels", f'{_XML}<Relationships xmlns="{_TYPES}/relationships">{link}</Relationships>')
        body = f'{_XML}<w:document xmlns:w="{_WORD}"><w:body>{told}</w:body></w:document>'
        file.writestr("word/document.xml", body, zipfile.ZIP_DEFLATED)
        for number in range(5):
            file.writestr(f"word/media/{number}.png", _picture())
    return out.getvalue()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
