// The pages at /mesh/: which of them is shown is in the address, after the #.

import { me } from "./api.js";
import { el } from "./dom.js";
import { missingPage } from "./missing.js";
import { photoPage } from "./photo.js";
import { searchPage } from "./search.js";
import { locale, t, translate } from "./words.js";

const PAGES = { search: searchPage, photo: photoPage, missing: missingPage };
const main = document.getElementById("main");
let leave = () => {};
let shown = "";

/** Says what failed; where nobody is signed in, the way to sign in. */
function failed(error) {
  if (error.status === 401) {
    main.replaceChildren(el("div", { class: "card" }, el("p", {}, t("signInFirst")),
      el("a", { class: "button primary", href: `/auth/login?continue=${encodeURIComponent("/mesh/")}` }, t("signIn"))));
    return;
  }
  main.replaceChildren(el("div", { class: "card", role: "alert" }, el("p", {}, t("failed", { reason: error.message })),
    el("button", { type: "button", onclick: show }, t("again"))));
}

async function show() {
  const [, name = "search", rest = ""] = /^#\/(\w+)\/?(.*)$/.exec(location.hash) ?? [];
  if (location.hash === "#main") return;
  const open = PAGES[name] ?? searchPage;
  leave();
  leave = () => {};
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${t(name in PAGES ? name : "search")} · ${t("title")}`;
  main.replaceChildren();
  try {
    await me();
    const page = open(main, decodeURIComponent(rest), failed);
    leave = page ?? leave;
    // A reader of screens is told where a link has led; not on the first page, which is read anyway.
    if (shown && shown !== name) main.focus({ preventScroll: true });
    shown = name;
  } catch (error) {
    failed(error);
  }
}

function theme() {
  const chosen = localStorage.getItem("immich-mesh-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("immich-mesh-theme", document.documentElement.dataset.theme);
  });
}

document.documentElement.lang = locale;
translate(document);
theme();
addEventListener("hashchange", show);
show();
