// Every verb of the wire as a form, made of the document that the gateway writes of its table.
import { html, useState } from "./vendor/preact.js";
import { verb } from "./ask.js";
import { Dialog, Trouble } from "./parts.js";
import { clean, read, readList, spell } from "./safe.js";
import { state, toast } from "./store.js";
import { isRich, Value } from "./values.js";
import { moreWords, t } from "./words.js";

await moreWords("verbs");

const LONG = new Set(["text", "source"]);
const isJson = (field) => !field.enum && !["string", "integer", "number", "boolean"].includes(field.type);

/** Return the fields of a verb: those of the envelope, then those of its body; the wanted ones first. */
function fieldsOf(schema) {
  const { body, ...own } = schema.properties;
  const wanted = new Set([...(body?.required || []), ...Object.keys(own).filter((name) => name === "target" || name === "selector")]);
  const list = (from, place) => Object.entries(from || {}).map(([name, field]) => ({ ...field, name, place, wanted: wanted.has(name) }));
  return [...list(own, "envelope"), ...list(body?.properties, "body")].sort((a, b) => b.wanted - a.wanted);
}

function Field({ field, first }) {
  const { name } = field;
  const about = html`<span><code>${name}</code> ${clean(field.description || "", 240)}</span>`;
  if (field.type === "boolean") return html`<label class="check"><input type="checkbox" name=${name} data-first=${first} />${about}</label>`;
  const asked = { name, class: "field mono", required: field.wanted, "data-first": first };
  if (field.enum) return html`<label>${about}<select ...${asked} required=${false}>${field.enum.map((one) => html`<option value=${one}>${one || "\u2013"}</option>`)}</select></label>`;
  if (isJson(field) || LONG.has(name)) return html`<label>${about}<textarea ...${asked} rows=${name === "source" ? 6 : 2} placeholder=${isJson(field) ? t("verb.json") : null}></textarea></label>`;
  const type = field.type === "string" ? "text" : "number";
  return html`<label>${about}<input ...${asked} type=${type} step=${field.type === "number" ? "any" : null} list=${name === "target" ? "verb-targets" : null} defaultValue=${name === "target" ? state.chosen : null} /></label>`;
}

/** Return what was filled in, as the envelope of the request. */
function envelope(fields, form) {
  const asked = { body: {} };
  for (const field of fields) {
    const box = form.elements[field.name];
    const text = box.value.trim();
    const value = field.type === "boolean" ? box.checked || "" : text && (field.name === "args" ? readList(text) : isJson(field) ? read(text) : box.type === "number" ? Number(text) : text);
    if (value !== "") (field.place === "body" ? asked.body : asked)[field.name] = value;
  }
  return asked;
}

export default function VerbForm({ one, close }) {
  const [told, setTold] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const fields = fieldsOf(one.schema);
  const more = fields.filter((field) => !field.wanted);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const answer = await verb(one.name, envelope(fields, event.target));
      setTold(answer);
      const back = answer.transaction && (() => verb("undo", { body: { transaction: answer.transaction } }));
      toast(t("verb.done", { name: one.name }), back || null);
    } catch (problem) {
      setTold(null);
      setError(problem instanceof SyntaxError ? new Error(t("method.args.json")) : problem);
    }
    setBusy(false);
  };
  return html`<${Dialog} wide title=${one.name} close=${close}><p>${clean(one.about, 400)}</p><p class="dim small">${clean(one.note, 600)}</p>
    <form class="form verb" onSubmit=${send}><datalist id="verb-targets">${state.nodes.slice(0, 2000).map((each) => html`<option value=${each.name}></option>`)}</datalist>
      ${fields.filter((field) => field.wanted).map((field, i) => html`<${Field} key=${field.name} field=${field} first=${i ? null : ""} />`)}
      ${more.length > 0 && html`<details><summary>${t("verb.more", { n: more.length })}</summary><div class="form">${more.map((field) => html`<${Field} key=${field.name} field=${field} />`)}</div></details>`}
      <p class="actions"><button type="button" class="chip" onClick=${close}>${t("close")}</button><button class="chip solid" disabled=${busy} data-first="">${t("verb.do")}</button></p></form>
    <${Trouble} error=${error} />
    ${told && html`<output>${isRich(told) ? html`<${Value} value=${told} />` : html`<pre class="draft">${clean(spell(told, 2), 20000)}</pre>`}</output>`}<//>`;
}
