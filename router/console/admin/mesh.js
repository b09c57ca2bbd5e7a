// The mesh: clusters, models and requests. Text always goes in as text, never as markup.

import { el } from "./dom.js";
import { breakable, bytes, clock, count, duration, seconds } from "./format.js";
import { t } from "./words.js";

const TONES = { healthy: "good", ejected: "bad", unhealthy: "bad", draining: "warn", unknown: "warn" };
const STATES = { loaded: "good", loading: "warn", downloading: "warn", failed: "bad" };

/** What went wrong with a model's parts: each reason once. */
export const reasons = (parts) => [...new Set(parts.map((part) => part.error).filter(Boolean))];

/** The parts of each model at each endpoint, together. */
export function byModel(models) {
  const groups = new Map();
  for (const model of models) {
    const key = `${model.name} ${model.endpoint}`;
    groups.set(key, [...(groups.get(key) ?? []), model]);
  }
  return [...groups.values()];
}

/**
 * How a cluster is: [tone, text], the same on every view. `listed` is its entry of /models, if any; `tried` are the tries
 * of the last minute and those that failed.
 */
export function clusterState(cluster, listed, tried) {
  if (!cluster.can_serve) return ["bad", t("cannotServe")];
  const models = byModel(listed?.models ?? []);
  const broken = models.filter((parts) => reasons(parts).length);
  if (broken.length && !listed.models.some(({ state }) => state === "loaded")) return ["bad", t("cannotAnswer")];
  if (tried.failed && tried.failed === tried.tries) return ["bad", t("allFail", { count: tried.failed })];
  const waits = cluster.held.text + cluster.held.image;
  if (waits && !(cluster.active.text + cluster.active.image)) return ["warn", t("waits", { count: waits })];
  if (tried.failed) return ["warn", t("someFail", tried)];
  if (listed?.error) return ["warn", t("noAnswer", { reason: listed.error })];
  return broken.length ? ["warn", t("servesPartly")] : ["good", t("canServe")];
}

function endpointRow(endpoint) {
  return el("tr", {},
    el("td", {}, el("span", { class: `pill ${TONES[endpoint.state] ?? ""}`, title: endpoint.detail }, t(`state_${endpoint.state}`))),
    el("td", { class: "mono" }, breakable(endpoint.address), endpoint.state === "healthy" ? null : el("div", { class: "soft" }, endpoint.detail)),
    el("td", { class: "number" }, count(endpoint.active)),
    el("td", { class: "number" }, count(endpoint.requests)),
    el("td", { class: `number ${endpoint.failures ? "text-warn" : ""}` }, count(endpoint.failures)));
}

export function clusterCard(cluster, [tone, state]) {
  const { text, image } = cluster.held;
  const held = text + image;
  const rows = cluster.endpoints.map(endpointRow);
  return el("div", { class: "card" },
    el("div", { class: "row" }, el("h3", {}, breakable(cluster.name)), el("span", { class: `pill ${tone}` }, state)),
    el("p", { class: "soft" }, held
      ? t("heldNow", { held, text, image, size: bytes(cluster.held_bytes), longest: duration(cluster.longest_wait_seconds) }) : t("nothingHeld")),
    el("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": cluster.name }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, t("state")), el("th", {}, t("endpoint")), el("th", { class: "number" }, t("active")),
        el("th", { class: "number" }, t("tries")), el("th", { class: "number" }, t("failedTries")))),
      el("tbody", {}, ...(rows.length ? rows : [el("tr", {}, el("td", { colSpan: 5, class: "soft" }, t("noEndpoint")))])))));
}

/** The states of a model's parts, and below them how far a download is; why one failed stands on the first view. */
function modelState(parts) {
  const coming = parts.filter((part) => part.state === "downloading").map((part) => part.download_progress);
  return [
    ...parts.map((part) => el("span", { class: `pill ${STATES[part.state] ?? ""}` }, `${part.part} ${t(`model_${part.state}`)}`)),
    coming.length ? el("div", {}, el("progress", { value: Math.min(...coming), max: 1, "aria-label": t("model_downloading") }), ` ${Math.round(100 * Math.min(...coming))} %`) : null,
    reasons(parts).length ? el("a", { href: "#/connected" }, t("why")) : null,
  ].filter((child) => child !== null);
}

/** One model at one endpoint: its parts are loaded and unloaded together. */
function modelRow(cluster, parts, act) {
  const [first] = parts;
  const sum = (field) => parts.reduce((total, part) => total + part[field], 0);
  const some = (...states) => parts.some((part) => states.includes(part.state));
  const what = some("loaded") ? "unload" : "load";
  const used = parts.map((part) => part.last_used_at).filter(Boolean).sort().at(-1);
  const dimension = Math.max(...parts.map((part) => part.dimension));
  const providers = [...new Set(parts.map((part) => part.provider.replace("ExecutionProvider", "")).filter(Boolean))];
  const button = el("button", {
    type: "button", disabled: some("loading", "downloading"), onclick: () => act(what, cluster, first.name),
  }, t(what));
  return el("tr", {},
    el("td", {}, breakable(first.name), el("div", { class: "soft" }, dimension ? t("dimensions", { cluster, dimension }) : cluster)),
    el("td", { class: "mono wide" }, breakable(first.endpoint)),
    el("td", {}, ...modelState(parts)),
    el("td", { class: "number wide" }, bytes(sum("memory_bytes"))),
    el("td", { class: "number wide" }, bytes(sum("size_bytes"))),
    el("td", { class: "wide" }, providers.join(", ") || "–"),
    el("td", { class: "wide" }, sum("in_use") ? t("inUse", { count: sum("in_use") }) : used ? clock(used) : "–"),
    el("td", { class: "actions" }, button));
}

/** All models of all clusters; `act(what, cluster, name)` is called by the buttons. */
export function modelRows(clusters, act) {
  return Object.entries(clusters).flatMap(([cluster, { models, error }]) =>
    error
      ? [el("tr", {}, el("td", {}, cluster), el("td", { colSpan: 7, class: "soft" }, t("noAnswer", { reason: error })))]
      : byModel(models).map((parts) => modelRow(cluster, parts, act)));
}

export function requestRow(request) {
  const tone = request.code >= 500 ? "text-bad" : request.code >= 400 ? "text-warn" : "";
  const [answered, asked] = [request.answered_by, request.model];
  return el("tr", {},
    el("td", {}, clock(request.at)),
    el("td", {}, request.task, el("div", { class: "soft" }, request.listener)),
    el("td", { class: "wide" }, answered ? breakable(answered) : el("span", { class: "soft" }, t("nobodyAnswered")),
      answered !== asked ? el("div", { class: "soft" }, t("askedFor", { model: asked })) : null),
    el("td", { class: "mono wide" }, breakable(request.endpoint)),
    el("td", { class: `number ${tone}`, title: request.reason }, String(request.code)),
    el("td", { class: "number" }, seconds(request.ms / 1000)),
    el("td", { class: "number wide" }, request.held_ms ? seconds(request.held_ms / 1000) : "–"),
    el("td", { class: "number wide" }, String(request.tries)),
    el("td", { class: "number wide" }, bytes(request.bytes)),
    el("td", { class: "mono wide" }, request.request_id));
}
