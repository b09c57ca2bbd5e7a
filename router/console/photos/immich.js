// The one script in Immich's own page: "Refresh OCR" and "Refresh smart search" in the options menu of an open photo and
// of a selection, and a hint in the search bar. It knows the address, Immich's public API, and of the page only what
// WAI-ARIA says (menus, items, the button that opens a menu) and which tiles are selected. Where it finds no menu it
// shows a button of its own; where anything else is different it does nothing.

import { asset, me } from "./api.js";
import { Panel } from "./immich-panel.js";
import { Selection } from "./immich-selection.js";
import { t } from "./words.js";

const REFRESHES = new URL(import.meta.url).searchParams.has("refresh");
const SHARED = /^\/(share|s)\//;
const OPEN_PHOTO = /\/photos\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/?$/i;
const OFFERED = [["refreshOcr", { ocr: true }], ["refreshClip", { clip: true }]];
const ICONS = {
  refreshOcr: "M4 4h5v2H6v3H4zM15 4h5v5h-2V6h-3zM4 15h2v3h3v2H4zM18 15h2v5h-5v-2h3zM8 9h8v2H8zM8 13h6v2H8z",
  refreshClip: "M10 3a7 7 0 1 0 4.2 12.6l5.1 5.1 1.4-1.4-5.1-5.1A7 7 0 0 0 10 3zm0 2a5 5 0 1 1 0 10 5 5 0 0 1 0-10z",
};
const WITHOUT_MENU_MS = 1500;
const MARK = "data-immich-mesh";

const selection = new Selection();
const panel = new Panel();
const owned = new Map();
let user = null;
let lonelySince = null;

const openPhoto = () => OPEN_PHOTO.exec(location.pathname)?.[1] ?? null;

/** Whether the caller may refresh a photo: true, false, or null while Immich is being asked. */
function mayRefresh(id) {
  if (!owned.has(id)) {
    owned.set(id, null);
    user ??= me();
    Promise.all([user, asset(id)]).then(([{ id: caller }, { ownerId }]) => owned.set(id, caller === ownerId))
      .catch(() => { owned.delete(id); user = null; setTimeout(look, 5000); })
      .then(look);
  }
  return owned.get(id) ?? null;
}

/** Whether a menu is open or the button that opens it is in sight: menus of pages below an open photo are neither. */
function inSight(menu) {
  const opener = menu.id && document.querySelector(`[aria-controls="${CSS.escape(menu.id)}"]`);
  if (!opener) return false;
  if (opener.getAttribute("aria-expanded") === "true") return true; // Immich's open menu lies over its button
  const { x, y, width, height } = opener.getBoundingClientRect();
  return width > 0 && opener.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}

const itemsOf = (menu) => menu.querySelectorAll(`[role="menuitem"]:not([${MARK}])`);

/** The options menu: of those that can be opened, the one with the most items. */
function optionsMenu() {
  const menus = [...document.querySelectorAll('[role="menu"]')].filter((menu) => itemsOf(menu).length && inSight(menu));
  return menus.reduce((best, menu) => (best && itemsOf(best).length > itemsOf(menu).length ? best : menu), null);
}

/** An icon of ours and a text, laid out as in an item of the menu's own; the text alone where that is different. */
function contentLike(item, key) {
  const [icon, label] = [item.querySelector("svg")?.cloneNode(true), item.lastElementChild?.cloneNode(false)];
  const path = icon?.querySelector("path");
  if (!path || !label || label.matches("svg")) return [t(key)];
  icon.setAttribute("viewBox", "0 0 24 24");
  path.setAttribute("d", ICONS[key]);
  label.textContent = t(key);
  return [icon, label];
}

/** An item that looks like the menu's own ones. */
function itemFor(menu, key, kinds) {
  const like = [...itemsOf(menu)].at(-1);
  const item = document.createElement(like.tagName);
  item.className = like.className;
  item.id = `immich-mesh-${key}-${menu.id}`;
  item.setAttribute("role", "menuitem");
  item.setAttribute(MARK, key);
  item.tabIndex = -1;
  item.append(...contentLike(like, key));
  // Immich colours the item under the pointer or the arrow keys by classes of its own; ours darkens a little.
  const light = (on) => { item.style.filter = on ? "brightness(.85)" : ""; };
  item.addEventListener("mouseover", () => light(true));
  item.addEventListener("mouseleave", () => light(false));
  new MutationObserver(() => light(menu.getAttribute("aria-activedescendant") === item.id))
    .observe(menu, { attributeFilter: ["aria-activedescendant"] });
  item.addEventListener("click", () => start(kinds, menu));
  return item;
}

function start(kinds, menu) {
  const photo = openPhoto();
  const { ids, note } = photo ? { ids: [photo], note: "" } : selection.chosen(menu);
  if (!ids.length) return;
  panel.refresh(ids.map((id) => ({ id, ...kinds })), note);
}

function offer(menu) {
  for (const item of document.querySelectorAll(`[${MARK}]`)) if (item.parentElement !== menu) item.remove();
  if (!menu || menu.querySelector(`[${MARK}]`)) return;
  menu.append(...OFFERED.map(([key, kinds]) => itemFor(menu, key, kinds)));
}

/** A button of our own beside an open photo whose menu was not found for a while. */
function lonely(alone) {
  lonelySince = alone ? lonelySince ?? performance.now() : null;
  const shown = alone && performance.now() - lonelySince >= WITHOUT_MENU_MS;
  if (alone && !shown) setTimeout(look, WITHOUT_MENU_MS);
  panel.offer(shown ? OFFERED.map(([key, kinds]) => [t(key), () => start(kinds, null)]) : null);
}

function hint() {
  for (const input of document.querySelectorAll('[role="search"] input')) {
    if (input.placeholder && !input.placeholder.includes("ocr:")) {
      input.placeholder = t("placeholder", { theirs: input.placeholder });
    }
  }
}

/** Looks at the page and brings it up to date; cheap, and nothing when nothing has changed. */
function look() {
  hint();
  if (!REFRESHES || SHARED.test(location.pathname)) return;
  const photo = openPhoto();
  if (photo) {
    const may = mayRefresh(photo) === true;
    const menu = may ? optionsMenu() : null;
    offer(menu);
    lonely(may && !menu);
  } else {
    selection.look();
    const first = selection.first;
    offer(first && mayRefresh(first) === true ? optionsMenu() : null);
    lonely(false);
  }
}

let asked = false;
function soon() {
  if (asked) return;
  asked = true;
  setTimeout(() => { asked = false; look(); }, 100);
}

new MutationObserver(soon).observe(document, {
  subtree: true, childList: true, attributes: true,
  attributeFilter: ["data-selected", "aria-checked", "aria-expanded", "placeholder"],
});
addEventListener("popstate", soon);
soon();
