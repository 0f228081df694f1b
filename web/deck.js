// The cards of one document: made from the server's data, turned over, searched.
// Data goes into the page as text only, never as HTML.

import { quote, say, translate } from "./messages.js";

const template = document.getElementById("card-template");
const CLOZE = /\{\{c1::(.*?)(?:::.*?)?\}\}/s;

/** Fills the deck section of a document with its cards. Fields that a card does not have are left out. */
export function fillDeck(section, cards) {
  const list = section.querySelector(".cards");
  list.replaceChildren(...cards.map(makeCard));
  list.addEventListener("click", turn);
  const search = section.querySelector(".search");
  search.addEventListener("input", () => filter(section, cards, search.value));
  filter(section, cards, search.value);
}

function makeCard(card) {
  const item = template.content.firstElementChild.cloneNode(true);
  translate(item);
  const part = (name) => item.querySelector(`.${name}`);
  const fill = (name, content) => (content ? (part(name).textContent = content) : part(name).remove());
  const tell = (name, key, given) => (key ? say(part(name), key, given) : part(name).remove());

  part("word").textContent = card.word;
  part("back-word").textContent = card.word;
  fillKind(part("kind"), card);
  fill("meaning", card.meaning);
  if (card.meaning) part("no-meaning").remove();
  fillExample(part("example"), card);
  const synonyms = (card.synonyms ?? []).map((synonym) => synonym.word).filter(Boolean);
  if (synonyms.length) fill("synonym-list", synonyms.join(", "));
  else part("synonyms").remove();
  tell("page", card.example_page && "page", { page: card.example_page });
  tell("frequency", card.occurrences && "frequency", { count: card.occurrences });
  fill("source", card.definition_source);
  return item;
}

function fillKind(element, card) {
  const keys = [card.word_type && `kinds.${card.word_type}`, card.part_of_speech && `partsOfSpeech.${card.part_of_speech}`];
  for (const key of keys.filter(Boolean)) say(element.appendChild(document.createElement("span")), key);
}

/** The sentence, with the term marked where the card's cloze has its gap. */
function fillExample(element, card) {
  const gap = card.cloze ? CLOZE.exec(card.cloze) : null;
  if (gap) {
    for (const [number, piece] of card.cloze.split(new RegExp(CLOZE, "gs")).entries()) {
      // split() puts what the pattern caught, the term, at the odd places
      const node = number % 2 ? document.createElement("mark") : document.createTextNode(piece);
      if (number % 2) node.textContent = piece;
      element.append(node);
    }
  } else if (card.example) element.textContent = card.example;
  else element.remove();
}

function turn(event) {
  const card = event.target.closest(".card");
  // Who marks a sentence with the mouse wants to copy it.
  if (!card || (event.target.closest(".back") && !getSelection().isCollapsed)) return;
  const turned = card.classList.toggle("turned");
  card.querySelector(".front").setAttribute("aria-expanded", turned);
}

function filter(section, cards, query) {
  const wanted = query.trim().toLowerCase();
  let found = 0;
  for (const [number, item] of [...section.querySelector(".cards").children].entries()) {
    const { word, meaning } = cards[number];
    item.hidden = !`${word}\n${meaning ?? ""}`.toLowerCase().includes(wanted);
    if (!item.hidden) found += 1;
  }
  section.querySelector(".nothing").hidden = found > 0;
  if (wanted) say(section.querySelector(".found"), "found", { found, count: cards.length });
  else quote(section.querySelector(".found"), "");
}
