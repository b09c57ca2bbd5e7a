// The admin page: asks the router how it is, again and again while somebody looks, and shows the view that is open.

import { Charts } from "./charts.js";
import { connectionRows } from "./connected.js";
import { History, Trouble, ask, order } from "./data.js";
import { el } from "./dom.js";
import { Downloads } from "./downloads.js";
import { healingText, queueRows, troubleRows } from "./jobs.js";
import { clusterCard, clusterState, modelRows, requestRow } from "./mesh.js";
import { PhotoTrial } from "./photo.js";
import { locale, t, translate } from "./words.js";

const FAST_MS = 1000;
const SLOW_MS = 2500;
const VIEWS = ["connected", "photo", "jobs", "mesh"];

const $ = (id) => document.getElementById(id);
const history = new History();
const trouble = new Trouble();
const downloads = new Downloads();
const charts = new Charts($("charts"));
const seen = { clusters: [], models: {}, info: null, immich: null, jobs: null, requests: [] };
const names = { ocr: "PP-OCRv5_mobile", face: "buffalo_l", clip: "ViT-B-32__openai" };
let view = VIEWS[0];

/** Shows what an order came to nothing with; the next one that works takes it away. */
async function attempt(action) {
  try {
    await action();
    $("notice").hidden = true;
  } catch (error) {
    $("notice").textContent = error.message;
    $("notice").hidden = false;
  }
}

/** How each cluster is, by name: the one source of every word about it on every view. */
function clusterStates() {
  return Object.fromEntries(seen.clusters.map((cluster) =>
    [cluster.name, clusterState(cluster, seen.models[cluster.name], trouble.of(cluster.name))]));
}

function showState() {
  const { info } = seen;
  if (!info) return;
  const tones = Object.values(clusterStates()).map(([tone]) => tone);
  const [text, tone] = info.draining ? [t("draining"), "warn"]
    : !info.ready || (tones.length && tones.every((tone) => tone === "bad")) ? [t("noService"), "bad"]
    : tones.some((tone) => tone !== "good") ? [t("partlyReady"), "warn"] : [t("ready"), "good"];
  $("state").textContent = text;
  $("state").className = `pill ${tone}`;
  $("version").textContent = t("since", { version: info.version, at: new Date(info.started_at).toLocaleString() });
  $("drain").disabled = info.draining;
  $("reload").hidden = info.config_file === null;
}

/** What a view shows; what somebody reads or works at by keyboard stays as it is. */
function draw(id, make) {
  if (!$(id).contains(document.activeElement)) $(id).replaceChildren(...make());
}

function showConnected() {
  if (!seen.info || !seen.immich) return;
  const rows = connectionRows({ ...seen, states: clusterStates(), downloads, useMirror });
  const bad = rows.filter(({ tone }) => tone === "bad").length;
  const asked = rows.filter(({ tone }) => tone === "warn").length;
  $("verdict").textContent = bad ? t("notConnected", { count: bad }) : asked ? t("nearlyConnected", { count: asked }) : t("isConnected");
  $("verdict").className = `pill ${bad ? "bad" : asked ? "warn" : "good"}`;
  draw("connected", () => rows.map(({ node }) => node));
}

function showJobs() {
  if (!seen.jobs) return;
  draw("trouble", () => troubleRows(seen, clusterStates(), orderJob));
  $("queues-problem").hidden = seen.jobs.problem === null;
  $("queues-problem").textContent = seen.jobs.problem ?? "";
  draw("queues", () => queueRows(seen.jobs.queues, orderJob));
  $("healing").textContent = healingText(seen.immich?.healing);
}

function showMesh() {
  charts.draw();
  const states = clusterStates();
  draw("models", () => modelRows(seen.models, orderModel));
  draw("clusters", () => seen.clusters.map((cluster) => clusterCard(cluster, states[cluster.name])));
  const wanted = seen.requests.filter((request) => !$("only-errors").checked || request.code >= 400);
  $("requests").replaceChildren(...wanted.map(requestRow));
  $("requests").parentElement.hidden = wanted.length === 0;
  $("no-requests").hidden = wanted.length > 0;
}

const SHOWN = { connected: showConnected, photo: () => {}, jobs: showJobs, mesh: showMesh };

async function now() {
  const [info, { clusters }, stats] = await Promise.all([ask("info"), ask("clusters"), ask("stats?filter=immich_mesh_router_request")]);
  Object.assign(seen, { info, clusters });
  history.add(stats);
  trouble.add(clusters);
  const parts = Object.values(seen.models).flatMap(({ models }) => models);
  charts.add(history, clusters, trouble, parts.reduce((total, part) => total + part.memory_bytes, 0));
  showState();
  if (view === "mesh") charts.draw();
}

async function soon() {
  const wanted = { models: "models", immich: "immich", requests: "requests", ...(view === "jobs" && { jobs: "jobs" }), ...(view === "mesh" && { logging: "logging" }) };
  const answers = await Promise.all(Object.values(wanted).map((path) => ask(path)));
  const { models, requests, logging, ...rest } = Object.fromEntries(Object.keys(wanted).map((key, at) => [key, answers[at]]));
  Object.assign(seen, rest, { models: models.clusters, requests: requests.requests });
  downloads.add(seen.models);
  for (const family of ["ocr", "face"]) names[family] = served(seen.models[family]?.models ?? []) ?? names[family];
  if (logging && document.activeElement !== $("level")) $("level").value = logging.level;
  showState();
  SHOWN[view]();
}

/** The model to ask for: the one in memory, else the first. */
function served(models) {
  return (models.find((model) => model.state === "loaded") ?? models[0])?.name;
}

/** Carries out an order and shows what became of it. */
function carryOut(action) {
  document.activeElement?.blur();
  return attempt(async () => {
    await action();
    await soon();
  });
}

const orderModel = (what, cluster, name) => carryOut(() => order(`models/${what}`, { cluster, name, wait: false }));
const orderJob = (what, queue) => carryOut(() => order(`jobs/${what}`, { queue }));
const useMirror = (cluster, name, hub) => carryOut(() => order("models/load", { cluster, name, hub, wait: false }));

/** Runs a refresh again and again, but only while the page is seen, and never twice at a time. */
function keep(refresh, pause) {
  const turn = async () => {
    if (!document.hidden) {
      try {
        await refresh();
      } catch {
        $("state").textContent = t("routerSilent");
        $("state").className = "pill bad";
      }
    }
    setTimeout(turn, pause);
  };
  turn();
}

function open() {
  if (location.hash === "#main") return;
  const [, wanted] = /^#\/(\w+)$/.exec(location.hash) ?? [];
  view = VIEWS.includes(wanted) ? wanted : VIEWS[0];
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${t(`page${view[0].toUpperCase()}${view.slice(1)}`)} · Immich Mesh`;
  SHOWN[view]();
  soon().catch(() => {});
}

function theme() {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  $("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  });
}

function start() {
  document.documentElement.lang = locale;
  translate(document);
  theme();
  $("level").addEventListener("change", () => attempt(() => order("logging", { level: $("level").value })));
  $("reload").addEventListener("click", () => attempt(() => order("reload")));
  $("drain").addEventListener("click", () => {
    if (confirm(t("drainAsked"))) attempt(() => order("drain"));
  });
  $("only-errors").addEventListener("change", showMesh);
  new PhotoTrial(() => names);
  attempt(async () => { names.clip = (await ask("config_dump")).clip_model; });
  addEventListener("hashchange", open);
  open();
  keep(now, FAST_MS);
  keep(soon, SLOW_MS);
}

start();
