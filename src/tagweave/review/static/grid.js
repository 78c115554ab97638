/** One label over many images: a sheet of tiles of which only those near the window's part are in the page. */
import { bar, byId, element, percent } from "./element.js";
import { Order } from "./order.js";
import { say } from "./say.js";
import { send } from "./server.js";
import { change, nameOf, view } from "./view.js";

const IDEAL = 196;
const MARKS = { yes: "✓", no: "✕", unsure: "?" };
const scroller = byId("scroller");
const sheet = byId("sheet");

let order = null;
let chosen = new Map(); // image -> value that the person chose and has not committed
let focus = 0;
let shape = { columns: 1, rows: 1, height: 1 };
let trail = [];
const shown = new Map(); // place -> list item

export const current = () => order?.tiles.get(focus) ?? null;
const page = () => {
  const from = Math.round(scroller.scrollTop / shape.height) * shape.columns;
  return { from, to: from + shape.rows * shape.columns };
};
const visible = () => {
  const { from, to } = page();
  return (order?.read(from, to) ?? []).map((tile, n) => [from + n, tile]).filter(([, tile]) => tile);
};

export function open() {
  order?.close();
  chosen = new Map();
  trail = [];
  clear();
  order = new Order(view.label, view.queue, arrived);
  scroller.scrollTop = focus = 0;
  byId("empty").hidden = true;
  measure();
}

export function close() {
  order?.close();
  order = null;
  clear();
}

function clear() {
  for (const item of shown.values()) item.remove();
  shown.clear();
}

function arrived(renewed) {
  if (renewed) scroller.scrollTop = focus = 0;
  sheet.style.height = `${Math.ceil((order.total ?? 0) / shape.columns) * shape.height}px`;
  byId("empty").hidden = order.total !== 0;
  byId("empty").textContent = `Nothing is left in this queue for “${nameOf(view.label)}”.`;
  draw();
}

/** Fit whole rows into the height, so that what is seen is what is committed. */
export function measure() {
  if (!order) return;
  const { clientWidth: width, clientHeight: high } = scroller;
  const columns = Math.max(2, Math.round(width / IDEAL));
  const rows = Math.max(1, Math.round(high / (width / columns + 4)));
  const first = page().from;
  shape = { columns, rows, height: Math.max(1, high / rows) };
  sheet.style.setProperty("--columns", columns);
  sheet.style.setProperty("--height", `${shape.height}px`);
  sheet.style.height = `${Math.ceil((order.total ?? 0) / columns) * shape.height}px`;
  scroller.scrollTop = Math.floor(first / columns) * shape.height;
  clear();
  draw();
}

function draw() {
  if (!order) return;
  const { from, to } = page();
  const spare = shape.rows * shape.columns;
  const start = Math.max(0, from - spare);
  const tiles = order.read(start, to + spare);
  for (const [place, item] of shown) {
    if (place >= start && place < start + tiles.length) continue;
    item.remove();
    shown.delete(place);
  }
  tiles.forEach((tile, n) => tile && put(start + n, tile));
  if (order.total !== null) tell();
}

function put(place, tile) {
  let item = shown.get(place);
  if (!item || item.dataset.image !== tile.id) {
    item?.remove();
    item = make(place, tile);
    shown.set(place, item);
    const after = [...shown.keys()].filter((other) => other > place).sort((a, b) => a - b)[0];
    sheet.insertBefore(item, after === undefined ? null : shown.get(after));
  }
  paint(item, place, tile);
}

function make(place, tile) {
  const image = element("img", {
    src: `/thumb/${tile.id}`, alt: "", decoding: "async", draggable: false,
    on: { error: () => image.replaceWith(element("span", { className: "lost" }, "no picture")) },
  });
  const button = element("button", { className: "tile", tabIndex: -1, on: {
    click: () => { focus = place; flip(place); },
    focus: () => { if (focus !== place) { focus = place; draw(); } change({ focused: tile.id }); },
  } }, image, element("span", { className: "mark" }), element("span", { className: "key" }),
  element("span", { className: "says" }, bar(score(tile)), element("span", {}, percent(score(tile))), element("span", { className: "state" })));
  const item = element("li", { "aria-posinset": place + 1, "aria-setsize": order.total }, button);
  item.dataset.image = tile.id;
  item.style.setProperty("--row", Math.floor(place / shape.columns));
  item.style.setProperty("--column", place % shape.columns);
  return item;
}

/** What the tool says; of a given label what it says without knowing it. */
const score = (tile) => tile.judge ?? tile.network ?? tile.graph;
export const valueOf = (tile) => chosen.get(tile.id) ?? tile.decided ?? tile.proposed;

