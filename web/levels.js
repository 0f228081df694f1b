// How hard and how common the words of a deck are, as bars with their numbers.

import { quote, say, translate } from "./messages.js";

const template = document.getElementById("levels-template");
const LEVELS = ["A1", "A2", "B1", "B2", "C1", "C2"];
const BANDS = ["very common", "common", "less common", "rare"];

export function showLevels(view, cards) {
  const content = template.content.cloneNode(true);
  const count = (name, value) => cards.filter((card) => (card[name] ?? null) === value).length;
  const levels = LEVELS.map((level) => ({ name: level, count: count("cefr", level) }));
  const unknown = cards.filter((card) => !LEVELS.includes(card.cefr)).length;
  if (unknown) levels.push({ key: "noLevel", count: unknown });
  fill(content.querySelector(".by-cefr"), levels);
  fill(content.querySelector(".by-frequency"), BANDS.map((band) => ({ key: `bars.${band}`, count: count("frequency", band) })));
  const estimated = cards.filter((card) => card.cefr_estimated).length;
  if (estimated) say(content.querySelector(".estimated"), "estimatedNote", { count: estimated });
  view.replaceChildren(content);
  translate(view);
}

function fill(list, bars) {
  const most = Math.max(1, ...bars.map((bar) => bar.count));
  for (const { name, key, count } of bars) {
    const item = list.appendChild(document.createElement("li"));
    const part = (className) => {
      const element = item.appendChild(document.createElement("span"));
      element.className = className;
      return element;
    };
    if (key) say(part("bar-name"), key);
    else quote(part("bar-name"), name);
    part("bar").style.setProperty("--share", count / most);
    part("bar-count").textContent = count;
  }
}
