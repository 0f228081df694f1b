// The row of a document: its bar, what it says, its buttons, its deck. What the buttons do is app.js's.

import { fillDeck } from "./deck.js";
import { inWords } from "./estimate.js";
import { quote, say, sayTime, translate } from "./messages.js";

export const find = (selector, root = document) => root.querySelector(selector);
const template = find("#job-template");

// A job: what is saved of it (jobId, fileName, time, expanded, count); `file` until it is uploaded; `state`, one of
// waiting, uploading, asking, queued, processing (all open), completed, failed, expired (ended); `row`, its element;
// `cards`, once they were fetched; `estimate` of what is being waited for.
export const OPEN = ["asking", "queued", "processing"];
const ENDED = ["completed", "failed", "expired"];

/** `act`: what each button does: {toggle, remove, takeOff, delete, cancel, again}, functions of the job. */
export function makeRow(job, act) {
  const row = template.content.firstElementChild.cloneNode(true);
  job.row = row;
  translate(row);
  find(".job-name", row).textContent = job.fileName;
  find(".job-about", row).textContent = `${job.fileName}: `;
  sayTime(find("time", row), job.time);
  say(find("progress", row), "progress", { name: job.fileName }, "label");
  say(find(".remove", row), "remove", { name: job.fileName }, "label");
  say(find(".farewell-text", row), "farewell", { name: job.fileName });
  find(".farewell-text", row).id = `farewell-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  find(".farewell", row).setAttribute("aria-labelledby", find(".farewell-text", row).id);
  for (const [name, does] of Object.entries(act)) find(`.${name}`, row)?.addEventListener("click", () => does(job));
  find(".take-off", row).addEventListener("click", () => act.takeOff(job));
  find(".keep", row).addEventListener("click", () => askToPart(job, false));
  find(".farewell", row).addEventListener("keydown", (event) => event.key === "Escape" && askToPart(job, false));
  return row;
}

/** The question whether a document is to be taken off the list or deleted. */
export function askToPart(job, asks) {
  find(".farewell", job.row).hidden = !asks;
  find(asks ? ".take-off" : ".remove", job.row).focus();
}

export function showRow(job) {
  const { row, state, error } = job;
  row.dataset.state = error?.key === "cancelled" ? "cancelled" : state;
  showProgress(job);
  showNote(job);
  showAgain(job);
  showDeck(job);
}

function showProgress({ row, state, progress, estimate, stage }) {
  const bar = find("progress", row);
  find(".job-work", row).hidden = ENDED.includes(state);
  const told = ["uploading", "queued", "processing"].includes(state);
  if (state === "completed") bar.value = 100;
  else if (told && progress !== null) bar.value = progress ?? 0;
  else if (state === "waiting") bar.value = 0;
  else bar.removeAttribute("value"); // it moves, but nobody knows how far it is
  const counted = bar.hasAttribute("value") && ["uploading", "processing"].includes(state);
  find(".percent", row).textContent = counted ? `${Math.floor(bar.value)}%` : "";
  find(".cancel", row).hidden = state === "asking" || stage === "cancelling";
  const seconds = counted ? estimate?.left() : null;
  if (seconds != null) say(find(".left", row), ...inWords(seconds));
  else quote(find(".left", row), "");
}

function showNote(job) {
  const { row, state, error, cards, count, omissions, stage } = job;
  const note = find(".note", row);
  // The count beside the name says it to the eye; the note says it to the ear.
  note.parentElement.classList.toggle("unseen", state === "completed" && count > 0 && !omissions);
  note.removeAttribute("lang");
  if (error?.sentence) say(note, "serverSaid", { sentence: error.sentence });
  else if (error) say(note, error.key, error.given);
  else if (state === "expired") say(note, "expired");
  else if (state === "completed" && count && cards && omissions) quote(note, omissions, "en");
  else if (state === "completed" && count !== undefined) say(note, count ? "ready" : "noCards", { count });
  else if (state === "completed") quote(note, "");
  else say(note, `stages.${OPEN.includes(state) && stage ? stage : state}`);
}

function showAgain({ row, state, retries, error }) {
  const button = find(".again", row);
  button.hidden = !(state === "failed" && retries);
  if (!button.hidden) say(button, retries === "choose" ? "chooseAgain" : "again");
  find(".job-says", row).classList.toggle("with-button", !button.hidden || Boolean(error));
}

function showDeck(job) {
  const { row, cards, count, expanded, state } = job;
  if (state !== "completed" || count === 0) return;
  const section = find(".deck", row);
  // Only an open deck is built: a long list of documents would be thousands of cards.
  if (expanded && cards && !job.deck) job.deck = fillDeck(section, job);
  section.hidden = !(expanded && cards);
  section.setAttribute("aria-label", job.fileName);
  const toggle = find(".toggle", row);
  toggle.hidden = false;
  toggle.setAttribute("aria-expanded", Boolean(expanded));
  say(find(".toggle-text", row), expanded ? "hide" : "show");
  if (count !== undefined) say(find(".job-count", row), "cards", { count });
}
