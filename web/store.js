// What the browser remembers between visits: who the user is, the language, the list of documents, the known words.
// The cards are not kept here: the server has them.

const PREFIX = "docdeck.";
const MOST_REMOVED = 1000; // ids of documents taken off the list
const inMemory = new Map(); // where the browser allows no storage the page works, until it is closed

export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return inMemory.get(name) ?? null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    inMemory.set(name, value);
  }
}

function recallList(name, fits) {
  try {
    const list = JSON.parse(recall(own(name)) ?? "[]");
    return list.filter(fits);
  } catch {
    return [];
  }
}

const rememberList = (name, list) => remember(own(name), JSON.stringify(list));

// Who -------------------------------------------------------------------------------------------------------------

/** What a page that people log in to has put here for us; null where the service is open. */
export const token = () => recall("token") || null;

/** The token's user; null for no token, and for a key, which stands for a server and for no user. */
export function tokenUser() {
  try {
    const claims = token().split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(claims)).sub ?? null;
  } catch {
    return null;
  }
}

/** Of two people who log in at the same browser each has a list of his own. */
function own(name) {
  const user = tokenUser();
  return user ? `${name}.${user}` : name;
}

/** What a request says of its user: a token says it by itself. */
export const whose = () => (tokenUser() ? {} : { userId: userId() });

export function userId() {
  let id = recall("userId");
  if (!id) {
    // Not crypto.randomUUID: browsers offer that over https and on localhost only.
    id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    remember("userId", id);
  }
  return id;
}

export const isUserId = (id) => /^[0-9a-f]{32}$/.test(id);

// Documents -------------------------------------------------------------------------------------------------------

/** The documents of the list, newest first: [{jobId, fileName, time (ms), expanded, count (of cards, once known)}]. */
export function savedJobs() {
  return recallList("jobs", (job) => typeof job.jobId === "string").sort((a, b) => b.time - a.time);
}

// The list is read anew before each change: another tab may have written in between.
export function saveJob({ jobId, fileName, time, expanded, count }) {
  const others = savedJobs().filter((job) => job.jobId !== jobId);
  rememberList("jobs", [...others, { jobId, fileName, time, expanded, count }]);
  if (wasRemoved(jobId)) rememberList("removed", removed().filter((id) => id !== jobId));
}

/** Takes a document off the list, and keeps it off when the server names it again. */
export function forgetJob(jobId) {
  rememberList("jobs", savedJobs().filter((job) => job.jobId !== jobId));
  rememberList("removed", [jobId, ...removed()].slice(0, MOST_REMOVED));
}

const removed = () => recallList("removed", (id) => typeof id === "string");
export const wasRemoved = (jobId) => removed().includes(jobId);

// Known words -----------------------------------------------------------------------------------------------------

/** What the user knows already, the newest first. */
export const knownWords = () => recallList("known", (word) => typeof word === "string");
export const keepKnownWords = (words) => rememberList("known", words);

export function setKnown(word, known) {
  const others = knownWords().filter((other) => other !== word);
  rememberList("known", known ? [word, ...others] : others);
}

/** As uploads send them: separated by commas, the newest ones where all are too many bytes for the server. */
export function knownWordsField(most = 60_000) {
  const encoder = new TextEncoder();
  let size = 0;
  const fitting = knownWords().filter((word) => (size += encoder.encode(word).length + 1) <= most);
  return fitting.join(",");
}
