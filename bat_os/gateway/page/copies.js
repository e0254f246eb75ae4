// Copies of the image: backups in the home, and forks, which live and learn on their own.
import { html, useState } from "./vendor/preact.js";
import { follow, owner } from "./ask.js";
import { label } from "./kinds.js";
import { act, Badge, copy, Dialog, Empty, Icon, IconButton, Sure, Trouble, useAsked, Waiting, useWish } from "./parts.js";
import { clean, line } from "./safe.js";
import { state, use } from "./store.js";
import { moment, size, t } from "./words.js";

const PATH = "/owner/";

/** A command that a person runs at the machine, with a button that copies it. */
export const Command = ({ text }) =>
  html`<p class="inline"><code class="command grow">${text}</code><${IconButton} name="copy" label=${t("copy.command")} onClick=${() => copy(text)} /></p>`;

/** Quote a path for a shell, if it needs it. */
const quoted = (path) => (/^[\w./~-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

export function Backups() {
  const told = useAsked(() => owner("backups"));
  const [busy, setBusy] = useState("");
  const [back, setBack] = useState(null);
  const [verdicts, setVerdicts] = useState({});
  const all = told.value?.backups || [];
  const work = async (text, deed) => {
    setBusy(text);
    await deed();
    setBusy("");
  };
  const make = () => work(t("backup.making"), () => act(() => owner("backups.make"), (one) => t("backup.made", { size: size(one.size) })).then(told.again));
  useWish("backup.make", make);
  const verify = (one) =>
    work(t("backup.reading"), async () => {
      const found = await owner("backups.verify", { name: one.name }).catch((error) => ({ error }));
      const bad = found.error || found.damaged.length > 0;
      const text = found.error ? clean(found.error.message, 300) : bad ? t("backup.lacks", { n: found.damaged.length }) : t("backup.whole", { n: found.files });
      setVerdicts((old) => ({ ...old, [one.name]: { bad, text } }));
    });
  return html`<section class="block" aria-label=${t("backups")}><h3>${t("backups")}<span class="filters"><button type="button" class="chip" disabled=${Boolean(busy)} onClick=${make}><${Icon} name="plus" size=${14} />${t("backup.make")}</button></span></h3>
    <p class="dim small">${t("backups.more")}</p><${Trouble} error=${told.error} again=${told.again} />
    ${busy && html`<p class="waiting" role="status"><i class="spin" aria-hidden="true"></i>${busy}</p>`}
    ${told.value && !all.length && !busy && html`<${Empty} icon="shield" title=${t("backups.empty")} />`}
    <ul class="rows">${all.slice(0, 50).map((one) => html`<li class="item" key=${one.name}><div class="grow"><b>${moment(one.made)}</b> <span class="dim small">${size(one.bytes)}</span><p class="small mono dim">${clean(one.folder, 300)}</p>
        ${verdicts[one.name] && html`<p class=${`small ${verdicts[one.name].bad ? "bad-text" : "good-text"}`} role="status">${verdicts[one.name].text}</p>`}</div>
      <span class="stack"><button type="button" class="chip" disabled=${Boolean(busy)} onClick=${() => verify(one)}>${t("backup.verify")}</button><button type="button" class="chip" onClick=${() => setBack(one)}>${t("restore")}</button></span></li>`)}</ul>
    ${back && html`<${Restore} one=${back} home=${told.value.folder.replace(/[\\/]backups$/, "")} close=${() => setBack(null)} />`}</section>`;
}

/** How a backup is brought back: beside this image, or in its place. */
const Restore = ({ one, home, close }) => html`<${Dialog} title=${t("restore.title", { when: moment(one.made) })} close=${close}>
  <p>${t("restore.why")}</p><h4>${t("restore.beside")}</h4><p class="small dim">${t("restore.beside.more")}</p><${Command} text=${`batos restore ${quoted(one.folder)} ~/second-mind`} />
  <h4>${t("restore.instead")}</h4><p class="small dim">${t("restore.instead.more")}</p><${Command} text="./run.sh stop" /><${Command} text=${`batos restore ${quoted(one.folder)} ${quoted(home)} --replace`} /><${Command} text="./run.sh start" /><//>`;

export function Forks() {
  const { tick } = use("tick");
  const told = useAsked(() => owner("forks"), [tick]);
  const [making, setMaking] = useState(false);
  useWish("fork.make", () => setMaking(true));
  const [seen, setSeen] = useState("");
  const [busy, setBusy] = useState(null);
  const [page, setPage] = useState(null);
  const all = told.value?.forks || [];
  const open = async (one) => {
    setBusy({ name: one.name, text: t("fork.starting") });
    const hear = (body) => setBusy({ name: one.name, text: clean(body.text, 160) });
    const found = await act(() => follow("forks.open", { name: one.name }, hear, { path: PATH }));
    setBusy(null);
    if (found) setPage({ name: one.name, url: found.page });
    told.again();
  };
  const stop = (one) => act(() => owner("forks.stop", { name: one.name }), t("fork.stopped", { name: one.name }), () => open(one)).then(told.again);
  const drop = (one) => act(() => owner("forks.drop", { name: one.name }), t("fork.dropped", { name: one.name })).then(told.again);
  return html`<section class="block" aria-label=${t("forks")}><h3>${t("forks")}<span class="filters"><button type="button" class="chip" onClick=${() => setMaking(true)}><${Icon} name="plus" size=${14} />${t("fork.make")}</button></span></h3>
    <p class="dim small">${t("forks.more")}</p><${Trouble} error=${told.error} again=${told.again} />
    ${told.value && !all.length && html`<${Empty} icon="image" title=${t("forks.empty")} />`}
    <ul class="rows">${all.map((one) => html`<li class="item" key=${one.name}><div class="grow"><b>${line(one.name, 60)}</b> <${Badge} status=${one.running ? "running-now" : "idle"}>${t(one.running ? "fork.runs" : "fork.rests")}<//>
        <p class="small dim">${one.made ? moment(one.made) : ""} · ${t("fork.own", { size: size(one.bytes || 0) })}</p>${busy?.name === one.name && html`<p class="small" role="status"><i class="spin" aria-hidden="true"></i> ${busy.text}</p>`}</div>
      <span class="stack"><button type="button" class="chip" disabled=${Boolean(busy)} onClick=${() => open(one)}>${t("fork.open")}</button><button type="button" class="chip" onClick=${() => setSeen(one.name)}>${t("fork.compare")}</button>
        ${one.running ? html`<button type="button" class="chip" disabled=${Boolean(busy)} onClick=${() => stop(one)}>${t("fork.stop")}</button>` : html`<${Sure} label=${t("fork.drop")} ask=${t("fork.drop.ask", { name: one.name })} onSure=${() => drop(one)} />`}</span></li>`)}</ul>
    ${making && html`<${MakeFork} close=${() => setMaking(false)} done=${told.again} />`}
    ${seen && html`<${Compare} name=${seen} close=${() => setSeen("")} />`}
    ${page && html`<${Opened} page=${page} close=${() => setPage(null)} />`}</section>`;
}

const Opened = ({ page, close }) => html`<${Dialog} title=${t("fork.opened", { name: page.name })} close=${close}>
  <p>${t("fork.opened.more")}</p><p class="actions"><a class="chip solid" href=${page.url} target="_blank" rel="noopener noreferrer" data-first onClick=${close}>${t("fork.go")}</a></p><//>`;

/** Make a fork, of now or of the moment that is looked at. */
export function MakeFork({ at = state.at, close, done = () => {} }) {
  const make = async (event) => {
    event.preventDefault();
    const name = event.target.elements.name.value.trim();
    const drop = () => owner("forks.drop", { name }).then(done);
    const told = await act(() => owner("forks.make", { name, at }), t("fork.made", { name }), drop);
    if (!told) return;
    done();
    close();
  };
  return html`<${Dialog} title=${t("fork.make")} close=${close}><form class="form" onSubmit=${make}><p class="small dim">${t(at ? "fork.then" : "fork.now")}</p>
    <label>${t("fork.name")}<input class="field" name="name" required maxlength="40" pattern="[A-Za-z0-9][A-Za-z0-9_\\-]*" placeholder="trial" data-first /></label>
    <p class="actions"><button type="button" class="chip" onClick=${close}>${t("cancel")}</button><button class="chip solid">${t("fork.do")}</button></p></form><//>`;
}

/** What this image and a fork differ in, side by side. */
function Compare({ name, close }) {
  const told = useAsked(() => owner("forks.compare", { name }), [name]);
  const one = told.value;
  const isSame = one && !["objects", "methods", "memory", "documents"].some((kind) => one[kind]?.length);
  const only = (what) => (what === "gone" || what === "deleted" ? [true, false] : what === "new" ? [false, true] : [true, true]);
  const mark = (is) => (is ? html`<span class="good-text">${t("fork.there")}</span>` : html`<span class="dim">${t("fork.absent")}</span>`);
  const plain = (rows, key, title, show) => rows?.length > 0 && html`<h4>${title}</h4><${Pair} name=${name} rows=${rows.slice(0, 100).map((each) => { const [here, there] = only(each.what); return [show(each[key]), mark(here), mark(there)]; })} />`;
  const slots = one ? one.objects.flatMap((each) => (each.slots?.length ? each.slots.slice(0, 12).map((slot) => [`${label(each.object)}, ${line(slot.slot, 60)}`, slot.before ? clean(slot.before, 240) : mark(false), slot.after ? clean(slot.after, 240) : mark(false)]) : [[label(each.object), ...only(each.what).map(mark)]])) : [];
  return html`<${Dialog} wide title=${t("fork.differs", { name })} close=${close}><${Trouble} error=${told.error} again=${told.again} />${!one && told.busy && html`<${Waiting} label=${t("fork.reading")} />`}
    ${isSame && html`<${Empty} icon="check" title=${t("fork.same")} />`}
    ${slots.length > 0 && html`<h4>${t("image.objects")}</h4><${Pair} name=${name} rows=${slots.slice(0, 100)} />`}
    ${one?.methods.length > 0 && html`<h4>${t("inspect.methods")}</h4>${one.methods.slice(0, 40).map((each) => html`<article class="twin"><p><b>${label(each.object)}</b> <code>${line(each.selector, 80)}</code></p><${Sides} diff=${each.diff || ""} left=${t("fork.here")} right=${name} /></article>`)}`}
    ${one && plain(one.memory, "fact", t("know.facts"), (text) => clean(text, 300))}
    ${one && plain(one.documents, "document", t("know.documents"), (text) => line(text.replace(/^\w+:(.*\/)?/, ""), 160))}
    ${one?.more > 0 && html`<p class="dim small">${t("table.more", { n: one.more })}</p>`}<//>`;
}

const Pair = ({ name, rows }) => html`<div class="table" tabindex="0" role="region" aria-label=${t("fork.differs", { name })}><table class="pair"><thead><tr><th scope="col">${t("fork.what")}</th><th scope="col">${t("fork.here")}</th><th scope="col">${name}</th></tr></thead>
  <tbody>${rows.map(([what, here, there]) => html`<tr><th scope="row">${what}</th><td>${here}</td><td>${there}</td></tr>`)}</tbody></table></div>`;

/** Return the rows of a unified diff: what stands on the left, and on the right. */
export function sidesOf(diff) {
  const rows = [];
  let out = [];
  let into = [];
  const flush = () => {
    for (let i = 0; i < Math.max(out.length, into.length); i++) rows.push([out[i] ?? "", into[i] ?? "", true]);
    out = [];
    into = [];
  };
  for (const text of diff.split("\n")) {
    if (/^(---|\+\+\+|@@)/.test(text)) continue;
    if (text[0] === "-") out.push(text.slice(1));
    else if (text[0] === "+") into.push(text.slice(1));
    else {
      flush();
      rows.push([text.slice(1), text.slice(1), false]);
    }
  }
  flush();
  return rows;
}

/** Two versions of a source, side by side. */
export const Sides = ({ diff, left, right }) => html`<div class="sides" tabindex="0" role="region" aria-label=${`${left}, ${right}`}><table><thead><tr><th scope="col">${left}</th><th scope="col">${right}</th></tr></thead>
  <tbody>${sidesOf(diff).slice(0, 400).map(([out, into, is]) => html`<tr class=${is ? "other" : ""}><td>${clean(out, 400)}</td><td>${clean(into, 400)}</td></tr>`)}</tbody></table></div>`;
