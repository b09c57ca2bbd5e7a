// What is asked of the front door and, through it, of Immich: always with the browser's own session, never with a key.

/** An answer that was no success: `status` of HTTP, 0 when nothing answered; `message` in the server's words. */
export class AnswerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The JSON of an answer. Throws AnswerError. */
export async function ask(path, body, signal) {
  const options = body === undefined ? {}
    : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", signal, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new AnswerError(0, String(error.message));
  }
  const told = await response.json().catch(() => null);
  if (!response.ok) throw new AnswerError(response.status, told?.message ?? `HTTP ${response.status}`);
  return told;
}

const of = (id) => encodeURIComponent(id);

export const me = () => ask("/api/users/me");
export const asset = (id) => ask(`/api/assets/${of(id)}`);
export const linesOf = (id) => ask(`/api/assets/${of(id)}/ocr`);
export const people = () => ask("/api/people?size=500");
export const albums = () => ask("/api/albums");

/**
 * One page of a search: {results: [{assetId, originalFileName, match, lines, ...}], nextPage}. Where the front door cannot
 * say how photos were found (no database, a filter that only Immich applies), they are Immich's own results.
 */
export async function search(body, signal) {
  try {
    return await ask("/mesh/search/explain", body, signal);
  } catch (error) {
    if (![400, 503].includes(error.status)) throw error;
  }
  const { assets: { items, nextPage } } = await ask("/api/search/smart", body, signal);
  return { results: items.map(({ id, originalFileName }) => ({ assetId: id, originalFileName, lines: [] })), nextPage };
}

/**
 * Ids of the caller's photos without text, vector or faces: {ocr, clip, faces}; of `ocr` those that may hold no text:
 * {nothingFound}; and in no other list those of which Immich has no preview to make anything from: {noPreview}.
 */
export const missing = () => ask("/mesh/refresh/missing?ocr=true&clip=true&faces=true");

/** What is known of one photo, be it another's: {mine, vector_length (null for none), clip_model, faces_at (null for never)}. */
export const stateOf = (id) => ask(`/mesh/refresh/state?assetId=${of(id)}`);

/** Asks Immich to look for faces in a photo, by its own job. */
export const lookForFaces = (id, signal) => ask("/api/assets/jobs", { assetIds: [id], name: "refresh-faces" }, signal);

/** Regenerates one photo: {ocr: {before, after}, clip: {dimension}}. `kinds` is {ocr, clip}. */
export const refresh = (id, kinds, signal) => ask("/mesh/refresh", { assetId: id, ...kinds }, signal);

export const picture = (id, size) => `/api/assets/${of(id)}/thumbnail?size=${size}&edited=false`;
export const inImmich = (id) => `/photos/${of(id)}`;
