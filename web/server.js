// The routes of the service that the page uses. Knows nothing of the page.

import { knownWordsField, token, whose } from "./store.js";

export const MAX_FILE = 50 * 1024 * 1024; // bytes
const DIRECT = 4 * 1024 * 1024; // bytes from which a file goes straight to the bucket, past hosts with limits of theirs
const PATIENCE = 60_000; // ms for one answer: a deck over a slow line takes its time

/** The server said no: `sentence` is its own, or null where it gave none. */
export class Refused extends Error {
  constructor(code, sentence) {
    super(sentence ?? `status ${code}`);
    this.code = code;
    this.sentence = sentence;
  }
}

/** No answer, or none that came from the service: worth asking again. */
export class Unreachable extends Error {}

/** The service wants a token, or another than the one there is. */
export class LoggedOut extends Error {}

// Uploads ---------------------------------------------------------------------------------------------------------

/** Sends a file; resolves to its {jobId, status}. `signal` ends the upload; `onProgress` is told the share that is through. */
export async function upload(file, { signal, onProgress }) {
  const fields = whose();
  const known = knownWordsField();
  if (known) fields.knownWords = known;
  const answer = file.size > DIRECT ? await uploadDirectly(file, fields, { signal, onProgress }) : null;
  return answer ?? uploadForm(file, fields, { signal, onProgress });
}

/** Resolves to null where there is no such way: then the form is the way. */
async function uploadDirectly(file, fields, { signal, onProgress }) {
  const post = (address, body) => {
    const headers = { "Content-Type": "application/json" };
    return ask(address, { method: "POST", headers, body: JSON.stringify(body), signal });
  };
  const sha256 = await digest(file);
  const begun = await post("/api/uploads", { ...fields, fileName: file.name, size: file.size, sha256 });
  if (begun.status === 200) return jobOf(begun); // done before
  if (begun.status !== 201) return null;
  const { uploadId, url } = begun.answer;
  try {
    // A slice has no type, which would have to be signed.
    const put = await transfer("PUT", url, file.slice(), { signal, onProgress });
    if (!put.ok) return null;
  } catch (error) {
    if (signal.aborted) throw error;
    return null; // the bucket's CORS does not know this page
  }
  return jobOf(await post(`/api/uploads/${uploadId}/complete`, {}));
}

/** Browsers count it over https and on localhost only; without it a document that was done before is done again. */
async function digest(file) {
  if (!crypto.subtle) return undefined;
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function uploadForm(file, fields, { signal, onProgress }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", file);
  const address = "/api/upload-document-async";
  return jobOf(await transfer("POST", address, form, { signal, onProgress, headers: authorization() }));
}

function jobOf({ ok, status, answer }) {
  if (status === 401) throw new LoggedOut();
  if (!ok || typeof answer?.jobId !== "string") throw new Refused(status, sentenceOf(answer));
  return answer;
}

// Jobs ------------------------------------------------------------------------------------------------------------

const pathOf = (jobId) => `/api/jobs/${encodeURIComponent(jobId)}`;
export const deckAddress = (jobId, kind) => `${pathOf(jobId)}/deck.${kind}`;

/** How far a job is, as the server says it; null when it does not know the job (any more). */
export async function askStatus(jobId) {
  const { ok, status, answer } = await ask(`/api/job-status/${encodeURIComponent(jobId)}`);
  if (status === 404 && answer?.error) return null;
  if (!ok || typeof answer?.status !== "string") throw new Unreachable(`status ${status}`);
  return answer;
}

/** The user's jobs that the server has, newest first, whichever device they came from: {jobs, cursor}. */
export async function listJobs(cursor) {
  const query = new URLSearchParams({ ...whose(), limit: 50, ...(cursor && { cursor }) });
  const { ok, status, answer } = await ask(`/api/jobs?${query}`);
  if (!ok || !Array.isArray(answer?.jobs)) throw new Unreachable(`status ${status}`);
  return answer;
}

export const cancelJob = (jobId) => change("POST", `${pathOf(jobId)}/cancel`);
export const retryJob = (jobId) => change("POST", `${pathOf(jobId)}/retry`);
export const deleteJob = (jobId) => change("DELETE", pathOf(jobId));

/** Rejects with Refused where the server does not do it. */
async function change(method, address) {
  const { ok, status, answer } = await ask(address, { method });
  if (status >= 500) throw new Unreachable(`status ${status}`);
  if (!ok) throw new Refused(status, sentenceOf(answer));
}

/** A deck as a file, where a link alone would carry no token: {blob, name}. */
export async function fetchDeck(jobId, kind) {
  const response = await reach(deckAddress(jobId, kind), {});
  if (!response.ok) throw new Refused(response.status, sentenceOf(await json(response)));
  const [, name] = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition")) ?? [];
  return { blob: await response.blob(), name: name ? decodeURIComponent(name) : `deck.${kind}` };
}

// Requests --------------------------------------------------------------------------------------------------------

const authorization = () => (token() ? { Authorization: `Bearer ${token()}` } : {});
const sentenceOf = (answer) => (typeof answer?.error === "string" ? answer.error : null);

async function ask(address, options = {}) {
  const response = await reach(address, options);
  return { ok: response.ok, status: response.status, answer: await json(response) };
}

async function reach(address, { headers, signal = AbortSignal.timeout(PATIENCE), ...options }) {
  let response;
  try {
    response = await fetch(address, { ...options, signal, headers: { ...headers, ...authorization() } });
  } catch (error) {
    throw new Unreachable(error.message);
  }
  if (response.status === 401) throw new LoggedOut();
  return response;
}

/** The answer's JSON; null for what is none, such as the error page of a proxy or half an answer. */
async function json(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

/** A request with a body that takes its time: fetch does not tell how much of it is through. */
function transfer(method, address, body, { signal, onProgress, headers = {} }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => total && onProgress(loaded / total));
    request.addEventListener("load", () => {
      const { status, responseText } = request;
      let answer = null;
      try {
        answer = JSON.parse(responseText);
      } catch {
        // no JSON, as a bucket's answer is none
      }
      resolve({ ok: status >= 200 && status < 300, status, answer });
    });
    for (const end of ["error", "abort", "timeout"]) request.addEventListener(end, () => reject(new Unreachable(end)));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) reject(new Unreachable("abort"));
    else request.send(body);
  });
}
