// Which language the page speaks, and how an element gets a text that follows it. The texts are texts.js's.

import { recall, remember } from "./store.js";
import { texts } from "./texts.js";

export { texts };

const ATTRIBUTES = { text: null, label: "aria-label", placeholder: "placeholder" };
const values = new WeakMap(); // element -> the values in its texts, for the next change of language

export let language = initialLanguage();

function initialLanguage() {
  const chosen = recall("language");
  if (chosen in texts) return chosen;
  const preferred = navigator.languages ?? [navigator.language];
  return preferred.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in texts) ?? "en";
}

export function chooseLanguage(chosen) {
  language = chosen;
  remember("language", chosen);
  translate(document);
}

/** A text by its key. A name within a group ("stages.context") that is not known is shown as it is. */
export function text(key, given = {}) {
  const [group, name] = key.split(/\.(.*)/s);
  let found = texts[language][group];
  if (name !== undefined) found = Object.hasOwn(found, name) ? found[name] : name;
  return typeof found === "function" ? found(given) : found;
}

/** Gives an element a text that follows the language. `kind`: text, label or placeholder. */
export function say(element, key, given, kind = "text") {
  element.dataset[kind] = key;
  if (given) values.set(element, given);
  show(element, kind);
}

/** Gives an element a text that is not ours and stays as it is. */
export function quote(element, content, itsLanguage) {
  delete element.dataset.text;
  if (itsLanguage) element.lang = itsLanguage;
  if (element.textContent !== content) element.textContent = content;
}

/** Brings all texts below `root` into the chosen language. */
export function translate(root) {
  for (const kind of Object.keys(ATTRIBUTES)) {
    for (const element of root.querySelectorAll(`[data-${kind}]`)) show(element, kind);
  }
  for (const element of root.querySelectorAll("time[datetime]")) showTime(element);
  if (root === document) {
    document.documentElement.lang = language;
    document.title = `Docdeck · ${text("title")}`;
  }
}

export function sayTime(element, milliseconds) {
  element.dateTime = new Date(milliseconds).toISOString();
  showTime(element);
}

function showTime(element) {
  const time = new Date(element.dateTime);
  const year = time.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  const form = { year, month: "long", day: "numeric", hour: "numeric", minute: "2-digit" };
  element.textContent = new Intl.DateTimeFormat(language, form).format(time);
}

function show(element, kind) {
  const said = text(element.dataset[kind], values.get(element));
  // Writing the same text again would make a screen reader say it again.
  if (ATTRIBUTES[kind]) element.setAttribute(ATTRIBUTES[kind], said);
  else if (element.textContent !== said) element.textContent = said;
}
