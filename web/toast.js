// One sentence at the foot of the window, for a while, with a way back where there is one.

import { say } from "./messages.js";

const STAYS = 8000; // ms
const box = document.getElementById("toast");
const undo = box.querySelector("button");
let timer;
let back = null;

export function tell(key, given, takeBack = null) {
  say(box.querySelector(".toast-text"), key, given);
  undo.hidden = takeBack === null;
  back = takeBack;
  box.classList.add("up");
  clearTimeout(timer);
  timer = setTimeout(hide, STAYS);
}

function hide() {
  // Not while somebody is about to press the button.
  if (box.matches(":hover, :focus-within")) timer = setTimeout(hide, STAYS);
  else box.classList.remove("up");
}

undo.addEventListener("click", () => {
  back?.();
  undo.blur();
  box.classList.remove("up");
});
