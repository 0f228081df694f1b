"""Decks to take away: a finished job's cards as Anki package, CSV, TSV, Markdown or JSON.

A card keeps its identity wherever it goes: its id (term, part of speech and sense) is the note's GUID in Anki, where a
second import, of the same document edited, changes the note and keeps its reviews. Sound is Anki's own speech.

It reads a result and writes bytes; it knows nothing of HTTP, queue or storage.
"""

import csv
import hashlib
import html
import io
import itertools
import json
import re
import sqlite3
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import genanki

Card = Mapping[str, Any]

GAP = re.compile(r"\{\{c1::(.*?)\}\}", re.S)
MODEL = 1_764_115_201  # of Anki's note type; another number would be another note type beside the first
FIELDS = (
    *("Word", "Kind", "IpaUs", "IpaUk", "Meaning", "Vietnamese", "Sentence", "Gap", "Page", "Source", "Synonyms"),
    *("Level", "Frequency", "DefinitionFrom"),
)
COLUMNS = (
    *("word", "part_of_speech", "meaning", "meaning_vi", "ipa_us", "ipa_uk", "cefr", "frequency", "example"),
    *("example_page", "cloze", "synonyms", "topic", "definition_source", "id"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run what begins so

STYLE = """
.card { font: 20px/1.5 system-ui, sans-serif; max-width: 32em; margin: 1em auto; text-align: center; }
.word { font-size: 1.6em; font-weight: 600; }
.small { font-size: .75em; opacity: .75; }
.meaning { margin: .6em 0; }
.sentence { text-align: left; }
.sentence b { color: #0a7d5a; }
.nightMode .sentence b { color: #5fd6ae; }
"""
SOUND = '<span class="small">US {{IpaUs}} {{tts en_US:Word}} · UK {{IpaUk}} {{tts en_GB:Word}}</span>'
WORD = '<div class="word">{{Word}}</div>'
BACK = """
<div class="small">{{Kind}}{{#Level}} · {{Level}}{{/Level}}{{#Frequency}} · {{Frequency}}{{/Frequency}}</div>
{{#Meaning}}<div class="meaning">{{Meaning}}</div>{{/Meaning}}
{{#Vietnamese}}<div class="meaning">{{Vietnamese}}</div>{{/Vietnamese}}
<div class="sentence">{{Sentence}} <span class="small">{{Source}}{{#Page}}, {{Page}}{{/Page}}</span></div>
{{#Synonyms}}<div class="small">= {{Synonyms}}</div>{{/Synonyms}}
{{#DefinitionFrom}}<div class="small">{{DefinitionFrom}}</div>{{/DefinitionFrom}}
"""
RECOGNITION = {"name": "Recognition", "qfmt": WORD + SOUND, "afmt": WORD + SOUND + "<hr id=answer>" + BACK}
CLOZE = {  # none where the sentence has no gap
    "name": "Cloze",
    "qfmt": '{{#Gap}}<div class="sentence">{{Gap}}</div><div class="meaning">{{Meaning}}</div>{{/Gap}}',
    "afmt": WORD + SOUND + "<hr id=answer>" + BACK,
}


def deck(kind: str, result: Mapping[str, Any]) -> tuple[bytes, str]:
    """The deck of a result as one of KINDS; its bytes and their MIME type."""
    write, mime = KINDS[kind]
    return write(str(result.get("document_title") or "document"), result.get("flashcards", ())), mime


def file_name(title: str, kind: str) -> str:
    """What the download is called: the document's name without its ending."""
    stem = re.sub(r"[^\w .()-]", "_", re.sub(r"\.\w{1,5}$", "", title))[:100].strip(" ._")
    return f"{stem or 'deck'}.{kind}"


def apkg(title: str, cards: Sequence[Card]) -> bytes:
    """An Anki package: one deck, named like the document; two cards for each note."""
    model = genanki.Model(
        MODEL, "Docdeck", fields=[{"name": name} for name in FIELDS], templates=[RECOGNITION, CLOZE], css=STYLE
    )
    name = "Docdeck::" + title.replace("::", ":")
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") | 1 << 32  # the same for the same name
    anki = genanki.Deck(number, name, "Made by Docdeck")
    for card in cards:
        values = [html.escape(text) if name not in ("Sentence", "Gap") else text for name, text in _fields(card)]
        tags = [re.sub(r"\s+", "_", str(tag)) for tag in ("docdeck", *card.get("tags", ()))]
        anki.add_note(genanki.Note(model, values, guid=str(card["id"]), tags=tags))
    now = time.time()
    with sqlite3.connect(":memory:") as base:  # genanki's own way of writing leaves a file behind in /tmp
        genanki.Package(anki).write_to_db(base.cursor(), now, itertools.count(int(now * 1000)))
        base.commit()
        collection = base.serialize()
    base.close()
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("collection.anki2", collection)
        archive.writestr("media", "{}")
    return package.getvalue()


def _fields(card: Card) -> list[tuple[str, str]]:
    cloze = html.escape(str(card.get("cloze") or card.get("example") or ""), quote=False)
    values = {
        "Word": card["word"],
        "Kind": card.get("part_of_speech"),
        "IpaUs": card.get("ipa_us"),
        "IpaUk": card.get("ipa_uk"),
        "Meaning": card.get("meaning"),
        "Vietnamese": card.get("meaning_vi"),
        "Sentence": GAP.sub(r"<b>\1</b>", cloze),
        "Gap": GAP.sub("<b>[…]</b>", cloze) if GAP.search(cloze) else "",
        "Page": f"p. {card['example_page']}" if card.get("example_page") else "",
        "Source": card.get("example_source"),
        "Synonyms": synonyms(card),
        "Level": card.get("cefr"),
        "Frequency": card.get("frequency"),
        "DefinitionFrom": card.get("definition_source"),
    }
    return [(name, str(values[name] or "")) for name in FIELDS]


def table(cards: Sequence[Card]) -> list[list[str]]:
    """Rows of COLUMNS as text, each in one line."""
    rows = []
    for card in cards:
        flat = {**card, "synonyms": synonyms(card), "topic": card.get("cluster_name")}
        rows.append([" ".join(str(flat.get(name) if flat.get(name) is not None else "").split()) for name in COLUMNS])
    return rows


def comma_separated(title: str, cards: Sequence[Card]) -> bytes:
    """For spreadsheets: with a first line of names, and a mark by which Excel knows UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in table(cards))
    return out.getvalue().encode("utf-8-sig")


def tab_separated(title: str, cards: Sequence[Card]) -> bytes:
    """For Anki's text import, which reads the lines that begin with #: term, what stands on its back, GUID, tags."""
    lines = ["#separator:tab", "#html:false", "#columns:Front\tBack\tGUID\tTags", "#guid column:3", "#tags column:4"]
    for card, row in zip(cards, table(cards), strict=True):
        cell = dict(zip(COLUMNS, row, strict=True))
        back = "; ".join(filter(None, [cell["meaning"], cell["meaning_vi"]]))
        tags = " ".join(re.sub(r"\s+", "_", str(tag)) for tag in ("docdeck", *card.get("tags", ())))
        front = cell["word"] if not cell["word"].startswith("#") else " " + cell["word"]
        lines.append("\t".join([front, f"{back} — {cell['example']}" if back else cell["example"], cell["id"], tags]))
    return ("\n".join(lines) + "\n").encode()


def markdown(title: str, cards: Sequence[Card]) -> bytes:
    """To read and to print: a heading for each topic, in the order of the deck."""
    lines = [f"# {_plain(title)}"]
    topics: dict[str, list[Card]] = {}
    for card in cards:
        topics.setdefault(str(card.get("cluster_name") or ""), []).append(card)
    for topic, members in topics.items():
        lines += ["", f"## {_plain(topic)}", ""] if topic else [""]
        for card in members:
            told = ", ".join(str(card[name]) for name in ("part_of_speech", "cefr") if card.get(name))
            meaning = " — ".join(_plain(str(card[name])) for name in ("meaning", "meaning_vi") if card.get(name))
            page = f" (p. {card['example_page']})" if card.get("example_page") else ""
            lines.append(f"- **{_plain(card['word'])}** {card.get('ipa_us') or ''} ({told}) {meaning}  ")
            lines.append(f"  *{_plain(str(card.get('example') or ''))}*{page}")
    return ("\n".join(lines) + "\n").encode()


def as_json(title: str, cards: Sequence[Card]) -> bytes:
    """The cards as they are."""
    return json.dumps({"document_title": title, "flashcards": cards}, ensure_ascii=False, indent=1).encode()


def synonyms(card: Card) -> str:
    """Separated by commas."""
    return ", ".join(str(entry["word"]) for entry in card.get("synonyms") or ())


def _plain(text: str) -> str:
    """In one line, with the signs that Markdown would take for its own disarmed."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", " ".join(text.split()))


KINDS: dict[str, tuple[Callable[[str, Sequence[Card]], bytes], str]] = {
    "apkg": (apkg, "application/apkg"),
    "csv": (comma_separated, "text/csv; charset=utf-8"),
    "tsv": (tab_separated, "text/tab-separated-values; charset=utf-8"),
    "md": (markdown, "text/markdown; charset=utf-8"),
    "json": (as_json, "application/json"),
}
