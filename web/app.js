// The page: takes files, shows each as a row, uploads it, asks the server every two seconds how far it is.
// The cards are deck.js's, the texts messages.js's, the requests server.js's, the memory store.js's.

import { fillDeck } from "./deck.js";
import { chooseLanguage, language, quote, say, sayTime, translate } from "./messages.js";
import { MAX_FILE, Refused, TOO_LARGE, Unreachable, askStatus, upload } from "./server.js";
import { forgetJob, saveJob, savedJobs, userId } from "./store.js";

const POLL_EVERY = 2000; // ms
const UPLOADS_AT_ONCE = 2; // a browser opens six connections to a server; the polling needs some of them

const find = (selector, root = document) => root.querySelector(selector);
const jobTemplate = find("#job-template");
const jobs = []; // newest first, as on the page
let timer = null;

// A job: what is saved of it (jobId, fileName, time, expanded); `file` until it is uploaded; `state`, one of
// waiting, uploading, asking, queued, processing (all open), completed, failed, expired (ended); `row`, its element.
const OPEN = ["asking", "queued", "processing"];

// Files in --------------------------------------------------------------------------------------------------------

function addFiles(files, folders = []) {
  const now = Date.now();
  const added = files.map((file, number) => ({
    file,
    fileName: file.name,
    time: now - number, // sorted by time, the newest first, they keep the order in which they were chosen
    expanded: true,
    state: "waiting",
  }));
  jobs.unshift(...added);
  find("#jobs").prepend(...added.map(makeRow));
  for (const job of added) {
    if (folders.includes(job.file)) fail(job, "folder");
    else if (job.file.size > MAX_FILE) fail(job, "failed", TOO_LARGE);
    else update(job);
  }
  showList();
  uploadNext();
}

function uploadNext() {
  const busy = jobs.filter((job) => job.state === "uploading").length;
  for (const job of jobs.filter((job) => job.state === "waiting").slice(0, UPLOADS_AT_ONCE - busy)) send(job);
}

async function send(job) {
  job.abort = new AbortController();
  update(job, { state: "uploading" });
  try {
    job.jobId = await upload(job.file, userId(), job.abort.signal);
    if (job.removed) return;
    saveJob(job);
    update(job, { state: "queued", stage: "queued" });
  } catch (error) {
    if (job.removed) return;
    if (error instanceof Refused) fail(job, "serverError", error.sentence, { code: error.code });
    else if (error instanceof Unreachable) fail(job, "uploadFailed");
    else throw error;
  } finally {
    job.file = null;
    uploadNext();
  }
}

// The server's answers --------------------------------------------------------------------------------------------

function poll() {
  for (const job of jobs.filter((job) => OPEN.includes(job.state) && !job.asked)) ask(job);
}

async function ask(job) {
  job.asked = true;
  try {
    take(job, await askStatus(job.jobId));
    serverIsAway(false);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    serverIsAway(true);
  } finally {
    job.asked = false;
  }
}

function take(job, answer) {
  if (job.removed) return;
  if (answer === null) update(job, { state: "expired" });
  else if (answer.status === "failed") fail(job, "failed", answer.error);
  else if (answer.status === "completed") complete(job, answer.result);
  else {
    const progress = Math.min(100, Math.max(0, Number(answer.progress) || 0));
    const state = answer.status === "queued" ? "queued" : "processing";
    update(job, { state, progress, stage: answer.stage || answer.status });
  }
}

function complete(job, result) {
  try {
    const { flashcards, stages } = JSON.parse(result);
    job.cards = flashcards.filter((card) => card.word);
    job.omissions = (stages?.stage1?.notes ?? []).join(" "); // another worker's result has none
  } catch {
    return fail(job, "unreadable");
  }
  update(job, { state: "completed" });
}

/** Ends a job with the server's own sentence, or with ours (a key of messages.js) where it has none. */
function fail(job, key, sentence, given) {
  update(job, { state: "failed", error: sentence ? { sentence } : { key, given } });
}

function serverIsAway(away) {
  const element = find("#away");
  if (away) say(element, "away");
  else quote(element, "");
}

// Rows ------------------------------------------------------------------------------------------------------------

function makeRow(job) {
  job.row = jobTemplate.content.firstElementChild.cloneNode(true);
  translate(job.row);
  find(".job-name", job.row).textContent = job.fileName;
  find(".job-about", job.row).textContent = `${job.fileName}: `;
  sayTime(find("time", job.row), job.time);
  say(find("progress", job.row), "progress", { name: job.fileName }, "label");
  say(find(".remove", job.row), "remove", { name: job.fileName }, "label");
  find(".remove", job.row).addEventListener("click", () => remove(job));
  find(".toggle", job.row).addEventListener("click", () => {
    job.expanded = !job.expanded;
    saveJob(job);
    showDeck(job);
  });
  return job.row;
}

