// The routes of the service that the page uses. Knows nothing of the page.

export const MAX_FILE = 50 * 1024 * 1024; // bytes
export const TOO_LARGE = "File too large (max 50MB)"; // the server's own sentence for the same limit
const DIRECT = 4 * 1024 * 1024; // bytes from which a file goes straight to the bucket, past hosts with limits of theirs
const PATIENCE = 60_000; // ms for one status: a deck over a slow line takes its time

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

/** Sends a file; resolves to its jobId. `signal` ends the upload. */
export async function upload(file, userId, signal) {
  const jobId = file.size > DIRECT ? await uploadDirectly(file, userId, signal) : null;
  return jobId ?? uploadForm(file, userId, signal);
}

/** Resolves to null where there is no such way: then the form is the way. */
async function uploadDirectly(file, userId, signal) {
  const post = (address, body) => {
    const headers = { "Content-Type": "application/json" };
    return reach(address, { method: "POST", headers, body: JSON.stringify(body), signal });
  };
  const sha256 = await digest(file);
  const begun = await post("/api/uploads", { userId, fileName: file.name, size: file.size, sha256 });
  if (begun.status === 200) return jobIdOf(begun); // done before
  if (begun.status !== 201) return null;
  const { uploadId, url } = await json(begun);
  try {
    const put = await reach(url, { method: "PUT", body: file.slice(), signal }); // a slice has no type to be signed
    if (!put.ok) return null;
  } catch (error) {
    if (signal.aborted) throw error;
    return null; // the bucket's CORS does not know this page
  }
  return jobIdOf(await post(`/api/uploads/${uploadId}/complete`, {}));
}

/** Browsers count it over https and on localhost only; without it a document that was done before is done again. */
async function digest(file) {
  if (!crypto.subtle) return undefined;
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function uploadForm(file, userId, signal) {
  const form = new FormData();
  form.append("userId", userId);
  form.append("file", file);
  return jobIdOf(await reach("/api/upload-document-async", { method: "POST", body: form, signal }));
}

async function jobIdOf(response) {
  const answer = await json(response);
  if (!response.ok || typeof answer?.jobId !== "string") {
    throw new Refused(response.status, typeof answer?.error === "string" ? answer.error : null);
  }
  return answer.jobId;
}

/** How far a job is, as the server says it; null when it does not know the job (any more). */
export async function askStatus(jobId) {
  const response = await reach(`/api/job-status/${encodeURIComponent(jobId)}`, { signal: AbortSignal.timeout(PATIENCE) });
  const answer = await json(response);
  if (response.status === 404 && answer?.error) return null;
  if (!response.ok || typeof answer?.status !== "string") throw new Unreachable(`status ${response.status}`);
  return answer;
}

async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

/** The answer's JSON; null for what is none, such as the error page of a proxy or half an answer. */
async function json(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}
