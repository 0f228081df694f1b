// The operators' page. Whatever it shows goes through textContent: names and errors are what strangers wrote.

const PLACES = ["waiting", "running", "delayed", "dead", "done"];
const REFRESH = 10000;
const by = (id) => document.getElementById(id);
const view = { place: "waiting", user: "", group: "", since: "", until: "", shown: [], next: -1 };

// Elements and texts -------------------------------------------------------------------------------------------------

function el(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children.filter((child) => child !== null && child !== undefined).map((child) =>
    child instanceof Node ? child : String(child)));
  return node;
}

function svg(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${+seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

const count = (number) => Number(number).toLocaleString("en");
const date = (ms) => (Number(ms) ? new Date(Number(ms)).toLocaleString("sv") : "–");
const ago = (ms) => (Date.now() - Number(ms) < 2000 ? "just now" : `${span((Date.now() - Number(ms)) / 1000)} ago`);
const many = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
const megabytes = (bytes) => `${count(Math.round(bytes / 1048576))} MB`;
const list = (name) => name.split(":")[1] ?? "normal";

function button(text, act, kind = "") {
  return el("button", { type: "button", className: kind, onclick: act }, text);
}

// rows: arrays of texts or nodes; columns: [heading, class]
function table(columns, rows, nothing) {
  if (!rows.length) return el("p", { className: "quiet" }, nothing);
  const head = el("tr", {}, ...columns.map(([text, kind]) => el("th", { className: kind ?? "" }, text)));
  const body = rows.map((row) => el("tr", {}, ...row.map((cell, n) => el("td", { className: columns[n][1] ?? "" }, cell))));
  return el("table", {}, el("thead", {}, head), el("tbody", {}, ...body));
}

// The server ---------------------------------------------------------------------------------------------------------

async function ask(path, body) {
  const change = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(`/admin/${path}`, change);
  if (answer.status === 401) show("login");
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Error(told.error);
  return told;
}

async function change(verb, body, question) {
  if (question && !confirm(question)) return null;
  return attempt(async () => {
    const told = await ask(verb, body);
    await refresh();
    return told;
  });
}

async function attempt(act) {
  try {
    const told = await act();
    by("trouble").hidden = true;
    return told;
  } catch (error) {
    by("trouble").textContent = error.message;
    by("trouble").hidden = false;
    return null;
  }
}

function show(what) {
  by("login").hidden = what !== "login";
  by("board").hidden = what === "login";
}

// Charts -------------------------------------------------------------------------------------------------------------

const LONGEST = 8; // stages that are shown at once
const WIDTH = 600;
const HEIGHT = 120;

function canvas(label) {
  const node = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + 14}`, preserveAspectRatio: "none", role: "img" });
  node.append(svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  node.append(svg("title", {}, label));
  return node;
}

function figure(title, key, top, node, hours, wide) {
  const clock = (hour) => new Date(hour.at * 1000).toLocaleTimeString("sv", { hour: "2-digit", minute: "2-digit" });
  const caption = el("figcaption", {}, el("h3", {}, title), el("span", { className: "quiet" }, key));
  const foot = el("figcaption", { className: "quiet" }, ...[clock(hours[0]), `top: ${top}`, "now"].map((text) => el("span", {}, text)));
  return el("figure", { className: wide ? "wide" : "" }, caption, node, foot);
}

function bars(title, hours) {
  const kinds = (hour) => {
    const { completed = 0, refused = 0, cancelled = 0, ...failed } = hour.ended;
    return [["completed", completed], ["refused", refused + cancelled], ["failed", Object.values(failed).reduce((a, b) => a + b, 0)]];
  };
  const total = (hour) => kinds(hour).reduce((sum, [, number]) => sum + number, 0);
  const most = Math.max(1, ...hours.map(total));
  const node = canvas(`${title}, by the hour`);
  hours.forEach((hour, n) => {
    let top = HEIGHT;
    for (const [kind, number] of kinds(hour)) {
      const height = (number / most) * (HEIGHT - 4);
      top -= height;
      if (number) node.append(svg("rect", { class: kind, x: (n * WIDTH) / hours.length + 2, y: top, width: WIDTH / hours.length - 4, height }));
    }
  });
  const key = el("span", {}, ...[["completed", "done"], ["refused", "refused, cancelled"], ["failed", "failed"]].flatMap(([kind, text]) =>
    [el("span", { className: `key-${kind}` }, "■ "), `${text} `]));
  return figure(title, key, `${count(most)} an hour`, node, hours, true);
}

function lines(title, hours, pick, wide) {
  const values = hours.map(pick);
  const most = Math.max(0.01, ...values.flat().filter((value) => value !== null));
  const node = canvas(`${title}: median and 95th percentile by the hour`);
  const x = (n) => ((n + 0.5) * WIDTH) / hours.length;
  const y = (value) => HEIGHT - (value / most) * (HEIGHT - 6);
  ["half", "most"].forEach((kind, which) => {
    let path = "";
    values.forEach((pair, n) => {
      if (pair[which] === null) return;
      const joined = n > 0 && values[n - 1][which] !== null;
      path += `${joined ? "L" : "M"}${x(n)} ${y(pair[which])}`;
      node.append(svg("ellipse", { class: `dot-${kind}`, cx: x(n), cy: y(pair[which]), rx: wide ? 3 : 5, ry: 2.5 }));
    });
    node.append(svg("path", { class: kind, d: path || "M0 0", "vector-effect": "non-scaling-stroke" }));
  });
  const last = values.findLast((pair) => pair[0] !== null) ?? [null, null];
  const key = el("span", {}, el("span", { className: "key-half" }, `p50 ${span(last[0])}`), " ", el("span", { className: "key-most" }, `p95 ${span(last[1])}`));
  return figure(title, key, span(most), node, hours, wide);
}

function drawCharts(hours) {
  const stages = Object.keys(hours.at(-1).stages);
  by("charts").replaceChildren(
    bars("Jobs that ended", hours),
    lines("Waiting for a worker", hours, (hour) => hour.wait, true),
    ...stages.slice(0, LONGEST).map((stage) => lines(stage, hours, (hour) => hour.stages[stage])),
  );
  by("quicker").replaceChildren(...stages.slice(LONGEST).map((stage) => lines(stage, hours, (hour) => hour.stages[stage])));
  by("quicker").parentNode.hidden = stages.length <= LONGEST;
}

// The overview -------------------------------------------------------------------------------------------------------

function tile(name, value, more, bad) {
  return el("div", { className: bad ? "tile bad" : "tile" }, name, el("b", {}, value), el("span", { className: "quiet" }, more));
}

function draw(told) {
  const { places, commands } = told;
  view.told = told;
  by("state").textContent = places.paused ? "Paused" : "Running";
  by("state").className = places.paused ? "paused" : "";
  by("turn").textContent = places.paused ? "Resume" : "Pause";
  by("turn").onclick = () => change(places.paused ? "resume" : "pause", {});
  by("seen").textContent = `as of ${new Date(told.now * 1000).toLocaleTimeString("sv")}`;
  const waiting = Object.entries(told.lines).map(([name, line]) =>
    tile(`${list(name)} list`, count(line.waiting), line.waiting ? `oldest ${span(line.oldest)}` : "empty", line.oldest > 900));
  const memory = told.workers.map((worker) => Number(worker.memory ?? 0)).reduce((a, b) => a + b, 0);
  by("tiles").replaceChildren(
    ...waiting,
    tile("running", count(places.running), many(told.workers.length, "worker"), !told.workers.length),
    tile("delayed", count(places.delayed), "to be tried again"),
    tile("dead", count(places.dead), many(told.groups.length, "cause"), places.dead > 0),
    tile("memory", `${count(memory)} MB`, "of the children now"),
    tile("Redis commands", count(commands.today), `today (UTC), $${commands.dollars.toFixed(2)} at Upstash`),
  );
  drawCharts(told.hours);
  drawGroups(told.groups);
  drawWorkers(told);
  drawUsers(told);
}

function drawGroups(groups) {
  const rows = groups.map((group) => [
    el("a", { href: `#/job/${encodeURIComponent(group.job)}`, title: "the latest job" }, group.title),
    count(group.times), count(group.dead), date(group.first), ago(group.last),
    el("span", {}, button("Show", () => look({ place: group.dead ? "dead" : "delayed", group: group.id }, true), "plain"),
      group.dead ? button(`Requeue ${count(group.dead)}`, () => requeue({ group: group.id }, group.dead)) : null),
  ]);
  const columns = [["Cause", "name"], ["Times", "number"], ["Dead now", "number"], ["First", "time"], ["Last", "time"], ["", "act"]];
  by("groups").replaceChildren(table(columns, rows, "Nothing has failed."));
  if (filtering()) return;
  const chosen = by("filters").group;
  const options = groups.map((group) => el("option", { value: group.id }, group.title.slice(0, 80)));
  chosen.replaceChildren(el("option", { value: "" }, "any"), ...options);
  chosen.value = view.group;
}

