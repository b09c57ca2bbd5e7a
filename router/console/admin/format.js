// Numbers and names as they are shown.

import { el } from "./dom.js";

export const seconds = (value) =>
  value === null ? "–" : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 1 : 0)} s`;

/** A longer time, in its two largest units. */
export function duration(value) {
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function bytes(value) {
  if (!value) return "–";
  const unit = value >= 1e9 ? ["GB", 1e9] : value >= 1e6 ? ["MB", 1e6] : ["kB", 1e3];
  return `${(value / unit[1]).toFixed(value / unit[1] < 10 ? 1 : 0)} ${unit[0]}`;
}

/** A count that fits a narrow column. */
export const count = (value) =>
  el("span", { title: value.toLocaleString() }, value < 10_000 ? String(value) : new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 }).format(value));

/** A name that breaks at its own joints and not in mid-word. */
export const breakable = (name) => name.split(/(?<=[_\-/.])/).flatMap((part) => [part, el("wbr")]);

export const clock = (text) => new Date(text).toLocaleTimeString();
