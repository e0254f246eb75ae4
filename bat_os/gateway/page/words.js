// The page's own words, by key, from texts/LANGUAGE.json; English where one is missing.
import { ask } from "./ask.js";

export const LANGUAGES = { en: "English", de: "Deutsch" };
let words = {};
let english = {};
export let language = "en";
let locale = "en"; // of the same language, as the browser has it: a day is written otherwise elsewhere

/** Load a language; without one, what was chosen before, or what the browser prefers. */
export async function loadWords(wanted = "") {
  const own = wanted || localStorage.getItem("batos-language") || navigator.language.slice(0, 2);
  language = own in LANGUAGES ? own : "en";
  if (wanted) localStorage.setItem("batos-language", wanted);
  const told = await Promise.all([...new Set(["en", language])].map((one) => ask(`/page/texts/${one}.json`)));
  [english, words] = [told[0], told.at(-1)];
  document.documentElement.lang = language;
  locale = [...navigator.languages, language].find((one) => one.startsWith(language));
}

/** Load the texts of a part that is loaded later. */
export async function moreWords(part) {
  english = { ...english, ...(await ask(`/page/texts/${part}.en.json`)) };
  words = { ...words, ...(await ask(`/page/texts/${part}.${language}.json`)) };
}

/** Return the text of a key; `{name}` in it is replaced, `one|many` chosen by `n`. */
export function t(key, values = {}) {
  let text = words[key] ?? english[key] ?? key;
  if ("n" in values && text.includes("|")) text = text.split("|")[values.n === 1 ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
}

/** Return whether a key has a text. */
export const knows = (key) => key in words || key in english;

const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

/** Return the time of day of a moment in Unix seconds; the day as well if it is another one. */
export function clock(at, { seconds = false } = {}) {
  const moment = new Date(at * 1000);
  const how = seconds ? { ...TIME, second: "2-digit" } : TIME;
  const time = moment.toLocaleTimeString(locale, how);
  if (moment.toDateString() === new Date().toDateString()) return time;
  return `${moment.toLocaleDateString(locale, { day: "numeric", month: "short" })}, ${time}`;
}

/** Return a day and time in full. */
export function moment(at) {
  return new Date(at * 1000).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
}

/** Return a number with the marks of the language. */
export const number = (value) =>
  typeof value === "number" ? value.toLocaleString(locale, { maximumFractionDigits: 12 }) : String(value);

/** Return a size in bytes for people. */
export function size(bytes = 0) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  for (; bytes >= 1000 && at < units.length - 1; at++) bytes /= 1000;
  return `${bytes.toLocaleString(locale, { maximumFractionDigits: at > 2 ? 1 : 0 })} ${units[at]}`;
}

/** Return a length of time in seconds for people. */
export function lasting(seconds = 0) {
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 90) return `${seconds.toLocaleString(locale, { maximumFractionDigits: 1 })} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return t("time.days", { n: Math.round(seconds / 86400) });
}
