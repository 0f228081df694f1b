"""A deck in a real browser: its cards by topic, turned, heard, filtered, known; taken away; its map and its levels."""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from tests.page_tools import (
    DESKTOP,
    PHONE,
    SAMPLE,
    VOICES,
    by_topic,
    card_of,
    choose,
    remember_job,
    row,
    saved_jobs,
    server_cards,
    wait_for,
    with_a_deck,
    write_job,
)
from tests.support import Service, wait_until

Cards = list[dict[str, Any]]


def words(deck: Locator) -> Locator:
    """The words of the cards that are to be seen."""
    return deck.locator(".card:visible .word")


def focused(page: Page) -> str:
    """The word of the card that the keyboard is at."""
    return str(page.evaluate("document.activeElement.querySelector('.word')?.textContent"))


# Cards ------------------------------------------------------------------------------------------------------------


def test_cards_stand_by_topic_in_the_servers_order_and_those_that_are_alone_come_last(
    deck: Locator, cards: Cards
) -> None:
    topics = by_topic(cards)
    assert len(topics) > 5
    expect(deck.locator(".topic-name")).to_have_text([name or "Other terms" for name, _ in topics])
    expect(words(deck)).to_have_text([word for _, members in topics for word in members])
    for topic, (_, members) in zip(deck.locator(".topic").all(), topics, strict=True):
        expect(topic.locator(".topic-count")).to_have_text(str(len(members)))


def test_a_card_turns_by_click_enter_and_space_and_shows_what_it_has(page: Page, deck: Locator, cards: Cards) -> None:
    one = next(card for card in cards if card["meaning"] and card["synonyms"] and card["cloze"] != card["example"])
    card = card_of(deck, one["word"])
    front = card.locator(".front")
    for side in (".back-word", ".meaning", ".example"):
        expect(card.locator(side)).to_be_hidden()

    front.click()
    expect(card.locator(".meaning")).to_be_visible()
    expect(card.locator(".meaning")).to_have_text(one["meaning"])
    expect(card.locator(".example")).to_have_text(one["example"])
    expect(card.locator("mark").first).to_have_text(one["word"], ignore_case=True)
    expect(card.locator(".synonym-list")).to_have_text(", ".join(entry["word"] for entry in one["synonyms"]))
    expect(card.locator(".page")).to_have_text(f"page {one['example_page']}")
    expect(card.locator(".frequency")).to_have_text(one["frequency"])
    expect(card.locator(".occurrences")).to_have_text(re.compile(rf"^{one['occurrences']} times? in the text$"))
    expect(front).to_have_attribute("aria-expanded", "true")

    card.locator(".back").click()
    expect(card.locator(".meaning")).to_be_hidden()
    for key in ("Enter", "Space"):
        front.focus()
        page.keyboard.press(key)
        expect(card.locator(".meaning")).to_be_visible()
        page.keyboard.press(key)
        expect(card.locator(".meaning")).to_be_hidden()


def test_a_card_shows_how_it_sounds_and_its_level_an_estimated_one_as_such(deck: Locator, cards: Cards) -> None:
    certain = next(card for card in cards if card["cefr"] and not card["cefr_estimated"])
    estimated = next(card for card in cards if card["cefr_estimated"])
    expect(card_of(deck, certain["word"]).locator(".level")).to_have_text(certain["cefr"])
    expect(card_of(deck, estimated["word"]).locator(".level")).to_have_text(f"~{estimated['cefr']}")
    two = next(card for card in cards if card["ipa_us"] != card["ipa_uk"])
    sounds = card_of(deck, two["word"]).locator(".sounds")
    expect(sounds).to_have_text(f"US /{two['ipa_us']}/UK /{two['ipa_uk']}/")


def test_arrows_move_between_the_cards_that_are_shown_and_space_turns(page: Page, deck: Locator, cards: Cards) -> None:
    deck.locator(".by-kind").select_option("phrase")
    shown = words(deck).all_inner_texts()
    deck.locator(".card:visible .front").first.focus()
    page.keyboard.press("ArrowRight")
    assert focused(page) == shown[1]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # there is none before the first
    assert focused(page) == shown[0]
    page.keyboard.press("End")
    assert focused(page) == shown[-1]
    page.keyboard.press("Home")
    places = {word: card_of(deck, word).bounding_box() for word in shown}
    top = places[shown[0]]["y"]  # type: ignore[index]
    page.keyboard.press("ArrowDown")
    assert places[focused(page)]["y"] > top  # type: ignore[index]
    page.keyboard.press("ArrowUp")
    assert focused(page) == shown[0]
    page.keyboard.press("Space")
    expect(card_of(deck, shown[0]).locator(".back-word")).to_be_visible()


