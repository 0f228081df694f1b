"""The decks to take away: opened by Anki itself, by a CSV reader, and asked of a running API.

The cards are those of the sample, and beside them what documents could bring along: signs of HTML, Markdown and
spreadsheets, a sentence without a gap, a card without a meaning.
"""

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anki.collection  # noqa: F401  first, for its other modules import each other in a ring
import pytest
import requests
from anki.cards import Card, CardId
from anki.collection import Collection, ImportAnkiPackageOptions, ImportAnkiPackageRequest, ImportCsvRequest
from anki.scheduler.v3 import CardAnswer, Scheduler

import exports
from pipeline import CompletePipeline12Stages
from tests.support import Service, wait_until
from tests.worker_tools import SAMPLE

TITLE = "How a city: drinks.v2.txt"
ODD: list[dict[str, Any]] = [
    {
        "id": "a-card-of-signs",
        "word": "=cmd|'calc'!A0",
        "part_of_speech": "noun",
        "meaning": '<img src=x onerror="alert(1)"> & *more*\twith\na line',
        "cloze": "Type {{c1::=cmd|'calc'!A0}} <b>there</b> & wait.",
        "example": "Type =cmd|'calc'!A0 <b>there</b> & wait.",
        "example_page": 3,
        "tags": ["less common", "noun"],
    },
    {"id": "a-card-of-little", "word": "#hash", "meaning": None, "cloze": "No gap here.", "example": "No gap here."},
]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    made = CompletePipeline12Stages().process_document(SAMPLE, "id", TITLE)
    made["flashcards"] += ODD
    return made


@pytest.fixture
def cards(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(card) for card in result["flashcards"]]


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    """A learner's Anki, new."""
    opened = Collection(str(tmp_path / "collection.anki2"))
    yield opened
    opened.close()


def take_in(collection: Collection, package: bytes, path: Path) -> Any:
    path.write_bytes(package)
    request = ImportAnkiPackageRequest(package_path=str(path), options=ImportAnkiPackageOptions())
    return collection.import_anki_package(request).log


def cards_of(collection: Collection, guid: str) -> list[Card]:
    every = [collection.get_card(CardId(number)) for number in collection.find_cards("")]
    return [card for card in every if card.note().guid == guid]


def test_anki_takes_the_package_in_and_a_second_time_of_an_edited_document_keeps_the_reviews(
    collection: Collection, cards: list[dict[str, Any]], tmp_path: Path
) -> None:
    log = take_in(collection, exports.apkg(TITLE, cards), tmp_path / "deck.apkg")
    assert len(log.new) == len(cards) == collection.note_count()
    deck = collection.decks.id_for_name(f"Docdeck::{TITLE}")
    assert deck is not None
    assert {collection.get_card(card).did for card in collection.find_cards("")} == {deck}
    collection.decks.select(deck)
    scheduler = collection.sched
    assert isinstance(scheduler, Scheduler)
    queued = scheduler.get_queued_cards(fetch_limit=1).cards[0]
    reviewed = collection.get_card(queued.card.id)
    reviewed.start_timer()
    scheduler.answer_card(scheduler.build_answer(card=reviewed, states=queued.states, rating=CardAnswer.EASY))
    reviewed.load()
    due, count = reviewed.due, collection.card_count()

    changed = next(card for card in cards if card["id"] == reviewed.note().guid)
    changed["meaning"] = "what the edited document means by it"
    changed["ipa_us"] = "another"
    new = {**cards[1], "id": "new-in-the-edited-document", "word": "headwaters"}
    wait_until_next_second()
    log = take_in(collection, exports.apkg(TITLE, [*cards[5:], changed, new]), tmp_path / "again.apkg")
    assert len(log.new) == 1
    assert collection.note_count() == len(cards) + 1
    assert collection.card_count() == count + 2
    reviewed.load()
    assert (reviewed.reps, reviewed.due) == (1, due)
    note = reviewed.note()
    assert (note["Meaning"], note["IpaUs"]) == (changed["meaning"], "another")
    assert len(collection.models.all_names_and_ids()) == len(collection.models.all_names()), "one note type of ours"


def wait_until_next_second() -> None:
    """Anki takes of two notes the one that was changed later, in seconds."""
    began = int(time.time())
    wait_until(lambda: int(time.time()) > began, 3, "the next second")


