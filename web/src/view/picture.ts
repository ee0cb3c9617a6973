// The drawing of a cell. It moves from any state to any other: another step, another gate, another cell.
import { s } from "../dom";
import type { Layout, Line, Mark } from "../diagrams";
import { number, signed } from "../words/numbers";
import { text } from "../words/en";

export const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const VALUES = 250, MORPH = 400; // ms

const ease = (t: number): number => (t < 0.5 ? 4 * t * t * t : 1 - (2 - 2 * t) ** 3 / 2);
const mix = (a: number, b: number, t: number): number => a + (b - a) * t;
type Point = [number, number];

export interface Shown {
  layout: Layout;
  /** A name that parts of different cells share: it moves instead of fading. */
  identity: (node: string) => string;
  values: Record<string, number>;
  trained: Record<string, number>;
  held: Record<string, number>;
  word: string;
  tip: (node: string, value: number) => string;
}

interface Pose {
  o: number;
  points?: Point[];
  x?: number;
  y?: number;
  v?: number;
  at?: [number, number, string];
  spec: Line | Mark | { note: string; anchor: string } | { belt: "belt" | "missing" };
  node?: string;
}

interface Piece {
  id: string;
  from: Pose;
  now: Pose;
  goal: Pose;
  gone: boolean;
  kind: string;
  root: SVGGElement | null;
  label: SVGTextElement | null;
  draw: ((piece: Piece) => void) | null;
}

const POINTS = 6;
const pad = (points: Point[]): Point[] => {
  const out = points.map((p): Point => [...p]);
  while (out.length < POINTS) out.push([...(out.at(-1) as Point)]);
  return out;
};

export function path(points: Point[], radius = 9): string {
  const pts = points.filter((p, k) => !k || Math.hypot(p[0] - (points[k - 1] as Point)[0], p[1] - (points[k - 1] as Point)[1]) > 0.5);
  if (pts.length < 2) return "";
  const f = (v: number): string => v.toFixed(1);
  let d = `M${f((pts[0] as Point)[0])} ${f((pts[0] as Point)[1])}`;
  for (let k = 1; k < pts.length - 1; k++) {
    const [p, q, r] = [pts[k - 1] as Point, pts[k] as Point, pts[k + 1] as Point];
    const u = Math.hypot(q[0] - p[0], q[1] - p[1]), w = Math.hypot(r[0] - q[0], r[1] - q[1]), n = Math.min(radius, u / 2, w / 2);
    d += `L${f(q[0] - ((q[0] - p[0]) / u) * n)} ${f(q[1] - ((q[1] - p[1]) / u) * n)}Q${f(q[0])} ${f(q[1])} ${f(q[0] + ((r[0] - q[0]) / w) * n)} ${f(q[1] + ((r[1] - q[1]) / w) * n)}`;
  }
  const last = pts.at(-1) as Point;
  return `${d}L${f(last[0])} ${f(last[1])}`;
}

export class CellPicture {
  private readonly pieces = new Map<string, Piece>();
  private readonly layers: Record<string, SVGGElement>;
  private frame = 0;
  private key = "";
  private shown: Shown | null = null;

  constructor(
    private readonly svg: SVGSVGElement,
    private readonly on: { hold: (gate: string, value: number) => void; release: (gate: string) => void },
  ) {
    this.layers = Object.fromEntries(["belt", "bus", "wires", "nodes", "text"].map((k) => [k, svg.appendChild(s("g", { class: k }))]));
  }

  show(key: string, shown: Shown): void {
    const [width, height] = shown.layout.size;
    const relaid = this.shown !== null && this.shown.layout.size[0] !== width;
    const morph = key !== this.key, first = !this.key;
    this.shown = shown;
    this.key = key;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const goal = this.goal(shown);
    for (const piece of this.pieces.values()) piece.from = { ...piece.now };
    for (const [id, pose] of goal) {
      const piece = this.pieces.get(id);
      if (piece) Object.assign(piece, { goal: pose, gone: false });
      else this.pieces.set(id, { id, from: { ...pose, o: 0 }, now: { ...pose, o: 0 }, goal: pose, gone: false, kind: "", root: null, label: null, draw: null });
    }
    for (const [id, piece] of this.pieces) if (!goal.has(id)) Object.assign(piece, { goal: { ...piece.from, o: 0 }, gone: true });
    const length = CALM.matches || first || relaid ? 0 : morph ? MORPH : VALUES;
    cancelAnimationFrame(this.frame);
    const began = performance.now();
    const tick = (now: number): void => {
      const t = length ? Math.min(1, Math.max(0, (now - began) / length)) : 1;
      this.draw(ease(t));
      if (t < 1) this.frame = requestAnimationFrame(tick);
      else
        for (const [id, piece] of this.pieces)
          if (piece.gone) {
            piece.root?.remove();
            piece.label?.remove();
            this.pieces.delete(id);
          }
    };
    tick(began);
  }

