"""Stage 2: which lines are headings, and of which level.

Where the format says so (Word's styles, Markdown's signs), that is all. Else a PDF's outline is looked up in the text;
else the size and boldness of type decides; else the numbers in front of lines that stand alone. A heading over several
lines becomes one line. What looks like a heading by its words alone is left to `context.py`, which gives it no level.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.document import Bookmark, Document, Line, Style

_LONGEST = 160  # characters
_MOST_LINES = 3
_LARGER = 1.07  # times the body's size
_DEEPEST = 6
_BODY_SHARE = 0.2  # of a document's characters, above which a style is text and not headings

Found = dict[int, tuple[int, int]]  # a heading's first line -> (behind its last line, its level)

_NUMBER = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})[.)]?\s+(?=\S)")
_LABEL = re.compile(
    r"(?:chapter|part|section|article|appendix|book|unit|lesson)\.?\s+(?:\d{1,3}|[ivxlc]{1,7}|[a-z])\b[.:)]?\s*", re.I
)
_ROMAN = re.compile(r"[IVXLC]{1,6}\.\s+(?=\S)")
_NOT_ALNUM = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Headings:
    """How the headings of a document were found (`by`: format, outline, type, numbering or nothing), and how many
    there are of each level."""

    by: str
    levels: dict[int, int]


def find_headings(document: Document) -> tuple[Document, Headings]:
    """The document with its headings marked, each on one line."""
    lines = document.lines
    if any(line.heading for line in lines):
        return document, _headings("format", lines)
    ways: dict[str, Callable[[], Found]] = {
        "outline": lambda: _by_outline(lines, document.bookmarks),
        "type": lambda: _by_type(lines),
        "numbering": lambda: _by_numbering(lines),
    }
    for by, way in ways.items():
        found = way()
        if found:
            marked = _marked(lines, found)
            return replace(document, lines=marked), _headings(by, marked)
    return document, Headings("nothing", {})


def _headings(by: str, lines: list[Line]) -> Headings:
    levels = Counter(line.style.level for line in lines if line.heading)
    return Headings(by, dict(sorted(levels.items())))


def _marked(lines: list[Line], found: Found) -> list[Line]:
    result = []
    number = 0
    while number < len(lines):
        line = lines[number]
        after, level = found.get(number, (number + 1, 0))
        if level:
            text = " ".join(part.text for part in lines[number:after] if part.text)
            line = Line(line.page, text, line.style._replace(level=level))
        result.append(line)
        number = after
    return result


# A PDF's outline ------------------------------------------------------------------------------------------------------


def _by_outline(lines: list[Line], bookmarks: Sequence[Bookmark]) -> Found:
    """The outline's titles where they stand on their pages; nothing if hardly half of them do."""
    starts: dict[int, int] = {}
    for number, line in enumerate(lines):
        starts.setdefault(line.page, number)
    found: Found = {}
    leading = [bookmark for bookmark in bookmarks if bookmark.page]
    for bookmark in leading:
        place = _place(lines, starts, bookmark, found)
        if place:
            found[place[0]] = (place[1], bookmark.level)
    if 2 * len(found) < len(leading):
        return {}
    highest = min((level for _, level in found.values()), default=1)  # some outlines hang all on the book's title
    return {start: (after, min(level - highest + 1, _DEEPEST)) for start, (after, level) in found.items()}


def _place(lines: list[Line], starts: dict[int, int], bookmark: Bookmark, taken: Found) -> tuple[int, int] | None:
    titles = {_squeezed(bookmark.title), _squeezed(_without_number(bookmark.title))} - {""}
    for page in (bookmark.page, bookmark.page + 1):
        for number in range(starts.get(page, len(lines)), len(lines)):
            if lines[number].page != page:
                break
            after = _spelt_from(lines, number, titles)
            if after and number not in taken:
                return number, after
    return None


def _spelt_from(lines: list[Line], number: int, titles: set[str]) -> int:
    """The line behind a title that begins at a line, or 0."""
    written = bare = ""
    for after in range(number, min(number + _MOST_LINES + 1, len(lines))):
        text = lines[after].text
        written += _squeezed(text)
        bare += _squeezed(_without_number(text) if after == number else text)
        if written in titles or (bare and bare in titles):
            return after + 1
        if not any(title.startswith((written, bare or written)) for title in titles):
            break
    return 0


def _squeezed(text: str) -> str:
    return _NOT_ALNUM.sub("", text.lower())


def _without_number(text: str) -> str:
    for pattern in (_LABEL, _NUMBER, _ROMAN):
        match = pattern.match(text)
        if match:
            return text[match.end() :]
    return text


# Type -----------------------------------------------------------------------------------------------------------------


