// The place to try a photo: text, faces and vector of it, drawn on it.

import { predict } from "./data.js";
import { el } from "./dom.js";
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

export class PhotoTrial {
  /** `models()` gives the names to ask for: {ocr, face, clip}. */
  constructor(models) {
    this.models = models;
    this.vector = null;
    this.run = 0;
    const [drop, file] = [$("drop"), $("file")];
    file.addEventListener("change", () => file.files[0] && this.show(file.files[0]));
    drop.addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && file.click());
    for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) this.show(event.dataTransfer.files[0]); });
    document.addEventListener("paste", (event) => { const [pasted] = event.clipboardData.files; if (pasted) this.show(pasted); });
    $("ask").addEventListener("submit", (event) => { event.preventDefault(); this.compare(); });
  }

  /** Shows the photo and asks all three services at once; each answer appears when it comes. */
  async show(photo) {
    const run = ++this.run;
    this.vector = null;
    $("ask").querySelector("button").disabled = true;
    $("fit").textContent = "";
    for (const id of ["found-text", "found-faces", "found-vector"]) $(id).textContent = t("asking");
    this.#prepare(photo);
    const { ocr, face, clip } = this.models();
    const named = (name) => ({ modelName: name });
    this.replies = {};
    const answer = async (entries, place, draw) => {
      const began = performance.now();
      try {
        const reply = await predict(entries, photo);
        if (run !== this.run) return;
        draw(reply);
        $(place).append(el("p", { class: "soft" }, t("took", { ms: Math.round(performance.now() - began) })));
        Object.assign(this.replies, reply);
        $("json").textContent = JSON.stringify(this.replies, null, 1).slice(0, 20_000);
        $("json").parentElement.hidden = false;
      } catch (error) {
        if (run === this.run) failed(place, error);
      }
    };
    await Promise.all([
      answer({ ocr: { detection: named(ocr), recognition: named(ocr) } }, "found-text", (reply) => this.#text(reply)),
      answer({ "facial-recognition": { detection: named(face), recognition: named(face) } }, "found-faces", (reply) => this.#faces(reply)),
      answer({ clip: { visual: named(clip) } }, "found-vector", (reply) => this.#look(reply)),
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
    this.vector = JSON.parse(reply.clip);
    $("found-vector").replaceChildren(t("numbers", { count: this.vector.length }), strip(this.vector));
    $("ask").querySelector("button").disabled = false;
  }

  async compare() {
    const sentence = $("sentence").value.trim();
    if (!sentence || !this.vector) return;
    $("fit").textContent = t("asking");
    try {
      const entries = { clip: { textual: { modelName: this.models().clip, options: { language: navigator.language } } } };
      const vector = JSON.parse((await predict(entries, null, sentence)).clip);
      const cosine = vector.reduce((sum, value, at) => sum + value * this.vector[at], 0);
      $("fit").textContent = `“${sentence}”: cosine ${cosine.toFixed(4)}`;
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