  private goal({ layout, identity, values }: Shown): Map<string, Pose> {
    const out = new Map<string, Pose>();
    for (const kind of ["belt", "missing"] as const) {
      const line = layout[kind];
      if (line) out.set(`b:${kind}`, { o: 1, points: pad(line), spec: { belt: kind } });
    }
    for (const wire of layout.wires) {
      const id = `w:${wire.vector ? "all " : ""}${identity(wire.value)}>${wire.target ? identity(wire.target) : ""}`;
      out.set(id, { o: 1, points: pad(wire.path), v: wire.vector ? undefined : values[wire.value], at: wire.label, spec: wire, node: wire.value });
    }
    for (const [name, mark] of Object.entries(layout.marks))
      out.set(`n:${identity(name)}:${mark.kind}`, { o: 1, x: mark.at[0], y: mark.at[1], v: values[name], spec: mark, node: name });
    for (const [x, y, note, anchor] of layout.notes) out.set(`t:${note}`, { o: 1, x, y, spec: { note, anchor } });
    return out;
  }

  private draw(t: number): void {
    for (const piece of this.pieces.values()) {
      const { from: a, goal: b, now } = piece;
      // first the old parts leave, then the others move, then the new ones appear
      now.o = a.o < b.o ? mix(a.o, b.o, Math.max(0, (t - 0.4) / 0.6)) : mix(a.o, b.o, Math.min(1, t / 0.5));
      if (b.points) now.points = b.points.map((q, k): Point => [mix(a.points?.[k]?.[0] ?? q[0], q[0], t), mix(a.points?.[k]?.[1] ?? q[1], q[1], t)]);
      if (b.x !== undefined && b.y !== undefined) Object.assign(now, { x: mix(a.x ?? b.x, b.x, t), y: mix(a.y ?? b.y, b.y, t) });
      if (b.v !== undefined) now.v = mix(a.v ?? 0, b.v, t);
      now.at = b.at ? [mix(a.at?.[0] ?? b.at[0], b.at[0], t), mix(a.at?.[1] ?? b.at[1], b.at[1], t), b.at[2]] : undefined;
      now.spec = b.spec;
      now.node = b.node;
      if (piece.id.startsWith("w:")) this.wire(piece);
      else if (piece.id.startsWith("n:")) this.node(piece);
      else if (piece.id.startsWith("t:")) this.note(piece);
      else this.belt(piece);
    }
  }

  private layer(name: string): SVGGElement {
    return this.layers[name] as SVGGElement;
  }

  private wire(piece: Piece): void {
    const spec = piece.now.spec as Line, { now } = piece, vector = !!spec.vector;
    if (!piece.root) {
      piece.root = s("g", { class: "wire" }, s("path", { class: vector ? "busline" : "halo" }), s("path", { class: vector ? "buscore" : "line" }), s("path", { class: "arrow" }), s("title"));
      this.layer(vector ? "bus" : "wires").append(piece.root);
      piece.label = this.layer("text").appendChild(s("text", { class: "value" }));
    }
    const [halo, line, arrow, tip] = [...piece.root.children] as [SVGPathElement, SVGPathElement, SVGPathElement, SVGTitleElement];
    const label = piece.label as SVGTextElement;
    const points = now.points as Point[], d = path(points);
    halo.setAttribute("d", d);
    line.setAttribute("d", d);
    piece.root.style.opacity = label.style.opacity = String(now.o);
    if (vector) return;
    const v = now.v ?? 0, part = /^(token|past|sum)/.test(spec.value);
    const tone = spec.role || (v >= 0 ? "plus" : "minus"), width = 1.5 + 6.5 * Math.min(1, Math.abs(v) / (part ? 2.5 : 1));
    piece.root.dataset.tone = label.dataset.tone = tone;
    line.style.strokeWidth = String(width);
    const onBelt = points.every((p) => p[1] === (points[0] as Point)[1]) && (this.shown?.layout.belt?.[0]?.[1] === (points[0] as Point)[1]);
    halo.style.strokeWidth = onBelt ? "0" : String(width + 7);
    const pts = points.filter((p, k) => !k || Math.hypot(p[0] - (points[k - 1] as Point)[0], p[1] - (points[k - 1] as Point)[1]) > 0.5);
    if (pts.length > 1) {
      const [a, b] = pts.slice(-2) as [Point, Point];
      const n = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1, ux = (b[0] - a[0]) / n, uy = (b[1] - a[1]) / n, wide = 5 + width * 0.55, long = 7 + width * 0.5;
      const [x, y] = b;
      arrow.setAttribute("d", `M${x} ${y}L${x - ux * long - uy * wide} ${y - uy * long + ux * wide}L${x - ux * long + uy * wide} ${y - uy * long - ux * wide}Z`);
      line.setAttribute("d", path([...pts.slice(0, -1), [x - ux * long * 0.8, y - uy * long * 0.8]])); // it ends inside its arrow
    }
    tip.textContent = this.shown?.tip(spec.value, piece.goal.v ?? 0) ?? "";
    if (!now.at) return void (label.textContent = "");
    label.setAttribute("x", String(now.at[0]));
    label.setAttribute("y", String(now.at[1]));
    label.setAttribute("text-anchor", now.at[2]);
    label.classList.toggle("small", !spec.letter);
    label.replaceChildren(...(spec.letter ? [s("tspan", { class: "name" }, `${spec.letter} `)] : []), s("tspan", {}, spec.role ? number(v) : signed(v)));
  }