function drawWorkers(told) {
  const rows = told.workers.map((worker) => [
    worker.id, ago(worker.seen),
    worker.job ? link(worker.job) : el("span", { className: "quiet" }, "waits"), worker.job ? worker.stage : "",
    worker.job && Number(worker.memory) ? `${count(worker.memory)} MB` : "", ago(worker.started),
  ]);
  const columns = [["Worker", "name"], ["Heartbeat", "time"], ["Job", "time"], ["Stage"], ["Memory", "number"], ["Since", "time"]];
  by("workers").replaceChildren(table(columns, rows, "No worker has been seen for a minute."));
}

function drawUsers(told) {
  const rows = told.users.map((user) => [
    button(user.user || "(none)", () => look({ place: "all", user: user.user }, true), "plain"),
    count(user.jobs), `${count(user.waiting)} of ${count(told.limits.open)}`,
    `${megabytes(user.bytes)} of ${megabytes(told.limits.bytes)}`,
  ]);
  const columns = [["User", "name"], ["Jobs", "number"], ["Waiting, of the limit", "number"], ["Bytes in 24 h, of the limit", "number"]];
  by("users").replaceChildren(table(columns, rows, "Nobody has sent anything today."));
}

// Jobs ---------------------------------------------------------------------------------------------------------------

