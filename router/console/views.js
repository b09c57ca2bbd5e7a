// Draws clusters, models and requests. Text always goes in as text, never as markup.

/** An element with properties and children; strings become text. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const seconds = (value) =>
  value === null ? "–" : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 1 : 0)} s`;

export function bytes(value) {
  if (!value) return "–";
  const unit = value >= 1e9 ? ["GB", 1e9] : value >= 1e6 ? ["MB", 1e6] : ["kB", 1e3];
  return `${(value / unit[1]).toFixed(value / unit[1] < 10 ? 1 : 0)} ${unit[0]}`;
}

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

export function clusterCard(cluster) {
  const { text, image } = cluster.held;
  const held = text + image;
  const rows = cluster.endpoints.map((endpoint) =>
    el("tr", {},
      el("td", {}, el("span", { class: `pill ${TONES[endpoint.state] ?? ""}`, title: endpoint.detail }, endpoint.state)),
      el("td", { class: "mono" }, endpoint.address, endpoint.state === "healthy" ? null : el("div", { class: "soft" }, endpoint.detail)),
      el("td", { class: "number" }, String(endpoint.active)),
      el("td", { class: "number" }, String(endpoint.requests)),
      el("td", { class: `number ${endpoint.failures ? "text-warn" : ""}` }, String(endpoint.failures))));
  return el("div", { class: "card" },
    el("div", { class: "row" },
      el("h3", {}, cluster.name),
      el("span", { class: `pill ${cluster.can_serve ? "good" : "bad"}` }, cluster.can_serve ? "can serve" : "cannot serve")),
    el("p", { class: "soft" }, held ? `${held} held (${text} text, ${image} photos, ${bytes(cluster.held_bytes)})` : "nothing held"),
    el("div", { class: "scroll" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, "State"), el("th", {}, "Endpoint"), el("th", { class: "number" }, "Active"),
        el("th", { class: "number" }, "Tries"), el("th", { class: "number" }, "Failed"))),
      el("tbody", {}, ...(rows.length ? rows : [el("tr", {}, el("td", { colSpan: 5, class: "soft" }, "no endpoint known"))])))));
}

const partState = (part) => el("span", { class: `pill ${STATES[part.state] ?? ""}` }, `${part.part} ${part.state}`);

/** What went wrong with a model's parts: each reason once. */
const reasons = (parts) => [...new Set(parts.map((part) => part.error).filter(Boolean))];

/** The states of a model's parts; below them how far a download is, and what went wrong. */
function modelState(parts) {
  const coming = parts.filter((part) => part.state === "downloading").map((part) => part.download_progress);
  return [
    ...parts.map(partState),
    coming.length ? el("div", {}, el("progress", { value: Math.min(...coming), max: 1 })) : null,
    ...reasons(parts).map((reason) => el("div", { class: "text-bad" }, reason)),
  ].filter((child) => child !== null);
}

/** What somebody has to look after, as sentences: clusters that cannot serve, and models that cannot be loaded. */
export function attention(clusters, models) {
  const cannot = clusters.filter((cluster) => !cluster.can_serve).map(({ name, endpoints, held }) => {
    const why = [...new Set(endpoints.map((endpoint) => endpoint.detail).filter(Boolean))].join("; ") || "no endpoint is known";
    const waiting = held.text + held.image;
    return `${name} cannot serve (${why}): ${waiting ? `${waiting} requests wait for it` : "what comes for it will wait"}.`;
  });
  const failed = Object.entries(models).flatMap(([cluster, listed]) =>
    byModel(listed.models).filter((parts) => reasons(parts).length).map((parts) =>
      `${cluster}: ${parts[0].name} cannot be loaded: ${reasons(parts).join("; ")}`));
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
  }, what === "load" ? "Load" : "Unload");
  return el("tr", {},
    el("td", {}, first.name, el("div", { class: "soft" }, dimension ? `${cluster}, ${dimension} dimensions` : cluster)),
    el("td", { class: "mono wide" }, first.endpoint),
    el("td", {}, ...modelState(parts)),
    el("td", { class: "number wide" }, bytes(sum("memory_bytes"))),
    el("td", { class: "number wide" }, bytes(sum("size_bytes"))),
    el("td", { class: "wide" }, providers.join(", ") || "–"),
    el("td", { class: "wide" }, sum("in_use") ? `in use by ${sum("in_use")}` : used ? clock(used) : "–"),
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
      ? [el("tr", {}, el("td", {}, cluster), el("td", { colSpan: 7, class: "soft" }, `does not answer: ${error}`))]
      : byModel(models).map((parts) => modelRow(cluster, parts, act)));
}

export function requestRow(request) {
  const tone = request.code >= 500 ? "text-bad" : request.code >= 400 ? "text-warn" : "";
  return el("tr", {},
    el("td", {}, clock(request.at)),
    el("td", {}, request.task, el("div", { class: "soft" }, request.listener)),
    el("td", { class: "wide" }, request.model),
    el("td", { class: "mono wide" }, request.endpoint),
    el("td", { class: `number ${tone}` }, String(request.code)),
    el("td", { class: "number" }, seconds(request.ms / 1000)),
    el("td", { class: "number wide" }, request.held_ms ? seconds(request.held_ms / 1000) : "–"),
    el("td", { class: "number wide" }, String(request.tries)),
    el("td", { class: "number wide" }, bytes(request.bytes)),
    el("td", { class: "mono wide" }, request.request_id));
}
