// Which photos are selected in Immich's grid. Tiles that are scrolled away leave the page, so what was seen is kept, and
// compared with the number that Immich shows.

import { t } from "./words.js";

const TILE = "[data-asset]";
const CHOSEN = '[data-asset][data-selected], [data-asset]:has([role="checkbox"][aria-checked="true"])';
const LEVELS = 8;

export class Selection {
  #ids = new Set();
  #path = "";

  /** The first selected photo, or undefined. */
  get first() { return this.#ids.values().next().value; }

  /** Takes in what is on screen. */
  look() {
    if (this.#path !== location.pathname) this.#ids.clear();
    this.#path = location.pathname;
    for (const tile of document.querySelectorAll(TILE)) {
      if (tile.matches(CHOSEN)) this.#ids.add(tile.dataset.asset);
      else this.#ids.delete(tile.dataset.asset);
    }
  }

  /** The ids to act on, and what to say where they are not all. */
  chosen(menu) {
    this.look();
    const count = countBeside(menu);
    if (count === null || count === this.#ids.size) return { ids: [...this.#ids], note: "" };
    const onScreen = [...document.querySelectorAll(CHOSEN)].map((tile) => tile.dataset.asset);
    return { ids: onScreen, note: onScreen.length === count ? "" : t("partOnly", { known: onScreen.length, count }) };
  }
}

/** The number of selected photos that the bar around a menu shows; null where there is none. */
function countBeside(menu) {
  for (let [at, level] = [menu, 0]; at && level < LEVELS; at = at.parentElement, level += 1) {
    const walker = document.createTreeWalker(at, NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const number = /\d[\d.,\u00a0\u202f]*/.exec(text.data)?.[0];
      if (number && !text.parentElement.closest('[role="menu"]')) return Number(number.replace(/\D/g, ""));
    }
  }
  return null;
}