def _by_type(lines: list[Line]) -> Found:
    """What is set larger than the body, or bold, in lines of its own."""
    written: Counter[Style] = Counter()
    for line in lines:
        if line.style.size:
            written[line.style] += len(line.text)
    if not written:
        return {}
    sizes: Counter[float] = Counter()
    for style, characters in written.items():
        sizes[style.size] += characters
    body = max(sizes, key=lambda size: (sizes[size], -size))
    most = _BODY_SHARE * sum(len(line.text) for line in lines)  # readers look only some lines' sizes up
    heads = {
        style
        for style, characters in written.items()
        if (style.size >= body * _LARGER or (style.bold and style.size >= body - 0.5))
        and characters <= most
    }
    runs = [
        (start, after, lines[start].style)
        for start, after in _runs(lines, heads)
        if _is_title(" ".join(line.text for line in lines[start:after]))
    ]
    levels = _levels(lines, runs, body)
    return {start: (after, levels[start]) for start, after, _ in runs}


def _runs(lines: list[Line], heads: set[Style]) -> Iterator[tuple[int, int]]:
    """Lines of one heading style that stand together, at most so many; more of them are a paragraph."""
    number = 0
    while number < len(lines):
        style = lines[number].style
        after = number + 1
        if style in heads:
            while (
                after < len(lines)
                and lines[after].style == style
                and lines[after].page == lines[number].page
                and not _begins_anew(lines[after].text)
            ):
                after += 1
            if after - number <= _MOST_LINES:
                yield number, after
        number = after


def _begins_anew(text: str) -> bool:
    return any(pattern.match(text) for pattern in (_NUMBER, _LABEL, _ROMAN))


def _is_title(text: str) -> bool:
    number = _NUMBER.match(text)
    words = text[number.end() :] if number else text
    letters = sum(map(str.isalpha, words))
    return (
        len(text) <= _LONGEST
        and not text[:1].islower()
        and not text.endswith((",", ";"))
        and not re.search(r"[a-z]{3}[.!?] [A-Z]\w* ", text)  # sentences
        and letters >= 2
        and letters >= 0.5 * len(words.replace(" ", ""))
        and bool(re.search(r"[^\W\d_]{2}", text) or _LABEL.match(text))
    )


def _levels(lines: list[Line], runs: list[tuple[int, int, Style]], body: float) -> dict[int, int]:
    """Levels by size, the largest first, what is bold only last; within a size, numbers like 2.1.3 tell levels apart. A
    size of the title page, or that is used hardly ever, has no level to itself."""
    starts: dict[float, list[int]] = {}
    for start, _, style in runs:
        starts.setdefault(max(style.size, body), []).append(start)
    levels: dict[int, int] = {}
    level = 1
    for size in sorted(starts, reverse=True):
        depths = {start: _depth(lines[start].text) for start in starts[size]}
        known = sorted({depth for depth in depths.values() if depth})
        for start, depth in depths.items():
            levels[start] = min(level + (depth - known[0] if depth else 0), _DEEPEST)
        on_title_page = len(depths) <= 2 and all(lines[start].page == lines[runs[0][0]].page for start in depths)
        rare = len(runs) >= 10 and len(depths) < max(2, min(len(runs) / 40, 8))
        if not (on_title_page and len(starts) > 1) and not rare:
            level += 1 + (known[-1] - known[0] if known else 0)
    return levels


def _depth(text: str) -> int:
    match = _NUMBER.match(text)
    return match[1].count(".") + 1 if match else 0


# Numbers --------------------------------------------------------------------------------------------------------------


def _by_numbering(lines: list[Line]) -> Found:
    """Numbered lines between blank ones: "2.1 Wells", "Chapter 3". Those that follow each other are a list."""
    written = [number for number, line in enumerate(lines) if line.text]
    depths = {}
    for number in written:
        if _stands_alone(lines, number) and _is_numbered(lines[number]):
            depths[number] = _depth(lines[number].text)
    labels = 0 in depths.values()
    found: Found = {}
    for before, number, after in zip([-1, *written], written, [*written[1:], -1], strict=False):
        depth = depths.get(number)
        if depth is not None and depth not in (depths.get(before), depths.get(after)) and after >= 0:
            found[number] = (number + 1, min(depth + labels if depth else 1, _DEEPEST))
    return found


def _stands_alone(lines: list[Line], number: int) -> bool:
    """Between blank lines or a page's ends."""
    page = lines[number].page
    around = [n for n in (number - 1, number + 1) if 0 <= n < len(lines) and lines[n].page == page]
    return not any(lines[n].text for n in around)


def _is_numbered(line: Line) -> bool:
    text = line.text
    label, number = _LABEL.match(text), _NUMBER.match(text)
    if not (label or (number and text[number.end()].isupper())):
        return False
    return len(text) <= 90 and not text.endswith((".", ",", ";", ":", "?")) and _is_title(text)
