// Keeps a page current, draws its plots, and sends what its buttons ask for to the admin API.
// Pages read without it.

const root = document.documentElement;
root.classList.add("js");

const main = document.getElementById("main");

// ---- Current: on `changed` the same page is fetched again, and what differs is put in its place.

const live = document.getElementById("live");
const liveText = document.getElementById("live-text");
const hold = document.getElementById("hold");
let events = null;
let fetching = false;
let again = false;
let retry = 0;

function show(state, text) {
  // A screen reader is told of changes, not every two seconds.
  if (live.dataset.state === state && liveText.textContent === text) return;
  live.dataset.state = state;
  live.classList.toggle("on", state === "on");
  live.classList.toggle("stale", state === "stale");
  liveText.textContent = text;
}

function listen() {
  if (events || held() || document.hidden) return;
  events = new EventSource("/events");
  events.addEventListener("open", () => show("on", "live, as of"));
  events.addEventListener("changed", refresh);
  events.addEventListener("error", () => {
    // Refused for good (no place, no token): the browser tries no more. Until there is a place, we ask.
    if (events && events.readyState === EventSource.CLOSED) {
      stopListening();
      clearTimeout(retry);
      retry = setTimeout(listen, 10000);
      refresh();
    } else {
      show("stale", "stale: the agent does not answer; as of");
    }
  });
}

function stopListening() {
  if (events) events.close();
  events = null;
}

async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.status === 404) {
      show("stale", "no longer there; as of");
      return;
    }
    if (!answer.ok) {
      show("stale", `stale: the agent answers with status ${answer.status}; as of`);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById("main");
    if (!next || held()) return;
    become(main, next);
    const asOf = document.getElementById("as-of");
    const nextAsOf = page.getElementById("as-of");
    if (asOf && nextAsOf) become(asOf, nextAsOf);
    const open = events && events.readyState === EventSource.OPEN;
    show("on", open ? "live, as of" : "every 10 seconds, as of");
  } catch {
    show("stale", "stale: the agent does not answer; as of");
  } finally {
    fetching = false;
    if (again) {
      again = false;
      setTimeout(refresh, 2000);
    }
  }
}

// Makes `old` like `next` and leaves alone what is the same: focus, scroll positions, open details.
function become(old, next) {
  if (old.dataset?.keep) return;
  for (const { name, value } of [...next.attributes]) {
    if (old.getAttribute(name) !== value && !kept(old, name)) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && !kept(old, name)) old.removeAttribute(name);
  }
  if (old.tagName === "INPUT" && old !== document.activeElement && !old.dataset.edited) {
    old.value = next.getAttribute("value") ?? "";
  }
  const known = new Map();
  for (const child of old.children) if (child.dataset.key) known.set(child.dataset.key, child);
  let at = old.firstChild;
  for (const child of [...next.childNodes]) {
    const named = child.dataset?.key && known.get(child.dataset.key);
    if (named && named !== at) {
      old.insertBefore(named, at);
      at = named;
    }
    if (at && alike(at, child)) {
      if (at.nodeType === Node.ELEMENT_NODE) become(at, child);
      else if (at.data !== child.data) at.data = child.data;
      at = at.nextSibling;
    } else if (at && !at.dataset?.key && !child.dataset?.key) {
      const gone = at;
      at = at.nextSibling;
      old.replaceChild(document.importNode(child, true), gone);
    } else {
      old.insertBefore(document.importNode(child, true), at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function alike(old, next) {
  return old.nodeType === next.nodeType && old.nodeName === next.nodeName &&
    old.dataset?.key === next.dataset?.key;
}

// What the reader, or this script, has set.
function kept(element, name) {
  return (name === "open" && element.tagName === "DETAILS") ||
    (name === "hidden" && element.dataset.shown !== undefined) ||
    (name === "aria-pressed" && element.dataset.span !== undefined) || name === "data-shown" || name === "data-edited" ||
    (name === "aria-disabled" && element.dataset.busy !== undefined) || name === "data-busy";
}

function held() {
  return hold.getAttribute("aria-pressed") === "true";
}

function setHeld(on) {
  hold.setAttribute("aria-pressed", String(on));
  try {
    sessionStorage.setItem("hold", on ? "1" : "");
  } catch {
    // Without storage it holds for this page only.
  }
  if (on) {
    stopListening();
    show("held", "updates paused; as of");
  } else {
    listen();
    refresh();
  }
}

hold.addEventListener("click", () => setHeld(!held()));

// A page that nobody sees needs no connection: a browser has few for each site.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stopListening();
  } else if (!held()) {
    listen();
    refresh();
  }
});

