"""The text of a Word document, from its XML directly: headings, lists, tables, notes, pages where Word left marks.

Parsed as a stream with expat, so that neither a bomb nor a million paragraphs fill the memory; nothing is unpacked to
disk. Any document type declaration is refused, and with it all entities. Headers and footers, comments, deleted and
hidden text are not read. To be called in a sandbox: a file can make it slow.
"""

import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO
from xml.parsers import expat

from pipeline.layout import MAX_CHARACTERS
from pipeline.sandbox import Send

_MAX_EXPANDED = 150 << 20  # bytes of XML that are parsed, of all parts
_MAX_DEPTH = 1000  # elements within elements; Word's own files have some twenty
_MAX_MEMBERS = 20_000
_MAX_PAGES = 20_000  # what comes after is counted to the last
_CHUNK = 1 << 16
_LINES = 500  # in one message
_SKIPPED = frozenset({"Fallback", "moveFrom"})  # each says again what stands beside or elsewhere
_HEADING_NAME = re.compile(r"heading ([1-9])", re.I)
_CONTENTS_NAME = re.compile(r"toc \d|table of (?:contents|figures)", re.I)
_BROKEN = (
    zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, NotImplementedError, UnicodeError, ValueError,
    LookupError,  # an encoding that nobody knows
)  # fmt: skip


class _Refused(Exception):
    """The file cannot be a Word document; the text is the word that is said."""


class _Full(Exception):
    """As much was read as Docdeck reads."""


def read(path: Path, send: Send) -> None:
    """Say `lines [[page, level, text] ...]` as often as it takes, and at the end one of `whole`, `cut` (too long),
    `locked` or `damaged`."""
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > _MAX_MEMBERS:
                return send("damaged")
            return send(_Reader(archive, send).read())
    except _Refused as error:
        return send(str(error))
    except RuntimeError:  # zipfile's word for a member with a password
        return send("locked")
    except (*_BROKEN, OSError):
        return send("damaged")


class _Reader:
    """Reads the parts of one document."""

    def __init__(self, archive: zipfile.ZipFile, send: Send) -> None:
        self._archive = archive
        self._send = send
        self._left = _MAX_EXPANDED
        self._characters = 0
        self._page = 1
        self._batch: list[tuple[int, int, str]] = []
        self._said = False

    def read(self) -> str:
        """Say all lines; how it ended."""
        names = set(self._archive.namelist())
        body = "word/document.xml"
        if body not in names:
            # Some programs name it otherwise, e.g. word/document2.xml.
            body = min((name for name in names if re.fullmatch(r"word/document\d*\.xml", name)), default="")
        if not body:
            raise _Refused("damaged")
        styles = _Styles()
        end = "whole"
        try:
            if "word/styles.xml" in names:
                self._parse("word/styles.xml", styles)
            for name in (body, "word/footnotes.xml", "word/endnotes.xml"):
                if name in names:
                    self._parse(name, _Text(styles, self._say))
        except _Full:
            end = "cut"
        except _BROKEN:
            if not self._said:
                raise
            end = "torn"  # what stands before the damage is kept
        self._flush()
        return end

    def _parse(self, name: str, handler: "_Styles | _Text") -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        depth = 0
        skipped_at = 0
        names: dict[str, str] = {}

        def start(full: str, attributes: dict[str, str]) -> None:
            nonlocal depth, skipped_at
            depth += 1
            if depth > _MAX_DEPTH:
                raise _Refused("damaged")
            if skipped_at:
                return
            local = names.get(full) or names.setdefault(full, full.rpartition(" ")[2])
            if local in _SKIPPED:
                skipped_at = depth
            else:
                handler.start(local, attributes)

        def end(full: str) -> None:
            nonlocal depth, skipped_at
            if not skipped_at:
                handler.end(names[full])
            elif skipped_at == depth:
                skipped_at = 0
            depth -= 1

        def refuse(*_: object) -> None:
            raise _Refused("damaged")

        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.StartDoctypeDeclHandler = refuse
        if isinstance(handler, _Text):
            parser.CharacterDataHandler = lambda text: None if skipped_at else handler.text(text)
        with self._archive.open(name) as part:
            self._feed(parser, part)

    def _feed(self, parser: expat.XMLParserType, part: IO[bytes]) -> None:
        while data := part.read(_CHUNK):
            self._left -= len(data)
            if self._left < 0:
                raise _Full
            parser.Parse(data, False)
            self._flush()  # what was read is kept, whatever the rest does
        parser.Parse(b"", True)

    def _say(self, page: int, level: int, text: str) -> None:
        self._page = min(max(self._page, page), _MAX_PAGES)  # notes are in a part of their own, that knows no pages
        self._batch.append((self._page, level, text))
        self._characters += len(text)
        if len(self._batch) >= _LINES or len(text) > 10_000:
            self._flush()
        if self._characters > MAX_CHARACTERS:
            raise _Full

    def _flush(self) -> None:
        if self._batch:
            self._send("lines", self._batch)
            self._batch = []
            self._said = True


