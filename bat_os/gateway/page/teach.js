// Teach a method: its source in an editor, and examples that it has to answer.
import { html, useRef, useState } from "./vendor/preact.js";
import { verb } from "./ask.js";
import { Dialog, IconButton, Trouble } from "./parts.js";
import { read, readList, spell } from "./safe.js";
import { label } from "./kinds.js";
import { toast } from "./store.js";
import { Editor } from "./source.js";
import { t } from "./words.js";

const BEGIN = 'def greet(self, name: str) -> str:\n    """Return a greeting for somebody."""\n    return f"Hello, {name}!"\n';
const asText = (one) => [(one.args || []).map((each) => JSON.stringify(each)).join(", "), spell(one.result)];

export function Teach({ target, selector = "", source = BEGIN, examples = [], close, done }) {
  const text = useRef(source);
  const [tests, setTests] = useState(examples.length ? examples.slice(0, 20).map(asText) : [["", ""]]);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const alter = (i, j, value) => setTests(tests.map((one, at) => (at === i ? (j ? [one[0], value] : [value, one[1]]) : one)));
  const teach = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const given = tests.filter(([args, result]) => args.trim() || result.trim());
      const asked = given.map(([args, result]) => ({ args: readList(args), kwargs: {}, result: read(result) }));
      const told = await verb("teach", { target, body: { source: text.current, ...(asked.length ? { examples: asked } : {}) } });
      const undo = async () => {
        await verb("unlearn", { target, selector: told.selector });
        done();
      };
      toast(t("did.teach", { name: told.selector }), undo);
      done();
      close();
    } catch (problem) {
      setError(problem instanceof SyntaxError ? new Error(t("method.args.json")) : problem);
      setBusy(false);
    }
  };
  return html`<${Dialog} wide title=${selector ? t("teach.change", { name: selector }) : t("teach.to", { name: label(target) })} close=${close}><form class="form teach" onSubmit=${teach}>
    <${Editor} text=${source} label=${t("method.source")} hear=${(value) => (text.current = value)} />
    <fieldset><legend>${t("teach.tests")}</legend><p class="dim small">${t("teach.tests.more")}</p>
      ${tests.map(([args, result], i) => html`<div class="inline"><input class="field mono" aria-label=${t("teach.args", { n: i + 1 })} placeholder=${'"Ann"'} value=${args} onInput=${(e) => alter(i, 0, e.target.value)} spellcheck="false" /><span aria-hidden="true">→</span>
        <input class="field mono" aria-label=${t("teach.result", { n: i + 1 })} placeholder="Hello, Ann!" value=${result} onInput=${(e) => alter(i, 1, e.target.value)} spellcheck="false" />
        <${IconButton} name="close" label=${t("teach.drop", { n: i + 1 })} onClick=${() => setTests(tests.filter((_, at) => at !== i))} /></div>`)}
      <button type="button" class="chip" onClick=${() => setTests([...tests, ["", ""]])} disabled=${tests.length >= 20}>${t("teach.add")}</button></fieldset>
    <${Trouble} error=${error} />
    <p class="actions"><button type="button" class="chip" onClick=${close}>${t("cancel")}</button><button class="chip solid" disabled=${busy}>${t("teach.go")}</button></p></form><//>`;
}
