#!/bin/sh
# Writes the libraries of the page anew: pinned versions, one minified ES module each. Needs npm and
# the network; nothing else does. docs/dependencies.md names the SHA-256 of each file.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/preact.js" <<'END'
import { h } from "preact";
import htm from "htm";
export { h, render } from "preact";
export { useEffect, useErrorBoundary, useMemo, useReducer, useRef, useState } from "preact/hooks";
export const html = htm.bind(h);
END
cat >"$scratch/force.js" <<'END'
export { forceSimulation, forceLink, forceManyBody, forceX, forceY, forceCollide } from "d3-force";
END
cat >"$scratch/codemirror.js" <<'END'
export { EditorView, lineNumbers, keymap, drawSelection, highlightActiveLine } from "@codemirror/view";
export { EditorState } from "@codemirror/state";
export { python } from "@codemirror/lang-python";
export { syntaxHighlighting, HighlightStyle, indentUnit, bracketMatching } from "@codemirror/language";
export { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
export { tags } from "@lezer/highlight";
END
(cd "$scratch" && npm init -y >/dev/null && npm i --no-fund --no-audit --save-exact \
    preact@11.2.0 htm@3.1.1 d3-force@3.0.1 \
    @codemirror/lang-python@6.2.1 @codemirror/view@6.43.15 @codemirror/commands@6.11.1 \
    @codemirror/language@6.13.1 @codemirror/state@6.7.6 @lezer/highlight@1.2.5 @lezer/common@1.5.5 \
    @lezer/lr@1.4.12 @lezer/python@1.1.19 @codemirror/autocomplete@6.20.4 style-mod@4.1.5 \
    crelt@1.0.7 w3c-keyname@2.2.8 @marijn/find-cluster-break@1.0.4 esbuild@0.28.2 >/dev/null)
for name in preact force codemirror; do
    "$scratch/node_modules/.bin/esbuild" "$scratch/$name.js" --bundle --minify \
        --format=esm --target=es2022 --legal-comments=none --outfile="$name.js" --log-level=error
done
sha256sum preact.js force.js codemirror.js
