/** Put the page together. */
import { byId, element, percent } from "./element.js";
import * as grid from "./grid.js";
import * as keys from "./keys.js";
import * as labels from "./labels.js";
import * as picture from "./picture.js";
import { alarm, say } from "./say.js";
import { ask, send, unsent, windowName } from "./server.js";
import { QUEUES, change, labelOf, nameOf, onChange, remembered, view } from "./view.js";
import * as why from "./why.js";

const PULSE = 3000;
history.replaceState(null, "", `/${location.hash}`); // the link's token is spent
const part = () => (view.mode === "grid" ? grid : picture);

async function loadState() {
  const told = await ask("/api/state");
  Object.assign(view, { labels: told.labels, images: told.images, event: told.event });
  byId("run").textContent = told.run;
  document.title = `${told.run} · tagweave review`;
  return told;
}

function button(text, key, does, className = "") {
  return element("button", { className, "aria-keyshortcuts": key, on: { click: does } }, text, element("kbd", {}, key === "Enter" ? "⏎" : key));
}

const BUTTONS = {
  grid: () => [button("None", "n", () => grid.all("no")), button("All", "a", () => grid.all("yes")), button("Accept", "Enter", grid.commit, "main")],
  picture: () => [button("None", "n", picture.none), button("No others", "o", picture.onlyThese), button("Accept", "Enter", picture.commit, "main")],
};

/** Open the part that shows the mode, label and queue of the view. */
function open() {
  const gridMode = view.mode === "grid";
  if (gridMode && !view.label) view.label = view.labels[0]?.key ?? "";
  byId("scroller").hidden = !gridMode;
  byId("picture").hidden = gridMode;
  byId("mode-grid").setAttribute("aria-pressed", String(gridMode));
  byId("mode-picture").setAttribute("aria-pressed", String(!gridMode));
  byId("label-name").textContent = view.label ? nameOf(view.label) : "All labels";
  byId("why").disabled = !gridMode;
  why.toggle(gridMode && view.whyOpen);
  for (const one of byId("queues").children) one.setAttribute("aria-pressed", String(one.value === view.queue));
  byId("buttons").replaceChildren(...BUTTONS[view.mode]());
  byId("count").textContent = "";
  (gridMode ? picture : grid).close();
  part().open();
  if (gridMode) why.explain(grid.current()?.id);
}

onChange((changed) => {
  if ("mode" in changed || "label" in changed || "queue" in changed) { open(); pulse(); }
  if ("whyOpen" in changed) why.toggle(view.whyOpen);
  if ("focused" in changed || changed.whyOpen) why.explain(grid.current()?.id);
  if ("progress" in changed) progress();
});

function progress() {
  const { decisions, speed, decided, audit } = view.progress;
  if (view.label) Object.assign(labelOf(view.label) ?? {}, { decided });
  const here = view.label ? `${decided.toLocaleString("en")} of ${nameOf(view.label)}` : `${decided.toLocaleString("en")} images`;
  byId("figures").textContent = `${decisions.toLocaleString("en")} decisions · ${here} · ${speed} a minute`;
  byId("audit").hidden = view.queue !== "audit" || !audit;
  if (audit) byId("audit").textContent = precision(audit);
}

function precision({ claims, judged, right, low, high }) {
  if (!judged) return `${claims.toLocaleString("en")} claims, none audited yet`;
  return `Precision ${percent(right / judged)} (${percent(low)} to ${percent(high)}) · ${right} of ${judged} right, ${claims.toLocaleString("en")} claims`;
}

async function pulse() {
  try {
    const told = await ask("/api/pulse", { window: windowName, label: view.label });
    if (!unsent()) alarm("");
    const news = told.event !== view.event && !unsent();
    change({ progress: told, event: told.event });
    if (news) {
      await loadState();
      byId("label-name").textContent = view.label ? nameOf(view.label) : "All labels";
      part().refresh();
    }
  } catch (error) {
    alarm(error instanceof TypeError ? "The server does not answer." : error.message);
  }
}

const undo = () => turn("/api/undo", "undone", "undo", "Undone", () => part().back());
const redo = () => turn("/api/redo", "redone", "redo", "Redone", () => part().refresh());

