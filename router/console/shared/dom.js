// Elements for the pages of the photo front door. Text always goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children, in lists or not; strings become text, null and undefined nothing. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** A drawing over a photo whose corners are (0, 0) and (1, 1): one polygon for each box of eight numbers. */
export function boxes(all) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 1 1");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  for (const box of all) {
    const shape = document.createElementNS(SVG, "polygon");
    shape.setAttribute("points", [0, 2, 4, 6].map((at) => `${box[at]},${box[at + 1]}`).join(" "));
    drawing.append(shape);
  }
  return drawing;
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The words of a query that are looked for: without prefix, exclusions and OR. */
export function terms(query) {
  const text = query.replace(/^\s*[oｏ][cｃ][rｒ]\s*[:：]/i, "");
  return [...text.matchAll(/(-?)"([^"]+)"|(\S+)/g)]
    .filter(([whole, minus]) => !minus && !whole.startsWith("-") && whole !== "OR")
    .map(([, , phrase, word]) => phrase ?? word);
}

/** A text with the words that were looked for marked in it. */
export function marked(text, words) {
  if (!words.length) return [text];
  const parts = text.split(new RegExp(`(${words.map(escaped).join("|")})`, "giu"));
  return parts.map((part, at) => (at % 2 ? el("mark", {}, part) : part));
}
