// Tokens of other programs: each has a scope and an end, is shown once, and can be revoked.
import { html, useState } from "./vendor/preact.js";
import { owner } from "./ask.js";
import { act, Badge, copy, Dialog, Empty, Icon, IconButton, Sure, Trouble, useAsked, useWish } from "./parts.js";
import { line } from "./safe.js";
import { clock, moment, t } from "./words.js";

export function Tokens() {
  const told = useAsked(() => owner("tokens"));
  const [making, setMaking] = useState(false);
  useWish("token.make", () => setMaking(true));
  const [made, setMade] = useState(null);
  const all = told.value?.tokens || [];
  const revoke = (one) => act(() => owner("tokens.revoke", { name: one.name }), t("token.revoked", { name: one.name })).then(told.again);
  const show = (one) => {
    setMaking(false);
    setMade(one);
    told.again();
  };
  return html`<section class="block" aria-label=${t("tokens")}><h3>${t("tokens")}<span class="filters"><button type="button" class="chip" onClick=${() => setMaking(true)}><${Icon} name="plus" size=${14} />${t("token.make")}</button></span></h3>
    <p class="dim small">${t("tokens.more")}</p><${Trouble} error=${told.error} again=${told.again} />
    ${told.value && !all.length && html`<${Empty} icon="shield" title=${t("tokens.empty")} />`}
    <ul class="rows">${all.map((one) => html`<li class="item" key=${one.name}><div class="grow"><b>${line(one.name, 60)}</b> <${Badge} status="shipped">${t(`scope.${one.may}`)}<//><p class="small dim">${t("token.until", { when: moment(one.until) })} · ${one.used ? t("token.used", { when: clock(one.used) }) : t("token.unused")}</p></div>
      <${Sure} label=${t("token.revoke")} ask=${t("token.revoke.ask", { name: one.name })} onSure=${() => revoke(one)} /></li>`)}</ul>
    ${making && html`<${Make} scopes=${told.value?.scopes || []} close=${() => setMaking(false)} done=${show} />`}
    ${made && html`<${Made} one=${made} close=${() => setMade(null)} />`}</section>`;
}

function Make({ scopes, close, done }) {
  const make = async (event) => {
    event.preventDefault();
    const { name, may, days } = event.target.elements;
    const told = await act(() => owner("tokens.make", { name: name.value.trim(), may: may.value, days: Number(days.value) }));
    if (told) done(told);
  };
  return html`<${Dialog} title=${t("token.make")} close=${close}><form class="form" onSubmit=${make}>
    <label>${t("token.name")}<input class="field" name="name" required maxlength="60" placeholder="phone" data-first /></label>
    <label>${t("token.may")}<select class="field" name="may">${scopes.map((one) => html`<option value=${one} selected=${one === "send"}>${t(`scope.${one}`)}</option>`)}</select></label>
    <label>${t("token.days")}<input class="field" type="number" name="days" min="1" max="3650" value="90" required /></label>
    <p class="actions"><button type="button" class="chip" onClick=${close}>${t("cancel")}</button><button class="chip solid">${t("token.do")}</button></p></form><//>`;
}

const Made = ({ one, close }) => html`<${Dialog} title=${t("token.made", { name: one.name })} close=${close}><p>${t("token.once")}</p>
  <p class="inline"><code class="command grow" id="token">${one.token}</code><${IconButton} name="copy" label=${t("copy")} data-first onClick=${() => copy(one.token)} /></p>
  <p class="small dim">${t("token.use")}</p><pre class="draft">${`curl ${location.origin}/objects \\\n  -H "Authorization: Bearer ${one.token}"`}</pre>
  <p class="actions"><button type="button" class="chip solid" onClick=${close}>${t("token.kept")}</button></p><//>`;
