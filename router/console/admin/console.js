// The admin page: asks the router how it is, again and again while somebody looks, and passes on what is ordered.

import { connectionRows } from "./connected.js";
import { Growth, History, ask, order } from "./data.js";
import { el } from "./dom.js";
import { PhotoTrial } from "./photo.js";
import { attention, clusterCard, clusterState, count, modelRows, requestRow, seconds, spark } from "./views.js";
import { locale, t, translate } from "./words.js";

const FAST_MS = 1000;
const SLOW_MS = 2500;
const SPARK_POINTS = 120;

const $ = (id) => document.getElementById(id);
const history = new History();
const failedTries = new Growth();
const rates = [];
const holds = [];
const seen = { clusters: [], models: {}, info: null, immich: null };
const names = { ocr: "PP-OCRv5_mobile", face: "buffalo_l", clip: "ViT-B-32__openai" };

/** Shows what an order came to nothing with; the next one that works takes it away. */
function complain(error) {
  $("notice").textContent = error.message;
  $("notice").hidden = false;
}

async function attempt(action) {
  try {
    await action();
    $("notice").hidden = true;
  } catch (error) {
    complain(error);
  }
}

function push(values, value) {
  values.push(value);
  if (values.length > SPARK_POINTS) values.shift();
}

function showState(info) {
  const tones = seen.clusters.map((cluster) => clusterState(cluster, seen.models[cluster.name])[0]);
  const [text, tone] = info.draining ? [t("draining"), "warn"]
    : !info.ready || (tones.length && tones.every((tone) => tone === "bad")) ? [t("noService"), "bad"]
    : tones.some((tone) => tone !== "good") || attention(seen.clusters, seen.models).length ? [t("partlyReady"), "warn"] : [t("ready"), "good"];
  $("state").textContent = text;
  $("state").className = `pill ${tone}`;
  $("version").textContent = t("since", { version: info.version, at: new Date(info.started_at).toLocaleString() });
  $("drain").disabled = info.draining;
  $("reload").hidden = info.config_file === null;
}

async function now() {
  const [info, { clusters }, stats] = await Promise.all([ask("info"), ask("clusters"), ask("stats?filter=immich_mesh_router_request")]);
  seen.clusters = clusters;
  seen.info = info;
  showState(info);
  showAttention();
  history.add(stats);
  const sum = (lanes) => clusters.reduce((total, cluster) => total + cluster[lanes].text + cluster[lanes].image, 0);
  push(rates, history.rate);
  push(holds, sum("held"));
  $("rate").textContent = history.rate.toFixed(history.rate < 10 ? 1 : 0);
  $("median").textContent = seconds(history.quantile(0.5));
  $("tail").textContent = seconds(history.quantile(0.95));
  $("active").textContent = sum("active");
  $("held").textContent = sum("held");
  failedTries.add(clusters.reduce((total, { endpoints }) => total + endpoints.reduce((sum, { failures }) => sum + failures, 0), 0));
  $("errors").replaceChildren(count(history.errors));
  $("errors").className = `value ${history.errors ? "text-bad" : ""}`;
  $("failed").replaceChildren(count(failedTries.grown));
  $("failed").className = `value ${failedTries.grown ? "text-warn" : ""}`;
  spark($("rate-spark"), rates);
  spark($("held-spark"), holds);
  if (!$("clusters").contains(document.activeElement)) {
    $("clusters").replaceChildren(...clusters.map((cluster) => clusterCard(cluster, seen.models[cluster.name])));
  }
}

async function soon() {
  const [{ clusters }, { requests }, { level }, immich] = await Promise.all(["models", "requests", "logging", "immich"].map((path) => ask(path)));
  for (const family of ["ocr", "face"]) names[family] = served(clusters[family]?.models ?? []) ?? names[family];
  if (!$("models").contains(document.activeElement)) {
    $("models").replaceChildren(...modelRows(clusters, orderModel));
  }
  Object.assign(seen, { models: clusters, immich });
  showAttention();
  showConnection();
  const wanted = requests.filter((request) => !$("only-errors").checked || request.code >= 400);
  $("requests").replaceChildren(...wanted.map(requestRow));
  $("requests").parentElement.hidden = wanted.length === 0;
  $("no-requests").hidden = wanted.length > 0;
  if (document.activeElement !== $("level")) $("level").value = level;
}

/** The model to ask for: the one in memory, else the first. */
function served(models) {
  return (models.find((model) => model.state === "loaded") ?? models[0])?.name;
}

function orderModel(what, cluster, name) {
  document.activeElement.blur();
  attempt(async () => {
    await order(`models/${what}`, { cluster, name, wait: false });
    await soon();
  });
}

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

/** Whether Immich is connected, one row for each thing; a row that is being read or copied from stays. */
function showConnection() {
  if (!seen.info || $("connected").contains(document.activeElement)) return;
  const rows = connectionRows(seen);
  const bad = rows.filter(({ tone }) => tone === "bad").length;
  const asked = rows.filter(({ tone }) => tone === "warn").length;
  $("verdict").textContent = bad ? t("notConnected", { count: bad }) : asked ? t("nearlyConnected", { count: asked }) : t("isConnected");
  $("verdict").className = `pill ${bad ? "bad" : asked ? "warn" : "good"}`;
  $("connected").replaceChildren(...rows.map(({ node }) => node));
}

/** What somebody has to look after, above everything else; nothing while all is well. */
function showAttention() {
  const notes = attention(seen.clusters, seen.models);
  $("attention").hidden = notes.length === 0;
  $("attention").replaceChildren(...notes.map((note) => el("li", {}, note)));
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

function start() {
  document.documentElement.lang = locale;
  translate(document);
  setTheme(localStorage.getItem("theme"));
  $("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("theme", theme);
    setTheme(theme);
  });
  $("level").addEventListener("change", () => attempt(() => order("logging", { level: $("level").value })));
  $("reload").addEventListener("click", () => attempt(() => order("reload")));
  $("drain").addEventListener("click", () => {
    if (confirm(t("drainAsked"))) attempt(() => order("drain"));
  });
  $("only-errors").addEventListener("change", () => attempt(soon));
  new PhotoTrial(() => names);
  attempt(async () => { names.clip = (await ask("config_dump")).clip_model; });
  keep(now, FAST_MS);
  keep(soon, SLOW_MS);
}

start();
