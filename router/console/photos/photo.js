// One photo: its text on it and beside it, who is in it, whether it has a vector; both can be made anew.

import { AnswerError, asset, inImmich, linesOf, missing, picture, refresh, stateOf } from "./api.js";
import { boxes, el } from "./dom.js";
import { t } from "./words.js";

const corners = ({ x1, y1, x2, y2, x3, y3, x4, y4 }) => [x1, y1, x2, y2, x3, y3, x4, y4];

function textView(lines, drawing, why) {
  if (!lines.length) return [el("p", { class: "soft" }, t(why))];
  const said = el("span", { role: "status", class: "soft" });
  const copy = async () => {
    await navigator.clipboard.writeText(lines.map(({ text }) => text).join("\n"));
    said.textContent = t("copied");
  };
  const items = lines.map(({ text }, at) => {
    const light = (on) => () => drawing.children[at]?.classList.toggle("lit", on);
    return el("li", { onmouseenter: light(true), onmouseleave: light(false) }, text);
  });
  // Only a page of a safe origin may write to the clipboard.
  const button = navigator.clipboard ? el("button", { type: "button", onclick: copy }, t("copy")) : null;
  return [el("ol", { class: "text" }, items), button, said];
}

/** Text before and after a refresh, side by side. */
function comparison({ ocr, clip }) {
  const column = (title, lines) => el("div", {}, el("h3", {}, title), lines.length ? el("ol", { class: "text" }, lines.map((line) => el("li", {}, line))) : el("p", { class: "soft" }, t("noText")));
  const same = ocr && ocr.before.join("\n") === ocr.after.join("\n");
  return [
    ocr ? el("div", { class: "sides" }, column(t("old"), ocr.before), column(t("new"), ocr.after)) : null,
    same ? el("p", { class: "soft" }, t("same")) : null,
    clip ? el("p", {}, t("dimension", { count: clip.dimension })) : null,
  ];
}

/** What to say of a photo without text: that it has none, or why Immich has none of it. */
async function whyNoText(id) {
  try {
    const { ocr, noPreview, nothingFound } = await missing();
    if (noPreview.includes(id)) return "noPreviewAbout";
    return ocr.includes(id) && !nothingFound.includes(id) ? "noTextKnown" : "noText";
  } catch (error) {
    if (error instanceof AnswerError) return "noText";  // no database, or a caller who may not ask: then it is not known
    throw error;
  }
}

/** Draws the page. */
export function photoPage(main, id, failed) {
  const drawing = boxes([]);
  const text = el("div", {});
  const faces = el("p", { class: "soft" });
  const vector = el("p", {});
  const told = el("div", { role: "status" });
  const title = el("h2", {});
  const image = el("img", { src: picture(id, "preview"), alt: "" });
  const buttons = [["refreshOcr", { ocr: true }], ["refreshClip", { clip: true }]].map(([key, kinds]) =>
    el("button", { type: "button", hidden: true, onclick: () => again(kinds) }, t(key)));

  async function lines() {
    const found = await linesOf(id).catch((error) => { if (error.status === 404) return []; throw error; });
    const shown = found.filter(({ isVisible }) => isVisible !== false);
    drawing.replaceChildren(...boxes(shown.map(corners)).children);
    const why = shown.length ? "" : await whyNoText(id);
    text.replaceChildren(...textView(shown, drawing, why).filter(Boolean));
  }

  async function again(kinds) {
    for (const button of buttons) button.disabled = true;
    told.replaceChildren(t("refreshing"));
    try {
      told.replaceChildren(...comparison(await refresh(id, kinds)).filter(Boolean));
      await Promise.all([lines(), look()]);
    } catch (error) {
      told.replaceChildren(el("p", { class: "bad" }, t("failed", { reason: error.message })));
    }
    for (const button of buttons) button.disabled = false;
  }

  /** Its vector, and whether the caller may refresh it: only the owner may. */
  async function look() {
    const known = await stateOf(id).catch((error) => { if (error.status === 503) return null; throw error; });
    for (const button of buttons) button.hidden = !known?.mine;
    vector.textContent = !known ? t("vectorUnknown") : known.vector_length === null ? t("vectorMissing")
      : t("vectorThere", { count: known.vector_length, model: known.clip_model });
  }

  async function about() {
    const { originalFileName, people = [] } = await asset(id);
    title.textContent = image.alt = originalFileName;
    faces.textContent = people.map(({ name }) => name).filter(Boolean).join(", ") || t("noFaces");
  }

  main.append(el("div", { class: "photo-page" },
    el("div", { class: "picture" }, el("span", { class: "frame" }, image, drawing)),
    el("div", { class: "facts" }, title, el("a", { href: inImmich(id) }, t("open")),
      el("h3", {}, t("text")), text, el("h3", {}, t("faces")), faces, el("h3", {}, t("vector")), vector,
      el("div", { class: "buttons" }, buttons), told)));
  Promise.all([about(), lines(), look()]).catch(failed);
}
