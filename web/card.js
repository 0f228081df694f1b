// One card: made from the server's data. Data goes into the page as text only, never as HTML.

import { say, translate } from "./messages.js";

const template = document.getElementById("card-template");
const CLOZE = /\{\{c1::(.*?)(?:::.*?)?\}\}/s;
const SOURCES = ["document", "head noun"]; // those that need words of ours; others are names

/** What a word is called on the list of known words. */
export const keyOf = (card) => card.word.toLowerCase().replaceAll(",", " ").trim();

/** An element for a card. Fields that a card does not have are left out. */
export function makeCard(card) {
  const item = template.content.firstElementChild.cloneNode(true);
  translate(item);
  const part = (name) => item.querySelector(`.${name}`);
  const fill = (name, content) => (content ? (part(name).textContent = content) : part(name).remove());
  const tell = (name, key, given) => (key ? say(part(name), key, given) : part(name).remove());

  part("word").textContent = card.word;
  part("back-word").textContent = card.word;
  fillKind(part("kind"), card);
  tell("level", card.cefr && (card.cefr_estimated ? "levelAbout" : "levelIs"), { level: card.cefr });
  if (card.cefr) part("level").dataset.level = card.cefr[0];
  fillSounds(part("sounds"), card);
  fill("meaning", card.meaning);
  fill("meaning-vi", card.meaning_vi);
  if (card.meaning || card.meaning_vi) part("no-meaning").remove();
  fillExample(part("example"), card);
  const synonyms = (card.synonyms ?? []).map((synonym) => synonym.word).filter(Boolean);
  if (synonyms.length) fill("synonym-list", synonyms.join(", "));
  else part("synonyms").remove();
  tell("page", card.example_page && "page", { page: card.example_page });
  tell("frequency", card.frequency && `bands.${card.frequency}`);
  tell("occurrences", card.occurrences && "occurrences", { count: card.occurrences });
  if (SOURCES.includes(card.definition_source)) tell("source", `sources.${card.definition_source}`);
  else fill("source", card.definition_source);
  for (const button of item.querySelectorAll("[data-accent]")) {
    say(button, button.dataset.accent === "en-US" ? "hearUS" : "hearUK", { word: card.word }, "label");
  }
  say(part("know"), "knowLabel", { word: card.word }, "label");
  return item;
}

function fillKind(element, card) {
  const keys = [card.word_type && `kinds.${card.word_type}`, card.part_of_speech && `partsOfSpeech.${card.part_of_speech}`];
  // "phrase · linking phrase" would say it twice
  if (card.part_of_speech?.includes(card.word_type)) keys.shift();
  for (const key of keys.filter(Boolean)) say(element.appendChild(document.createElement("span")), key);
}

/** How it sounds, American and British; once where both are written alike. */
function fillSounds(element, { ipa, ipa_us = ipa, ipa_uk }) {
  const sounds = ipa_us === ipa_uk || !ipa_uk ? [["", ipa_us]] : [["US", ipa_us], ["UK", ipa_uk]];
  for (const [accent, sound] of sounds.filter(([, sound]) => sound)) {
    const line = element.appendChild(document.createElement("span"));
    if (accent) line.appendChild(document.createElement("small")).textContent = accent;
    line.append(` /${sound}/`);
  }
  if (!element.childNodes.length) element.remove();
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

export function turn(item, turned = !item.classList.contains("turned")) {
  item.classList.toggle("turned", turned);
  item.querySelector(".front").setAttribute("aria-expanded", turned);
}

export function markKnown(item, known) {
  item.classList.toggle("known", known);
  item.querySelector(".know").setAttribute("aria-pressed", known);
  say(item.querySelector(".know-text"), known ? "known" : "know");
}