def test_a_note_has_two_cards_which_are_spoken_and_show_signs_as_they_are(
    collection: Collection, cards: list[dict[str, Any]], tmp_path: Path
) -> None:
    take_in(collection, exports.apkg(TITLE, cards), tmp_path / "deck.apkg")
    odd, little = ODD
    recognition, cloze = cards_of(collection, odd["id"])
    shown = recognition.render_output()
    assert [(tag.lang, tag.field_text) for tag in shown.question_av_tags] == [  # type: ignore[union-attr]
        ("en_US", odd["word"]), ("en_GB", odd["word"]),
    ]  # fmt: skip
    assert "&lt;img src=x onerror=" in shown.answer_text
    assert "<img" not in shown.answer_text
    gap = cloze.render_output()
    assert "Type <b>[…]</b> &lt;b&gt;there&lt;/b&gt; &amp; wait." in gap.question_text
    assert odd["word"] not in gap.question_text.replace("&#x27;", "'")
    assert "Type <b>=cmd|'calc'!A0</b>" in gap.answer_text
    assert len(cards_of(collection, little["id"])) == 1, "without a gap there is nothing to guess"
    assert "docdeck" in recognition.note().tags
    assert "less_common" in recognition.note().tags


def test_the_tsv_goes_into_anki_by_its_guid_column_and_a_second_time_changes_the_note(
    collection: Collection, cards: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "deck.tsv"
    for meaning in ("the first meaning", "the second meaning"):
        cards[0]["meaning"] = meaning
        path.write_bytes(exports.tab_separated(TITLE, cards))
        metadata = collection.get_csv_metadata(str(path), None)
        assert metadata.guid_column == 3
        collection.import_csv(ImportCsvRequest(path=str(path), metadata=metadata))
    assert collection.note_count() == len(cards)
    assert len(collection.find_notes('"the first meaning"')) == 0
    assert len(collection.find_notes('"the second meaning"')) == 1
    lines = path.read_text().splitlines()
    assert len(lines) == 5 + len(cards), "a line for each card, whatever it holds"
    assert all(line.count("\t") == 3 for line in lines[5:])
    assert len(collection.find_notes("hash")) == 1, "a term that begins like a comment is none"


def test_the_csv_has_all_cards_and_no_cell_that_a_spreadsheet_would_run(cards: list[dict[str, Any]]) -> None:
    text = exports.comma_separated(TITLE, cards)
    assert text.startswith(b"\xef\xbb\xbf"), "by which Excel knows UTF-8"
    rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    assert [row["id"] for row in rows] == [card["id"] for card in cards]
    assert rows[-2]["word"] == "'=cmd|'calc'!A0"
    assert not [cell for row in rows for cell in row.values() if re.match(r"[=+\-@\t\r]", cell)]
    for row, card in zip(rows, cards, strict=True):
        assert row["meaning"] == " ".join((card["meaning"] or "").split())
        assert row["example"] == " ".join(card["example"].split())


def test_markdown_groups_by_topic_and_disarms_its_signs(cards: list[dict[str, Any]]) -> None:
    text = exports.markdown(TITLE, cards).decode()
    assert text.startswith(f"# {TITLE}\n")
    headings = re.findall("^## (.*)$", text, re.M)
    assert headings == list(dict.fromkeys(card["cluster_name"] for card in cards if "cluster_name" in card))
    assert text.count("\n- **") == len(cards)
    assert r"\<img src=x onerror=" in text
    assert r"\*more\*" in text


def test_json_is_the_cards_as_they_are(cards: list[dict[str, Any]]) -> None:
    assert json.loads(exports.as_json(TITLE, cards)) == {"document_title": TITLE, "flashcards": cards}


@pytest.mark.parametrize(
    ("title", "name"),
    [("city.pdf", "city.md"), ("Nước & đời.docx", "Nước _ đời.md"), ("../..", "deck.md"), ('a"b\r\n', "a_b.md")],
)
def test_a_download_is_called_as_its_document_is(title: str, name: str) -> None:
    assert exports.file_name(title, "md") == name


def test_the_api_gives_each_kind_of_deck(service: Service) -> None:
    form = {"file": ("Nước sạch.txt", SAMPLE)}
    job = requests.post(f"{service.url}/api/upload-document-async", data={"userId": "deck"}, files=form).json()["jobId"]
    url = f"{service.url}/api/jobs/{job}/deck"

    def there() -> bool:
        answer = requests.get(f"{url}.json")
        assert answer.status_code in (200, 409), answer.text
        return answer.ok

    wait_until(there, 60, "the deck")
    cards = requests.get(f"{url}.json").json()["flashcards"]
    for kind, (_, mime) in exports.KINDS.items():
        answer = requests.get(f"{url}.{kind}")
        assert answer.headers["Content-Type"] == mime
        assert answer.headers["Content-Disposition"].endswith(f"filename*=UTF-8''{quote(f'Nước sạch.{kind}')}")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert requests.get(f"{url}.csv").content == exports.comma_separated("", cards)
    refused = requests.get(f"{url}.exe")
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_deck")
