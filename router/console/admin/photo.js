// The place to try a photo: text, faces and vector of it, drawn on it, and where the time went.

import { predict } from "./data.js";
import { el } from "./dom.js";
import { Phrases } from "./phrases.js";
import { t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** Says what went wrong where the answer would stand. */
function failed(place, error) {
  $(place).replaceChildren(el("span", { class: "text-bad" }, error.message));
}

const STAGES = ["way", "upload", "wait", "network", "queue", "load", "decode", "detection", "recognition", "visual", "service", "other", "shared", "router"];
const LEAST_MS = 0.5;

/** Where each answer's time went: a bar and a sentence for each task. A stage that the page does not know is `other`. */
function timingList(all) {
  return el("ul", { class: "timing" }, [...all].map(([key, told]) => {
    const stages = {};
    for (const [name, ms] of Object.entries(told)) {
      const stage = STAGES.includes(name) ? name : "other";
      stages[stage] = (stages[stage] ?? 0) + ms;
    }
    const total = Object.values(stages).reduce((sum, ms) => sum + ms, 0);
    const shown = STAGES.filter((stage) => stages[stage] >= LEAST_MS);
    const bar = shape("svg", { class: "stages", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" });
    let left = 0;
    for (const stage of shown) {
      const width = (100 * stages[stage]) / total;
      bar.append(shape("rect", { class: `stage-${stage}`, x: left, y: 0, width, height: 1 }));
      left += width;
    }
    const parts = shown.map((stage) => el("span", {}, el("i", { class: `dot stage-${stage}` }), `${t(`stage_${stage}`)} ${Math.round(stages[stage])} ms `));
    return el("li", {}, el("strong", {}, t(key)), ` ${Math.round(total)} ms`, bar, el("div", { class: "soft" }, parts));
  }));
}

export class PhotoTrial {
  /** `models()` gives the names to ask for: {ocr, face, clip}. */
  constructor(models) {
    this.models = models;
    this.run = 0;
    this.phrases = new Phrases($("fit"), () => models().clip);
    for (const [button, input] of [["choose", "file"], ["take", "camera"]]) {
      $(button).addEventListener("click", () => $(input).click());
      $(input).addEventListener("change", () => $(input).files[0] && this.show($(input).files[0]));
    }
    const drop = $("drop");
    for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => { event.preventDefault(); this.#given(event.dataTransfer.files[0]); });
    document.addEventListener("paste", (event) => this.#given(event.clipboardData.files[0]));
    $("ask").addEventListener("submit", (event) => { event.preventDefault(); this.compare(); });
  }

  /** A photo that was dropped or pasted, on whichever view. */
  #given(photo) {
    if (!photo) return;
    location.hash = "#/photo";
    this.show(photo);
  }

  /** Shows the photo and asks all three services at once; each answer appears when it comes. */
  async show(photo) {
    const run = ++this.run;
    $("ask").querySelector("button").disabled = true;
    this.phrases.show(null);
    for (const id of ["found-text", "found-faces", "found-vector"]) $(id).textContent = t("asking");
    $("timing").replaceChildren();
    this.#prepare(photo);
    const { ocr, face, clip } = this.models();
    const named = (name) => ({ modelName: name });
    const [replies, timing] = [{}, new Map()];
    const answer = async (entries, place, key, draw) => {
      try {
        const { reply, stages } = await predict(entries, photo);
        if (run !== this.run) return;
        draw(reply);
        $("timing").replaceChildren(timingList(timing.set(key, stages)));
        Object.assign(replies, reply);
        $("json").textContent = JSON.stringify(replies, null, 1).slice(0, 20_000);
        $("json").parentElement.hidden = false;
      } catch (error) {
        if (run === this.run) failed(place, error);
      }
    };
    await Promise.all([
      answer({ ocr: { detection: named(ocr), recognition: named(ocr) } }, "found-text", "text", (reply) => this.#text(reply)),
      answer({ "facial-recognition": { detection: named(face), recognition: named(face) } }, "found-faces", "facesFound", (reply) => this.#faces(reply)),
      answer({ clip: { visual: named(clip) } }, "found-vector", "lookFound", (reply) => this.#look(reply)),
    ]);
  }

  #prepare(photo) {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = URL.createObjectURL(photo);
    const image = el("img", { src: this.address, alt: t("thePhoto") });
    this.svg = shape("svg", {});
    image.addEventListener("load", () => this.#fit(image));
    new ResizeObserver(() => this.#fit(image)).observe(image);
    $("photo").replaceChildren(image, this.svg);
    $("photo").hidden = false;
  }

  /** Lays the drawing exactly over the photo. */
  #fit(image) {
    this.svg.setAttribute("width", image.clientWidth);
    this.svg.setAttribute("height", image.clientHeight);
  }

  #frame(reply) {
    this.svg.setAttribute("viewBox", `0 0 ${reply.imageWidth} ${reply.imageHeight}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
  }

  #text(reply) {
    this.#frame(reply);
    const { text, box, textScore } = reply.ocr;
    const items = text.map((line, at) => {
      const corners = box.slice(8 * at, 8 * at + 8);
      const points = [0, 2, 4, 6].map((i) => `${corners[i] * reply.imageWidth},${corners[i + 1] * reply.imageHeight}`);
      const drawn = shape("polygon", { class: "line", points: points.join(" ") });
      this.svg.append(drawn);
      const light = (on) => () => drawn.classList.toggle("lit", on);
      return el("li", { onmouseenter: light(true), onmouseleave: light(false) }, line, " ", el("span", { class: "soft" }, textScore[at].toFixed(2)));
    });
    $("found-text").replaceChildren(items.length ? el("ol", {}, ...items) : t("noText"));
  }

  #faces(reply) {
    this.#frame(reply);
    const faces = reply["facial-recognition"];
    const items = faces.map(({ boundingBox: { x1, y1, x2, y2 }, score, embedding }) => {
      this.svg.append(shape("rect", { class: "face", x: x1, y: y1, width: x2 - x1, height: y2 - y1 }));
      return el("li", {}, t("face", { width: x2 - x1, height: y2 - y1, score: score.toFixed(2) }), strip(JSON.parse(embedding)));
    });
    $("found-faces").replaceChildren(items.length ? el("ol", {}, ...items) : t("noFace"));
  }

  #look(reply) {
    const vector = JSON.parse(reply.clip);
    $("found-vector").replaceChildren(t("numbers", { count: vector.length }), strip(vector));
    $("ask").querySelector("button").disabled = false;
    this.phrases.show(vector);
  }

  async compare() {
    const phrase = $("sentence").value.trim();
    if (!phrase || $("ask").querySelector("button").disabled) return;
    try {
      await this.phrases.add(phrase);
      $("sentence").value = "";
    } catch (error) {
      failed("fit", error);
    }
  }
}

/** A vector as a strip of colours: blue below zero, orange above. */
function strip(vector) {
  const canvas = el("canvas", { class: "vector", width: vector.length, height: 1 });
  const brush = canvas.getContext("2d");
  const top = Math.max(...vector.map(Math.abs)) || 1;
  vector.forEach((value, at) => {
    brush.fillStyle = `hsl(${value < 0 ? 220 : 28} 85% ${92 - (Math.abs(value) / top) * 55}%)`;
    brush.fillRect(at, 0, 1, 1);
  });
  return canvas;
}
