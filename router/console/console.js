// The admin page: asks the router how it is, again and again while somebody looks, and passes on what is ordered.

import { History, ask, order } from "./data.js";
import { PhotoTrial } from "./photo.js";
import { attention, clusterCard, el, modelRows, requestRow, seconds, spark } from "./views.js";

const FAST_MS = 1000;
const SLOW_MS = 2500;
const SPARK_POINTS = 120;

const $ = (id) => document.getElementById(id);
const history = new History();
const rates = [];
const holds = [];
const seen = { clusters: [], models: {} };
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
  const [text, tone] = info.draining ? ["draining", "warn"] : !info.ready ? ["no service is ready", "bad"]
    : attention(seen.clusters, seen.models).length ? ["partly ready", "warn"] : ["ready", "good"];
  $("state").textContent = text;
  $("state").className = `pill ${tone}`;
  $("version").textContent = `${info.version}, since ${new Date(info.started_at).toLocaleString()}`;
  $("drain").disabled = info.draining;
  $("reload").hidden = info.config_file === null;
}

async function now() {
  const [info, { clusters }, stats] = await Promise.all([ask("info"), ask("clusters"), ask("stats?filter=immich_mesh_router_request")]);
  seen.clusters = clusters;
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
  $("errors").textContent = history.errors;
  $("errors").className = `value ${history.errors ? "text-bad" : ""}`;
  spark($("rate-spark"), rates);
  spark($("held-spark"), holds);
  $("clusters").replaceChildren(...clusters.map(clusterCard));
}

async function soon() {
  const [{ clusters }, { requests }, { level }] = await Promise.all([ask("models"), ask("requests"), ask("logging")]);
  for (const family of ["ocr", "face"]) names[family] = served(clusters[family]?.models ?? []) ?? names[family];
  if (!$("models").contains(document.activeElement)) {
    $("models").replaceChildren(...modelRows(clusters, orderModel));
  }
  seen.models = clusters;
  showAttention();
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
        $("state").textContent = "the router does not answer";
        $("state").className = "pill bad";
      }
    }
    setTimeout(turn, pause);
  };
  turn();
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
    if (confirm("Immich will use another router until this one is restarted. Drain?")) attempt(() => order("drain"));
  });
  $("only-errors").addEventListener("change", () => attempt(soon));
  new PhotoTrial(() => names);
  attempt(async () => { names.clip = (await ask("config_dump")).clip_model; });
  keep(now, FAST_MS);
  keep(soon, SLOW_MS);
}

start();
