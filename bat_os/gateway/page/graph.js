// The canvas: objects as bodies, what they refer to as threads, commits as ripples, and an orbit
// around an object while a mission works for it. Draws only when something has changed.
import { arrange, settle } from "./layout.js";
import { label } from "./kinds.js";
import { colours } from "./store.js";

const RIPPLE = 1400; // milliseconds
const MANY = 800; // from here on bodies are plain, and the picture below the ripples is kept
const COLOURS = ["bg", "text", "dim", "line", "accent", "own", "personas", "world", "library", "missions", "kernel", "verified", "taught", "provisional", "bad"];

export class Canvas {
  constructor(canvas, pick, placed = () => {}) {
    Object.assign(this, { canvas, pick, placed, places: {}, pen: canvas.getContext("2d"), bodies: [], threads: [], by: new Map(), ripples: [], at: { x: 0, y: 0, k: 1 }, chosen: "", over: null, working: new Set(), moved: false, drawn: 0, live: null });
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = this.frame.bind(this);
    this.theme();
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(canvas);
    this.listen();
  }

  destroy() {
    this.watch.disconnect();
    cancelAnimationFrame(this.asked);
    this.gone = true;
  }

  /** Have the next frame drawn; without a reason there is none. */
  wake(isDirty = true) {
    this.dirty ||= isDirty;
    if (!this.asked && !this.gone) this.asked = requestAnimationFrame(this.frame);
  }

