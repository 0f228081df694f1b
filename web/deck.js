// The deck of one document: its cards by topic, turned over, searched and filtered; beside them the map and the levels.

import { keyOf, makeCard, markKnown, turn } from "./card.js";
import { showLevels } from "./levels.js";
import { drawMap } from "./map.js";
import { quote, say, translate } from "./messages.js";
import { offerVoices, speak } from "./speech.js";
import { knownWords, recall, remember, setKnown } from "./store.js";
import { offerDownloads } from "./takeaway.js";
import { tell } from "./toast.js";
import { topicsOf } from "./topics.js";

const LEVELS = ["A1", "A2", "B1", "B2", "C1", "C2"];
const topicTemplate = document.getElementById("topic-template");
const decks = new Set(); // those that are on the page

/** Builds a document's deck in its section. `job`: its jobId, fileName and cards. */
export function fillDeck(section, job) {
  const deck = new Deck(section, job);
  decks.add(deck);
  return deck;
}

/** After a change of the known words, in this deck or elsewhere. */
export function showKnown() {
  const known = new Set(knownWords());
  for (const deck of decks) deck.showKnown(known);
}

class Deck {
  constructor(section, job) {
    this.section = section;
    this.job = job;
    this.topics = topicsOf(job.cards);
    this.find = (selector) => section.querySelector(selector);
    this.items = []; // {card, item, topic}, in the order of the page
    this.find(".topics").replaceChildren(...this.topics.map((topic, number) => this.makeTopic(topic, number)));
    this.fillChoices();
    this.listen();
    offerVoices(section);
    offerDownloads(section, job, () => this.shown().map(({ card }) => card));
    this.find(".hide-known").setAttribute("aria-pressed", recall("hideKnown") === "yes");
    this.showKnown(new Set(knownWords()));
  }

  makeTopic(topic, number) {
    const element = topicTemplate.content.firstElementChild.cloneNode(true);
    const name = element.querySelector(".topic-name");
    if (topic.name !== null) quote(name, topic.name, "en");
    else if (this.topics.length > 1) say(name, "others");
    else element.querySelector(".topic-head").remove(); // cards of a worker that knows no topics
    for (const card of topic.cards) {
      const item = makeCard(card);
      this.items.push({ card, item, topic: number });
      element.querySelector(".cards").append(item);
    }
    topic.element = element;
    return element;
  }

  // Filters

  fillChoices() {
    const count = (fits) => this.job.cards.filter(fits).length;
    const add = (select, value, key, given, itsLanguage) => {
      const option = select.appendChild(document.createElement("option"));
      option.value = value;
      if (itsLanguage) quote(option, given, itsLanguage);
      else say(option, key, given);
    };
    const levels = this.find(".by-level");
    for (const level of LEVELS.filter((level) => count((card) => card.cefr === level))) {
      add(levels, level, "choice", { name: level, count: count((card) => card.cefr === level) });
    }
    if (count((card) => !card.cefr)) add(levels, "none", "levelUnknown", { count: count((card) => !card.cefr) });
    for (const kind of ["word", "phrase"]) {
      add(this.find(".by-kind"), kind, `only.${kind}`, { count: count((card) => card.word_type === kind) });
    }
    for (const [number, { name, cards }] of this.topics.entries()) {
      if (name === null) add(this.find(".by-topic"), number, "othersCounted", { count: cards.length });
      else add(this.find(".by-topic"), number, null, `${name} (${cards.length})`, "en");
    }
    if (this.topics.length < 2) this.find(".by-topic").hidden = true;
    translate(this.find(".deck-tools"));
  }

  filter() {
    const wanted = this.find(".search").value.trim().toLowerCase();
    const [level, kind, topic] = ["level", "kind", "topic"].map((name) => this.find(`.by-${name}`).value);
    const hideKnown = this.find(".hide-known").getAttribute("aria-pressed") === "true";
    for (const { card, item, topic: its } of this.items) {
      const said = `${card.word}\n${card.meaning ?? ""}\n${card.meaning_vi ?? ""}`.toLowerCase();
      item.hidden = !(
        said.includes(wanted) &&
        (!level || (card.cefr ?? "none") === level) &&
        (!kind || card.word_type === kind) &&
        (!topic || its === Number(topic)) &&
        (!hideKnown || !item.classList.contains("known"))
      );
    }
    for (const [number, { element, cards }] of this.topics.entries()) {
      const left = this.items.filter((entry) => entry.topic === number && !entry.item.hidden).length;
      element.hidden = left === 0;
      const count = element.querySelector(".topic-count");
      if (count) quote(count, left === cards.length ? `${left}` : `${left}/${cards.length}`);
    }
    const found = this.shown().length;
    this.find(".nothing").hidden = found > 0;
    if (found < this.items.length) say(this.find(".found"), "found", { found, count: this.items.length });
    else quote(this.find(".found"), "");
  }

