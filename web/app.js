// The page: takes files, shows each as a row, uploads it, asks the server every two seconds how far it is.
// The rows are row.js's, the cards deck.js's, the texts messages.js's, the requests server.js's, the memory store.js's.

import { problemOf } from "./check.js";
import { adopted, listenForOffers, showSettings } from "./device.js";
import { showKnown } from "./deck.js";
import { Estimate } from "./estimate.js";
import { chooseLanguage, language, quote, say, translate } from "./messages.js";
import { OPEN, askToPart, find, makeRow, showRow } from "./row.js";
import { LoggedOut, Refused, Unreachable, askStatus, cancelJob, deleteJob, listJobs, retryJob, upload } from "./server.js";
import { forgetJob, saveJob, savedJobs, wasRemoved } from "./store.js";
import { tell } from "./toast.js";

const POLL_EVERY = 2000; // ms
const LIST_EVERY = 30_000; // ms, at most, when somebody comes back to the page
const LIST_AGAIN = 5000; // ms, after no answer
const UPLOADS_AT_ONCE = 2; // a browser opens six connections to a server; the polling needs some of them
const jobs = []; // newest first, as on the page
let timer = null;
let loggedOut = false;

// Files in --------------------------------------------------------------------------------------------------------

async function addFiles(files, folders = []) {
  const now = Date.now();
  const added = files.map((file, number) => ({
    file,
    fileName: file.name,
    time: now - number, // sorted by time, the newest first, they keep the order in which they were chosen
    expanded: true,
    state: "checking",
  }));
  jobs.unshift(...added);
  find("#jobs").prepend(...added.map((job) => makeRow(job, act)));
  for (const job of added) update(job, { state: "waiting", checked: false });
  showList();
  for (const job of added) {
    const problem = await problemOf(job.file, folders.includes(job.file));
    if (problem) fail(job, problem, null, { retries: "choose" });
    else job.checked = true;
    uploadNext();
  }
}

function uploadNext() {
  const busy = jobs.filter((job) => job.state === "uploading").length;
  const ready = jobs.filter((job) => job.state === "waiting" && job.checked);
  for (const job of ready.slice(0, UPLOADS_AT_ONCE - busy)) send(job);
}

async function send(job) {
  job.abort = new AbortController();
  update(job, { state: "uploading", error: null, progress: 0, estimate: new Estimate() });
  const onProgress = (share) => {
    job.estimate.add(share);
    update(job, { progress: share * 100 });
  };
  try {
    const { jobId, status } = await upload(job.file, { signal: job.abort.signal, onProgress });
    if (job.removed) return;
    dropTwin(jobId);
    saveJob(Object.assign(job, { jobId, file: null }));
    update(job, { state: "queued", stage: "queued", progress: 0, estimate: new Estimate() });
    if (status === "completed") ask(job); // done before: the cards are there at once
  } catch (error) {
    if (!job.removed) uploadFailed(job, error);
  } finally {
    uploadNext();
  }
}

/** The server answers the same document with the same job: one row of it is enough. */
function dropTwin(jobId) {
  const twin = jobs.find((job) => job.jobId === jobId);
  if (twin) drop(twin);
}

function uploadFailed(job, error) {
  if (job.cancelled) fail(job, "cancelled", null, { retries: "send" });
  else if (error instanceof LoggedOut) fail(job, "loggedOut", null, { retries: "send" });
  else if (error instanceof Refused) fail(job, "serverError", error.sentence, { retries: "send", given: { code: error.code } });
  else if (error instanceof Unreachable) fail(job, "uploadFailed", null, { retries: "send" });
  else throw error;
}

// The server's answers --------------------------------------------------------------------------------------------

function poll() {
  for (const job of jobs.filter((job) => OPEN.includes(job.state) && !job.asked)) ask(job);
}

async function ask(job) {
  job.asked = true;
  try {
    const answer = await askStatus(job.jobId);
    reached();
    take(job, answer);
  } catch (error) {
    missed(error);
  } finally {
    job.asked = false;
  }
}