function update(job, changes = {}) {
  Object.assign(job, changes);
  job.row.dataset.state = job.state;
  showProgress(job);
  showNote(job);
  if (job.state === "completed") showDeck(job);
  keepPolling();
}

function showProgress(job) {
  const ended = ["completed", "failed", "expired"].includes(job.state);
  const bar = find("progress", job.row);
  find(".job-work", job.row).hidden = ended;
  if (job.state === "completed") bar.value = 100;
  else if (["queued", "processing"].includes(job.state)) bar.value = job.progress ?? 0;
  else if (job.state === "waiting") bar.value = 0;
  else bar.removeAttribute("value"); // it moves, but nobody knows how far it is
  find(".percent", job.row).textContent = job.state === "processing" ? `${Math.round(bar.value)}%` : "";
}

function showNote(job) {
  const note = find(".note", job.row);
  // The count beside the name says it to the eye; the note says it to the ear.
  note.parentElement.classList.toggle("unseen", job.state === "completed" && job.cards.length > 0 && !job.omissions);
  if (job.error?.sentence) quote(note, job.error.sentence, "en");
  else if (job.error) say(note, job.error.key, job.error.given);
  else if (job.state === "expired") say(note, "expired");
  else if (job.state === "completed" && job.cards.length && job.omissions) quote(note, job.omissions, "en");
  else if (job.state === "completed") say(note, job.cards.length ? "ready" : "noCards", { count: job.cards.length });
  else say(note, `stages.${OPEN.includes(job.state) && job.stage ? job.stage : job.state}`);
}

function showDeck(job) {
  const { row, cards, expanded } = job;
  if (!cards.length) return;
  const deck = find(".deck", row);
  // Only an open deck is built: a long list of documents would be thousands of cards.
  if (expanded && !job.filled) {
    fillDeck(deck, cards);
    job.filled = true;
  }
  deck.hidden = !expanded;
  deck.setAttribute("aria-label", job.fileName);
  const toggle = find(".toggle", row);
  toggle.hidden = false;
  toggle.setAttribute("aria-expanded", expanded);
  say(find(".toggle-text", row), expanded ? "hide" : "show");
  say(find(".job-count", row), "cards", { count: cards.length });
}

function remove(job) {
  job.removed = true;
  job.abort?.abort();
  if (job.jobId) forgetJob(job.jobId);
  const next = job.row.nextElementSibling ?? job.row.previousElementSibling;
  jobs.splice(jobs.indexOf(job), 1);
  job.row.remove();
  showList();
  keepPolling();
  find(next ? ".remove" : "#files", next ?? document).focus(); // else the keyboard's place is lost with the row
}

function showList() {
  find("#documents").hidden = jobs.length === 0;
  find("#steps").hidden = jobs.length > 0;
  document.body.classList.toggle("has-documents", jobs.length > 0);
}

function keepPolling() {
  const needed = jobs.some((job) => OPEN.includes(job.state));
  if (needed && timer === null) timer = setInterval(poll, POLL_EVERY);
  if (!needed && timer !== null) {
    clearInterval(timer);
    timer = null;
    serverIsAway(false);
  }
}

// The page's own controls -----------------------------------------------------------------------------------------

function listenForFiles() {
  const input = find("#files");
  input.addEventListener("change", () => {
    addFiles([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  // Anywhere on the page: a file dropped beside the box would otherwise replace the page.
  let depth = 0; // dragenter and dragleave come for every element on the way
  const hasFiles = (event) => event.dataTransfer.types.includes("Files");
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  addEventListener("dragenter", (event) => hasFiles(event) && mark(1));
  addEventListener("dragleave", (event) => hasFiles(event) && mark(-1));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(-depth);
    const files = [...event.dataTransfer.files];
    const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
    addFiles(files, files.filter((_, number) => items[number]?.webkitGetAsEntry()?.isDirectory));
  });
}

function listenForLanguage() {
  const buttons = document.querySelectorAll("[data-language]");
  const mark = () => buttons.forEach((button) => button.setAttribute("aria-pressed", button.dataset.language === language));
  for (const button of buttons) {
    button.addEventListener("click", () => {
      chooseLanguage(button.dataset.language);
      mark();
    });
  }
  mark();
}

function start() {
  translate(document);
  listenForLanguage();
  listenForFiles();
  jobs.push(...savedJobs().map((job) => ({ ...job, state: "asking" })));
  find("#jobs").append(...jobs.map(makeRow));
  jobs.forEach((job) => update(job));
  showList();
  poll();
  // A tab in the background asks more rarely; who comes back to it wants to see how it is now.
  document.addEventListener("visibilitychange", () => document.hidden || poll());
  addEventListener("beforeunload", (event) => {
    if (jobs.some((job) => ["waiting", "uploading"].includes(job.state))) event.preventDefault();
  });
}

start();
