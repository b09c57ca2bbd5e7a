// Progress and outcome of a refresh, over Immich's page where none of its menus opens; in a shadow tree, so that neither
// page's styles reach the other.

import { el } from "./dom.js";
import { changes, RefreshRun } from "./refresh.js";
import { t } from "./words.js";

const SHOWN = 50;

const STYLE = `
:host { all: initial; position: fixed; inset: auto auto 16px 16px; z-index: 9999; max-width: min(26rem, calc(100vw - 32px));
  color-scheme: light dark; font: 14px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; }
:host([data-shade="dark"]) { color-scheme: dark; }
:host([data-shade="light"]) { color-scheme: light; }
div.panel { background: light-dark(#fff, #22252b); color: light-dark(#1b1f24, #e7eaee); border: 1px solid light-dark(#d4d9e0, #3a414b);
  border-radius: 14px; padding: 12px 14px; box-shadow: 0 6px 24px rgb(0 0 0 / 25%); margin-top: 8px; }
p.title { font-size: 15px; font-weight: 600; margin: 0 0 6px; }
ul { margin: 8px 0; padding: 0 0 0 1.2em; max-height: 30vh; overflow: auto; }
li, p { overflow-wrap: anywhere; margin: 2px 0; }
progress { width: 100%; accent-color: #4250af; }
.came { color: light-dark(#1a7f4b, #4cc38a); } .gone, .bad { color: light-dark(#b3261e, #ff8a80); } .gone { text-decoration: line-through; }
button { font: inherit; color: inherit; background: transparent; border: 1px solid currentColor; border-radius: 99px; padding: 3px 12px; margin: 4px 6px 0 0; cursor: pointer; }
button:focus-visible { outline: 2px solid light-dark(#4250af, #adcbfa); outline-offset: 2px; }
@media (prefers-reduced-motion: no-preference) { div.panel { animation: come .15s ease-out; } @keyframes come { from { opacity: 0; } } }
`;

/** What became of one photo. */
function outcome({ told }) {
  const name = told.originalFileName || told.assetId;
  if (!told.ocr) return el("li", {}, `${name}: ${t("changedVector")}`);
  const { gone, came } = changes(told.ocr);
  if (!gone.length && !came.length) return el("li", {}, `${name}: ${t("changedNone")}`);
  return el("li", {}, `${name}: ${t("changedSome", { came: came.length, gone: gone.length })}`,
    came.slice(0, 5).map((line) => el("div", { class: "came" }, line)),
    gone.slice(0, 5).map((line) => el("div", { class: "gone" }, line)));
}

export class Panel {
  #root = null;
  #run = null;
  #note = "";
  #offered = null;
  #title = el("p", { class: "title", role: "status" });

  /** Refreshes photos, [{id, ocr, clip}]: after those of a run that is under way, which must not lose its own. */
  refresh(wanted, note) {
    this.#note = note;
    if (["running", "paused"].includes(this.#run?.state)) this.#run.add(wanted);
    else this.#run = new RefreshRun(wanted, () => this.show());
    this.show();
  }

  /** Buttons of our own, where Immich's menu was not found; null for none. */
  offer(offered) {
    if (!offered === !this.#offered) return;
    this.#offered = offered;
    this.show();
  }

  show() {
    if (!this.#run && !this.#offered) {
      this.#root?.host.remove();
      this.#root = null;
      return;
    }
    this.#root ??= this.#opened();
    this.#root.host.dataset.shade = document.documentElement.classList.contains("dark") ? "dark" : "light";
    // The keyboard stays where it was, although everything is drawn anew.
    const held = this.#root.activeElement?.textContent;
    this.#root.replaceChildren(...[this.#run && this.#progress(this.#run), this.#offered && this.#buttons()].filter(Boolean));
    if (held) [...this.#root.querySelectorAll("button")].find((button) => button.textContent === held)?.focus();
  }

  #opened() {
    const host = el("immich-mesh-panel", {});
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    // Immich's keyboard shortcuts are not for keys that are pressed in here.
    for (const kind of ["keydown", "keyup", "keypress"]) host.addEventListener(kind, (event) => event.stopPropagation());
    document.body.append(host);
    return root;
  }

  #buttons() {
    return el("div", { class: "panel", role: "group", "aria-label": t("meshMenu") },
      this.#offered.map(([label, act]) => el("button", { type: "button", onclick: act }, label)));
  }

  #progress(run) {
    const button = (key, act) => el("button", { type: "button", onclick: act }, t(key));
    const ended = run.done.length + run.failed.length;
    const close = () => { run.stop(); this.#run = null; this.show(); };
    const onkeydown = ({ key }) => { if (key === "Escape" && run.state === "done") close(); };
    const title = { running: "refreshing", paused: "paused", stopped: "stopped", done: "refreshed" }[run.state];
    this.#title.textContent = `${t(title)} ${t("progress", { done: ended, total: run.total })}`;
    return el("div", { class: "panel", role: "region", "aria-label": t("title"), onkeydown },
      this.#title,
      el("progress", { max: run.total, value: ended, "aria-label": t(title) }),
      this.#note ? el("p", {}, this.#note) : null,
      el("ul", {}, run.done.slice(-SHOWN).map(outcome)),
      run.failed.length ? el("p", { class: "bad" }, t("failures", { count: run.failed.length }), ": ",
        [...new Set(run.failed.map(({ reason }) => reason))].join("; ")) : null,
      run.state === "running" && run.total > 1 ? button("pause", () => run.pause()) : null,
      run.state === "paused" ? button("resume", () => run.resume()) : null,
      run.state === "done" && run.failed.length ? button("retry", () => run.retry()) : null,
      button("close", close));
  }
}
