// Words spoken by the browser's own voices, American and British.

const speech = globalThis.speechSynthesis;
let voices = [];

/** Shows the buttons for which there is a voice, now and when the browser has found its voices. */
export function offerVoices(root) {
  for (const button of root.querySelectorAll("[data-accent]")) button.hidden = !voiceOf(button.dataset.accent);
}

/** Some voices are named en_US, as on Android. */
const voiceOf = (accent) => voices.find((voice) => voice.lang.replace("_", "-") === accent);

export function speak(word, accent) {
  const utterance = new SpeechSynthesisUtterance(word);
  utterance.voice = voiceOf(accent);
  utterance.lang = accent;
  utterance.rate = 0.9;
  speech.cancel(); // who clicks again wants to hear it now
  speech.speak(utterance);
}

function findVoices() {
  voices = speech.getVoices();
  offerVoices(document);
}

if (speech) {
  findVoices();
  speech.addEventListener?.("voiceschanged", findVoices);
}
