/** A queue of the server, read in stretches as they come into view. */
import { ask } from "./server.js";

const STRETCH = 60;
const MOST_KEPT = 1800;

export class Order {
  constructor(label, queue, arrived) {
    Object.assign(this, { label, queue, arrived, total: null, snapshot: "" });
    this.tiles = new Map();
    this.asked = new Set();
    this.closed = false;
  }

  close() {
    this.closed = true;
  }

  /** Return what is known of the places from..to, asking for what is not. */
  read(from, to) {
    const last = Math.min(to, this.total ?? 1);
    for (let start = from - (from % STRETCH); start < last; start += STRETCH) {
      if (!this.tiles.has(start)) this.ask(start);
    }
    const found = [];
    for (let place = from; place < Math.min(to, this.total ?? 0); place++) found.push(this.tiles.get(place) ?? null);
    return found;
  }

  async ask(start) {
    if (this.asked.has(start)) return;
    this.asked.add(start);
    try {
      const question = { label: this.label, queue: this.queue, snapshot: this.snapshot, offset: start, limit: STRETCH };
      const told = await ask("/api/tiles", question);
      if (this.closed) return;
      const renewed = this.snapshot && this.snapshot !== told.snapshot;
      if (renewed) this.tiles.clear();
      Object.assign(this, { snapshot: told.snapshot, total: told.total });
      this.keep(start, told.tiles);
      this.arrived(renewed);
    } catch (error) {
      if (!this.closed) setTimeout(() => this.arrived(false), 1500);
    } finally {
      this.asked.delete(start);
    }
  }

  keep(start, tiles) {
    tiles.forEach((tile, place) => this.tiles.set(start + place, tile));
    const far = [...this.tiles.keys()].sort((a, b) => Math.abs(b - start) - Math.abs(a - start));
    for (const place of far.slice(0, Math.max(0, this.tiles.size - MOST_KEPT))) this.tiles.delete(place);
  }

  /** Ask anew for what others may have changed. */
  async renew(from, to) {
    for (let start = from - (from % STRETCH); start < to; start += STRETCH) await this.ask(start);
  }
}
