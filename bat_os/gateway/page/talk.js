// The talk: one sentence in, one answer out, with what happens in between.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { conversation, follow, verb } from "./ask.js";
import { Icon, IconButton } from "./parts.js";
import { Reply } from "./reply.js";
import { clean } from "./safe.js";
import { put, state, use } from "./store.js";
import { t } from "./words.js";

const KEPT = 60; // turns that a reload shows again
const YES = { en: ["yes", "no"], de: ["ja", "nein"], fr: ["oui", "non"], es: ["s\u00ed", "no"] };
const CHANGES = new Set(["acted", "said"]); // answers after which lists may show something else
const EXAMPLES = ["talk.try.percent", "talk.try.remember", "talk.try.convert", "talk.try.learn"];
let say = () => {};
const learn = async (files) => (await import("./files.js")).learnFiles([...files]);

/** Say a sentence from elsewhere on the page. */
export const sayHere = (text) => say(text);

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem("batos-talk") || "[]");
  } catch {
    return [];
  }
}

function keep(turns) {
  const done = turns.filter((one) => !one.open).slice(-KEPT);
  try {
    sessionStorage.setItem("batos-talk", JSON.stringify(done));
  } catch {
    sessionStorage.removeItem("batos-talk"); // too large; the image has the conversation
  }
}

/** What was said, over windows; for the arrow keys and the search. */
export function saidBefore() {
  try {
    return JSON.parse(localStorage.getItem("batos-said") || "[]");
  } catch {
    return [];
  }
}

function noteSaid(text) {
  const all = saidBefore().filter((one) => one !== text);
  localStorage.setItem("batos-said", JSON.stringify([...all, text].slice(-200)));
}

/** Return whether an answer waits for a yes or a no. */
export const waits = (answer) => answer?.kind === "guess" || answer?.needs === "confirmation";

function useTurns() {
  const [turns, setTurns] = useState(kept);
  const all = useRef(turns);
  const change = (work) => {
    all.current = work(all.current);
    setTurns(all.current);
    keep(all.current);
  };
  const alter = (id, more) => change((old) => old.map((one) => (one.id === id ? { ...one, ...more(one) } : one)));
  return [turns, change, alter];
}

function hear(turn, body) {
  if (typeof body.text === "string" && body.state === undefined) {
    const text = body.begins ? body.text : turn.draft + body.text;
    return { draft: text.slice(-4000), persona: body.persona || turn.persona };
  }
  if (body.state) {
    const step = { persona: body.persona, state: body.state, does: body.does, pct: body.pct };
    return { steps: [...turn.steps, step].slice(-40), brief: body.brief_id || turn.brief };
  }
  return body.brief_id ? { brief: body.brief_id } : {};
}