/** Take a gesture back or do it again, and show the place where it happened. */
async function turn(path, field, verb, said, show) {
  try {
    const told = await send(path, { label: view.label });
    const gesture = told[field];
    change({ event: told.event, progress: told });
    if (!gesture) return say(`Nothing to ${verb}`);
    if (gesture.kind !== "decide") {
      await loadState();
      if (view.label && !view.labels.some((label) => label.key === view.label)) view.label = view.labels[0]?.key ?? "";
      open();
    } else await show();
    return say(`${said}: ${GESTURES[gesture.kind](gesture, told.cells)}`);
  } catch (error) {
    return say(error.message);
  }
}

const GESTURES = {
  decide: ({ label }, cells) => `${cells} decisions${label ? ` on ${label}` : ""}`,
  create: ({ label }) => `new label ${label}`,
  rename: ({ detail }) => `renaming to ${detail}`,
  merge: ({ label }) => `merging ${label}`,
};

function nextQueue() {
  const names = Object.keys(QUEUES);
  change({ queue: names[(names.indexOf(view.queue) + 1) % names.length] });
  say(`${QUEUES[view.queue][0]}: ${QUEUES[view.queue][1]}`);
}

function setMode(mode) {
  if (mode !== view.mode) change({ mode, label: mode === "picture" ? "" : view.label });
}

function exportFiles() {
  const dialog = byId("export-dialog");
  const link = (kind, title, about) => element("a", { href: `/api/export/${kind}.csv`, download: `${kind}.csv` }, element("b", {}, title), element("span", { className: "quiet" }, about));
  dialog.replaceChildren(element("h2", { id: "export-title" }, "Export label file"),
    link("decisions", "Decisions", "What was decided here: 1, 0, blank for unknown."),
    link("all", "All labels", "Given labels with the decisions over them, and splits: fit again with this file."),
    element("button", { className: "main", on: { click: () => dialog.close() } }, "Close"));
  dialog.showModal();
}

const everywhere = {
  digit: (number) => part().flipNumber(number), u: () => part().unsure(), Enter: () => part().commit(),
  z: undo, y: redo, q: nextQueue, help: keys.help, previous: () => labels.next(-1), next: () => labels.next(1),
};
const actions = {
  grid: {
    ...everywhere, space: () => grid.flip(), n: () => grid.all("no"), a: () => grid.all("yes"),
    ArrowLeft: () => grid.move(-1, 0), ArrowRight: () => grid.move(1, 0), ArrowUp: () => grid.move(0, -1), ArrowDown: () => grid.move(0, 1),
    PageDown: () => grid.turn(1), PageUp: () => grid.turn(-1), find: labels.choose, m: () => setMode("picture"),
    i: () => change({ whyOpen: !view.whyOpen }), Escape: () => change({ whyOpen: false }),
  },
  picture: {
    ...everywhere, n: picture.none, o: picture.onlyThese, ArrowLeft: () => picture.step(-1), ArrowRight: () => picture.step(1),
    PageDown: () => picture.step(1), PageUp: () => picture.step(-1), find: picture.find, m: () => setMode("grid"),
  },
};
keys.listen(() => actions[view.mode]);
byId("label").addEventListener("click", labels.choose);
byId("undo").addEventListener("click", undo);
byId("redo").addEventListener("click", redo);
byId("why").addEventListener("click", () => change({ whyOpen: !view.whyOpen }));
byId("export").addEventListener("click", exportFiles);
byId("help").addEventListener("click", keys.help);
byId("mode-grid").addEventListener("click", () => setMode("grid"));
byId("mode-picture").addEventListener("click", () => setMode("picture"));

async function start() {
  const found = remembered();
  const told = await loadState();
  const useless = { disagreement: !told.network, errors: !told.judge };
  byId("queues").append(...told.queues.map((name) => element("button", {
    value: name, title: QUEUES[name][1], disabled: Boolean(useless[name]), on: { click: () => change({ queue: name }) },
  }, QUEUES[name][0])));
  labels.start(loadState);
  const known = view.labels.some((label) => label.key === found.label);
  change({ ...found, label: known ? found.label : found.mode === "grid" ? (view.labels[0]?.key ?? "") : "" });
  setInterval(pulse, PULSE); // hidden windows too: the server must know that they are open
}

start().catch((error) => alarm(error.message));