def test_a_word_is_spoken_by_a_voice_of_its_accent_and_without_voices_nothing_is_offered(
    open_page: Callable[..., Page], page: Page, sample_job: str
) -> None:
    expect(with_a_deck(page, sample_job).locator("[data-accent]:visible")).to_have_count(0)
    page = open_page(script=VOICES)
    deck = with_a_deck(page, sample_job)
    word = words(deck).first.inner_text()
    deck.get_by_role("button", name=f"Hear {word}, American (US)", exact=True).click()
    deck.get_by_role("button", name=f"Hear {word}, British (UK)", exact=True).click()
    assert page.evaluate("spoken") == [[word, "Ava"], [word, "Kate"]]
    expect(deck.locator(".turned")).to_have_count(0)


def test_a_card_without_a_meaning_says_so_and_still_has_its_sentence(
    page: Page, service: Service, tmp_path: Path
) -> None:
    document = tmp_path / "lamps.txt"
    document.write_text("A florbix glimmers at night, and the keeper of the lamps feeds his florbix well.\n\n" * 4)
    choose(page, document)
    deck = row(page, document.name)
    wait_for(deck, "completed")
    cards = server_cards(service, saved_jobs(page)[0]["jobId"])
    card = card_of(deck, "florbix")
    card.click()
    expect(card.locator(".no-meaning")).to_have_text("Not in the dictionary: learn it from its sentence.")
    expect(card.locator(".meaning")).to_have_count(0)
    example = next(card["example"] for card in cards if card["word"] == "florbix")
    expect(card.locator(".example")).to_have_text(example)


def test_vietnamese_meanings_are_shown_and_markup_in_a_card_is_text(page: Page, service: Service) -> None:
    job_id, evil = str(uuid.uuid4()), "<img src=x onerror=alert(1)>"
    card = {"id": "1", "word": evil, "meaning": None, "meaning_vi": "tầng chứa nước", "example": "An aquifer."}
    write_job(service, job_id, status="completed", progress="100", result=json.dumps({"flashcards": [card]}))
    remember_job(page, job_id, "aquifer.pdf")
    expect(page.locator(".word")).to_have_text(evil)
    page.locator(".card").click()
    expect(page.locator(".meaning-vi")).to_have_text("tầng chứa nước")
    expect(page.locator(".meaning-vi")).to_have_attribute("lang", "vi")
    expect(page.locator(".no-meaning, .topic-head, .card img")).to_have_count(0)


# Filters ----------------------------------------------------------------------------------------------------------


def test_level_kind_topic_and_search_leave_the_cards_that_fit_all_of_them(deck: Locator, cards: Cards) -> None:
    in_order = [word for _, members in by_topic(cards) for word in members]

    def fitting(**wanted: str) -> list[str]:
        found = [card["word"] for card in cards if all(card[name] == value for name, value in wanted.items())]
        return [word for word in in_order if word in found]

    b1, phrases = fitting(cefr="B1"), fitting(cefr="B1", word_type="phrase")
    assert 0 < len(phrases) < len(b1) < len(cards)
    level, kind, topic = (deck.get_by_label(name, exact=True) for name in ("Level", "Kind", "Topic"))
    level.select_option(label=f"B1 ({len(b1)})")
    expect(words(deck)).to_have_text(b1)
    kind.select_option("phrase")
    expect(words(deck)).to_have_text(phrases)
    expect(deck.locator(".found")).to_have_text(f"{len(phrases)} of {len(cards)} cards")
    level.select_option("none")
    kind.select_option("")
    expect(words(deck)).to_have_text([card["word"] for card in cards if card["cefr"] is None])
    level.select_option("")
    name, members = max(by_topic(cards)[:-1], key=lambda topic: len(topic[1]))
    topic.select_option(label=f"{name} ({len(members)})")
    expect(words(deck)).to_have_text(members)
    expect(deck.locator(".topic:visible")).to_have_count(1)
    topic.select_option("")
    expect(words(deck)).to_have_text(in_order)
    expect(deck.locator(".found")).to_be_empty()