// ---- Actions: JSON to the admin API; what it answers is told, and the page fetched again.

async function send(method, path, body) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    return "the agent does not answer; nothing is known to have changed";
  }
  if (answer.ok) return null;
  const text = await answer.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `the agent answered with status ${answer.status}`;
  }
}

function tell(text, bad) {
  const told = document.getElementById("told");
  if (!told) return;
  told.dataset.shown = "";
  told.dataset.keep = "told";
  told.hidden = false;
  told.classList.toggle("bad", bad);
  told.textContent = text;
}

async function act(element, done, method, path, body) {
  const buttons = element.tagName === "FORM" ? [...element.querySelectorAll("button")] : [element];
  // Not `disabled`, which would take the focus away from whoever uses the keyboard.
  if (buttons.some((button) => button.dataset.busy !== undefined)) return false;
  for (const button of buttons) {
    button.dataset.busy = "";
    button.setAttribute("aria-disabled", "true");
  }
  const problem = await send(method, path, body);
  for (const button of buttons) {
    delete button.dataset.busy;
    button.removeAttribute("aria-disabled");
  }
  tell(problem ?? done, problem !== null);
  await refresh();
  return problem === null;
}

const target = (element) => `/api/v1/targets/${encodeURIComponent(element.dataset.target)}`;

const actions = {
  span: (button) => {
    span = button.dataset.span;
    for (const other of document.querySelectorAll("button[data-span]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    plot();
  },
  pause: (button) => act(button, `${button.dataset.target} is paused until it is resumed or the agent is restarted.`, "POST", `${target(button)}/pause`),
  resume: (button) => act(button, `${button.dataset.target} gets copies again.`, "POST", `${target(button)}/resume`),
  sample: async (form) => {
    const input = form.elements.percent;
    const percent = Number(input.value);
    const done = `${form.dataset.target} gets ${percent} % of requests until the agent is restarted.`;
    delete input.dataset.edited;
    await act(form, done, "PATCH", target(form), { sample_percent: percent });
  },
  begin: async (form) => {
    const name = form.elements.name.value.trim();
    const target = form.elements.target.value || undefined;
    const begun = await act(form, `The run ${name} has begun.`, "POST", "/api/v1/comparison/runs", { name, target });
    if (begun) form.reset();
  },
  ignore: async (form) => {
    const chosen = form.querySelector("input[name=rule]:checked");
    const rule = { endpoint: chosen.value, place: chosen.dataset.place, ignore: true };
    if (await act(form, "The place is ignored from now on.", "POST", "/api/v1/comparison/rules", rule)) {
      location.assign(form.dataset.back);
    }
  },
  copy: async (button) => {
    const text = document.getElementById(button.dataset.copy).textContent;
    const label = button.firstChild;
    try {
      await navigator.clipboard.writeText(text);
      label.data = "Copied";
    } catch {
      // Without TLS a browser may not hand out its clipboard: the text is selected instead.
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      label.data = "Selected";
    }
  },
  "take-back": (button) => act(button, "The rule is taken back.", "DELETE", `/api/v1/comparison/rules/${button.dataset.rule}`),
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) actions[button.dataset.action]?.(button);
});

document.addEventListener("submit", (event) => {
  const action = actions[event.target.dataset.action];
  if (!action) return;
  event.preventDefault();
  action(event.target);
});

document.addEventListener("input", (event) => {
  if (event.target.closest("form[data-action]")) event.target.dataset.edited = "";
});

// ---- Plots.

const history = document.getElementById("plots");
let plots = [];

let span = "3600";

// The columns with a hole wherever the agent did not run, and counts as rates.
function columns(past) {
  const holes = [];
  past.at.forEach((at, index) => {
    if (index > 0 && at - past.at[index - 1] > past.seconds) holes.push(index);
  });
  const holed = (values) => {
    const copy = [...values];
    for (const index of [...holes].reverse()) copy.splice(index, 0, null);
    return copy;
  };
  const at = [...past.at];
  for (const index of [...holes].reverse()) at.splice(index, 0, past.at[index - 1] + past.seconds);
  const rate = (counts) => holed(counts.map((count, index) => (past.covered[index] > 0 ? count / past.covered[index] : null)));
  return { at, holed, rate };
}