class _Styles:
    """styles.xml: which styles are headings of which level, and which make up a table of contents.

    Names of built-in styles are English in every Word; ids are not ("berschrift1"). A style without a level has that
    of the one it is based on.
    """

    def __init__(self) -> None:
        self._levels: dict[str, int] = {}
        self._based_on: dict[str, str] = {}
        self.contents: set[str] = set()
        self._style = ""

    def level(self, style: str) -> int:
        """1-9, or 0: no heading."""
        for _ in range(20):  # styles may be based on each other in a ring
            if style in self._levels:
                return self._levels[style]
            style = self._based_on.get(style, "")
        return 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "style":
            self._style = _value(attributes, "styleId")
        elif name == "name" and self._style:
            heading = _HEADING_NAME.fullmatch(_value(attributes))
            if heading:
                self._levels[self._style] = int(heading[1])
            if _CONTENTS_NAME.fullmatch(_value(attributes)):
                self.contents.add(self._style)
        elif name == "basedOn" and self._style:
            self._based_on[self._style] = _value(attributes)
        elif name == "outlineLvl" and self._style:
            self._levels[self._style] = _outline_level(attributes)

    def end(self, name: str) -> None:
        if name == "style":
            self._style = ""


class _Paragraph:
    """One that is being read."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.page = 0
        self.level: int | None = None
        self.style = ""
        self.listed = False
        self.hidden = False


class _Text:
    """The body, or the notes: paragraphs as lines, with a blank line behind each."""

    def __init__(self, styles: _Styles, say: Callable[[int, int, str], None]) -> None:
        self._styles = styles
        self._say = say
        self._open: list[_Paragraph] = []  # more than one where a text box stands in a paragraph
        self._in_text = False
        self._in_properties = 0
        self._rendered, self._manual = 1, 1  # the page, as Word marked it and as its author broke it
        self._separator = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "t":
            self._in_text = True
        elif name == "p":
            self._open.append(_Paragraph())
        elif name in ("pPr", "rPr"):
            self._in_properties += 1
            if name == "rPr" and self._open:
                self._open[-1].hidden = False
        elif name == "lastRenderedPageBreak":
            self._rendered += 1
        elif name in ("footnote", "endnote"):
            self._separator = _value(attributes, "type") in ("separator", "continuationSeparator", "continuationNotice")
        elif self._open:
            self._in_paragraph(self._open[-1], name, attributes)

    def _in_paragraph(self, paragraph: _Paragraph, name: str, attributes: dict[str, str]) -> None:
        match name:
            case "tab" if not self._in_properties:
                paragraph.parts.append(" ")
            case "br" | "cr":
                self._manual += _value(attributes, "type") == "page"
                paragraph.parts.append("\n")
            case "noBreakHyphen":
                paragraph.parts.append("-")
            case "pStyle":
                paragraph.style = _value(attributes)
            case "outlineLvl":
                paragraph.level = _outline_level(attributes)
            case "numPr":
                paragraph.listed = True
            case "pageBreakBefore":
                self._manual += _value(attributes) not in ("0", "false")
            case "vanish":
                paragraph.hidden = _value(attributes) not in ("0", "false")

    def end(self, name: str) -> None:
        if name == "t":
            self._in_text = False
        elif name in ("pPr", "rPr"):
            self._in_properties -= 1
            if name == "pPr" and self._open:
                self._open[-1].hidden = False  # the paragraph's mark only
        elif name == "r" and self._open:
            self._open[-1].hidden = False
        elif name == "p" and self._open:
            self._close(self._open.pop())

    def text(self, text: str) -> None:
        """Character data."""
        if self._in_text and self._open and not self._open[-1].hidden:
            paragraph = self._open[-1]
            # Word marks where it broke pages; without such marks, those that the author broke count.
            paragraph.page = paragraph.page or (self._rendered if self._rendered > 1 else self._manual)
            paragraph.parts.append(text)

    def _close(self, paragraph: _Paragraph) -> None:
        if not paragraph.page or self._separator or paragraph.style in self._styles.contents:
            return
        level = self._styles.level(paragraph.style) if paragraph.level is None else paragraph.level
        lines = [line for line in "".join(paragraph.parts).split("\n") if line.strip()]
        if level:
            lines = [" ".join(lines)]
        for number, line in enumerate(lines):
            bullet = "• " if paragraph.listed and not level and number == 0 else ""
            self._say(paragraph.page, level, bullet + line)
        self._say(paragraph.page, 0, "")


def _value(attributes: dict[str, str], name: str = "val") -> str:
    """An attribute by its local name; Word's are in a namespace."""
    return next((value for key, value in attributes.items() if key.rpartition(" ")[2] == name), "")


def _outline_level(attributes: dict[str, str]) -> int:
    value = _value(attributes)
    return int(value) + 1 if value in tuple("012345678") else 0  # 9 is body text