const link = (jobId, text) => el("a", { href: `#/job/${encodeURIComponent(jobId)}` }, text ?? jobId.slice(0, 8));

function query(skip) {
  const ms = (text) => (text ? String(new Date(text).getTime()) : "");
  return new URLSearchParams({
    place: view.place, user: view.user, group: view.group, since: ms(view.since), until: ms(view.until), skip,
  });
}

async function look(wanted, fromAfar) {
  Object.assign(view, { user: "", group: "", since: "", until: "" }, wanted);
  location.hash = "";
  await attempt(loadJobs);
  if (fromAfar) by("list").scrollIntoView();
}

async function loadJobs() {
  const told = await ask(`jobs?${query(0)}`);
  Object.assign(view, { shown: told.jobs, next: told.next });
  drawJobs();
}

async function moreJobs() {
  const told = await ask(`jobs?${query(view.next)}`);
  Object.assign(view, { shown: [...view.shown, ...told.jobs], next: told.next });
  drawJobs();
}

function state(job) {
  const cause = (view.told?.groups ?? []).find((group) => group.id === job.group)?.title;
  if (view.place !== "all") return job.cancel ? "cancelled" : cause ?? job.error ?? job.stage ?? job.status;
  return job.error ?? { run: "running", done: "completed" }[job.at] ?? job.status;
}

function acts(job) {
  const id = job.jobId;
  const requeued = () => change("requeue", { job: id });
  const cancelled = () => change("cancel", { job: id }, "Cancel this job?");
  if (job.at === "dead") return button("Requeue", requeued);
  return job.at && job.at !== "done" && job.at !== "deleted" ? button("Cancel", cancelled, "danger") : null;
}

function drawJobs() {
  const names = view.user ? [...PLACES, "all"] : PLACES;
  by("places").replaceChildren(...names.map((place) => {
    const node = button(place === "all" ? `all of ${view.user}` : place, () => look({ ...filtersOf(place), place }));
    node.setAttribute("aria-pressed", place === view.place);
    return node;
  }));
  if (!filtering()) for (const name of ["user", "group", "since", "until"]) by("filters")[name].value = view[name];
  for (const name of ["group", "since", "until"]) by("filters")[name].disabled = view.place === "all";
  by("requeue").hidden = view.place !== "dead" || !view.shown.length;
  by("more").hidden = view.next === -1;
  const over = view.place === "dead" || view.place === "done";
  const rows = view.shown.map((job) => [
    link(job.jobId), job.fileName ?? "", job.user ?? "", date(over ? job.when : job.createdAt), job.attempts ?? "",
    state(job) ?? "", acts(job),
  ]);
  const columns = [["Job", "time"], ["Document", "name"], ["User", "name"], [over ? "Ended" : "Came", "time"], ["Attempts", "number"], ["State", "name"], ["", "act"]];
  const nothing = view.next === -1 ? "There are none." : "None among those that were looked through; go on with More.";
  by("jobs").replaceChildren(table(columns, rows, nothing));
}

