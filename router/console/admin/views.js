// Draws clusters, models and requests. Text always goes in as text, never as markup.

import { el } from "./dom.js";
import { t } from "./words.js";

export const seconds = (value) =>
  value === null ? "–" : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 1 : 0)} s`;

export function bytes(value) {
  if (!value) return "–";
  const unit = value >= 1e9 ? ["GB", 1e9] : value >= 1e6 ? ["MB", 1e6] : ["kB", 1e3];
  return `${(value / unit[1]).toFixed(value / unit[1] < 10 ? 1 : 0)} ${unit[0]}`;
}

/** A count that fits a narrow column. */
export const count = (value) =>
  el("span", { title: value.toLocaleString() }, value < 10_000 ? String(value) : new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 }).format(value));

/** A name that breaks at its own joints and not in mid-word. */
export const breakable = (name) => name.split(/(?<=[_\-/.])/).flatMap((part) => [part, el("wbr")]);

const clock = (text) => new Date(text).toLocaleTimeString();
const TONES = { healthy: "good", ejected: "bad", unhealthy: "bad", draining: "warn", unknown: "warn" };
const STATES = { loaded: "good", loading: "warn", downloading: "warn", failed: "bad" };

/** A line through the values, newest at the right. */
export function spark(svg, values) {
  const top = Math.max(1, ...values);
  const step = 120 / Math.max(1, values.length - 1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)} ${(38 - (value / top) * 36).toFixed(1)}`);
  svg.querySelector("path").setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
}

/** Whether a cluster answers, with what its models say: [tone, text]. `listed` is its entry of /models, if any. */
export function clusterState(cluster, listed) {
  if (!cluster.can_serve) return ["bad", t("cannotServe")];
  const broken = listed ? unloadable(listed.models) : [];
  if (broken.length && !listed.models.some(({ state }) => state === "loaded")) return ["bad", t("cannotAnswer")];
  const waits = cluster.held.text + cluster.held.image;
  if (waits && !(cluster.active.text + cluster.active.image)) return ["warn", t("waits", { count: waits })];
  return broken.length ? ["warn", t("servesPartly")] : ["good", t("canServe")];
}

export function clusterCard(cluster, listed) {
  const [tone, state] = clusterState(cluster, listed);
  const { text, image } = cluster.held;
  const held = text + image;
  const rows = cluster.endpoints.map((endpoint) =>
    el("tr", {},
      el("td", {}, el("span", { class: `pill ${TONES[endpoint.state] ?? ""}`, title: endpoint.detail }, t(`state_${endpoint.state}`))),
      el("td", { class: "mono" }, breakable(endpoint.address), endpoint.state === "healthy" ? null : el("div", { class: "soft" }, endpoint.detail)),
      el("td", { class: "number" }, count(endpoint.active)),
      el("td", { class: "number" }, count(endpoint.requests)),
      el("td", { class: `number ${endpoint.failures ? "text-warn" : ""}` }, count(endpoint.failures))));
  return el("div", { class: "card" },
    el("div", { class: "row" },
      el("h3", {}, cluster.name),
      el("span", { class: `pill ${tone}` }, state)),
    el("p", { class: "soft" }, held ? t("heldNow", { held, text, image, size: bytes(cluster.held_bytes) }) : t("nothingHeld")),
    el("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": cluster.name }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, t("state")), el("th", {}, t("endpoint")), el("th", { class: "number" }, t("active")),
        el("th", { class: "number" }, t("tries")), el("th", { class: "number" }, t("failedTries")))),
      el("tbody", {}, ...(rows.length ? rows : [el("tr", {}, el("td", { colSpan: 5, class: "soft" }, t("noEndpoint")))])))));
}

const partState = (part) => el("span", { class: `pill ${STATES[part.state] ?? ""}` }, `${part.part} ${t(`model_${part.state}`)}`);

/** What went wrong with a model's parts: each reason once. */
const reasons = (parts) => [...new Set(parts.map((part) => part.error).filter(Boolean))];

/** The states of a model's parts; below them how far a download is, and what went wrong. */
function modelState(parts) {
  const coming = parts.filter((part) => part.state === "downloading").map((part) => part.download_progress);
  return [
    ...parts.map(partState),
    coming.length ? el("div", {}, el("progress", { value: Math.min(...coming), max: 1, "aria-label": t("model_downloading") }), ` ${Math.round(100 * Math.min(...coming))} %`) : null,
    ...reasons(parts).map((reason) => el("div", { class: "text-bad" }, reason)),
  ].filter((child) => child !== null);
}

/** The models, as their parts, that cannot be loaded. */
const unloadable = (models) => byModel(models).filter((parts) => reasons(parts).length);

/** What somebody has to look after, as sentences: clusters that cannot serve, and models that cannot be loaded. */
export function attention(clusters, models) {
  const cannot = clusters.filter((cluster) => !cluster.can_serve).map(({ name, endpoints, held }) => {
    const why = [...new Set(endpoints.map((endpoint) => endpoint.detail).filter(Boolean))].join("; ") || t("noEndpoint");
    const waiting = held.text + held.image;
    return t("clusterCannot", { name, why, waiting: waiting ? t("waitFor", { count: waiting }) : t("willWait") });
  });
  const failed = Object.entries(models).flatMap(([cluster, listed]) =>
    unloadable(listed.models).map((parts) => t("cannotLoad", { cluster, model: parts[0].name, reason: reasons(parts).join("; ") })));
  return [...cannot, ...failed];
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
    el("td", { class: "mono wide" }, first.endpoint),
    el("td", {}, ...modelState(parts)),
    el("td", { class: "number wide" }, bytes(sum("memory_bytes"))),
    el("td", { class: "number wide" }, bytes(sum("size_bytes"))),
    el("td", { class: "wide" }, providers.join(", ") || "–"),
    el("td", { class: "wide" }, sum("in_use") ? t("inUse", { count: sum("in_use") }) : used ? clock(used) : "–"),
    el("td", { class: "actions" }, button));
}

/** The parts of each model at each endpoint, together. */
function byModel(models) {
  const groups = new Map();
  for (const model of models) {
    const key = `${model.name} ${model.endpoint}`;
    groups.set(key, [...(groups.get(key) ?? []), model]);
  }
  return [...groups.values()];
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
  return el("tr", {},
    el("td", {}, clock(request.at)),
    el("td", {}, request.task, el("div", { class: "soft" }, request.listener)),
    el("td", { class: "wide" }, breakable(request.answered_by || request.model),
      request.answered_by && request.answered_by !== request.model ? el("div", { class: "soft" }, t("askedFor", { model: request.model })) : null),
    el("td", { class: "mono wide" }, request.endpoint),
    el("td", { class: `number ${tone}` }, String(request.code)),
    el("td", { class: "number" }, seconds(request.ms / 1000)),
    el("td", { class: "number wide" }, request.held_ms ? seconds(request.held_ms / 1000) : "–"),
    el("td", { class: "number wide" }, String(request.tries)),
    el("td", { class: "number wide" }, bytes(request.bytes)),
    el("td", { class: "mono wide" }, request.request_id));
}
