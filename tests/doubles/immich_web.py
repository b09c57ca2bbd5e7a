"""What Immich's web app looks like to a script beside it: a page of the same structure, with headers and validators.

The menus are built as Immich 3's are: a button with `aria-controls`, a `ul[role=menu]` that is always in the page,
items in `li[role=menuitem]`, each an icon and a text. An open menu lies over the button that opened it. Tiles have
`data-asset` and `data-selected`; an open photo's address ends in its id.
"""

import gzip
import hashlib
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

HELMET = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:"
"""A content security policy as strict as one that an administrator may set."""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Immich</title>
<script type="module" src="/_app/start.js"></script></head>
<body data-photos="{photos}" data-menu="{menu}"></body></html>
"""

SCRIPT = """
navigator.serviceWorker?.register("/service-worker.js");
const photos = document.body.dataset.photos.split(" ");
const chosen = new Set();
let menus = 0;
const el = (tag, more = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(more))
    name.startsWith("on") ? (node[name] = value) : node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const job = async (name, assetIds) => fetch("/api/assets/jobs", {
  method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({name, assetIds})});
const icon = () => {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("width", "18");
  drawing.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  return drawing;
};
function menu(label, items) {
  const id = `context-menu-${menus += 1}`;
  const list = el("ul", {id, role: "menu", tabindex: "-1"}, ...items.map(([text, act], at) =>
    el("li", {id: `${id}-${at}`, role: "menuitem", class: "p-4 text-sm", onclick: act}, icon(), el("div", {}, text))));
  const frame = el("div", {class: "fixed"}, list);
  const show = (open) => {
    const {top, left} = button.getBoundingClientRect();
    Object.assign(frame.style, {top: `${top}px`, left: `${left}px`, maxHeight: open ? "none" : "0"});
    button.setAttribute("aria-expanded", open);
  };
  const button = el("button", {type: "button", "aria-label": label, "aria-controls": id, "aria-haspopup": "true",
    "aria-expanded": "false", onclick: (event) => { event.stopPropagation(); show(frame.style.maxHeight === "0px"); }},
    label);
  document.addEventListener("click", () => show(false));
  button.addEventListener("keydown", (event) => {
    const all = [...list.children];
    const at = all.findIndex((item) => item.id === list.getAttribute("aria-activedescendant"));
    if (event.key === "ArrowUp") {
      show(true);
      list.setAttribute("aria-activedescendant", all.at(at - 1 < -1 ? -1 : at - 1).id);
    }
    if (event.key === "Enter" && at >= 0) { event.preventDefault(); all[at].click(); }
  });
  show(false);
  return el("div", {}, button, frame);
}
function draw() {
  const open = location.pathname.split("/photos/")[1];
  const search = el("form", {role: "search"}, el("input", {type: "text", placeholder: "Search your photos"}));
  const grid = el("div", {id: "grid"}, ...photos.map((id) => {
    const tile = el("div", {"data-asset": id, "data-thumbnail-focus-container": "", role: "link", tabindex: "0",
      ondblclick: () => { history.pushState({}, "", `/photos/${id}`); draw(); },
      onclick: () => { chosen.has(id) ? chosen.delete(id) : chosen.add(id); draw(); }}, id.slice(0, 4));
    if (chosen.has(id)) tile.setAttribute("data-selected", "true");
    return tile;
  }));
  const page = el("div", {}, search, menu("Album options", [["Delete album", () => {}]]), grid);
  if (chosen.size) page.append(el("div", {class: "bar"}, el("p", {}, `${chosen.size} selected`),
    menu("Add to", [["Album", () => {}]]),
    menu("Menu", [["Archive", () => {}], ["Refresh metadata", () => job("refresh-metadata", [...chosen])]])));
  document.body.replaceChildren(page);
  if (!open) return;
  const refreshed = () => job("refresh-metadata", [open]);
  const more = () => menu("More", [["Download", () => {}], ["Refresh metadata", refreshed]]);
  const menus = document.body.dataset.menu === "none" ? [] : [more()];
  document.body.append(el("section", {id: "immich-asset-viewer"}, ...menus));
}
const style = el("style", {});
style.textContent = `#immich-asset-viewer { position: fixed; inset: 0; background: #222; z-index: 2; padding: 8px }
.fixed { position: fixed; z-index: 1; overflow: hidden; background: #eee; width: 260px }
ul { margin: 0; padding: 0 } li { padding: 12px; list-style: none }
#grid { display: flex; gap: 8px } [data-asset] { width: 90px; height: 90px; background: #ccc }
.bar { position: fixed; top: 0; left: 0; right: 0; background: #fff; display: flex }`;
document.head.append(style);
addEventListener("popstate", draw);
draw();
"""

SERVICE_WORKER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  if (/^\\/api\\/assets\\/[^/]+\\/thumbnail/.test(new URL(event.request.url).pathname))
    event.respondWith(fetch(event.request));
});
"""


class WebApp(Protocol):
    """What answers for Immich's web app."""

    def reply(self, request: web.Request) -> web.StreamResponse | None:
        """Its answer; None for what is not its own."""


@dataclass
class ImmichWeb:
    """The web app. `photos` are the tiles' ids; `menu` is "none" for a bundle whose options menu is not found.

    `packed` makes it send gzip even to those who asked for nothing packed, as a proxy in between may.
    """

    photos: list[str] = field(default_factory=list)
    menu: str = ""
    packed: bool = False
    page: str = PAGE

    def reply(self, request: web.Request) -> web.Response | None:
        """A file of the app, or its page at every other path that is none of the API's."""
        if request.path.startswith("/api/"):
            return None
        scripts = {"/_app/start.js": SCRIPT, "/service-worker.js": SERVICE_WORKER}
        if request.path in scripts:
            return web.Response(text=scripts[request.path], content_type="text/javascript")
        body = self.page.format(photos=" ".join(self.photos), menu=self.menu).encode()
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:12]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Security-Policy": HELMET}
        headers["Last-Modified"] = "Mon, 06 May 2024 07:08:09 GMT"
        if tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        if self.packed:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        return web.Response(body=body, headers=headers | {"Content-Type": "text/html; charset=utf-8"})
