// The search: one box, results as they are scrolled to, the lines that matched drawn on each photo.

import { albums, people, picture, search } from "./api.js";
import { boxes, el, marked, terms } from "./dom.js";
import { t } from "./words.js";

const SIZE = 60;

/** Why a result was found, in words: the step that found it, how far what was read is from the query, ranks. */
function reason({ match, distance, textRank, vectorDistance }) {
  return [
    match && match !== "vector" ? t(`step_${match}`) : null,
    typeof distance === "number" ? t("misreadBy", { distance: distance.toFixed(2) }) : null,
    typeof textRank === "number" ? t("byText", { rank: textRank.toFixed(2) }) : null,
    typeof vectorDistance === "number" ? t("byLook", { distance: vectorDistance.toFixed(2) }) : null,
  ].filter(Boolean).join(" · ");
}

function tile(result, words) {
  const lines = result.lines.map(({ text }) => text);
  return el("li", { class: "tile" },
    el("a", { href: `#/photo/${result.assetId}` },
      el("span", { class: "frame" },
        el("img", { src: picture(result.assetId, "thumbnail"), alt: "", loading: "lazy", decoding: "async" }),
        boxes(result.lines.map(({ box }) => box))),
      el("span", { class: "name" }, result.originalFileName ?? "")),
    lines.length ? el("p", { class: "lines" }, marked(lines.join(" · "), words)) : null,
    el("p", { class: "soft" }, reason(result)));
}

/** A labelled field of the filters. */
function field(key, input) {
  return el("label", {}, el("span", {}, t(key)), input);
}

function choice(name, entries) {
  return el("select", { name }, el("option", { value: "" }, t("any")), entries.map(([value, label]) => el("option", { value }, label)));
}

/** Puts what Immich tells into a choice once somebody opens the filters; what the caller may not list stays out. */
async function fill(select, asked) {
  try {
    select.append(...(await asked()).map(([value, label]) => el("option", { value }, label)));
  } catch (error) {
    select.disabled = true;
    select.title = error.message;
  }
}

function filters() {
  const person = choice("person", []);
  const album = choice("album", []);
  const kind = choice("kind", [["IMAGE", t("images")], ["VIDEO", t("videos")]]);
  const details = el("details", { class: "filters" }, el("summary", {}, t("filters")),
    el("div", { class: "fields" }, field("person", person), field("album", album), field("kind", kind),
      field("after", el("input", { type: "date", name: "after" })), field("before", el("input", { type: "date", name: "before" })),
      field("place", el("input", { name: "city", autocomplete: "off" }))));
  details.addEventListener("toggle", () => {
    fill(person, async () => (await people()).people.filter(({ name }) => name).map(({ id, name }) => [id, name]));
    fill(album, async () => (await albums()).map(({ id, albumName }) => [id, albumName]));
  }, { once: true });
  return details;
}

/** The body of a search, from the form. */
function wanted(form) {
  const { query, person, album, kind, after, before, city } = Object.fromEntries(new FormData(form));
  return {
    query, size: SIZE,
    ...(person && { personIds: [person] }),
    ...(album && { albumIds: [album] }),
    ...(kind && { type: kind }),
    ...(after && { takenAfter: new Date(`${after}T00:00`).toISOString() }),
    ...(before && { takenBefore: new Date(`${before}T23:59:59.999`).toISOString() }),
    ...(city && { city }),
  };
}

class Results {
  #page = "1";
  #count = 0;
  #loading = false;
  #gone = new AbortController();

  constructor(list, status, body, failed) {
    Object.assign(this, { list, status, body, failed });
    this.words = terms(body.query);
    list.replaceChildren();
    this.end = el("div", { class: "end" });
    list.append(this.end);
    this.seen = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.more(), { rootMargin: "1200px" });
    this.more();
  }

  close() {
    this.seen.disconnect();
    this.#gone.abort();
  }

  async more() {
    if (this.#loading || this.#page === null) return;
    this.#loading = true;
    if (!this.#count) this.status.textContent = t("searching");
    try {
      const { results, nextPage } = await search({ ...this.body, page: Number(this.#page) }, this.#gone.signal);
      // A grid for each page: a browser lays out those in sight, and not ten thousand tiles for every frame.
      if (results.length) this.end.before(el("ul", { class: "results" }, results.map((result) => tile(result, this.words))));
      this.#count += results.length;
      this.#page = nextPage;
      const key = !this.#count ? "nothing" : nextPage ? "foundMore" : "found";
      this.status.textContent = t(key, { count: this.#count.toLocaleString() });
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#page = null;
      if (error.status === 401) this.failed(error);
      else this.status.textContent = t("failed", { reason: error.message });
    } finally {
      this.#loading = false;
    }
    // Looked at anew: an end that stays in sight, or comes back there when a page turns out shorter, is told again.
    this.seen.unobserve(this.end);
    if (this.#page !== null && !this.#gone.signal.aborted) this.seen.observe(this.end);
  }
}

/** Draws the page; gives what is to be done when it is left. */
export function searchPage(main, query, failed) {
  let results = null;
  const status = el("p", { role: "status", class: "soft" }, t("empty"));
  const list = el("div", {});
  const input = el("input", { type: "search", name: "query", value: query, placeholder: t("searchHint"), autocomplete: "off", "aria-label": t("search"), enterKeyHint: "search" });
  const form = el("form", { class: "search", role: "search" },
    el("div", { class: "box" }, input, el("button", { class: "primary" }, t("search"))), filters());
  const run = () => {
    const body = wanted(form);
    results?.close();
    results = null;
    history.replaceState(null, "", `#/search/${encodeURIComponent(body.query)}`);
    if (body.query.trim()) results = new Results(list, status, body, failed);
    else list.replaceChildren(), status.textContent = t("empty");
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); run(); });
  form.addEventListener("change", (event) => event.target !== input && run());
  main.append(form, status, list);
  if (query) run();
  else input.focus();
  return () => results?.close();
}
