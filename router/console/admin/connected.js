// "Is my Immich connected?": what the router sees of Immich, of its calls, and of the services behind, as a list of
// checks; each that is not well has one remedy.

import { el } from "./dom.js";
import { bytes, clusterState } from "./views.js";
import { t } from "./words.js";

const RECENT_MS = 120_000;
const MIRROR = "HF_ENDPOINT=https://hf-mirror.com";
const MARKS = { good: "✓", warn: "!", bad: "✕", plain: "·" };
const TONE = (ok) => (ok === true ? "good" : ok === false ? "bad" : "warn");

/** A button that copies a text; the text alone where the page's origin may not write to the clipboard. */
function copyable(text) {
  const code = el("code", {}, text);
  if (!navigator.clipboard) return code;
  const button = el("button", { type: "button", onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = t("copied");
  } }, t("copyIt"));
  return el("span", {}, code, " ", button);
}

function row(tone, subject, seen, remedy = null) {
  const node = el("li", { class: "check" },
    el("span", { class: `mark ${tone}`, role: "img", "aria-label": t(`tone_${tone}`) }, MARKS[tone]),
    el("span", { class: "subject" }, subject),
    el("div", { class: "seen" }, seen, remedy ? el("div", { class: "remedy" }, "→ ", remedy) : null));
  return { tone, node };
}

/** How an address that a listener is bound to is reached from elsewhere: by the name of this page's own machine. */
function reachable(address) {
  const port = address.slice(address.lastIndexOf(":") + 1);
  return `http://${location.hostname}:${port}`;
}

function lastCall({ last_call: call }) {
  if (!call) return row("bad", t("lastCall"), t("neverCalled"), t("neverCalledRemedy"));
  const age = Date.now() - new Date(call.at);
  const told = t("calledAt", { at: new Date(call.at).toLocaleString(), peer: call.peer, task: call.task });
  return age > RECENT_MS ? row("warn", t("lastCall"), told, t("calledLongAgo")) : row("good", t("lastCall"), told);
}

function urls({ immich_ml: ml, photos }) {
  return [
    ml ? row("plain", t("mlUrl"), copyable(reachable(ml)), t("mlUrlRemedy")) : row("bad", t("mlUrl"), t("mlClosed")),
    photos ? row("good", t("door"), copyable(reachable(photos)), t("doorRemedy")) : row("warn", t("door"), t("doorClosed"), t("doorClosedRemedy")),
  ];
}

function immichChecks({ looked_at: at, checks, healing }) {
  const rows = checks.map(({ subject, ok, text, remedy }) => row(TONE(ok), t(`check_${subject}`, {}, subject), text, remedy));
  if (!at) rows.push(row("warn", "Immich", t("immichUnknown"), t("immichUnknownRemedy")));
  if (healing.off) rows.push(row("warn", t("healing"), healing.off));
  else rows.push(row(healing.error ? "bad" : "good", t("healing"), healing.error || [healing.state, healing.reason].filter(Boolean).join(": ")));
  return rows;
}

function services(clusters, models) {
  return clusters.map((cluster) => {
    const listed = models[cluster.name];
    const [tone, state] = clusterState(cluster, listed);
    const loaded = (listed?.models ?? []).filter((part) => part.state === "loaded");
    const names = [...new Set(loaded.map(({ name }) => name))].join(", ");
    const providers = [...new Set(loaded.map(({ provider }) => provider.replace("ExecutionProvider", "")).filter(Boolean))].join(", ");
    return row(tone, t(`service_${cluster.name}`, {}, cluster.name), names ? t("serving", { state, names, providers: providers || "–" }) : state);
  });
}

/** Downloads under way, and those that failed: with the mirror to take them from. */
function downloads(models) {
  return Object.values(models).flatMap(({ models: parts }) => parts).flatMap((part) => {
    const of = `${part.name} (${part.part})`;
    if (part.state === "downloading") {
      const told = t("downloading", { percent: Math.round(100 * part.download_progress), size: bytes(part.size_bytes) });
      return [row("warn", t("model"), [`${of}: ${told} `, el("progress", { value: part.download_progress, max: 1, "aria-label": of })])];
    }
    if (part.state !== "failed") return [];
    return [row("bad", t("model"), `${of}: ${part.error}`, [t("mirror"), " ", copyable(MIRROR)])];
  });
}

/** All rows: [{tone, node}]. */
export function connectionRows({ info, immich, clusters, models }) {
  return [lastCall(info), ...urls(info), ...immichChecks(immich), ...services(clusters, models), ...downloads(models)];
}
