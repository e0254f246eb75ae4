// Source as text with colours, and the editor, which is loaded with its first use. CodeMirror adds
// its styles to the root that it is mounted in: in a shadow root they are adopted sheets, which the
// page's policy allows.
import { html, useEffect, useRef } from "./vendor/preact.js";
import { clean } from "./safe.js";

const WORDS = new Set("and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield".split(" "));
const VALUES = new Set(["True", "False", "None", "self"]);
const TOKEN = /("""[\s\S]*?"""|'''[\s\S]*?'''|[rbfRBF]?"(?:\\.|[^"\\\n])*"|[rbfRBF]?'(?:\\.|[^'\\\n])*')|(#[^\n]*)|\b(\d[\d_.]*(?:e[+-]?\d+)?)\b|([A-Za-z_]\w*)/g;

/** Return source as pieces of [class, text]. */
export function pieces(text) {
  const all = [];
  let from = 0;
  let isName = false;
  for (const found of text.matchAll(TOKEN)) {
    if (found.index > from) all.push(["", text.slice(from, found.index)]);
    const [piece, string, comment, digits, word] = found;
    const kind = string ? "string" : comment ? "comment" : digits ? "digits" : isName ? "name" : WORDS.has(word) ? "word" : VALUES.has(word) ? "constant" : text[found.index + piece.length] === "(" ? "call" : "";
    isName = word === "def" || word === "class";
    all.push([kind, piece]);
    from = found.index + piece.length;
  }
  if (from < text.length) all.push(["", text.slice(from)]);
  return all;
}

/** Source to read. */
export const Source = ({ text }) =>
  html`<pre class="source" tabindex="0"><code>${pieces(clean(text.trimEnd(), 60000)).map(([kind, piece]) => (kind ? html`<span class=${`s-${kind}`}>${piece}</span>` : piece))}</code></pre>`;

let loading = null;
const load = () => (loading ||= import("./vendor/codemirror.js"));

async function mount(host, text, hear) {
  const cm = await load();
  const root = host.shadowRoot || host.attachShadow({ mode: "open" });
  root.replaceChildren();
  const { tags } = cm;
  const css = (name) => `var(--${name})`;
  const style = cm.HighlightStyle.define([
    { tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword], color: css("s-word") },
    { tag: [tags.string, tags.special(tags.string)], color: css("s-string") },
    { tag: [tags.number, tags.bool, tags.null, tags.self], color: css("s-digits") },
    { tag: [tags.comment], color: css("dim"), fontStyle: "italic" },
    { tag: [tags.function(tags.variableName), tags.definition(tags.variableName)], color: css("s-name") },
  ]);
  const theme = cm.EditorView.theme({
    "&": { color: css("text"), backgroundColor: "transparent", fontSize: "13px" },
    "&.cm-focused": { outline: "none" },
    ".cm-content": { caretColor: css("accent"), fontFamily: css("mono"), padding: "8px 0" },
    ".cm-gutters": { backgroundColor: "transparent", color: css("dim"), border: "none" },
    ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: css("hover") },
    ".cm-cursor": { borderLeftColor: css("accent") },
    "&.cm-focused .cm-selectionBackground, .cm-selectionBackground, ::selection": { backgroundColor: css("select") },
  });
  const view = new cm.EditorView({
    root,
    parent: root,
    state: cm.EditorState.create({
      doc: text,
      extensions: [
        cm.lineNumbers(), cm.history(), cm.drawSelection(), cm.highlightActiveLine(), cm.bracketMatching(),
        cm.indentUnit.of("    "), cm.python(), cm.syntaxHighlighting(style), theme, cm.EditorView.lineWrapping,
        cm.keymap.of([...cm.defaultKeymap, ...cm.historyKeymap]),
        cm.EditorView.contentAttributes.of({ "aria-label": host.getAttribute("aria-label") || "" }),
        cm.EditorView.updateListener.of((update) => update.docChanged && hear(update.state.doc.toString())),
      ],
    }),
  });
  return view;
}

/** An editor for source; Tab leaves it, as everywhere on the page. */
export function Editor({ text, label, hear }) {
  const host = useRef(null);
  useEffect(() => {
    let view = null;
    let gone = false;
    mount(host.current, text, hear).then((made) => {
      if (gone) made.destroy();
      else {
        view = made;
        view.focus();
      }
    });
    return () => {
      gone = true;
      view?.destroy();
    };
  }, []);
  return html`<div class="editor" ref=${host} aria-label=${label} role="group"></div>`;
}
