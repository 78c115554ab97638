/** The keyboard: what each key does, and the page that says so. */
import { byId, element } from "./element.js";

/** [keys as shown, what they do] per mode; the help shows these. */
export const HELP = [
  ["Images of one label", [
    ["1 … 9 0", "flip the image with that number; with ⇧ the next ten"],
    ["← → ↑ ↓", "move"], ["Space", "flip the image in focus"], ["u", "unsure: leave it unknown"],
    ["n", "none in view has the label"], ["a", "all in view have it"],
    ["Enter", "accept what is in view, next page"], ["PageUp PageDown", "turn the page, accept nothing"],
  ]],
  ["Labels of one image", [
    ["1 … 9 0", "switch the label with that number; with ⇧ the next ten"],
    ["/", "find a label"], ["u", "unsure about the label in focus"], ["n", "none of the labels"],
    ["o", "no others than those that are on"], ["Enter", "accept, next image"], ["← →", "turn, accept nothing"],
  ]],
  ["Everywhere", [
    ["z", "undo, also after a restart"], ["y", "redo what was undone last"], ["/", "choose, make, rename, merge labels"], ["[ ]", "previous, next label"],
    ["q", "next queue"], ["m", "by label or by image"], ["i", "why"], ["?", "this help"], ["Esc", "close"],
  ]],
];

const PLAIN = new Set(["INPUT", "SELECT", "TEXTAREA"]);

/** Call what `actions()` has for each key; text fields and dialogs keep theirs. */
export function listen(actions) {
  addEventListener("keydown", (event) => {
    const typing = PLAIN.has(event.target.tagName) && !(event.key === "Enter" && event.target.type === "search");
    if (event.ctrlKey || event.metaKey || event.altKey || typing || document.querySelector("dialog[open]")) return;
    if (event.repeat && !event.key.startsWith("Arrow")) return;
    const digit = /^Digit(\d)$/.exec(event.code) ?? /^Numpad(\d)$/.exec(event.code);
    const name = digit && event.key !== "/" ? "digit" : (NAMES[event.key] ?? event.key);
    const pressed = event.target.closest?.("header, footer, aside") && (event.key === "Enter" || event.key === " ");
    const does = actions()[name];
    if (pressed || !does) return;
    event.preventDefault();
    does(digit ? ((Number(digit[1]) + 9) % 10) + (event.shiftKey ? 10 : 0) : undefined);
  });
}

const NAMES = { " ": "space", "?": "help", "/": "find", Z: "y", "[": "previous", "]": "next" };

export function help() {
  const dialog = byId("help-dialog");
  const close = element("button", { className: "main", on: { click: () => dialog.close() } }, "Close");
  dialog.replaceChildren(element("h2", { id: "help-title" }, "Keys"),
    element("div", { className: "columns" }, ...HELP.map(([title, keys]) => element("section", {}, element("h3", {}, title),
      element("dl", {}, ...keys.flatMap(([key, does]) => [element("dt", {}, ...key.split(" ").map((k) => element("kbd", {}, k))), element("dd", {}, does)]))))),
    element("p", { className: "quiet" }, "Every accepted decision is kept at once. Accepting never changes what was decided before; only flipping it does."),
    close);
  dialog.showModal();
  close.focus({ preventScroll: true });
}