  private node(piece: Piece): void {
    const mark = piece.now.spec as Mark, { now } = piece, kind = `${mark.kind} ${mark.role ?? ""} ${mark.name ?? ""} ${mark.sign ?? ""}`;
    if (!piece.root || piece.kind !== kind) {
      piece.root?.remove();
      piece.kind = kind;
      piece.root = this.layer("nodes").appendChild(s("g", { class: `node ${mark.kind}`, "data-tone": mark.role || null }));
      piece.draw = this.make(piece, mark);
    }
    piece.root.setAttribute("transform", `translate(${(now.x ?? 0).toFixed(1)} ${(now.y ?? 0).toFixed(1)})`);
    piece.root.style.opacity = String(now.o);
    piece.draw?.(piece);
  }

  private make(piece: Piece, mark: Mark): ((piece: Piece) => void) | null {
    const root = piece.root as SVGGElement;
    if (mark.kind === "operation") root.append(s("circle", { r: 17 }), s("text", { y: mark.sign === "1−" ? 5 : 7, class: mark.sign === "1−" ? "sign two" : "sign" }, mark.sign ?? ""));
    if (mark.kind === "function") root.append(s("rect", { x: -33, y: -17, width: 66, height: 34, rx: 17 }), s("text", { y: 5, class: "fn" }, mark.sign ?? ""));
    if (mark.kind === "word") {
      const rect = s("rect", { y: -17, height: 34, rx: 17 }), word = s("text", { y: 5.5 });
      root.append(rect, word);
      return () => {
        const { word: w, layout } = this.shown as Shown;
        const shown = w.length > 14 ? `${w.slice(0, 13)}…` : w;
        if (word.textContent !== shown) word.textContent = shown;
        const wide = Math.max(44, shown.length * 9.4 + 26), start = layout.size[0] < 500 ? -wide + 34 : Math.max(-wide / 2, -80);
        rect.setAttribute("width", String(wide));
        rect.setAttribute("x", String(start));
        word.setAttribute("x", String(start + wide / 2));
      };
    }
    if (mark.kind === "gate" || mark.kind === "candidate") return this.box(piece, mark);
    return null;
  }