  shown() {
    return this.items.filter(({ item }) => !item.hidden);
  }

  showKnown(known) {
    for (const { card, item } of this.items) markKnown(item, known.has(keyOf(card)));
    // A switch that nothing answers to would be a riddle.
    this.find(".hide-known").hidden = !this.items.some(({ item }) => item.classList.contains("known"));
    this.filter();
  }

  // Hands

  listen() {
    this.find(".topics").addEventListener("click", (event) => this.click(event));
    this.find(".topics").addEventListener("keydown", (event) => this.move(event));
    this.find(".search").addEventListener("input", () => this.filter());
    for (const select of this.section.querySelectorAll("select")) select.addEventListener("change", () => this.filter());
    const hide = this.find(".hide-known");
    hide.addEventListener("click", () => {
      const pressed = hide.getAttribute("aria-pressed") !== "true";
      hide.setAttribute("aria-pressed", pressed);
      remember("hideKnown", pressed ? "yes" : "no");
      this.filter();
    });
    for (const button of this.section.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.show(button.dataset.view));
    }
  }

  click(event) {
    const item = event.target.closest(".card");
    const entry = this.items.find((entry) => entry.item === item);
    if (!entry) return;
    const button = event.target.closest(".card-tools button");
    if (button?.dataset.accent) speak(entry.card.word, button.dataset.accent);
    else if (button) this.know(entry);
    // Who marks a sentence with the mouse wants to copy it.
    else if (!event.target.closest(".card-tools") && !(event.target.closest(".back") && !getSelection().isCollapsed)) turn(item);
  }

  know({ card, item }) {
    const known = !item.classList.contains("known");
    const next = this.shown()[this.shown().findIndex((entry) => entry.item === item) + 1]?.item;
    const change = (now) => {
      setKnown(keyOf(card), now);
      document.dispatchEvent(new Event("known"));
    };
    change(known);
    tell(known ? "nowKnown" : "nowUnknown", { word: card.word }, () => change(!known));
    if (item.hidden) next?.querySelector(".front").focus(); // else the keyboard's place is lost with the card
  }

  /** Arrows: to the next card, or to the one above or below. */
  move(event) {
    if (!event.target.classList.contains("front") || event.altKey || event.ctrlKey || event.metaKey) return;
    const fronts = this.shown().map(({ item }) => item.querySelector(".front"));
    const place = fronts.indexOf(event.target);
    const steps = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: fronts.length - 1 };
    const rows = { ArrowDown: 1, ArrowUp: -1 };
    let next = fronts[steps[event.key]];
    if (event.key in rows) next = nearest(event.target, fronts, rows[event.key]);
    if (!(event.key in steps || event.key in rows)) return;
    event.preventDefault();
    next?.focus();
  }

  /** It is no longer on the page. */
  leave() {
    decks.delete(this);
  }

  // Views

  show(view) {
    for (const button of this.section.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", button.dataset.view === view);
    }
    for (const element of this.section.querySelectorAll(".view")) element.hidden = !element.classList.contains(`view-${view}`);
    if (view === "map") {
      const choose = (card) => this.reveal(card);
      drawMap(this.find(".view-map"), { topics: this.topics, title: this.job.fileName, choose });
    }
    if (view === "levels") showLevels(this.find(".view-levels"), this.job.cards);
  }

  /** Shows a card, turned, whatever was filtered out. */
  reveal(card) {
    this.show("cards");
    for (const field of this.section.querySelectorAll(".deck-tools select, .search")) field.value = "";
    this.filter();
    const { item } = this.items.find((entry) => entry.card === card);
    if (item.hidden) this.find(".hide-known").click();
    turn(item, true);
    item.querySelector(".front").focus({ preventScroll: true });
    item.scrollIntoView({ block: "center" });
  }
}

/** The card in the next row (way 1) or the one before (-1) whose middle is nearest. */
function nearest(front, fronts, way) {
  const box = (element) => element.closest(".card").getBoundingClientRect();
  const here = box(front);
  const middle = (at) => (at.left + at.right) / 2;
  const beyond = fronts.map((other) => ({ other, at: box(other) })).filter(({ at }) => way * (at.top - here.top) > 1);
  const top = Math.min(...beyond.map(({ at }) => way * at.top));
  const row = beyond.filter(({ at }) => Math.abs(way * at.top - top) < 1);
  row.sort((one, two) => Math.abs(middle(one.at) - middle(here)) - Math.abs(middle(two.at) - middle(here)));
  return row[0]?.other;
}
