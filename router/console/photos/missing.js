// What is missing: the caller's photos without text, vector or faces, by reason, and healing them while the page is open.

import { missing } from "./api.js";
import { el } from "./dom.js";
import { RefreshRun } from "./refresh.js";
import { t } from "./words.js";

/** Seconds as a short text. */
function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : whole < 3600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

const KINDS = [["ocr", "missingOcr"], ["clip", "missingClip"], ["faces", "missingFaces"]];
const SHOWN = 20;

const links = (ids) => ids.slice(0, SHOWN).map((id) => el("a", { href: `#/photo/${id}` }, `${t("photo")} ${id.slice(0, 8)} `));

/** Every photo once, with what it lacks. */
function wantedOf(found) {
  const wanted = new Map();
  for (const [kind] of KINDS) for (const id of found[kind]) wanted.set(id, { ...wanted.get(id), id, [kind]: true });
  return [...wanted.values()];
}

/** Failed photos by what went wrong. */
function failures(failed) {
  const reasons = Map.groupBy ? Map.groupBy(failed, ({ reason }) => reason) : new Map();
  if (!Map.groupBy) for (const one of failed) reasons.set(one.reason, [...(reasons.get(one.reason) ?? []), one]);
  return [...reasons].map(([reason, all]) => el("li", {}, `${reason} (${all.length}) `,
    links(all.map(({ wanted: { id } }) => id))));
}

/** Draws the page; leaving it stops what is under way. */
export function missingPage(main, _, failed) {
  let run = null;
  const counts = el("div", { class: "counts" });
  const reasons = el("div", {});
  const status = el("p", { role: "status" });
  const bar = el("progress", { hidden: true, max: 1, value: 0, "aria-label": t("missing") });
  const list = el("ul", { class: "failures" });
  const button = (key, act) => el("button", { type: "button", hidden: true, onclick: act }, t(key));
  const start = button("start", () => { run = new RefreshRun(start.wanted, show); show(run); });
  const pause = button("pause", () => run.pause());
  const resume = button("resume", () => run.resume());
  const stop = button("stop", () => run.stop());
  const retry = button("retry", () => run.retry());
  start.className = "primary";

  function show(at) {
    const { total, left, state, rate } = at;
    start.hidden = true;
    pause.hidden = state !== "running";
    resume.hidden = state !== "paused";
    stop.hidden = !["running", "paused"].includes(state);
    retry.hidden = state !== "done" || !at.failed.length;
    Object.assign(bar, { hidden: false, max: total, value: total - left });
    status.textContent = [t("progress", { done: total - left, total }), state === "running" ? "" : t(state),
      state === "running" && rate ? t("speed", { rate: rate.toFixed(1), left: duration(left / rate) }) : "",
      at.failed.length ? t("failures", { count: at.failed.length }) : ""].filter(Boolean).join(" · ");
    list.replaceChildren(...failures(at.failed));
    if (state === "done") missing().then(tell).catch(failed);
  }

  function tell(found) {
    counts.replaceChildren(...KINDS.map(([kind, key]) =>
      el("p", {}, el("strong", {}, found[kind].length.toLocaleString()), " ", t(key))));
    reasons.replaceChildren(...[
      found.nothingFound.length ? el("p", { class: "soft" }, t("nothingFound", { count: found.nothingFound.length.toLocaleString() })) : null,
      found.noPreview.length ? el("details", {}, el("summary", {}, t("noPreview", { count: found.noPreview.length.toLocaleString() })),
        el("p", { class: "soft" }, t("noPreviewAbout")), el("p", {}, links(found.noPreview))) : null,
    ].filter(Boolean));
  }

  const card = el("div", { class: "card" }, el("h2", {}, t("missing")), el("p", { class: "soft" }, t("missingAbout")), counts, reasons,
    el("div", { class: "buttons" }, start, pause, resume, stop, retry), bar, status, list, el("p", { class: "soft" }, t("facesAbout")));
  main.append(card);
  missing().then((found) => {
    tell(found);
    start.wanted = wantedOf(found);
    start.hidden = !start.wanted.length;
    if (!start.wanted.length) status.textContent = t("complete");
  }).catch(failed);
  return () => run?.stop();
}