const filtering = () => by("filters").contains(document.activeElement) && document.activeElement.type !== "submit";
const failing = (place) => place === "dead" || place === "delayed";
const filtersOf = (place) => ({ user: view.user, group: failing(place) ? view.group : "", since: view.since, until: view.until });

async function requeue(filter, many) {
  if (!confirm(`Requeue ${many === undefined ? "all jobs of this filter" : `${many} jobs`}?`)) return;
  await attempt(async () => {
    let told;
    do told = await ask("requeue", filter); while (told.more);
    await refresh();
  });
}

// One job ------------------------------------------------------------------------------------------------------------

function facts(pairs) {
  return el("dl", {}, ...pairs.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

const part = (title, ...nodes) => el("section", {}, el("h2", {}, title), ...nodes);
const parsed = (json) => { try { return JSON.parse(json); } catch { return null; } };
const pretty = (json) => (parsed(json) === null ? json : JSON.stringify(parsed(json), null, 2));

async function loadJob(jobId) {
  const { redis, record } = await ask(`job?id=${encodeURIComponent(jobId)}`);
  const job = redis ?? {};
  const payload = job.payload ?? JSON.stringify(record?.payload ?? {});
  const name = record?.fileName ?? parsed(payload)?.fileName;
  const figures = Object.entries(parsed(job.figures) ?? {});
  const history = table([["When", "time"], ["What"], ["Why", "name"]], (job.history ?? []).map(([when, what, why]) => [date(when), what, why]), "Redis keeps nothing of it any more.");
  by("job").replaceChildren(
    el("p", {}, el("a", { href: "#" }, "← all jobs")),
    el("section", {}, el("h2", {}, name ?? jobId), facts([
      ["Job", jobId], ["User", job.user ?? record?.userId], ["Where", job.at ?? "not in Redis"], ["Status", job.status ?? record?.status],
      ["Attempts", job.attempts], ["Runs", job.run], ["List", job.list], ["Worker", job.at === "run" ? job.nonce : ""],
      ["Came", date(job.createdAt ?? record?.createdAt)], ["Size", record ? `${count(record.size)} bytes` : ""],
      ["For its user", job.error ?? record?.error], ["Result", job.result ? `${count(job.result)} characters` : ""],
    ]), el("p", { className: "acts" }, acts({ jobId, at: job.at }),
      button("Delete", async () => { if (await change("delete", { job: jobId }, "Delete this job, its file and its result?")) location.hash = ""; }, "danger"))),
    part("History", history),
    job.cause ? part("What failed last", el("pre", { id: "cause" }, job.cause)) : "",
    figures.length ? part("What it took", facts(figures.map(([what, value]) =>
      what === "memory" ? ["memory", `${count(value)} MB`] : [what.replace("stage:", ""), span(value / 1000)]))) : "",
    part("Payload", el("pre", {}, pretty(payload))),
    job.deliveries ? part("Webhook", el("pre", {}, pretty(job.deliveries))) : "",
  );
}

async function route() {
  const jobId = location.hash.startsWith("#/job/") ? decodeURIComponent(location.hash.slice(6)) : null;
  by("overview").hidden = jobId !== null;
  by("job").hidden = jobId === null;
  if (jobId !== null) await attempt(() => loadJob(jobId));
}

// Life ---------------------------------------------------------------------------------------------------------------

async function refresh() {
  draw(await ask("figures"));
  if (!by("job").hidden) await route();
  else await loadJobs();
  show("board");
}

by("filters").onsubmit = (event) => {
  event.preventDefault();
  look({ place: view.place, ...Object.fromEntries(new FormData(event.target)) });
};
by("clear").onclick = () => look({ place: view.place === "all" ? "waiting" : view.place });
by("requeue").onclick = () => {
  const { since, until, user, group } = Object.fromEntries(query(0));
  requeue({ since, until, user, group });
};
by("more").onclick = () => attempt(moreJobs);
by("login").onsubmit = async (event) => {
  event.preventDefault();
  const answer = await fetch("/admin/login", { method: "POST", body: new URLSearchParams(new FormData(event.target)) });
  by("refused").hidden = answer.ok;
  by("token").value = "";
  if (answer.ok) await attempt(refresh);
};
by("logout").onclick = async () => { await ask("logout", {}); show("login"); };
addEventListener("hashchange", route);

async function start() {
  await attempt(refresh);
  await route();
  setInterval(() => {
    if (!document.hidden && by("login").hidden && !getSelection().toString() && view.shown.length <= 50) attempt(refresh);
  }, REFRESH);
}
start();
