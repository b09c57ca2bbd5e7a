// The language of the pages: the one that was chosen in Immich, where its settings are in reach, else the first of the
// browser's languages that there is a file for. One file per language.

import en from "./words-en.js";
import zh from "./words-zh.js";

const FILES = { en, zh };
const wanted = [localStorage.getItem("lang") ?? "", ...(navigator.languages?.length ? navigator.languages : [navigator.language])];
export const language = wanted.map((name) => name.toLowerCase().match(/[a-z]+/)?.[0]).find((name) => name in FILES) ?? "en";
export const locale = language === "zh" ? "zh-Hans" : "en";
const words = FILES[language];

/** A text of the pages; `{name}` in it stands for a value, `unknown` for a text that there is not. */
export function t(key, values = {}, unknown = key) {
  return (words[key] ?? en[key] ?? unknown).replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Puts the texts into a page: `data-t` names an element's own text, `data-t-label` its accessible name. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of root.querySelectorAll("[data-t-hint]")) node.placeholder = t(node.dataset.tHint);
}
