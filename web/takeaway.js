// Decks to take away: links to the server's files, and text for Quizlet.

import { LoggedOut, deckAddress, fetchDeck } from "./server.js";
import { token } from "./store.js";
import { tell } from "./toast.js";

/** `shownCards()`: those that the filters leave, which is what the clipboard gets. */
export function offerDownloads(section, { jobId }, shownCards) {
  for (const link of section.querySelectorAll("a[data-kind]")) {
    link.href = deckAddress(jobId, link.dataset.kind);
    link.addEventListener("click", (event) => {
      if (!token()) return; // a link alone carries no token
      event.preventDefault();
      save(jobId, link.dataset.kind);
    });
  }
  section.querySelector(".quizlet").addEventListener("click", async () => {
    const cards = shownCards();
    const copied = await copy(cards.map(forQuizlet).join("\n"));
    tell(copied ? "copiedCards" : "notCopied", { count: cards.length });
  });
}

async function save(jobId, kind) {
  try {
    const { blob, name } = await fetchDeck(jobId, kind);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser is still reading it
  } catch (error) {
    tell(error instanceof LoggedOut ? "loggedOut" : "notSaved");
  }
}

/** A term, a tab and its meaning, or its sentence where it has none. */
function forQuizlet({ word, meaning, meaning_vi, example }) {
  const back = [meaning, meaning_vi].filter(Boolean).join("; ") || example || "";
  return [word, back].map((part) => part.replace(/\s+/g, " ").trim()).join("\t");
}

/** Whether the text is in the clipboard now. */
export async function copy(content) {
  try {
    await navigator.clipboard.writeText(content);
    return true;
  } catch {
    return copyBySelection(content); // over plain http browsers have no other way
  }
}

function copyBySelection(content) {
  const area = document.createElement("textarea");
  area.className = "unseen";
  area.value = content;
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  before?.focus();
  return copied;
}
