/** Choose a label, make one, rename one, or merge one into another. */
import { byId, element } from "./element.js";
import { say } from "./say.js";
import { send } from "./server.js";
import { change, nameOf, view } from "./view.js";

const SHOWN = 200;
const dialog = byId("labels-dialog");
let reload = async () => {};

export function start(reloadLabels) {
  reload = reloadLabels;
}

export function choose() {
  const whole = view.mode === "picture" ? [{ key: "", name: "All labels", decided: "" }] : [];
  pick("Labels", (text) => [...whole, ...matching(text)], (label) => change({ label: label.key }), true);
}

function matching(text) {
  const words = text.trim().toLocaleLowerCase();
  return view.labels.filter((label) => label.name.toLocaleLowerCase().includes(words));
}

function pick(title, options, done, editable) {
  let active = 0;
  const list = element("ul", { id: "label-list", role: "listbox", "aria-label": title });
  const input = element("input", {
    type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "label-list", "aria-label": "Find a label",
    autocomplete: "off", placeholder: "Find a label", maxLength: 100,
    on: { input: () => { active = 0; fill(); }, keydown: (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        active += event.key === "ArrowDown" ? 1 : -1;
        fill();
      } else if (event.key === "Enter") {
        event.preventDefault();
        list.children[active]?.click();
      }
    } },
  });
  function fill() {
    const found = options(input.value).slice(0, SHOWN);
    const rows = found.map((label) => option(label.name, label.decided ? `${label.decided} decided` : "", label.key === view.label, () => {
      dialog.close();
      done(label);
    }));
    const name = input.value.trim();
    if (editable && name && !view.labels.some((label) => label.name === name)) {
      rows.push(option(`New label “${name}”`, "", false, () => create(name)));
    }
    active = Math.max(0, Math.min(active, rows.length - 1));
    rows.forEach((row, n) => { row.id = `option-${n}`; row.setAttribute("aria-selected", String(n === active)); });
    list.replaceChildren(...rows);
    input.setAttribute("aria-activedescendant", rows.length ? `option-${active}` : "");
    rows[active]?.scrollIntoView({ block: "nearest" });
  }
  const parts = [element("h2", { id: "labels-title" }, title), input, list];
  if (editable && view.label) parts.push(edits());
  dialog.replaceChildren(...parts);
  fill();
  if (!dialog.open) dialog.showModal();
  input.focus();
}

function option(text, note, current, chosen) {
  return element("li", { role: "option", className: current ? "current" : "", on: { click: chosen } }, element("span", {}, text), element("span", { className: "quiet" }, note));
}

function edits() {
  return element("p", { className: "edits" },
    element("button", { on: { click: rename } }, `Rename “${nameOf(view.label)}”`),
    element("button", { on: { click: merge } }, `Merge “${nameOf(view.label)}” into …`));
}

function rename() {
  const key = view.label;
  const input = element("input", { type: "text", value: nameOf(key), "aria-label": "New name", maxLength: 100 });
  const form = element("form", { on: { submit: (event) => {
    event.preventDefault();
    edit("/api/labels/rename", { key, name: input.value }, `Renamed to ${input.value}`);
  } } }, input, element("button", { className: "main" }, "Rename"));
  dialog.replaceChildren(element("h2", { id: "labels-title" }, `Rename “${nameOf(key)}”`), form);
  input.select();
}

function merge() {
  const key = view.label;
  const others = (text) => matching(text).filter((label) => label.key !== key);
  const told = `Merge “${nameOf(key)}” into`;
  pick(told, others, (label) => edit("/api/labels/merge", { key, into: label.key }, `Merged into ${label.name}`), false);
}

const create = (name) => edit("/api/labels/create", { name }, `New label ${name}`);

async function edit(path, body, done) {
  try {
    const told = await send(path, body);
    await reload();
    dialog.close();
    change({ label: told.key, event: told.event });
    say(done);
  } catch (error) {
    say(error.message);
    dialog.querySelector(".fault")?.remove();
    dialog.append(element("p", { className: "fault", role: "alert" }, error.message));
  }
}

/** Go to the next or previous label. */
export function next(by) {
  const place = view.labels.findIndex((label) => label.key === view.label);
  const count = view.labels.length;
  if (count) change({ label: view.labels[(place + by + count) % count].key });
}
