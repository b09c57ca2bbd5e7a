// Shows /openapi.json and lets each operation be tried. Needs nothing from elsewhere.

import { el } from "./dom.js";

const $ = (id) => document.getElementById(id);

function resolve(document, schema) {
  return schema?.$ref ? schema.$ref.slice(2).split("/").reduce((found, step) => found[step], document) : schema;
}

/** An example of what a schema describes. */
function example(schema) {
  if (schema.example !== undefined) return schema.example;
  if (schema.const !== undefined) return schema.const;
  if (schema.type === "object") return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, example(inner)]));
  if (schema.type === "array") return [example(schema.items)];
  return { string: "…", number: 0.5, integer: 1, boolean: true }[schema.type];
}

function responses(document, operation) {
  return Object.entries(operation.responses).map(([code, given]) => {
    const response = resolve(document, given);
    const [content] = Object.values(response.content ?? {});
    const shown = code === "200" && content ? el("pre", {}, JSON.stringify(example(content.schema), null, 2)) : null;
    return el("div", {}, el("p", {}, el("code", {}, code), ` ${response.description}`), shown);
  });
}

/** The field that an operation's body needs, and how to make the body of it. */
function bodyField(operation) {
  const content = operation.requestBody?.content ?? {};
  if (content["multipart/form-data"]) {
    const input = el("input", { type: "file", accept: "image/*", ariaLabel: "photo" });
    return { input, make: () => { const form = new FormData(); form.append("file", input.files[0]); return { body: form }; }, filled: () => input.files.length };
  }
  if (content["application/json"]) {
    const input = el("input", { value: "一只狗", ariaLabel: "text" });
    const make = () => ({ body: JSON.stringify({ text: input.value }), headers: { "content-type": "application/json" } });
    return { input, make, filled: () => input.value };
  }
  return { input: null, make: () => ({}), filled: () => true };
}

function trial(method, path, operation) {
  const field = bodyField(operation);
  const output = el("pre", { hidden: true });
  const send = async () => {
    output.hidden = false;
    output.textContent = "…";
    const made = field.make();
    const began = performance.now();
    try {
      const response = await fetch(path.slice(1), { method, ...made, headers: { ...made.headers, "api-key": $("key").value } });
      const text = await response.text();
      const took = `${Math.round(performance.now() - began)} ms`;
      output.textContent = `HTTP ${response.status}, ${took}\n${text.length > 4000 ? `${text.slice(0, 4000)} …` : text}`;
    } catch (error) {
      output.textContent = String(error);
    }
  };
  const button = el("button", { type: "button", class: "primary", onclick: () => field.filled() && send() }, "Try");
  return [el("div", { class: "field" }, field.input, button), output];
}

function operationView(document, path, method, operation) {
  const upper = method.toUpperCase();
  return el("details", { class: "operation" },
    el("summary", {}, el("span", { class: "method" }, upper), el("code", {}, path), el("span", {}, operation.summary),
      operation.security.length ? null : el("span", { class: "soft" }, "no key needed")),
    ...trial(upper, path, operation), ...responses(document, operation));
}

document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());

async function start() {
  const document = await (await fetch("openapi.json")).json();
  $("title").textContent = document.info.title;
  $("version").textContent = document.info.version;
  $("description").textContent = document.info.description;
  $("operations").replaceChildren(...Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationView(document, path, method, operation))));
}

start();
