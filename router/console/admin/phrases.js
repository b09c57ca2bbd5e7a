// Phrases that a tried photo is compared with, best first.

import { predict } from "./data.js";
import { el } from "./dom.js";
import { t } from "./words.js";

/** What CLIP's training multiplies cosines with before they become shares. */
const TEMPERATURE = 100;

const cosine = (one, other) => one.reduce((sum, value, at) => sum + value * other[at], 0);

export class Phrases {
  #vectors = new Map();
  #photo = null;

  /** `place` is filled; `model()` gives the model to ask for. */
  constructor(place, model) {
    this.place = place;
    this.model = model;
  }

  /** Forgets the photo, or takes another one's vector; phrases stay. */
  show(vector) {
    this.#photo = vector;
    this.#draw();
  }

  /** Adds a phrase. Throws Error. */
  async add(phrase) {
    const entries = { clip: { textual: { modelName: this.model(), options: { language: navigator.language } } } };
    const { reply } = await predict(entries, null, phrase);
    this.#vectors.set(phrase, JSON.parse(reply.clip));
    this.#draw();
  }

  #draw() {
    const scored = [...this.#vectors].map(([phrase, vector]) => ({ phrase, score: this.#photo && vector.length === this.#photo.length ? cosine(vector, this.#photo) : null }));
    const known = scored.filter(({ score }) => score !== null).sort((one, other) => other.score - one.score);
    const best = known[0]?.score ?? 0;
    const sum = known.reduce((total, { score }) => total + Math.exp(TEMPERATURE * (score - best)), 0);
    this.place.replaceChildren(...(known.length ? [el("ol", { class: "phrases" }, ...known.map(({ phrase, score }) => {
      const share = Math.exp(TEMPERATURE * (score - best)) / sum;
      return el("li", {}, el("span", {}, `“${phrase}”: cosine ${score.toFixed(4)}`), " ",
        el("span", { class: "share" }, el("meter", { min: 0, max: 1, value: share, "aria-label": t("fits", { phrase }) }), ` ${Math.round(100 * share)} %`));
    }))] : []));
  }
}
