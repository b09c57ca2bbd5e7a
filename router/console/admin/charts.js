// Live charts: a few numbers over the last minutes, as lines that say their value where one points.

import { el } from "./dom.js";
import { seconds } from "./format.js";
import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const POINTS = 300;
const [WIDTH, HEIGHT] = [300, 60];

const whole = (value) => Math.round(value).toLocaleString();
const perSecond = (value) => value.toFixed(value < 10 ? 1 : 0);

function path(values, top) {
  let [drawn, pen] = ["", "M"];
  values.forEach((value, at) => {
    if (value === null) pen = "M";
    else {
      drawn += `${pen}${WIDTH - values.length + at + 1} ${(HEIGHT - 1 - (value / top) * (HEIGHT - 4)).toFixed(1)}`;
      pen = "L";
    }
  });
  return drawn;
}

/** One chart. `lines` are {key, show}: the name of a text, and how a value is written. */
class Chart {
  #values;
  #pointed = null;

  constructor(title, lines) {
    this.title = title;
    this.lines = lines;
    this.#values = lines.map(() => []);
    this.svg = document.createElementNS(SVG, "svg");
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "chart", role: "img", "aria-label": t(title) })) this.svg.setAttribute(name, value);
    this.paths = lines.map((_, at) => {
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("class", `line-${at}`);
      this.svg.append(line);
      return line;
    });
    this.figures = lines.map(({ key }, at) => el("div", { class: "figure" }, el("span", { class: `value line-${at}` }, "–"), " ", el("span", { class: "label" }, t(key))));
    this.when = el("div", { class: "soft when" });
    this.node = el("div", { class: "card tile" }, el("h3", {}, t(title)), ...this.figures, this.svg, this.when);
    this.svg.addEventListener("pointermove", (event) => {
      const { left, width } = this.svg.getBoundingClientRect();
      this.#pointed = Math.min(POINTS - 1, Math.max(0, Math.round((1 - (event.clientX - left) / width) * POINTS)));
      this.draw();
    });
    this.svg.addEventListener("pointerleave", () => { this.#pointed = null; this.draw(); });
  }

  add(values) {
    values.forEach((value, at) => {
      this.#values[at].push(value);
      if (this.#values[at].length > POINTS) this.#values[at].shift();
    });
  }

  draw() {
    const top = Math.max(1e-3, ...this.#values.flat().filter((value) => value !== null));
    const back = Math.min(this.#pointed ?? 0, Math.max(0, this.#values[0].length - 1));
    const told = this.lines.map(({ key, show }, at) => {
      this.paths[at].setAttribute("d", path(this.#values[at], top));
      const value = this.#values[at].at(-1 - back) ?? null;
      const shown = value === null ? "–" : show(value);
      this.figures[at].firstChild.textContent = shown;
      return `${t(key)}: ${shown}`;
    });
    this.when.textContent = this.#pointed === null ? "" : t("secondsAgo", { count: back });
    this.svg.setAttribute("aria-label", `${t(this.title)}. ${told.join(", ")}`);
  }
}

export class Charts {
  #all = {
    rate: new Chart("requestsTitle", [{ key: "rateLabel", show: perSecond }]),
    latency: new Chart("latencyTitle", [{ key: "medianLabel", show: seconds }, { key: "tailLabel", show: seconds }]),
    work: new Chart("workTitle", [{ key: "activeLabel", show: whole }, { key: "heldLabel", show: whole }]),
    errors: new Chart("errorsTitle", [{ key: "errorsLabel", show: whole }, { key: "failedLabel", show: whole }]),
    memory: new Chart("memoryTitle", [{ key: "memoryLabel", show: (value) => `${(value / 1e9).toFixed(2)} GB` }]),
  };

  constructor(place) {
    place.replaceChildren(...Object.values(this.#all).map(({ node }) => node));
  }

  /** Takes in how things are now. */
  add(history, clusters, trouble, memory) {
    const sum = (lanes) => clusters.reduce((total, cluster) => total + cluster[lanes].text + cluster[lanes].image, 0);
    this.#all.rate.add([history.rate]);
    this.#all.latency.add([history.quantile(0.5), history.quantile(0.95)]);
    this.#all.work.add([sum("active"), sum("held")]);
    this.#all.errors.add([history.errors, trouble.failed]);
    this.#all.memory.add([memory]);
  }

  draw() {
    for (const chart of Object.values(this.#all)) chart.draw();
  }
}
