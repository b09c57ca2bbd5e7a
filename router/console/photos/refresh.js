// Refreshing many photos: a few at a time, with pause, resume, stop and another try of what failed.

import { lookForFaces, refresh, stateOf } from "./api.js";
import { t } from "./words.js";

const AT_A_TIME = 2;
const FACES_PATIENCE_MS = 60_000;
const FIRST_LOOK_MS = 500;
const LAST_LOOK_MS = 5_000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Immich's own job for one photo: ends when Immich has looked, fails when it does not come to it for a while. */
async function faces(id, signal) {
  const { faces_at: before } = await stateOf(id);
  await lookForFaces(id, signal);
  const since = performance.now();
  for (let wait = FIRST_LOOK_MS; performance.now() - since < FACES_PATIENCE_MS; wait = Math.min(2 * wait, LAST_LOOK_MS)) {
    await pause(wait);
    signal.throwIfAborted();
    if ((await stateOf(id)).faces_at !== before) return;
  }
  throw new Error(t("facesWait"));
}

/** What a refresh changed in a photo's text: lines that went and lines that came. */
export function changes({ before, after }) {
  const rest = [...after];
  const gone = before.filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  return { gone, came: rest };
}

export class RefreshRun {
  #waiting;
  #active = 0;
  #aborting = new AbortController();
  #worked = 0;
  #since = performance.now();

  /**
   * @param wanted [{id, ocr, clip, faces}]
   * @param changed called with this run after every change
   */
  constructor(wanted, changed) {
    this.#waiting = [...wanted];
    this.total = wanted.length;
    this.done = [];
    this.failed = [];
    this.state = "running";
    this.changed = changed;
    this.#fill();
  }

  get left() { return this.#waiting.length + this.#active; }

  /** Photos per second while it was running. */
  get rate() {
    const running = this.#worked + (this.state === "running" ? performance.now() - this.#since : 0);
    return running > 0 ? ((this.done.length + this.failed.length) * 1000) / running : 0;
  }

  /** More photos, after those that wait. */
  add(wanted) {
    this.#waiting.push(...wanted);
    this.total += wanted.length;
    this.changed(this);
    this.#fill();
  }

  pause() { this.#become("running", "paused"); }

  resume() {
    this.#become("paused", "running");
    this.#fill();
  }

  /** Ends it; what is under way at the server is finished there. */
  stop() {
    if (this.state === "done") return;
    this.#waiting = [];
    this.#aborting.abort();
    this.#become(this.state, "stopped");
  }

  retry() {
    this.#waiting.push(...this.failed.map(({ wanted }) => wanted));
    this.failed = [];
    this.#become("done", "running");
    this.#fill();
  }

  #become(from, to) {
    if (this.state !== from) return;
    const now = performance.now();
    if (from === "running") this.#worked += now - this.#since;
    this.#since = now;
    this.state = to;
    this.changed(this);
  }

  #fill() {
    while (this.state === "running" && this.#active < AT_A_TIME && this.#waiting.length) this.#one(this.#waiting.shift());
    if (this.state === "running" && !this.left) this.#become("running", "done");
  }

  async #one(wanted) {
    this.#active += 1;
    const { id, faces: byImmich, ...kinds } = wanted;
    const { signal } = this.#aborting;
    try {
      const told = kinds.ocr || kinds.clip ? await refresh(id, kinds, signal) : {};
      if (byImmich) await faces(id, signal);
      this.done.push({ wanted, told });
    } catch (error) {
      if (error.name !== "AbortError") this.failed.push({ wanted, reason: error.message });
    }
    this.#active -= 1;
    this.changed(this);
    this.#fill();
  }
}
