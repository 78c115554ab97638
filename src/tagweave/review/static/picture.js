/** All labels of one image, as numbered chips. */
import { bar, byId, element, percent } from "./element.js";
import { Order } from "./order.js";
import { say } from "./say.js";
import { ask, send } from "./server.js";
import { change, view } from "./view.js";
import { neighbours, picture } from "./why.js";

const NUMBERED = 20;
const SHOWN_CHIPS = 60;
const MARKS = { yes: "✓", no: "✕", unsure: "?" };
const section = byId("picture");

let order = null;
let place = 0;
let told = null;
let chosen = new Map(); // label key -> value
let noOthers = false;
let search = "";
let trail = [];

export function open() {
  order?.close();
  [place, told, trail] = [0, null, []];
  section.replaceChildren();
  order = new Order(view.label, view.queue, () => told ?? show());
  order.read(0, 1);
}

export function close() {
  order?.close();
  order = null;
}

async function show() {
  if (!order) return;
  const [tile] = order.read(place, place + 1);
  order.read(place + 1, place + 3);
  byId("empty").hidden = order.total !== 0;
  byId("empty").textContent = "Nothing is left in this queue.";
  if (order.total === 0) section.replaceChildren();
  if (!tile) return;
  const mine = order;
  const found = await ask(`/api/image/${tile.id}`);
  if (mine !== order) return;
  [told, chosen, noOthers, search] = [found, new Map(), false, ""];
  told.labels.sort((a, b) => rank(b) - rank(a));
  build();
  ahead();
  byId("live").textContent = `${told.name}: ${accepted().map((label) => label.name).join(", ") || "no label"}`;
}

const score = (label) => label.network ?? label.graph ?? 0;
const rank = (label) => score(label) + (proposes(label) === "yes" ? 1 : 0);
const proposes = (label) => label.decided ?? (label.source === "given" || label.proposed === "yes" ? label.proposed : null);
const valueOf = (label) => chosen.get(label.key) ?? proposes(label) ?? (noOthers ? "no" : null);
const accepted = () => told.labels.filter((label) => valueOf(label) === "yes");

function ahead() {
  const [next] = order.read(place + 1, place + 2);
  if (next) new Image().src = `/large/${next.id}`;
}

function build() {
  const find = element("input", { type: "search", id: "find", placeholder: "Find a label", "aria-label": "Find a label", on: {
    input: () => { search = find.value; chips(); },
    keydown: (event) => { if (event.key === "Escape") { find.value = search = ""; chips(); find.blur(); } },
  } });
  section.replaceChildren(
    element("div", { className: "stagebox" }, picture(told), element("p", { className: "file" }, told.name)),
    element("div", { className: "side" }, element("div", { className: "finder" }, find, element("kbd", {}, "/")),
      element("ul", { className: "chips", id: "chips", "aria-label": "Labels" }), neighbours(told)));
  chips();
}

function listed() {
  const words = search.trim().toLocaleLowerCase();
  return told.labels.filter((label) => label.name.toLocaleLowerCase().includes(words)).slice(0, SHOWN_CHIPS);
}

function chips() {
  const active = document.activeElement?.dataset?.key;
  byId("chips").replaceChildren(...listed().map((label, number) => element("li", {}, chip(label, number))));
  if (active) byId("chips").querySelector(`[data-key="${CSS.escape(active)}"]`)?.focus();
  const at = `${(place + 1).toLocaleString("en")} of ${(order.total ?? 0).toLocaleString("en")}`;
  byId("count").textContent = `${accepted().length} ${accepted().length === 1 ? "label" : "labels"}${noOthers ? ", no others" : ""} · image ${at}`;
}

function chip(label, number) {
  const value = valueOf(label);
  const key = number < 10 ? `${(number + 1) % 10}` : number < NUMBERED ? `⇧${(number + 1) % 10}` : "";
  const told = label.source === "given" || (label.source === "propagated" && value === "yes") ? label.source : "";
  const source = label.decided ? "saved" : told;
  const button = element("button", {
    className: "chip", "aria-pressed": value === "unsure" ? "mixed" : String(value === "yes"),
    "aria-label": `${label.name}, ${percent(score(label))}${source && `, ${source}`}`,
    on: { click: () => flip(label) },
  }, element("kbd", {}, key), element("span", { className: "mark" }, MARKS[value] ?? ""), element("span", { className: "name" }, label.name),
  element("span", { className: "source" }, source), bar(score(label)), element("span", { className: "number" }, percent(label.network ?? label.graph)));
  Object.assign(button.dataset, { key: label.key, value: value ?? "open" });
  return button;
}

function set(label, value) {
  chosen.set(label.key, value);
  chips();
  byId("live").textContent = `${label.name}: ${value}`;
}

const flip = (label) => set(label, valueOf(label) === "yes" ? "no" : "yes");

export function flipNumber(number) {
  const label = told && listed()[number];
  if (label) flip(label);
}

export function unsure() {
  const label = told?.labels.find((one) => one.key === document.activeElement?.dataset?.key);
  if (label) set(label, "unsure");
  else say("Choose a label first: Tab to it, then press u.");
}

/** Say that the image has none of the labels. */
export function none() {
  if (!told) return;
  for (const label of accepted()) chosen.set(label.key, "no");
  noOthers = true;
  chips();
  say("None of the labels");
}

/** Say that the image has no labels but those that are on. */
export function onlyThese() {
  if (!told) return;
  noOthers = !noOthers;
  chips();
  say(noOthers ? "No other labels" : "Other labels stay unknown");
}

export async function commit() {
  if (!told) return;
  const groups = new Map();
  for (const label of told.labels) {
    const touched = chosen.has(label.key);
    const value = valueOf(label);
    if (value === null || (label.decided && !touched)) continue;
    if (value === "no" && !touched && label.source === "given") continue;
    groups.set(label.key, { label: label.key, value, touched, images: [told.id] });
  }
  if (!groups.size && !told.labels.some((label) => label.decided)) say("Nothing was said of this image; n says none.");
  trail.push(place);
  step(1);
  if (!groups.size) return;
  try {
    const answer = await send("/api/decide", { label: "", queue: view.queue, changes: [...groups.values()] });
    change({ event: answer.event, progress: answer });
  } catch (error) {
    say(error.message);
  }
}

export function step(by) {
  if (!order?.total) return undefined;
  if (place + by >= order.total) say("That was the last image of this queue.");
  place = Math.max(0, Math.min(place + by, order.total - 1));
  return show();
}

export function back() {
  if (trail.length) place = trail.pop();
  return show();
}

export const refresh = () => (chosen.size ? undefined : show());

export function find() {
  byId("find")?.focus();
}