export function Talk() {
  const { online } = use("online");
  const [turns, change, alter] = useTurns();
  const [over, setOver] = useState(false);
  const end = useRef(null);
  const last = turns.at(-1);
  useEffect(() => end.current?.scrollIntoView({ block: "end" }), [turns]);
  say = async (text, { shown = text, before = null } = {}) => {
    const id = before?.id || `${Date.now()}-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
    const control = new AbortController();
    const turn = { id, text: shown, sent: text, at: Date.now() / 1000, open: true, steps: [], draft: "", control };
    change((old) => [...old.filter((one) => one.id !== id), turn]);
    if (matchMedia("(pointer: fine)").matches) document.getElementById("sentence")?.focus(); // its button is gone
    if (!before) noteSaid(shown);
    try {
      const told = (body) => alter(id, (one) => hear(one, body));
      const fields = { body: { text, tokens: true } };
      const answer = await follow("say", fields, told, { key: id, signal: control.signal });
      alter(id, () => ({ answer, open: false, control: null }));
      if (CHANGES.has(answer.kind)) put({ tick: state.tick + 1 });
    } catch (error) {
      const failed = error.name === "AbortError" ? { code: "CANCELLED", message: t("talk.stopped") } : { code: error.code, message: error.message, retryable: error.retryable, details: error.details };
      alter(id, () => ({ failed, open: false, control: null }));
    }
  };
  const stop = async (turn) => {
    if (turn.brief) await verb("cancel", { body: { brief_id: turn.brief } }).catch(() => {});
    else turn.control?.abort();
  };
  const confirm = (turn, is) => say((YES[turn.answer.language] || YES.en)[is ? 0 : 1]);
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer.files.length) learn(event.dataTransfer.files);
  };
  const clear = () => {
    conversation(true);
    change(() => []);
  };
  return html`<section class=${`talk ${over ? "dropping" : ""}`} aria-label=${t("view.talk")} onDragOver=${(e) => { e.preventDefault(); setOver(true); }} onDragLeave=${(e) => e.currentTarget.contains(e.relatedTarget) || setOver(false)} onDrop=${drop}>
    <div class="turns" role="log" aria-live="polite" aria-label=${t("talk.log")} tabindex="0">
      ${!turns.length && html`<${Welcome} />`}
      ${turns.map((turn) => html`<article class="turn" key=${turn.id}>
        <p class="mine"><span class="hidden">${t("talk.you")}</span>${clean(turn.text, 4000)}</p>
        <${Reply} turn=${turn} isLast=${turn === last} say=${say} confirm=${confirm} stop=${stop} /></article>`)}
      <div ref=${end}></div>
    </div>
    ${over && html`<div class="drop" aria-hidden="true"><${Icon} name="file" size=${40} /><p>${t("talk.drop")}</p></div>`}
    <${Composer} say=${say} last=${last} confirm=${confirm} clear=${turns.length ? clear : null} online=${online} />
  </section>`;
}

const Welcome = () => html`<div class="welcome">
  <img src="/page/icon.svg" width="64" height="64" alt="" />
  <h2>${t("talk.welcome")}</h2><p class="dim">${t("talk.welcome.more")}</p>
  <div class="tries">${EXAMPLES.map((key) => html`<button type="button" class="try" onClick=${() => say(t(key))}><span>${t(key)}</span><small>${t(`${key}.about`)}</small></button>`)}</div>
</div>`;

function Composer({ say, last, confirm, clear, online }) {
  const [text, setText] = useState("");
  const box = useRef(null);
  const file = useRef(null);
  const back = useRef(0);
  const fit = () => {
    box.current.style.height = "auto";
    const high = box.current.scrollHeight; // 0 while another view is shown
    if (high) box.current.style.height = `${Math.min(220, high)}px`;
  };
  useEffect(fit, [text]);
  useEffect(() => {
    const shown = new ResizeObserver(fit);
    shown.observe(box.current.form);
    return () => shown.disconnect();
  }, []);
  useEffect(() => matchMedia("(pointer: fine)").matches && box.current.focus(), []);
  const isWaiting = !text && last && !last.open && waits(last.answer);
  const submit = () => {
    const sentence = text.trim();
    if (sentence) {
      setText("");
      back.current = 0;
      say(sentence);
    } else if (isWaiting) confirm(last, true);
  };
  const recall = (event, step) => {
    const all = saidBefore();
    const at = back.current + step;
    if (at < 0 || at > all.length || (text && text !== all[all.length - back.current])) return;
    event.preventDefault();
    back.current = at;
    setText(at ? all[all.length - at] : "");
  };
  const keys = (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && isWaiting) {
      event.preventDefault();
      confirm(last, false);
    } else if (event.key === "ArrowUp") recall(event, 1);
    else if (event.key === "ArrowDown") recall(event, -1);
    else if (event.ctrlKey && event.key.toLowerCase() === "r") {
      event.preventDefault();
      put({ palette: "said" });
    }
  };
  const waiting = isWaiting && matchMedia("(pointer: fine)").matches ? t("talk.waiting") : t("talk.placeholder");
  return html`<form class="composer" onSubmit=${(e) => { e.preventDefault(); submit(); }}>
    <label class="hidden" for="sentence">${t("talk.placeholder")}</label>
    <${IconButton} name="attach" label=${t("talk.attach")} onClick=${() => file.current.click()} />
    <input type="file" multiple hidden ref=${file} onChange=${(e) => { learn([...e.target.files]); e.target.value = ""; }} />
    <textarea id="sentence" ref=${box} rows="1" maxlength="2000" placeholder=${waiting} value=${text} onInput=${(e) => setText(e.target.value)} onKeyDown=${keys}></textarea>
    ${clear && html`<${IconButton} name="plus" label=${t("talk.new")} onClick=${clear} />`}
    <button class="go" aria-label=${t("talk.say")} disabled=${!online || (!text.trim() && !isWaiting)}><${Icon} name="send" /></button>
  </form>`;
}