def test_search_leaves_the_cards_whose_word_or_meaning_has_it(deck: Locator, cards: Cards) -> None:
    fitting = {card["word"] for card in cards if "water" in f"{card['word']} {card['meaning'] or ''}".lower()}
    assert 0 < len(fitting) < len(cards)
    search = deck.get_by_role("searchbox", name="Search words and meanings")
    search.fill("WATER ")
    expect(deck.locator(".found")).to_have_text(f"{len(fitting)} of {len(cards)} cards")
    assert set(words(deck).all_inner_texts()) == fitting
    search.fill("no such word")
    expect(words(deck)).to_have_count(0)
    expect(deck.locator(".nothing")).to_be_visible()
    search.fill("")
    expect(words(deck)).to_have_count(len(cards))


# Known words ------------------------------------------------------------------------------------------------------


def test_a_known_word_dims_its_card_can_be_hidden_and_taken_back(page: Page, deck: Locator, cards: Cards) -> None:
    word = cards[0]["word"]
    button = deck.get_by_role("button", name=f"I know this: {word}", exact=True)
    button.click()
    expect(card_of(deck, word)).to_have_class(re.compile(r"\bknown\b"))
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#toast")).to_contain_text(f"“{word}” is on your list of known words.")
    deck.get_by_role("button", name="Hide known words").click()
    expect(words(deck)).to_have_count(len(cards) - 1)
    page.reload()
    expect(words(deck)).to_have_count(len(cards) - 1)
    deck.get_by_role("button", name="Hide known words").click()
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    page.locator("#toast").get_by_role("button", name="Undo").click()
    expect(button).to_have_attribute("aria-pressed", "true")


def test_the_list_of_known_words_can_be_seen_shortened_emptied_and_brought_back(
    page: Page, deck: Locator, cards: Cards
) -> None:
    known = [card["word"] for card in cards[:3]]
    for word in known:
        deck.get_by_role("button", name=f"I know this: {word}", exact=True).click()
    page.get_by_text("Words I know (3)").click()
    listed = page.locator(".known-word")
    expect(listed).to_have_text(known[::-1])
    page.get_by_role("button", name=f"Take {known[0]} off the list", exact=True).click()
    expect(listed).to_have_text([known[2], known[1]])
    expect(deck.locator(".card.known")).to_have_count(2)
    page.get_by_role("button", name="Empty the list").click()
    expect(listed).to_have_count(0)
    expect(deck.locator(".card.known")).to_have_count(0)
    page.locator("#toast").get_by_role("button", name="Undo").click()
    expect(listed).to_have_text([known[2], known[1]])


@pytest.mark.parametrize("size", [0, 5_000_000], ids=["form", "direct"])
def test_later_uploads_send_the_known_words_and_their_decks_leave_them_out(
    page: Page, service: Service, cards: Cards, tmp_path: Path, size: int
) -> None:
    known = [card["word"].lower() for card in cards[:5]]
    # more than a server takes, behind those that count
    many = [*known, *(f"word{number}" for number in range(20_000))]
    page.evaluate("words => localStorage.setItem('docdeck.known', JSON.stringify(words))", many)
    document = tmp_path / "water.txt"
    document.write_text(SAMPLE.with_suffix(".txt").read_text() + " " * size)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    choose(page, document)
    wait_for(row(page, document.name), "completed")
    assert ("PUT" in sent) == (size > 0)
    left = {card["word"].lower() for card in server_cards(service, saved_jobs(page)[0]["jobId"])}
    assert left
    assert not left & set(known)


# To take away -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "begin"), [("Anki", b"PK"), ("CSV", b"\xef\xbb\xbfword,"), ("Markdown", b"# ")])
def test_a_deck_is_downloaded_under_the_documents_name(page: Page, deck: Locator, name: str, begin: bytes) -> None:
    with page.expect_download() as download:
        deck.get_by_role("link", name=name, exact=True).click()
    endings = {"Anki": "apkg", "CSV": "csv", "Markdown": "md"}
    assert download.value.suggested_filename == f"how-a-city-drinks.{endings[name]}"
    assert download.value.path().read_bytes().startswith(begin)


