// Values where a picture or a table says more than text: numbers as a plot, rows as a table.
import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { clean, line, spell } from "./safe.js";
import { choose } from "./store.js";
import { label } from "./kinds.js";
import { number, t } from "./words.js";

const MOST_ROWS = 200;
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const isMap = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !("ref" in value);

/** Return rows and columns of a value that is a table, else null. */
export function tableOf(value) {
  if (isMap(value)) {
    const rows = Object.entries(value);
    if (rows.length < 2 || rows.some(([, each]) => isMap(each) || Array.isArray(each))) return null;
    return { columns: ["name", "value"].map((key) => t(`table.${key}`)), rows };
  }
  if (!Array.isArray(value) || value.length < 2) return null;
  if (value.every(isMap)) {
    const columns = [...new Set(value.flatMap(Object.keys))].slice(0, 12);
    return columns.length ? { columns, rows: value.map((one) => columns.map((key) => one[key])) } : null;
  }
  const wide = Array.isArray(value[0]) ? value[0].length : 0;
  if (wide > 1 && wide <= 12 && value.every((row) => Array.isArray(row) && row.length === wide)) {
    return { columns: value[0].map((_, i) => String(i + 1)), rows: value };
  }
  return null;
}

/** Return points with labels of a value that can be plotted, else null. */
export function pointsOf(value) {
  if (Array.isArray(value) && value.length > 2 && value.every(isNumber)) {
    return value.map((each, i) => [String(i + 1), each]);
  }
  const table = tableOf(value);
  if (!table || table.rows.length < 3) return null;
  const at = table.columns.findIndex((_, i) => i > 0 && table.rows.every((row) => isNumber(row[i])));
  return at > 0 ? table.rows.map((row) => [line(spell(row[0]), 40), row[at]]) : null;
}

/** Return whether a value is worth more than its text. */
export const isRich = (value) => Boolean(tableOf(value) || pointsOf(value));

/** A table with a plot above it, as far as the value has them. */
export function Value({ value }) {
  const table = tableOf(value);
  const points = pointsOf(value);
  return html`<div class="rich">${points && html`<${Plot} points=${points} />`}${table && html`<${Table} ...${table} />`}</div>`;
}

/** A table that is sorted by a click on a column. */
export function Table({ columns, rows, caption = "" }) {
  const [by, setBy] = useState([-1, 1]);
  const [column, way] = by;
  const order = (a, b) => (isNumber(a[column]) && isNumber(b[column]) ? a[column] - b[column] : spell(a[column]).localeCompare(spell(b[column]), undefined, { numeric: true })) * way;
  const shown = column < 0 ? rows : rows.slice().sort(order);
  const sort = (i) => setBy([i, column === i ? -way : 1]);
  const mark = (i) => (column === i ? (way > 0 ? "ascending" : "descending") : "none");
  return html`<div class="table" tabindex="0" role="region" aria-label=${caption || t("table")}><table><thead><tr>${columns.map(
    (name, i) => html`<th scope="col" aria-sort=${mark(i)}><button type="button" onClick=${() => sort(i)}>${line(name, 40)}</button></th>`,
  )}</tr></thead><tbody>${shown.slice(0, MOST_ROWS).map(
    (row) => html`<tr>${row.map((cell) => html`<td class=${isNumber(cell) ? "number" : ""}><${Cell} value=${cell} /></td>`)}</tr>`,
  )}</tbody></table>${rows.length > MOST_ROWS && html`<p class="dim small">${t("table.more", { n: rows.length - MOST_ROWS })}</p>`}</div>`;
}

/** One value, short; a reference leads to its object. */
export function Cell({ value }) {
  if (value && typeof value === "object" && typeof value.ref === "string") {
    return html`<button type="button" class="link" onClick=${() => choose(value.ref)}>${label(value.ref)}</button>`;
  }
  return html`${isNumber(value) ? number(value) : clean(spell(value), 400)}`;
}

const HIGH = 160;
const LEFT = 46;

/** Bars for few values, a line for many. */
export function Plot({ points }) {
  const [over, setOver] = useState(-1);
  const [wide, setWide] = useState(560); // as it is shown, so that its text keeps its size
  const box = useRef(null);
  useEffect(() => {
    const watch = new ResizeObserver(([one]) => setWide(Math.max(240, Math.round(one.contentRect.width))));
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const values = points.map(([, value]) => value);
  const low = Math.min(0, ...values);
  const high = Math.max(0, ...values);
  const span = high - low || 1;
  const y = (value) => 10 + (HIGH - 34) * (1 - (value - low) / span);
  const step = (wide - LEFT - 8) / points.length;
  const x = (i) => LEFT + step * (i + 0.5);
  const isBars = points.length <= 40;
  const path = values.map((value, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const every = Math.ceil(points.length / Math.max(3, Math.floor(wide / 64)));
  const told = over >= 0 ? `${points[over][0]}: ${number(points[over][1])}` : "";
  const look = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = Math.floor((((event.clientX - box.left) / box.width) * wide - LEFT) / step);
    setOver(at >= 0 && at < points.length ? at : -1);
  };
  const name = t("plot", { n: points.length, low: number(Math.min(...values)), high: number(Math.max(...values)) });
  return html`<figure class="plot"><svg ref=${box} viewBox=${`0 0 ${wide} ${HIGH}`} role="img" aria-label=${name} onPointerMove=${look} onPointerLeave=${() => setOver(-1)}>
    ${[low, (low + high) / 2, high].map((value) => html`<line class="grid" x1=${LEFT} x2=${wide - 8} y1=${y(value)} y2=${y(value)} /><text x=${LEFT - 6} y=${y(value) + 4} text-anchor="end">${number(Number(value.toPrecision(3)))}</text>`)}
    ${isBars ? values.map((value, i) => html`<rect class=${i === over ? "bar on" : "bar"} x=${x(i) - step * 0.36} width=${step * 0.72} y=${Math.min(y(value), y(0))} height=${Math.max(1, Math.abs(y(value) - y(0)))} rx="2" />`) : html`<path class="curve" d=${path} />`}
    ${points.map(([text], i) => i % every === 0 && html`<text x=${x(i)} y=${HIGH - 6} text-anchor="middle">${line(text, 10)}</text>`)}
  </svg><figcaption class="dim small">${told || name}</figcaption></figure>`;
}