  theme() {
    this.colour = colours(COLOURS);
    this.font = getComputedStyle(document.body).fontFamily;
    this.wake();
  }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    this.dense = Math.min(2, devicePixelRatio || 1);
    [this.wide, this.high] = [box.width, box.height];
    this.canvas.width = Math.max(1, box.width * this.dense);
    this.canvas.height = Math.max(1, box.height * this.dense);
    if (!this.moved) this.fit();
    this.wake();
  }

  /** Show these objects; a folded group is one body. */
  set(nodes, folded, groupOf) {
    const first = !this.bodies.length;
    const made = arrange(nodes, folded, groupOf, this.by, this.wide / Math.max(1, this.high), this.places);
    Object.assign(this, made);
    for (const body of this.bodies) body.label ||= label(body.name);
    this.live = settle(this, first);
    if (first || !this.moved) this.fit();
    this.wake();
  }

  choose(name) {
    this.chosen = name;
    const body = this.by.get(name);
    if (body) {
      const x = body.x * this.at.k + this.at.x;
      const y = body.y * this.at.k + this.at.y;
      if (x < 40 || y < 40 || x > this.wide - 40 || y > this.high - 60) {
        this.at.x += this.wide / 2 - x;
        this.at.y += this.high / 2 - y;
      }
    }
    this.wake();
  }

  busy(names) {
    this.working = names;
    this.wake();
  }

  /** A commit touched an object, or a mission did a step for it. */
  pulse(name, what) {
    const body = this.by.get(name) || this.by.get(`group:${this.groupOf?.get(name)}`);
    if (!body || this.still.matches) return;
    if (this.ripples.length > 80) this.ripples.shift();
    const tone = what === "failed" ? "bad" : what === "complete" ? "verified" : "accent";
    this.ripples.push({ body, tone, from: performance.now() });
    this.wake(this.bodies.length <= MANY);
  }

  whole() {
    this.moved = false;
    this.fit();
    this.wake();
  }

  fit() {
    if (!this.bodies.length || !this.wide) return;
    let [left, top, right, bottom] = [1e9, 1e9, -1e9, -1e9];
    for (const one of this.bodies) {
      const half = Math.max(one.r, (one.label || "").length * 3.6); // its name below it
      [left, right] = [Math.min(left, one.x - half), Math.max(right, one.x + half)];
      [top, bottom] = [Math.min(top, one.y - one.r), Math.max(bottom, one.y + one.r)];
    }
    const room = Math.min(64, this.wide * 0.1);
    const k = Math.max(0.02, Math.min(1.6, (this.wide - room) / (right - left || 1), (this.high - room) / (bottom - top + 24 || 1)));
    this.at = { k, x: this.wide / 2 - (k * (left + right)) / 2, y: this.high / 2 - (k * (top + bottom + 18)) / 2 };
  }

  closer(factor) {
    this.zoom(this.wide / 2, this.high / 2, factor);
  }

  zoom(x, y, factor) {
    const k = Math.min(6, Math.max(0.02, this.at.k * factor));
    this.at.x = x - ((x - this.at.x) * k) / this.at.k;
    this.at.y = y - ((y - this.at.y) * k) / this.at.k;
    this.at.k = k;
    this.moved = true;
    this.wake();
  }

  find(px, py) {
    const x = (px - this.at.x) / this.at.k;
    const y = (py - this.at.y) / this.at.k;
    let best = null;
    let near = Infinity;
    for (const one of this.bodies) {
      const far = (one.x - x) ** 2 + (one.y - y) ** 2;
      if (far < near && far < (one.r + 8 / this.at.k) ** 2) [best, near] = [one, far];
    }
    return best;
  }

  listen() {
    const fingers = new Map();
    let held = null;
    let pan = null;
    let far = 0;
    let pinch = 0;
    const where = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      const [x, y] = where(event);
      fingers.set(event.pointerId, [x, y]);
      far = 0;
      held = fingers.size === 1 ? this.find(x, y) : null;
      pan = [x - this.at.x, y - this.at.y];
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const [x, y] = where(event);
      const before = fingers.get(event.pointerId);
      if (!before) {
        const over = this.find(x, y);
        if (over !== this.over) {
          this.over = over;
          this.canvas.style.cursor = over ? "pointer" : "grab";
          this.wake();
        }
        return;
      }
      far += Math.abs(x - before[0]) + Math.abs(y - before[1]);
      fingers.set(event.pointerId, [x, y]);
      if (fingers.size === 2) {
        const [a, b] = [...fingers.values()];
        const now = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (pinch) this.zoom((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, now / pinch);
        pinch = now;
      } else if (held && far > 4) {
        [held.fx, held.fy] = [(x - this.at.x) / this.at.k, (y - this.at.y) / this.at.k];
        [held.x, held.y] = [held.fx, held.fy];
        this.live?.alpha(Math.max(this.live.alpha(), 0.2));
        this.moved = true;
      } else if (far > 4) {
        [this.at.x, this.at.y] = [x - pan[0], y - pan[1]];
        this.moved = true;
      }
      this.wake();
    });
    const up = (event) => {
      fingers.delete(event.pointerId);
      pinch = 0;
      if (far <= 4 && event.type === "pointerup") this.pick(held ? held.name : "");
      if (held && far > 4) {
        this.places = { ...this.places, [held.name]: [Math.round(held.x), Math.round(held.y)] };
        this.placed(this.places);
      }
      held = null;
      this.wake();
    };
    this.canvas.addEventListener("pointerup", up);
    this.canvas.addEventListener("pointercancel", up);
    this.canvas.addEventListener("dblclick", () => this.whole());
    const wheel = (event) => {
      event.preventDefault();
      this.zoom(...where(event), Math.exp(-event.deltaY * 0.0016));
    };
    this.canvas.addEventListener("wheel", wheel, { passive: false });
  }

  frame(now) {
    this.asked = 0;
    const settling = this.live && this.live.alpha() > 0.02;
    if (settling) {
      this.live.tick();
      if (!this.moved) this.fit();
    }
    this.ripples = this.ripples.filter((one) => now - one.from < RIPPLE);
    const orbits = this.working.size > 0 && !this.still.matches;
    const many = this.bodies.length > MANY;
    if (!many || this.dirty || settling || !this.kept) this.draw(many);
    else {
      this.pen.setTransform(1, 0, 0, 1, 0, 0);
      this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.pen.drawImage(this.kept, 0, 0);
    }
    this.dirty = false;
    this.drawn++;
    this.above(now);
    if (settling || this.ripples.length || orbits) this.wake(false);
  }

  space() {
    const { dense: d, at } = this;
    this.pen.setTransform(d * at.k, 0, 0, d * at.k, d * at.x, d * at.y);
  }

  /** Draw threads and bodies; of many the picture is kept. */
  draw(many) {
    const { pen, at } = this;
    pen.setTransform(this.dense, 0, 0, this.dense, 0, 0);
    pen.clearRect(0, 0, this.wide, this.high);
    this.space();
    const edge = { left: -at.x / at.k - 40, top: -at.y / at.k - 40, right: (this.wide - at.x) / at.k + 40, bottom: (this.high - at.y) / at.k + 40 };
    this.seen = (one) => one.x > edge.left && one.x < edge.right && one.y > edge.top && one.y < edge.bottom;
    const focus = this.over?.name || this.chosen;
    const near = new Set(focus ? [focus] : []);
    if (focus && this.by.has(focus)) for (const one of this.threads) if (one.source.name === focus || one.target.name === focus) near.add(one.source.name).add(one.target.name);
    this.near = near.size && this.by.has(focus) ? near : null;
    for (const kind of ["root", "parent", "refers"]) if (!many || kind !== "root") this.drawThreads(kind, focus, many);
    pen.setLineDash([]);
    for (const one of this.bodies) if (this.seen(one)) this.drawBody(one, focus, many);
    pen.globalAlpha = 1;
    if (many) {
      this.kept ||= document.createElement("canvas");
      [this.kept.width, this.kept.height] = [this.canvas.width, this.canvas.height];
      this.kept.getContext("2d").drawImage(this.canvas, 0, 0);
    } else this.kept = null;
  }

  drawThreads(kind, focus, many) {
    const { pen, colour } = this;
    const isNear = (one) => this.near && (one.source.name === focus || one.target.name === focus);
    for (const lit of [false, true]) {
      pen.beginPath();
      for (const one of this.threads) {
        if (one.kind !== kind || Boolean(isNear(one)) !== lit || !(this.seen(one.source) || this.seen(one.target))) continue;
        const { source: a, target: b } = one;
        pen.moveTo(a.x, a.y);
        if (many) pen.lineTo(b.x, b.y);
        else pen.quadraticCurveTo((a.x + b.x) / 2 - (b.y - a.y) * 0.12, (a.y + b.y) / 2 + (b.x - a.x) * 0.12, b.x, b.y);
      }
      pen.setLineDash(kind === "refers" ? [2, 4] : []);
      pen.lineCap = "round";
      pen.lineWidth = (lit ? 1.8 : kind === "root" ? 0.8 : 1.2) / Math.max(0.6, Math.min(1, this.at.k));
      pen.strokeStyle = kind === "refers" || lit ? colour.accent : colour.dim;
      pen.globalAlpha = lit ? 0.95 : (kind === "root" ? 0.16 : kind === "parent" ? 0.42 : 0.6) * (this.near ? 0.35 : 1);
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  circle(x, y, r) {
    this.pen.beginPath();
    this.pen.arc(x, y, r, 0, 7);
  }

  drawBody(one, focus, many) {
    const { pen, colour, at } = this;
    const alpha = this.near && !this.near.has(one.name) ? 0.28 : 1;
    const tone = colour[one.group];
    const isChosen = one.name === this.chosen;
    pen.globalAlpha = alpha;
    if (many && at.k < 0.5) {
      pen.fillStyle = tone;
      pen.fillRect(one.x - one.r * 0.7, one.y - one.r * 0.7, one.r * 1.4, one.r * 1.4);
    } else {
      pen.fillStyle = colour.bg;
      this.circle(one.x, one.y, one.r + 1.5);
      pen.fill();
      pen.globalAlpha = alpha * (one.count ? 0.26 : 0.18);
      pen.fillStyle = tone;
      this.circle(one.x, one.y, one.r);
      pen.fill();
      pen.globalAlpha = alpha;
      pen.lineWidth = isChosen ? 3 : 1.6;
      pen.strokeStyle = isChosen ? colour.accent : tone;
      pen.stroke();
      if (one.count) this.write(String(one.count), one.x, one.y + 4, 600, 12, tone);
    }
    if (one.methods.length && at.k > 0.4 && !(many && at.k < 0.9)) this.drawMoons(one);
    const named = one.name === focus || isChosen || (many ? at.k > 1.1 : at.k > 0.45 || one.count || one.group === "own");
    if (named) {
      const size = (one.group === "own" || one.count ? 12.5 : 11) / Math.max(0.75, Math.min(at.k, 1.35));
      this.write(one.label, one.x, one.y + one.r + 5 + size, one.group === "own" ? 600 : 400, size, one.group === "own" || one.name === focus ? colour.text : colour.dim);
    }
  }

  drawMoons(one) {
    const few = one.methods.slice(0, 12);
    const step = 0.44;
    few.forEach(([, status], i) => {
      const angle = -Math.PI / 2 + (i - (few.length - 1) / 2) * step;
      this.pen.fillStyle = this.colour[status] || this.colour.dim;
      this.circle(one.x + Math.cos(angle) * (one.r + 6), one.y + Math.sin(angle) * (one.r + 6), 2.6);
      this.pen.fill();
    });
  }

  write(text, x, y, weight, size, fill) {
    const { pen } = this;
    pen.font = `${weight} ${size}px ${this.font}`;
    pen.textAlign = "center";
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = this.colour.bg;
    pen.strokeText(text, x, y);
    pen.fillStyle = fill;
    pen.fillText(text, x, y);
  }

  /** Draw what moves: ripples of commits, orbits of missions. */
  above(now) {
    const { pen } = this;
    this.space();
    for (const { body, tone, from } of this.ripples) {
      const t = (now - from) / RIPPLE;
      pen.globalAlpha = 0.8 * (1 - t) ** 1.4;
      pen.lineWidth = (2.4 * (1 - t) + 0.4) / Math.min(1, this.at.k);
      pen.strokeStyle = this.colour[tone];
      this.circle(body.x, body.y, body.r + (1 - (1 - t) ** 3) * (this.bodies.length > MANY ? 18 / this.at.k : 42));
      pen.stroke();
    }
    pen.fillStyle = this.colour.accent;
    for (const name of this.working) {
      const body = this.by.get(name) || this.by.get(`group:${this.groupOf?.get(name)}`);
      if (!body) continue;
      for (let i = 0; i < 3; i++) {
        const angle = (this.still.matches ? 0 : now / 420) - i * 0.32;
        pen.globalAlpha = 0.95 - i * 0.3;
        this.circle(body.x + Math.cos(angle) * (body.r + 13), body.y + Math.sin(angle) * (body.r + 13), 3.4 - i * 0.8);
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
  }
}
