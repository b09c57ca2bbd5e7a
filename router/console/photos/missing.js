// What is missing: the caller's photos without text or vector, and healing them while the page is open.

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

/** Every photo once, with what it lacks. */
function wantedOf({ ocr, clip }) {
  const wanted = new Map();
  for (const [kind, ids] of [["ocr", ocr], ["clip", clip]]) for (const id of ids) wanted.set(id, { ...wanted.get(id), id, [kind]: true });
  return [...wanted.values()];
}

/** Failed photos by what went wrong. */
function failures(failed) {
  const reasons = Map.groupBy ? Map.groupBy(failed, ({ reason }) => reason) : new Map();
  if (!Map.groupBy) for (const one of failed) reasons.set(one.reason, [...(reasons.get(one.reason) ?? []), one]);
  return [...reasons].map(([reason, all]) => el("li", {}, `${reason} (${all.length}) `,
    all.slice(0, 20).map(({ wanted: { id } }) => el("a", { href: `#/photo/${id}` }, `${t("photo")} ${id.slice(0, 8)} `))));
}

/** Draws the page; leaving it stops what is under way. */
export function missingPage(main, _, failed) {
  let run = null;
  const counts = el("div", { class: "counts" });
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
    counts.replaceChildren(...[["ocr", "missingOcr"], ["clip", "missingClip"]].map(([kind, key]) =>
      el("p", {}, el("strong", {}, found[kind].length.toLocaleString()), " ", t(key))));
  }

  const card = el("div", { class: "card" }, el("h2", {}, t("missing")), el("p", { class: "soft" }, t("missingAbout")), counts,
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
