// What the browser remembers between visits: the user's id, the language, the list of documents.
// The cards are not kept here: the server has them.

const PREFIX = "docdeck.";
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

export function userId() {
  let id = recall("userId");
  if (!id) {
    // Not crypto.randomUUID: browsers offer that over https and on localhost only.
    id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    remember("userId", id);
  }
  return id;
}

/** The documents that the server has taken, newest first: [{jobId, fileName, time (ms), expanded}]. */
export function savedJobs() {
  try {
    const jobs = JSON.parse(recall("jobs") ?? "[]");
    return jobs.filter((job) => typeof job.jobId === "string").sort((a, b) => b.time - a.time);
  } catch {
    return [];
  }
}

// The list is read anew before each change: another tab may have written in between.
export function saveJob({ jobId, fileName, time, expanded }) {
  const others = savedJobs().filter((job) => job.jobId !== jobId);
  remember("jobs", JSON.stringify([...others, { jobId, fileName, time, expanded }]));
}

export function forgetJob(jobId) {
  remember("jobs", JSON.stringify(savedJobs().filter((job) => job.jobId !== jobId)));
}
