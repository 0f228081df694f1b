"""What passes between the readers and the stages: raw pages, clean lines, the document.

Shapes only. Readers make an Extract; `layout.py` makes a Document of it; `headings.py` and `context.py` work on that.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class Style(NamedTuple):
    """How a line is set. `level` of a heading, 1 the highest, where the format says so; 0: it does not.
    `size` in points, to the half, 0 where the format has none."""

    level: int = 0
    size: float = 0.0
    bold: bool = False


PLAIN = Style()


@dataclass(slots=True)
class Page:
    """A page as its reader found it. `styles` has one for each line, or is empty: all plain."""

    lines: list[str]
    styles: list[Style] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of a PDF's outline. `level` counts from 1; `page` from 1, 0 where it leads nowhere."""

    level: int
    title: str
    page: int


@dataclass(slots=True)
class Extract:
    """What a reader got out of a file, not yet cleaned.

    counts: what `stages.stage1` tells beside pages and words, e.g. `pages_unreadable`. notes: sentences for the person
    who uploaded the file, on what is missing.
    """

    pages: list[Page]
    bookmarks: list[Bookmark] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    flows: bool = False  # its lines are paragraphs and its pages have no edges: nothing to join, no furniture


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line. `page` counts from 1; an empty `text` is a blank line."""

    page: int
    text: str
    style: Style = PLAIN

    @property
    def heading(self) -> bool:
        """Whether the line is one."""
        return self.style.level > 0


@dataclass(frozen=True, slots=True)
class Document:
    """What is left of a document's text: its lines in reading order."""

    lines: list[Line]
    pages: int
    words: int
    furniture: int  # lines dropped as running headers, page numbers and tables of contents
    bookmarks: list[Bookmark] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
