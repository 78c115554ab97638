/** Why the tool thinks so: scores, source, nearest labelled images, and where the network looked. */
import { bar, byId, element, percent } from "./element.js";
import { ask } from "./server.js";
import { nameOf, view } from "./view.js";

const SHOWN_LABELS = 6;
const panel = byId("why-panel");
let wanted = "";

/** Show the image `name` in the panel, if it is open. */
export async function explain(name) {
  if (!view.whyOpen || !name) return;
  wanted = name;
  const told = await ask(`/api/image/${name}`).catch(() => null);
  if (told && wanted === name) panel.replaceChildren(...contents(told));
}

export function toggle(open) {
  panel.hidden = !open;
  byId("why").setAttribute("aria-pressed", String(open));
}

function contents(told) {
  const cell = told.labels.find((label) => label.key === view.label);
  return [
    element("h2", {}, told.name),
    picture(told),
    cell && view.mode === "grid" ? scores(cell) : null,
    view.mode === "grid" ? labels(told) : null,
    neighbours(told),
  ].filter(Boolean);
}

/** An image with the attention of a chosen stage over it. */
export function picture(told) {
  const image = element("img", { src: `/large/${told.id}`, alt: told.name });
  const over = element("img", { className: "attention", alt: "", hidden: true });
  const frame = element("div", { className: "frame" }, image, over);
  frame.style.setProperty("--ratio", told.size[0] / told.size[1]);
  if (!told.stages.length) return frame;
  const pick = element("select", { on: { change: () => {
    over.hidden = pick.value === "";
    if (pick.value !== "") over.src = `/attention/${told.id}/${pick.value}`;
  } } }, element("option", { value: "" }, "off"),
  ...told.stages.map((stage, n) => element("option", { value: n }, stage)));
  return element("div", {}, frame, element("label", { className: "stage" }, "Attention ", pick));
}

function scores(cell) {
  const row = (name, share) => [
    element("dt", {}, name), element("dd", {}, bar(share), element("span", {}, percent(share))),
  ];
  const given = cell.source === "given" ? "It was given with the images." : null;
  const spread = cell.source === "propagated" ? "Propagation decided it from similar images." : null;
  return element("section", {},
    element("h3", {}, nameOf(view.label)),
    element("dl", { className: "scores" }, ...row("Network", cell.network), ...row("Graph", cell.graph),
      ...(cell.judge === null ? [] : row("Label hidden", cell.judge))),
    element("p", { className: "quiet" }, given ?? spread ?? "Nobody labelled it, and propagation left it open."));
}

function labels(told) {
  const others = told.labels
    .filter((label) => label.key !== view.label && (label.decided ?? label.proposed) === "yes")
    .sort((a, b) => (b.network ?? b.graph ?? 0) - (a.network ?? a.graph ?? 0)).slice(0, SHOWN_LABELS);
  if (!others.length) return null;
  const says = (label) => (label.decided ? "decided" : label.source === "given" ? "given" : percent(label.network ?? label.graph));
  return element("section", {}, element("h3", {}, "Also says"),
    element("ul", { className: "also" }, ...others.map((label) => element("li", {}, label.name, element("span", {}, says(label))))));
}

export function neighbours(told) {
  if (!told.neighbours.length) return null;
  return element("section", {}, element("h3", {}, "Nearest labelled images"),
    element("ul", { className: "near" }, ...told.neighbours.map((near) => neighbour(near))));
}

function neighbour(near) {
  const names = near.labels.map(nameOf).join(", ") || "none";
  const has = near.labels.includes(view.label);
  const mark = view.mode === "grid" && view.label ? element("b", { className: has ? "has" : "lacks" }, has ? "✓" : "✕") : null;
  return element("li", { title: `${near.name}: ${names}` },
    element("span", { className: "small" }, element("img", { src: `/thumb/${near.id}`, alt: `${near.name}: ${names}` }), mark),
    element("span", { className: "names" }, names), element("span", { className: "quiet" }, near.likeness.toFixed(2)));
}