  /** A glass filled to its value; of a gate also a slider. */
  private box(piece: Piece, mark: Mark): (piece: Piece) => void {
    const root = piece.root as SVGGElement, clip = `clip-${piece.id.replace(/\W/g, "-")}`, gate = mark.kind === "gate", H = 58;
    const frame = { x: -41, y: -29, width: 82, height: H, rx: 10 };
    const fill = s("rect", { class: "fill", x: -41, width: 82 }), level = s("path", { class: "level" }), was = s("path", { class: "was" });
    root.append(
      s("clipPath", { id: clip }, s("rect", frame)),
      s("rect", { class: "body", ...frame }),
      s("g", { "clip-path": `url(#${clip})` }, fill, level, was),
      s("rect", { class: "edge", ...frame }),
      s("text", { class: "fn", y: gate ? 5 : 1 }, gate ? "σ" : mark.sign === "φ" || !mark.sign ? "tanh" : mark.sign),
      s("text", { class: "title", y: 21 }, mark.name ?? ""),
    );
    const letter = (): string => piece.goal.node ?? "";
    if (gate) this.slide(piece, root, letter, mark.name ?? "");
    return () => {
      const v = Math.max(-1, Math.min(1, piece.now.v ?? 0));
      const [y, height] = gate ? [H / 2 - H * v, H * v] : v >= 0 ? [-(H / 2) * v, (H / 2) * v] : [0, (-H / 2) * v];
      fill.setAttribute("y", String(y));
      fill.setAttribute("height", String(Math.max(0, height)));
      root.dataset.sign = v >= 0 ? "plus" : "minus";
      level.setAttribute("d", `M-41 ${gate || v >= 0 ? y : y + height}H41`);
      if (!gate) return;
      const { trained, held } = this.shown as Shown, isHeld = held[letter()] !== undefined, before = trained[letter()];
      root.classList.toggle("held", isHeld);
      was.setAttribute("d", isHeld && before !== undefined ? `M-41 ${H / 2 - H * before}H41` : "");
      root.setAttribute("aria-valuenow", (piece.goal.v ?? 0).toFixed(2));
      root.setAttribute("aria-valuetext", text.cell.value(piece.goal.v ?? 0, isHeld));
    };
  }

  private slide(piece: Piece, root: SVGGElement, letter: () => string, name: string): void {
    root.append(s("path", { class: "grip", d: "M-6 -23h12M-6 -19h12" }));
    const attributes = { tabindex: 0, role: "slider", "aria-valuemin": 0, "aria-valuemax": 1, "aria-orientation": "vertical", "aria-label": text.cell.gate(name, letter()), "data-gate": letter() };
    for (const [key, value] of Object.entries(attributes)) root.setAttribute(key, String(value));
    let drag = false;
    const clamp = (v: number): number => Math.max(0, Math.min(1, v));
    const put = (event: PointerEvent): void => {
      const m = root.getScreenCTM()?.inverse();
      if (m) this.on.hold(letter(), clamp((29 - (event.clientY * m.d + m.f)) / 58));
    };
    root.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      root.focus();
      root.setPointerCapture(event.pointerId);
      drag = true;
      put(event);
    });
    root.addEventListener("pointermove", (event) => drag && put(event));
    root.addEventListener("pointerup", () => (drag = false));
    root.addEventListener("pointercancel", () => (drag = false));
    root.addEventListener("dblclick", () => this.on.release(letter()));
    root.addEventListener("keydown", (event) => {
      const by = { ArrowUp: 0.05, ArrowRight: 0.05, ArrowDown: -0.05, ArrowLeft: -0.05, PageUp: 0.25, PageDown: -0.25 }[event.key];
      if (by !== undefined) this.on.hold(letter(), clamp((piece.goal.v ?? 0) + by));
      else if (event.key === "Home") this.on.hold(letter(), 0);
      else if (event.key === "End") this.on.hold(letter(), 1);
      else if (event.key === "Escape" || event.key === "Delete") this.on.release(letter());
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  private note(piece: Piece): void {
    const spec = piece.now.spec as { note: string; anchor: string };
    piece.root ??= this.layer("text").appendChild(s("g", {}, s("text", { class: "note" }, spec.note)));
    const label = piece.root.firstElementChild as SVGTextElement;
    label.setAttribute("x", String(piece.now.x));
    label.setAttribute("y", String(piece.now.y));
    label.setAttribute("text-anchor", spec.anchor);
    label.style.opacity = String(piece.now.o);
  }

  private belt(piece: Piece): void {
    const { belt } = piece.now.spec as { belt: "belt" | "missing" };
    piece.root ??= this.layer("belt").appendChild(s("g", { class: belt }, s("path")));
    const [u, v] = [piece.now.points?.[0] as Point, piece.now.points?.at(-1) as Point];
    const down = Math.abs(v[1] - u[1]) > Math.abs(v[0] - u[0]);
    const sides = belt === "belt" ? [0] : [-19, 19];
    const d = sides.map((k) => (down ? `M${u[0] + k} ${u[1]}L${v[0] + k} ${v[1]}` : `M${u[0]} ${u[1] + k}L${v[0]} ${v[1] + k}`)).join("");
    piece.root.firstElementChild?.setAttribute("d", d);
    piece.root.style.opacity = String(piece.now.o);
  }
}
