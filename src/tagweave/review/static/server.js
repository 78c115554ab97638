/** Talk to the server. What a person decided waits in an outbox until the server has it. */
import { alarm } from "./say.js";

const RETRY = 1500;
const waiting = [];
let sending = false;

// A window keeps its name over reloads and restarts of the server, and with it what its undo takes back.
export const windowName = sessionStorage.getItem("window") ?? crypto.randomUUID();
sessionStorage.setItem("window", windowName);

export class Refused extends Error {}

async function answer(response) {
  if (response.status === 401) throw new Error("This link has ended. Open the new link that tagweave review printed.");
  if (response.ok) return response.json();
  const told = await response.json().catch(() => ({}));
  throw new Refused(typeof told.error === "string" ? told.error : `The server refused (${response.status}).`);
}

export async function ask(path, question = {}) {
  const response = await fetch(`${path}?${new URLSearchParams(question)}`);
  return answer(response);
}

/** Send a change; the promise settles when the server has it or refused it, however long that takes. */
export function send(path, body) {
  return new Promise((done, failed) => {
    const content = JSON.stringify({ window: windowName, gesture: crypto.randomUUID(), ...body });
    waiting.push({ path, content, done, failed });
    if (!sending) empty();
  });
}

export const unsent = () => waiting.length;

async function empty() {
  sending = true;
  while (waiting.length) {
    const { path, content, done, failed } = waiting[0];
    try {
      const headers = { "Content-Type": "application/json" };
      done(await answer(await fetch(path, { method: "POST", headers, body: content })));
      waiting.shift();
      alarm("");
    } catch (error) {
      if (error instanceof Refused) {
        waiting.shift();
        failed(error);
      } else {
        const ended = error instanceof TypeError ? "The server does not answer." : error.message;
        alarm(`${ended} ${waiting.length} unsent; they are sent when it is back.`);
        await new Promise((later) => setTimeout(later, RETRY));
      }
    }
  }
  sending = false;
}

addEventListener("beforeunload", (event) => {
  if (waiting.length) event.preventDefault();
});