const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

function shortTime(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${+us.toPrecision(3)} µs`;
  return us < 1e6 ? `${+(us / 1000).toPrecision(3)} ms` : `${+(us / 1e6).toPrecision(3)} s`;
}

function draw(name, at, series, format) {
  const place = document.querySelector(`[data-plot="${name}"]`);
  if (!place || series.length === 0) return;
  const data = [at, ...series.map((one) => one.values)];
  const drawn = plots.find((plot) => plot.name === name && plot.labels === series.map((one) => one.label).join());
  if (drawn) {
    drawn.plot.setData(data);
    return;
  }
  plots.filter((plot) => plot.name === name).forEach((plot) => plot.plot.destroy());
  plots = plots.filter((plot) => plot.name !== name);
  const axis = {
    stroke: colour("--faint"), font: "11px system-ui, sans-serif",
    grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
  };
  const plot = new uPlot({
    width: place.clientWidth, height: 164,
    // As everything here, and as logs.
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { sync: { key: "overview" }, points: { size: 5 } },
    scales: { y: { range: (_, low, high) => [0, Math.max(high || 0, 1e-9) * 1.08] } },
    axes: [{ ...axis, size: 24, space: 64, values: clock }, { ...axis, size: 56, values: (_, all) => all.map(format) }],
    series: [
      { label: "UTC", value: (_, seconds) => (seconds === null ? "–" : new Date(seconds * 1000).toISOString().slice(11, 19)) },
      ...series.map((one) => ({
        label: one.label, stroke: colour(one.colour), width: 1.5, dash: one.dash,
        fill: one.fill && colour(one.fill), points: { show: false },
        value: (_, value) => (value === null || value === undefined ? "–" : format(value)),
      })),
    ],
  }, data, place);
  plots.push({ name, labels: series.map((one) => one.label).join(), plot, place });
}

// Times along the axis as everywhere else here: UTC, 24 hours.
function clock(_, times, __, ___, step) {
  const [from, to] = step >= 86400 ? [5, 10] : [11, step < 60 ? 19 : 16];
  return times.map((seconds) => new Date(seconds * 1000).toISOString().slice(from, to));
}

const round = (value) => (value >= 100 ? value.toFixed(0) : String(+value.toPrecision(3)));

async function plot() {
  if (!history || typeof uPlot === "undefined" || document.hidden) return;
  let past;
  try {
    const answer = await fetch(`/api/v1/history?points=300&from=${span}`, { headers: { accept: "application/json" } });
    if (!answer.ok) return;
    past = await answer.json();
  } catch {
    return;
  }
  if (past.at.length < 2) return;
  history.dataset.shown = "";
  history.hidden = false;
  const { at, holed, rate } = columns(past);
  draw("copies", at, [
    { label: "requests", values: rate(past.received), colour: "--faint", dash: [4, 3] },
    { label: "answered", values: rate(past.answered), colour: "--accent" },
    { label: "failed", values: rate(past.failed), colour: "--bad" },
  ], round);
  const dashes = [undefined, [6, 3], [2, 3]];
  const colours = ["--warn", "--faint", "--accent", "--bad"];
  const total = (values) => values.reduce((sum, value) => sum + value, 0);
  const reasons = Object.entries(past.dropped).sort((a, b) => total(b[1]) - total(a[1])).slice(0, 8);
  draw("dropped", at, reasons.map(([label, values], index) => ({
    label, values: rate(values), colour: colours[index % 4], dash: dashes[index >> 2],
  })), round);
  draw("ack", at, [
    { label: "p50", values: holed(past.ack_p50_us), colour: "--accent" },
    { label: "p99", values: holed(past.ack_p99_us), colour: "--faint", dash: [4, 3] },
  ], shortTime);
}

function redraw() {
  plots.forEach((one) => one.plot.destroy());
  plots = [];
  plot();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", () => {
  for (const { plot: one, place } of plots) one.setSize({ width: place.clientWidth, height: 164 });
});

// ---- Begin.

let wasHeld = false;
try {
  wasHeld = sessionStorage.getItem("hold") === "1";
} catch {
  // Nothing was kept.
}
if (wasHeld) setHeld(true);
else listen();
plot();
setInterval(() => { if (!held()) plot(); }, 10000);
