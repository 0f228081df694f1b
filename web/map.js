// The mind map of a deck as SVG: the document, its topics, their terms; a term leads to its card.
// Each label has a row of its own, so none can cover another. Wide: topics on both sides; narrow: a tree downwards.

import { say } from "./messages.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 820; // px from which there is room on both sides
const ROW = 30;
const BETWEEN = 16; // topics
const COLOURS = 6; // of branches, in style.css
const pen = document.createElement("canvas").getContext("2d"); // measures
let font = "sans-serif";
const observers = new WeakMap(); // view -> what redraws it in another width

export function drawMap(view, map) {
  observers.get(view)?.disconnect();
  let width = 0;
  const observer = new ResizeObserver(() => {
    if (view.clientWidth === 0 || view.clientWidth === width) return;
    width = view.clientWidth;
    font = getComputedStyle(view).fontFamily;
    view.replaceChildren(picture(map, width));
  });
  observer.observe(view);
  observers.set(view, observer);
}

function picture({ topics, title, choose }, width) {
  const svg = make("svg", { class: "map", role: "group", width });
  say(svg, "mapLabel", { name: title }, "label");
  title = title.replace(/\.\w{1,5}$/, "");
  const branches = topics.map((topic, number) => branchOf(topic, number % COLOURS));
  const height = width >= WIDE ? drawWide(svg, branches, title, width) : drawTree(svg, branches, title, width);
  svg.setAttribute("height", height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  listen(svg, choose);
  return svg;
}

/** A topic's first card names it; that of the others has no card. */
function branchOf({ name, cards }, colour) {
  const [head, leaves] = name === null ? [null, cards] : [cards[0], cards.slice(1)];
  return { head, leaves, colour, height: Math.max(1, leaves.length) * ROW + BETWEEN };
}

// Layouts ---------------------------------------------------------------------------------------------------------

function drawWide(svg, branches, title, width) {
  const sides = [[], []];
  const heights = [0, 0];
  // The largest first, each to the side with more room; on its side each keeps its place in the order.
  for (const branch of [...branches].sort((one, two) => two.height - one.height)) {
    const side = heights[0] <= heights[1] ? 0 : 1;
    sides[side].push(branch);
    heights[side] += branch.height;
  }
  for (const members of sides) members.sort((one, two) => branches.indexOf(one) - branches.indexOf(two));
  const height = Math.max(...heights, 3 * ROW);
  const room = { root: Math.min(230, width * 0.2), gap: width * 0.024 };
  const rest = width / 2 - room.root / 2 - 2 * room.gap;
  Object.assign(room, { topic: rest * 0.455, term: rest * 0.545 });
  const middle = { x: width / 2, y: height / 2 };
  for (const [side, members] of sides.entries()) {
    const way = side === 0 ? 1 : -1;
    let top = (height - heights[side]) / 2;
    for (const branch of members) {
      drawBranch(svg, branch, { way, top, middle, room });
      top += branch.height;
    }
  }
  drawRoot(svg, title, { x: middle.x - room.root / 2, y: middle.y, room: room.root, anchor: 0.5 });
  return height;
}

/** One topic and its terms to the right (way 1) or to the left (-1) of the middle. */
function drawBranch(svg, { head, leaves, colour, height }, { way, top, middle, room }) {
  const y = top + height / 2;
  const start = middle.x + way * (room.root / 2);
  const topic = start + way * room.gap;
  const line = (...points) => svg.prepend(make("path", { class: `branch branch-${colour}`, d: curve(...points) }));
  line(middle.x, middle.y, topic, y);
  const label = drawLabel(svg, head, { x: topic, y, room: room.topic, way, className: `topic-node branch-${colour}` });
  const from = topic + way * label;
  const column = start + way * (2 * room.gap + room.topic);
  for (const [number, card] of leaves.entries()) {
    const at = top + BETWEEN / 2 + (number + 0.5) * ROW;
    line(from, y, column, at);
    drawLabel(svg, card, { x: column, y: at, room: room.term, way, className: "term-node" });
  }
}

const curve = (x, y, toX, toY) => `M${x},${y}C${(x + toX) / 2},${y} ${(x + toX) / 2},${toY} ${toX},${toY}`;

function drawTree(svg, branches, title, width) {
  const indent = 22;
  const first = ROW / 2 + 2;
  let y = first;
  drawRoot(svg, title, { x: 1, y, room: width - 2, anchor: 0 });
  const line = (colour, x, fromY, toX, toY) => {
    const d = `M${x},${fromY}V${toY - 8}Q${x},${toY} ${x + 8},${toY}H${toX}`;
    svg.prepend(make("path", { class: `branch branch-${colour}`, d }));
  };
  y += ROW + BETWEEN / 2;
  for (const { head, leaves, colour } of branches) {
    const topicY = y;
    line(colour, indent / 2, first, indent, topicY);
    const className = `topic-node branch-${colour}`;
    drawLabel(svg, head, { x: indent, y: topicY, room: width - indent - 1, way: 1, className });
    for (const card of leaves) {
      y += ROW;
      line(colour, indent * 1.7, topicY, indent * 2.4, y);
      drawLabel(svg, card, { x: indent * 2.4, y, room: width - indent * 2.4 - 1, way: 1, className: "term-node" });
    }
    y += ROW + BETWEEN / 2;
  }
  return y;
}

// Marks -----------------------------------------------------------------------------------------------------------

function drawRoot(svg, title, { x, y, room, anchor }) {
  const shown = fitting(title, room - 28, 600);
  const width = Math.min(room, widthOf(shown, 600) + 28);
  const group = make("g", { class: "root-node" });
  const left = x + (room - width) * anchor;
  group.append(make("rect", { x: left, y: y - 15, width, height: 30, rx: 15 }));
  group.append(textAt(shown, left + 14, y, "start"));
  svg.append(group);
}

/** A label that begins (way 1) or ends (-1) at x; its width. `card`: null for that of the others. */
function drawLabel(svg, card, { x, y, room, way, className }) {
  const [pad, weight] = className === "term-node" ? [7, 400] : [11, 600];
  const group = make("g", { class: className });
  const text = textAt("", x + way * pad, y, way === 1 ? "start" : "end");
  if (card) text.textContent = fitting(card.word, room - 2 * pad, weight);
  else say(text, "others");
  const width = Math.min(room, widthOf(text.textContent, weight) + 2 * pad);
  const left = way === 1 ? x : x - width;
  group.append(make("rect", { x: left, y: y - 13, width, height: 26, rx: 13 }), text);
  if (card) {
    group.card = card;
    for (const [name, value] of Object.entries({ role: "button", tabindex: -1, lang: "en", "aria-label": card.word })) {
      group.setAttribute(name, value);
    }
    group.append(Object.assign(make("title"), { textContent: card.meaning ?? card.word }));
  }
  svg.append(group);
  return width;
}

function textAt(content, x, y, anchor) {
  const text = make("text", { x, y, dy: "0.35em", "text-anchor": anchor });
  text.textContent = content;
  return text;
}

function widthOf(content, weight) {
  pen.font = `${weight} 14px ${font}`; // as in deck.css
  return Math.ceil(pen.measureText(content).width);
}

/** As much of a text as there is room for. */
function fitting(content, room, weight) {
  if (widthOf(content, weight) <= room) return content;
  let length = content.length;
  while (length > 1 && widthOf(`${content.slice(0, length)}…`, weight) > room) length -= 1;
  return `${content.slice(0, length).trimEnd()}…`;
}

function make(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Hands -----------------------------------------------------------------------------------------------------------

/** One stop for the tab key; from there arrows lead on. */
function listen(svg, choose) {
  const nodes = [...svg.querySelectorAll("[role=button]")];
  nodes[0]?.setAttribute("tabindex", 0);
  svg.addEventListener("click", (event) => {
    const node = event.target.closest("[role=button]");
    if (node) choose(node.card);
  });
  svg.addEventListener("keydown", (event) => {
    const place = nodes.indexOf(event.target);
    if (["Enter", " "].includes(event.key)) choose(event.target.card);
    else {
      const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -place, End: nodes.length - 1 - place };
      const next = nodes[place + (steps[event.key] ?? NaN)];
      if (!(event.key in steps)) return;
      if (next) {
        event.target.setAttribute("tabindex", -1);
        next.setAttribute("tabindex", 0);
        next.focus();
      }
    }
    event.preventDefault();
  });
}