function paint(item, place, tile) {
  const button = item.firstChild;
  const value = valueOf(tile);
  const saved = tile.decided && !chosen.has(tile.id);
  button.dataset.value = value;
  button.dataset.saved = Boolean(saved);
  button.tabIndex = place === focus ? 0 : -1;
  button.setAttribute("aria-pressed", value === "unsure" ? "mixed" : String(value === "yes"));
  button.setAttribute("aria-label", describe(tile, value, saved));
  button.querySelector(".mark").textContent = MARKS[value];
  button.querySelector(".state").textContent = saved ? "saved" : "";
  const number = place - page().from;
  button.querySelector(".key").textContent = number >= 0 && number < 20 ? `${number < 10 ? "" : "⇧"}${(number + 1) % 10}` : "";
}

function describe(tile, value, saved) {
  const words = { yes: nameOf(view.label), no: `not ${nameOf(view.label)}`, unsure: "unsure" };
  const source = tile.source === "unknown" ? "" : `, ${tile.source}`;
  return `${tile.name}: ${words[value]}${saved ? ", saved" : ""}, ${percent(score(tile))}${source}`;
}

function tell() {
  const { from, to } = page();
  const tiles = visible().map(([, tile]) => tile);
  const yes = tiles.filter((tile) => valueOf(tile) === "yes").length;
  const place = order.total ? `${from + 1}–${Math.min(to, order.total)} of ${order.total.toLocaleString("en")}` : "";
  byId("count").textContent = order.total ? `${yes} of ${tiles.length} are ${nameOf(view.label)} · ${place}` : "";
}

function set(place, value) {
  const tile = order?.tiles.get(place);
  if (!tile) return;
  chosen.set(tile.id, value);
  draw();
  byId("live").textContent = describe(tile, value, false);
}

export function flip(place = focus) {
  const tile = order?.tiles.get(place);
  if (tile) set(place, valueOf(tile) === "yes" ? "no" : "yes");
}

/** Flip the image with a number on the page. */
export function flipNumber(number) {
  const place = page().from + number;
  if (place < page().to && order?.tiles.has(place)) { go(place); flip(place); }
}

export const unsure = () => set(focus, "unsure");

/** Say yes or no for every image in view that is not decided yet. */
export function all(value) {
  for (const [, tile] of visible()) if (!tile.decided) chosen.set(tile.id, value);
  draw();
  say(value === "yes" ? `All in view: ${nameOf(view.label)}` : `None in view: ${nameOf(view.label)}`);
}

/** Accept the images in view as they are shown, and go on. */
export async function commit() {
  const tiles = visible();
  if (!tiles.length) return;
  const groups = new Map();
  for (const [, tile] of tiles) {
    const touched = chosen.has(tile.id);
    if (!touched && tile.decided) continue;
    const key = `${valueOf(tile)} ${touched}`;
    groups.set(key, [...(groups.get(key) ?? []), tile]);
  }
  trail.push(scroller.scrollTop);
  const changes = [...groups].map(([key, group]) => {
    const [value, touched] = key.split(" ");
    return { label: view.label, value, touched: touched === "true", images: group.map((tile) => tile.id) };
  });
  for (const [, tile] of tiles) {
    tile.decided = valueOf(tile);
    chosen.delete(tile.id);
  }
  onward();
  if (changes.length) await post(changes);
}

function onward() {
  const next = page().to;
  if (next >= order.total) {
    draw();
    say("That was the last page of this queue.");
  } else {
    scroller.scrollTop += shape.rows * shape.height;
    go(next);
  }
}

async function post(changes) {
  const mine = order;
  try {
    const told = await send("/api/decide", { label: view.label, queue: view.queue, changes });
    change({ event: told.event, progress: told });
    byId("live").textContent = `${told.cells} decisions saved`;
    const sent = changes.reduce((sum, part) => sum + part.images.length, 0);
    if (told.cells < sent) refresh();
  } catch (error) {
    say(error.message);
    if (mine === order) refresh();
  }
}

/** Read again what is in view. */
export function refresh() {
  const { from, to } = page();
  return order?.renew(from, to);
}

/** Show the page that was committed before, after an undo. */
export function back() {
  if (trail.length) scroller.scrollTop = trail.pop();
  return refresh();
}

function go(place) {
  if (!order?.total) return;
  focus = Math.max(0, Math.min(place, order.total - 1));
  const { from, to } = page();
  if (focus < from) scroller.scrollTop = Math.floor(focus / shape.columns) * shape.height;
  if (focus >= to) scroller.scrollTop = (Math.floor(focus / shape.columns) - shape.rows + 1) * shape.height;
  draw();
  shown.get(focus)?.firstChild.focus({ preventScroll: true });
}

/** Move the focus by columns and rows. */
export const move = (right, down) => go(focus + right + down * shape.columns);

export function turn(pages) {
  scroller.scrollTop += pages * shape.rows * shape.height;
  go(page().from);
}

scroller.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
scroller.addEventListener("scrollend", () => {
  const exact = Math.round(scroller.scrollTop / shape.height) * shape.height;
  if (Math.abs(exact - scroller.scrollTop) > 1) scroller.scrollTo({ top: exact });
});
new ResizeObserver(() => requestAnimationFrame(measure)).observe(scroller);
