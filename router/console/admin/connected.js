// "Is my Immich connected?": what the router sees of Immich, of its calls, and of the services behind, as a list of
// checks; each that is not well has one remedy. Those that need somebody stand first.

import { el } from "./dom.js";
import { bytes, duration } from "./format.js";
import { healingText } from "./jobs.js";
import { byModel, reasons } from "./mesh.js";
import { t } from "./words.js";

const RECENT_MS = 120_000;
const MARKS = { good: "✓", warn: "!", bad: "✕", plain: "·" };
const ORDER = ["bad", "warn", "plain", "good"];
const TONE = (ok) => (ok === true ? "good" : ok === false ? "bad" : "warn");
const LOOPBACK = /^(localhost|127\.|::1|\[::1\])/;

/** A button that copies a text; the text alone where the page's origin may not write to the clipboard. */
function copyable(text) {
  const code = el("code", {}, text);
  if (!navigator.clipboard) return code;
  const button = el("button", { type: "button", "aria-label": `${t("copyIt")}: ${text}`, onclick: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = t("copied");
  } }, t("copyIt"));
  return el("span", { class: "copyable" }, code, " ", button);
}

function row(tone, subject, seen, remedy = null) {
  const node = el("li", { class: "check" },
    el("span", { class: `mark ${tone}`, role: "img", "aria-label": t(`tone_${tone}`) }, MARKS[tone]),
    el("span", { class: "subject" }, subject),
    el("div", { class: "seen" }, seen, remedy ? el("div", { class: "remedy" }, "→ ", remedy) : null));
  return { tone, node };
}

function lastCall({ last_call: call }) {
  if (!call) return row("bad", t("lastCall"), t("neverCalled"), t("neverCalledRemedy"));
  const age = Date.now() - new Date(call.at);
  const told = t("calledAt", { at: new Date(call.at).toLocaleString(), peer: call.peer, task: call.task });
  return age > RECENT_MS ? row("warn", t("lastCall"), told, t("calledLongAgo")) : row("good", t("lastCall"), told);
}

const portOf = (address) => address.slice(address.lastIndexOf(":") + 1);

/** The addresses of the routers as Immich reaches them; where nobody said, this page's own machine at this one's port. */
function urls({ immich_ml: ml, immich_ml_urls: told, immich_ml_path: secret, photos }) {
  const here = LOOPBACK.test(location.hostname) && ml && !LOOPBACK.test(ml) ? t("thisMachine") : location.hostname;
  const host = told.length ? new URL(told[0]).hostname : here;
  const all = told.length ? told : ml ? [`http://${here}:${portOf(ml)}`] : [];
  const door = photos ? row("good", t("door"), copyable(`http://${host}:${portOf(photos)}`), t("doorRemedy"))
    : row("warn", t("door"), t("doorClosed"), t("doorClosedRemedy"));
  if (!all.length) return [row("bad", t("mlUrls"), t("mlClosed")), door];
  const [tone, remedy] = ml && LOOPBACK.test(ml) ? ["warn", t("onlyHere")]
    : all.length === 1 && told.length ? ["warn", t("oneUrl")]
    : ["plain", t(all.length > 1 ? "bothUrls" : "mlUrlRemedy")];
  return [row(tone, t("mlUrls"), [all.map((url) => el("div", {}, copyable(url))), secret ? el("div", { class: "soft" }, t("withPath")) : null], remedy), door];
}

function immichChecks({ looked_at: at, checks, healing }) {
  const rows = checks.map(({ subject, ok, text, remedy }) => row(TONE(ok), t(`check_${subject}`, {}, subject), text, remedy));
  if (!at) rows.push(row("warn", "Immich", t("immichUnknown"), t("immichUnknownRemedy")));
  rows.push(row(healing.off ? "warn" : healing.error ? "bad" : "good", t("healing"), healingText(healing)));
  return rows;
}

/** Why a cluster's endpoints cannot serve, and who waits for it. */
function detail(cluster) {
  if (cluster.can_serve) return "";
  const why = [...new Set(cluster.endpoints.map(({ detail }) => detail).filter(Boolean))].join("; ") || t("noEndpoint");
  const waiting = cluster.held.text + cluster.held.image;
  return t("clusterWhy", { why, waiting: waiting ? t("waitFor", { count: waiting, longest: duration(cluster.longest_wait_seconds) }) : t("willWait") });
}

function services({ clusters, models, states }) {
  return clusters.map((cluster) => {
    const [tone, state] = states[cluster.name];
    const loaded = (models[cluster.name]?.models ?? []).filter((part) => part.state === "loaded");
    const names = [...new Set(loaded.map(({ name }) => name))].join(", ");
    const providers = [...new Set(loaded.map(({ provider }) => provider.replace("ExecutionProvider", "")).filter(Boolean))].join(", ");
    const told = names && tone !== "bad" ? t("serving", { state, names, providers: providers || "–" }) : state;
    return row(tone, t(`service_${cluster.name}`, {}, cluster.name), [told, " ", detail(cluster)]);
  });
}

/** What helps where a model cannot be had: a mirror now, and how to keep it. */
function mirrorRemedy(cluster, name, mirrors, useMirror) {
  if (!mirrors.length) return null;
  return [t("mirrorNow"), " ", mirrors.map((hub) => el("button", { type: "button", onclick: () => useMirror(cluster, name, hub) }, t("useMirror", { hub: new URL(hub).host }))),
    " ", t("mirrorKeep"), " ", copyable(`HF_ENDPOINT=${mirrors[0]}`)];
}

/** Downloads under way, and models that cannot be had: each reason once, whichever parts and endpoints have it. */
function downloadRows({ models, info, downloads, useMirror }) {
  return Object.entries(models).flatMap(([cluster, { models: parts }]) => {
    const told = new Set();
    return byModel(parts).flatMap((model) => {
      const [{ name }] = model;
      const coming = model.find(({ state }) => state === "downloading");
      if (coming) {
        const speed = downloads.of(coming);
        const percent = Math.round(100 * coming.download_progress);
        const text = [t("downloading", { percent, size: bytes(coming.download_bytes) }), speed ? t("atSpeed", { rate: bytes(speed.rate), left: duration(speed.left) }) : ""].join("");
        return [row("warn", t("model"), [`${name}: ${text} `, el("progress", { value: coming.download_progress, max: 1, "aria-label": name })])];
      }
      const why = reasons(model).filter((reason) => !told.has(`${name} ${reason}`));
      for (const reason of why) told.add(`${name} ${reason}`);
      return why.map((reason) => row("bad", t("model"), `${name}: ${reason}`, mirrorRemedy(cluster, name, info.hub_mirrors, useMirror)));
    });
  });
}

/** All rows: [{tone, node}]. */
export function connectionRows(seen) {
  const rows = [lastCall(seen.info), ...urls(seen.info), ...immichChecks(seen.immich), ...services(seen), ...downloadRows(seen)];
  return ORDER.flatMap((wanted) => rows.filter(({ tone }) => tone === wanted));
}
