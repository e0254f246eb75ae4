// HTTP: every question of the page to the gateway goes through here.
import { proof } from "./proof.js";
import { read } from "./safe.js";

const JSON_KIND = { "content-type": "application/json", accept: "application/json; big=text" };

/** A problem of RFC 9457, as an error. */
export class Problem extends Error {
  constructor(told, status) {
    super(told.detail || told.message || told.title || `HTTP ${status}`);
    this.code = told.code || "";
    this.status = status;
    this.retryable = Boolean(told.retryable);
    this.details = told.details || {};
  }
}

/** Name the conversation of this window; a reload goes on with it. */
export function conversation(fresh = false) {
  let name = fresh ? "" : sessionStorage.getItem("batos-conversation");
  if (!name) {
    name = `page-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
    sessionStorage.setItem("batos-conversation", name);
  }
  return name;
}

/** Ask for a path; return its JSON, with `etag` of the reply if it has one. */
export async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  const once = method === "GET" ? {} : { "idempotency-key": fresh() };
  const asked = { method, headers: { ...JSON_KIND, ...proof(), ...once, ...headers }, signal };
  if (body !== undefined) asked.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, asked);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "UNREACHABLE", retryable: true, detail: "" }, 0);
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(told, answer.status);
  const tag = answer.headers.get("etag");
  return tag && told && typeof told === "object" ? Object.assign(told, { etag: tag }) : told;
}

/** Return a key for one request: what it changes is done once, whatever restarts meanwhile. */
export const fresh = () => `${Date.now()}-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;

/** Ask for a verb with fields of the wire's envelope. */
export function verb(name, fields = {}, options = {}) {
  const headers = { "batos-session": conversation(), ...options.headers };
  return ask(`/verbs/${name}`, { ...options, method: "POST", body: fields, headers });
}

/** Ask for what only the owner's page may: tokens, backups, forks, models, the doctor. */
export const owner = (name, body = {}) => ask(`/owner/${name}`, { method: "POST", body });

/** Ask for a verb and hear what it reports while it works; return its result. */
export async function follow(name, fields, hear, { signal, key = fresh(), path = "/verbs/" } = {}) {
  const about = { "batos-session": conversation(), "idempotency-key": key };
  const headers = { ...JSON_KIND, ...proof(), accept: "text/event-stream", ...about };
  const asked = { method: "POST", headers, body: JSON.stringify(fields), signal };
  let answer;
  try {
    answer = await fetch(`${path}${name}`, asked);
    if (!answer.ok) throw new Problem(await answer.json().catch(() => ({})), answer.status);
    for await (const [kind, body] of events(answer.body)) {
      if (kind === "result") return body;
      if (kind === "problem") throw new Problem(body, 200);
      hear(body, kind);
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
  }
  throw new Problem({ code: "UNREACHABLE", retryable: true, detail: "" }, 0);
}

/** Hear a stream from the event after `mark` on, until it ends: kinds with bodies and marks, first "open". */
export async function* listen(path, mark, signal) {
  const headers = { ...proof(), accept: "text/event-stream" };
  if (mark) headers["last-event-id"] = mark;
  const answer = await fetch(path, { headers, signal });
  if (!answer.ok) throw new Problem({}, answer.status);
  yield ["open", {}, mark];
  yield* events(answer.body);
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const kind = /^event: (.*)$/m.exec(part)?.[1];
      const data = /^data: (.*)$/m.exec(part)?.[1];
      if (kind && data) yield [kind, read(data), /^id: (.*)$/m.exec(part)?.[1]];
    }
  }
}

/** Return the path of an object, perhaps as of a moment. */
export function place(name, rest = "", at = "") {
  return `/objects/${encodeURIComponent(name)}${rest}${at ? `?at=${encodeURIComponent(at)}` : ""}`;
}

/** Return every page of a list. Calls `show` with what has come so far after the first one. */
export async function pages(path, part, show, at = "") {
  const all = [];
  const more = at ? `&at=${encodeURIComponent(at)}` : "";
  for (let after = ""; ; ) {
    const page = await ask(`${path}?limit=2000&after=${encodeURIComponent(after)}${more}`);
    all.push(...page[part]);
    after = page.next;
    if (!after) return all;
    show?.(all.slice());
  }
}
