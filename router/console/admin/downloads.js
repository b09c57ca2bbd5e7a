// How fast models come: the share that is there, watched over time.

const WINDOW_MS = 20_000;
const LEAST_MS = 1500;

export class Downloads {
  #seen = new Map();

  /** Takes in an answer of /models. */
  add(clusters) {
    const now = performance.now();
    const coming = new Set();
    for (const part of Object.values(clusters).flatMap(({ models }) => models)) {
      if (part.state !== "downloading") continue;
      const key = this.#key(part);
      coming.add(key);
      let kept = this.#seen.get(key) ?? [];
      if (kept.length && kept.at(-1).share > part.download_progress) kept = [];
      kept.push({ at: now, share: part.download_progress });
      while (kept.length > 2 && now - kept[0].at > WINDOW_MS) kept.shift();
      this.#seen.set(key, kept);
    }
    for (const key of this.#seen.keys()) if (!coming.has(key)) this.#seen.delete(key);
  }

  /** {rate, left}: bytes per second and seconds; null while nothing is known yet. */
  of(part) {
    const kept = this.#seen.get(this.#key(part)) ?? [];
    const [first, last] = [kept[0], kept.at(-1)];
    if (!first || last.at - first.at < LEAST_MS || last.share <= first.share) return null;
    const perSecond = ((last.share - first.share) * 1000) / (last.at - first.at);
    return { rate: perSecond * part.download_bytes, left: (1 - last.share) / perSecond };
  }

  #key({ endpoint, name, part }) { return `${endpoint} ${name} ${part}`; }
}