def test_what_is_shown_is_copied_for_quizlet_a_line_for_each_card(
    open_page: Callable[..., Page], sample_job: str, cards: Cards
) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    deck = with_a_deck(page, sample_job)
    deck.locator(".by-kind").select_option("word")
    deck.get_by_role("button", name="Copy for Quizlet").click()
    shown = {card["word"]: card["meaning"] or card["example"] for card in cards if card["word_type"] == "word"}
    expect(page.locator("#toast")).to_contain_text(f"{len(shown)} cards are copied.")
    lines = str(page.evaluate("navigator.clipboard.readText()")).splitlines()
    assert dict(line.split("\t") for line in lines) == shown


# Map and levels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_map_has_every_term_once_and_no_label_covers_another(
    open_page: Callable[..., Page], sample_job: str, cards: Cards, size: dict[str, int]
) -> None:
    page = open_page(viewport=size)
    deck = with_a_deck(page, sample_job)
    deck.get_by_role("button", name="Mind map").click()
    nodes = deck.locator(".map [role=button]")
    expect(nodes).to_have_count(len(cards))
    assert set(nodes.evaluate_all("nodes => nodes.map(node => node.getAttribute('aria-label'))")) == {
        card["word"] for card in cards
    }
    boxes = deck.locator(".map rect").evaluate_all(
        "boxes => boxes.map(box => box.getBoundingClientRect()).map(box => [box.left, box.top, box.right, box.bottom])"
    )
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= size["width"]
        for other_left, other_top, other_right, other_bottom in boxes[:number]:
            apart = left >= other_right or right <= other_left or top >= other_bottom or bottom <= other_top
            assert apart
    widths = "nodes => nodes.map(node => ['text', 'rect'].map(part => node.querySelector(part).getBBox().width))"
    assert all(label <= box for label, box in nodes.evaluate_all(widths))
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]


def test_a_term_of_the_map_leads_to_its_card_by_click_and_by_keys(page: Page, deck: Locator, cards: Cards) -> None:
    word = cards[-1]["word"]
    deck.get_by_role("searchbox").fill("filtered out")
    deck.get_by_role("button", name="Mind map").click()
    deck.locator(".map").get_by_role("button", name=word, exact=True).click()
    expect(card_of(deck, word).locator(".back-word")).to_be_in_viewport()
    assert focused(page) == word

    map_button = deck.get_by_role("button", name="Mind map")
    map_button.click()
    nodes = deck.locator(".map [role=button]")
    second = str(nodes.nth(1).get_attribute("aria-label"))
    nodes.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(card_of(deck, second).locator(".back-word")).to_be_in_viewport()
    assert focused(page) == second


def test_levels_and_frequencies_are_counted_in_numbers(deck: Locator, cards: Cards) -> None:
    deck.get_by_role("button", name="Levels").click()
    count = dict.fromkeys(("A1", "A2", "B1", "B2", "C1", "C2"), 0)
    bands = dict.fromkeys(("very common", "common", "less common", "rare"), 0)
    for card in cards:
        bands[card["frequency"]] += 1
        count[card["cefr"] or "No level"] = count.get(card["cefr"] or "No level", 0) + 1
    for bars, wanted in ((".by-cefr", count), (".by-frequency", bands)):
        expect(deck.locator(f"{bars} .bar-name")).to_have_text(list(wanted))
        expect(deck.locator(f"{bars} .bar-count")).to_have_text([str(number) for number in wanted.values()])


def test_two_decks_on_one_page_know_the_same_words(page: Page, service: Service, sample_job: str) -> None:
    second = str(uuid.uuid4())
    result = requests.get(f"{service.url}/api/jobs/{sample_job}/result", timeout=10).text
    write_job(service, second, status="completed", progress="100", result=result)
    jobs = [{"jobId": job, "fileName": f"{job}.pdf", "time": 1, "expanded": True} for job in (sample_job, second)]
    page.evaluate("jobs => localStorage.setItem('docdeck.jobs', JSON.stringify(jobs))", jobs)
    page.reload()
    expect(page.locator(".deck")).to_have_count(2)
    page.locator(".deck").first.locator(".know").first.click()
    wait_until(lambda: page.locator(".card.known").count() == 2, 5, "the second card's mark")