function take(job, answer) {
  if (job.removed) return;
  if (answer === null) update(job, { state: "expired" });
  else if (answer.status === "failed") failedThere(job, answer.error);
  else if (answer.status === "completed") complete(job, answer.result);
  else {
    const progress = Math.min(100, Math.max(0, Number(answer.progress) || 0));
    const state = answer.status === "queued" ? "queued" : "processing";
    job.estimate ??= new Estimate();
    if (state === "processing") job.estimate.add(progress / 100);
    update(job, { state, progress, error: null, stage: job.cancelled ? "cancelling" : answer.stage || answer.status });
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
  const news = job.count !== job.cards.length;
  update(job, { state: "completed", count: job.cards.length });
  if (news) saveJob(job);
}

const failedThere = (job, sentence) =>
  sentence === "Cancelled" ? fail(job, "cancelled", null, { retries: "server" }) : fail(job, "failed", sentence, { retries: "server" });

/** Ends a job with the server's own sentence, or with ours (a key of messages.js) where it has none. `retries`: what
    another try does: send the file, ask the server, let the user choose the file. */
function fail(job, key, sentence, { given, retries = null } = {}) {
  update(job, { state: "failed", error: sentence ? { sentence } : { key, given }, retries, cancelled: false });
}

function reached() {
  quote(find("#away"), "");
}

function missed(error) {
  if (error instanceof LoggedOut) {
    loggedOut = true; // until there is another token: asking on would only be refused
    keepPolling();
    say(find("#away"), "loggedOut");
  } else if (error instanceof Unreachable) say(find("#away"), "away");
  else throw error;
}

// The list --------------------------------------------------------------------------------------------------------

let listed = 0; // when the server was asked last
let cursor = null;

/** What the server has of this user and this list has not, from other devices or from before. */
async function merge(older = null) {
  listed = Date.now();
  try {
    const answer = await listJobs(older);
    if (older || !cursor) cursor = answer.cursor;
    for (const job of answer.jobs) mergeOne(job);
    find("#older").hidden = !cursor;
    showList();
    poll();
  } catch (error) {
    missed(error);
    if (error instanceof Unreachable) setTimeout(() => merge(older), LIST_AGAIN);
  }
}

function mergeOne({ jobId, fileName, status, createdAt }) {
  if (status === "uploading" || wasRemoved(jobId) || jobs.some((job) => job.jobId === jobId)) return;
  const state = status === "completed" ? status : "asking";
  const job = { jobId, fileName: fileName || jobId, time: createdAt, expanded: false, state };
  const place = jobs.findIndex((other) => other.time < job.time);
  const before = place < 0 ? null : jobs[place].row;
  jobs.splice(place < 0 ? jobs.length : place, 0, job);
  find("#jobs").insertBefore(makeRow(job, act), before);
  update(job);
}

function update(job, changes = {}) {
  Object.assign(job, changes);
  const focused = job.row.contains(document.activeElement) && document.activeElement;
  showRow(job);
  // A button that has had its effect is hidden: the keyboard's place must not be lost with it.
  if (focused && !focused.offsetParent) (find(".again:not([hidden])", job.row) ?? find(".remove", job.row)).focus();
  keepPolling();
}

function showList() {
  find("#documents").hidden = jobs.length === 0;
  find("#steps").hidden = jobs.length > 0;
  document.body.classList.toggle("has-documents", jobs.length > 0);
}

function keepPolling() {
  const needed = !loggedOut && jobs.some((job) => OPEN.includes(job.state));
  if (needed && timer === null) timer = setInterval(poll, POLL_EVERY);
  if (!needed && timer !== null) {
    clearInterval(timer);
    timer = null;
    reached();
  }
}

// What the buttons of a row do ------------------------------------------------------------------------------------

const act = {
  toggle(job) {
    saveJob(Object.assign(job, { expanded: !job.expanded }));
    update(job, job.expanded && !job.cards ? { state: "asking", stage: "fetching" } : {});
    poll();
  },

  remove: (job) => (job.jobId ? askToPart(job, find(".farewell", job.row).hidden) : part(job)),
  takeOff: (job) => part(job),

  async delete(job) {
    try {
      await deleteJob(job.jobId);
    } catch (error) {
      if (error instanceof LoggedOut) return missed(error);
      if (!(error instanceof Refused && error.code === 404)) return tell("notDeleted"); // 404: it is gone already
    }
    part(job);
    tell("deleted", { name: job.fileName });
  },

  async cancel(job) {
    job.cancelled = true;
    if (job.state === "waiting") return fail(job, "cancelled", null, { retries: job.checked ? "send" : "choose" });
    if (job.state === "uploading") return job.abort.abort();
    update(job, { stage: "cancelling" });
    try {
      await cancelJob(job.jobId);
    } catch (error) {
      job.cancelled = false;
      if (error instanceof Refused) return ask(job); // it is over already: how, the server says
      tell("notCancelled");
    }
    return ask(job);
  },

  async again(job) {
    if (job.retries === "choose") return find("#files").click();
    if (job.retries === "send") {
      update(job, { state: "waiting", error: null });
      return uploadNext();
    }
    try {
      await retryJob(job.jobId);
      update(job, { state: "queued", stage: "queued", error: null, progress: 0, estimate: new Estimate() });
    } catch (error) {
      if (error instanceof Refused) fail(job, "fileGone", null, { retries: "choose" });
      else missed(error);
    }
    return undefined;
  },
};

function part(job) {
  if (job.jobId) forgetJob(job.jobId);
  const next = job.row.nextElementSibling ?? job.row.previousElementSibling;
  drop(job);
  find(next ? ".remove" : "#files", next ?? document).focus(); // else the keyboard's place is lost with the row
}

function drop(job) {
  job.removed = true;
  job.abort?.abort();
  jobs.splice(jobs.indexOf(job), 1);
  job.row.remove();
  job.deck?.leave();
  showList();
  keepPolling();
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

function listenForOthers() {
  // A tab in the background asks more rarely; who comes back to it wants to see how it is now.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    poll();
    if (Date.now() - listed > LIST_EVERY) merge();
  });
  addEventListener("beforeunload", (event) => {
    if (jobs.some((job) => ["waiting", "uploading"].includes(job.state))) event.preventDefault();
  });
  addEventListener("storage", ({ key }) => {
    if (key === "docdeck.token") location.reload(); // somebody logged in, or out
  });
  document.addEventListener("known", showKnown);
  document.addEventListener(adopted, () => merge());
  find("#older").addEventListener("click", () => merge(cursor));
}

function start() {
  translate(document);
  listenForLanguage();
  listenForFiles();
  // Of a closed deck that is known to be done nothing is asked before somebody opens it.
  const stateOf = (job) => (job.count !== undefined && !job.expanded ? "completed" : "asking");
  jobs.push(...savedJobs().map((job) => ({ ...job, state: stateOf(job) })));
  find("#jobs").append(...jobs.map((job) => makeRow(job, act)));
  jobs.forEach((job) => update(job));
  showList();
  showSettings();
  listenForOthers();
  listenForOffers();
  poll();
  merge();
}

start();
