// Talks to the admin API, and turns its counters into rates and percentiles over the last minute.

const WINDOW_MS = 60_000;
const SAMPLE = /^([a-z_]+)(?:\{(.*)\})?$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** The JSON answer of the admin API. Throws an Error with its message. */
export async function ask(path, options = {}) {
  return answer(await fetch(path, { cache: "no-store", ...options }), path);
}

async function answer(response, path) {
  const kind = response.headers.get("content-type") ?? "";
  const body = kind.startsWith("application/json") ? await response.json() : null;
  if (!response.ok) {
    const problems = body?.problems?.join("; ");
    throw new Error(body?.error?.message ?? problems ?? `${path}: HTTP ${response.status}`);
  }
  return body;
}

/** Asks for something to be done. */
export function order(path, body = {}) {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

/**
 * One prediction, in Immich's own words: {reply, stages}, where stages are milliseconds: `way` there and back, and
 * what the router's Server-Timing says: {upload, wait, queue, decode, detection, …, network, router}. `photo` is a Blob,
 * or null for a phrase.
 */
export async function predict(entries, photo, text) {
  const form = new FormData();
  form.append("entries", JSON.stringify(entries));
  if (photo) form.append("image", photo, "blob");
  if (text) form.append("text", text);
  const began = performance.now();
  const response = await fetch("predict", { method: "POST", cache: "no-store", body: form });
  const reply = await answer(response, "predict");
  const told = Object.fromEntries((response.headers.get("server-timing") ?? "").split(", ").filter(Boolean)
    .map((part) => part.split(";dur=")).map(([name, value]) => [name, Number(value)]));
  const there = Object.values(told).reduce((sum, value) => sum + value, 0);
  return { reply, stages: { way: Math.max(0, performance.now() - began - there), ...told } };
}

function parse(stats) {
  return Object.entries(stats).map(([key, value]) => {
    const [, name, inner = ""] = SAMPLE.exec(key) ?? [];
    const labels = Object.fromEntries([...inner.matchAll(LABEL)].map(([, label, text]) => [label, text]));
    return { name, labels, value };
  });
}

const isWork = (labels) => labels.listener !== "admin" && !["ping", "none"].includes(labels.task);

/** Tries at each cluster, and those of them that failed, within the last minute. */
export class Trouble {
  #seen = new Map();

  add(clusters) {
    const now = performance.now();
    for (const { name, endpoints } of clusters) {
      const sum = (field) => endpoints.reduce((total, endpoint) => total + endpoint[field], 0);
      const sample = { at: now, tries: sum("requests"), failed: sum("failures") };
      let kept = this.#seen.get(name) ?? [];
      // A number that fell means that an endpoint went or the router was restarted: what was seen before says nothing.
      if (kept.length && (kept.at(-1).tries > sample.tries || kept.at(-1).failed > sample.failed)) kept = [];
      kept.push(sample);
      while (kept.length > 2 && now - kept[1].at > WINDOW_MS) kept.shift();
      this.#seen.set(name, kept);
    }
  }

  /** {tries, failed} of one cluster. */
  of(name) {
    const [first, last] = [this.#seen.get(name)?.[0], this.#seen.get(name)?.at(-1)];
    return first ? { tries: last.tries - first.tries, failed: last.failed - first.failed } : { tries: 0, failed: 0 };
  }

  get failed() { return [...this.#seen.keys()].reduce((total, name) => total + this.of(name).failed, 0); }
}

/** Counters over time: `add` a snapshot of /stats, then read what happened in between. */
export class History {
  #snapshots = [];

  add(stats) {
    const now = performance.now();
    const snapshot = { at: now, requests: 0, errors: 0, buckets: new Map() };
    for (const { name, labels, value } of parse(stats)) {
      if (!isWork(labels)) continue;
      if (name === "immich_mesh_router_requests_total") {
        snapshot.requests += value;
        if (Number(labels.code) >= 400 && labels.code !== "499") snapshot.errors += value;
      } else if (name === "immich_mesh_router_request_seconds_bucket") {
        const edge = labels.le === "+Inf" ? Infinity : Number(labels.le);
        snapshot.buckets.set(edge, (snapshot.buckets.get(edge) ?? 0) + value);
      }
    }
    // A counter that fell means that the router was restarted: what was seen before says nothing now.
    if (this.#snapshots.length && this.#last.requests > snapshot.requests) this.#snapshots = [];
    this.#snapshots.push(snapshot);
    while (this.#snapshots.length > 2 && now - this.#snapshots[1].at > WINDOW_MS) this.#snapshots.shift();
  }

  get #last() { return this.#snapshots.at(-1); }

  /** Requests per second since the snapshot before. */
  get rate() {
    const [before, last] = this.#snapshots.slice(-2);
    return last ? ((last.requests - before.requests) * 1000) / (last.at - before.at) : 0;
  }

  /** Failed requests within the window. */
  get errors() { return this.#last ? this.#last.errors - this.#snapshots[0].errors : 0; }

  /** Seconds below which this share (0..1) of the window's requests was answered; null without requests. */
  quantile(share) {
    if (!this.#last) return null;
    const first = this.#snapshots[0].buckets;
    const edges = [...this.#last.buckets].map(([edge, count]) => [edge, count - (first.get(edge) ?? 0)]);
    edges.sort(([left], [right]) => left - right);
    const total = edges.at(-1)?.[1] ?? 0;
    if (!total) return null;
    let [lower, below] = [0, 0];
    for (const [edge, count] of edges) {
      if (count >= share * total) {
        if (edge === Infinity) return lower;
        return lower + ((share * total - below) / (count - below || 1)) * (edge - lower);
      }
      [lower, below] = [edge, count];
    }
    return lower;
  }
}
