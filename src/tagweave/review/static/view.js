/** What the page shows now; the parts read it and are told when it changes. */
export const QUEUES = {
  uncertain: ["Uncertain", "nearest to 50 % first"],
  disagreement: ["Disagree", "graph and network furthest apart first"],
  errors: ["Errors", "given labels that the tool doubts most first"],
  diverse: ["Diverse", "each as unlike the ones before as can be"],
  audit: ["Audit", "what the tool says yes to, at random: measures its precision"],
};

export const view = {
  mode: "grid", label: "", queue: "uncertain", labels: [], images: 0, event: 0, progress: null, whyOpen: false,
};

const listeners = [];

export const onChange = (listener) => listeners.push(listener);

/** Change the view and tell every part what changed. */
export function change(changes) {
  Object.assign(view, changes);
  for (const listener of listeners) listener(changes);
  remember();
}

export const labelOf = (key) => view.labels.find((label) => label.key === key);
export const nameOf = (key) => labelOf(key)?.name ?? key;

function remember() {
  const place = { mode: view.mode, label: view.label, queue: view.queue };
  history.replaceState(null, "", `/#${new URLSearchParams(place)}`);
}

/** Return mode, label and queue that the address names. */
export function remembered() {
  const place = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  return {
    mode: place.mode === "picture" ? "picture" : "grid",
    queue: place.queue in QUEUES ? place.queue : "uncertain",
    label: place.label ?? null,
  };
}
