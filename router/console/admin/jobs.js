// Jobs: what waits and what failed as sentences, with another try; Immich's own queues; self-healing.

import { el } from "./dom.js";
import { clock, count, duration } from "./format.js";
import { t } from "./words.js";

/** Immich's queue of a task: by it what failed is tried again, since Immich keeps no failed job. */
const QUEUES = { ocr: "ocr", "facial-recognition": "faceDetection", "clip visual": "smartSearch" };
const CLUSTERS = { ocr: "ocr", "facial-recognition": "face", "clip visual": "clip", "clip textual": "clip" };

const named = (task) => t(`service_${CLUSTERS[task]}`, {}, task);

function held(cluster, [, state]) {
  const waiting = cluster.held.text + cluster.held.image;
  if (!waiting) return null;
  return el("li", {}, t("heldSentence", {
    service: t(`service_${cluster.name}`, {}, cluster.name), count: waiting, longest: duration(cluster.longest_wait_seconds), state,
  }));
}

/** Failed requests by what failed and why, the latest first. */
function failures(requests) {
  const groups = new Map();
  for (const request of requests) {
    if (request.code < 400 || request.code === 499) continue;
    const key = `${request.task}\n${request.reason}`;
    groups.set(key, [...(groups.get(key) ?? []), request]);
  }
  return [...groups.values()];
}

function failure(group, queues, order) {
  const [{ task, reason, code, at }] = group;
  const queue = queues.find(({ name, of_mesh: ours }) => ours && name === QUEUES[task]);
  const fromImmich = group.some(({ listener }) => listener === "immich_ml");
  const again = !fromImmich || !QUEUES[task] ? null
    : queue ? el("button", { type: "button", onclick: () => order("start", queue.name) }, t("queueMissing"))
    : el("span", { class: "soft" }, t("retryInImmich"));
  return el("li", {}, el("div", {}, t("failedSentence", { service: named(task), count: group.length, at: clock(at), code })),
    el("div", { class: "text-bad" }, reason), again);
}

/** Sentences about what waits and what failed; `order(what, queue)` is called by the buttons. */
export function troubleRows({ clusters, requests, jobs }, states, order) {
  const rows = [...clusters.map((cluster) => held(cluster, states[cluster.name])), ...failures(requests).map((group) => failure(group, jobs.queues, order))];
  const told = rows.filter((row) => row !== null);
  return told.length ? told : [el("li", {}, t("noTrouble"))];
}

function queueRow(queue, order) {
  const { name, paused, active, waiting, of_mesh: ours } = queue;
  const [tone, state] = paused ? ["warn", t("queuePaused")] : active ? ["good", t("queueWorks")] : waiting ? ["warn", t("queueWaits")] : ["", t("queueIdle")];
  const button = (what, key) => el("button", { type: "button", onclick: () => order(what, name) }, t(key));
  return el("li", { class: `queue ${ours ? "ours" : ""}` },
    el("h3", {}, t(`queue_${name}`, {}, name)),
    el("span", { class: `pill ${tone}` }, state),
    el("span", { class: "counts" }, count(active), " ", t("jobsActive"), " · ", count(waiting), " ", t("jobsWaiting")),
    el("span", { class: "buttons" }, paused ? button("resume", "resume") : button("pause", "pause"),
      ours && !active && !waiting ? button("start", "queueMissing") : null));
}

/** One entry for each queue; those that ask this mesh first. */
export function queueRows(queues, order) {
  return [...queues].sort((one, other) => other.of_mesh - one.of_mesh).map((queue) => queueRow(queue, order));
}

/** What self-healing does, in a sentence. */
export function healingText(healing) {
  if (!healing) return "…";
  if (healing.off) return t("healingOff", { reason: healing.off });
  const started = Object.entries(healing.started).map(([queue, times]) => `${t(`queue_${queue}`, {}, queue)} × ${times}`).join(", ");
  const { cause, failed: count, waits_for: wait, next_at: next, queue, jobs } = healing;
  const waits = wait || queue ? t(`healing_for_${wait || "work"}`, { at: next ? clock(next) : "", queue: t(`queue_${queue}`, {}, queue), jobs }) : "";
  return [t(`healing_${healing.state}`, {}, healing.state), cause ? t(`healing_since_${cause}`, { count }) : "", waits, healing.error,
    healing.healed_at ? t("healedAt", { at: new Date(healing.healed_at).toLocaleString() }) : "",
    started ? t("healingStarted", { started }) : ""].filter(Boolean).join(" · ");
}
