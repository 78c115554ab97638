import { byId } from "./element.js";

let fading;

/** Tell the person something, on the screen and to screen readers. */
export function say(text) {
  byId("live").textContent = text;
  const toast = byId("toast");
  toast.textContent = text;
  toast.classList.add("shown");
  clearTimeout(fading);
  fading = setTimeout(() => toast.classList.remove("shown"), 2600);
}

/** Show what stands in the way until it is gone; '' takes it away. */
export function alarm(text) {
  byId("alarm").hidden = !text;
  if (byId("alarm").textContent !== text) byId("alarm").textContent = text;
}
