// The sentence as a time line: the answer after each word, the memory, and every gate. Right in a wide window, down in a
// narrow one.
import { narrow, redraw, s } from "../dom";
import type { Trace } from "../model/network";
import type { Edits } from "../model/recurrent";
import { at, type Tensor } from "../model/tensor";
import { exactly, percent } from "../words/numbers";
import { text } from "../words/en";

export interface Lines {
  model: string;
  trained: Trace;
  now: Trace;
  unit: number;
  step: number;
  edits: Edits;
  width: number;
  /** Probability of the focused label and its name after a step. */
  p: (trace: Trace, t: number) => number;
  says: (trace: Trace, t: number) => { label: string; p: number };
  ends: [string, string];
}

type Row = [string, string, string, string];
type Place = { x: number; y: number };

export class TimeLine {
  constructor(
    private readonly svg: SVGSVGElement,
    private readonly go: (step: number) => void,
  ) {}

  show(lines: Lines): void {
    const rows = text.cell.rows[lines.model] ?? [];
    const tensors = rows.map(([name]) => [lines.now, lines.trained].map((trace) => trace.tensors[`${lines.model}.l0.${name}`]) as [Tensor, Tensor]);
    const held = Object.keys(lines.edits).map(Number);
    const first = held.length ? Math.min(...held) : null;
    const all = tensors[0]?.flatMap((tensor) => Array.from({ length: lines.now.words.length }, (_, t) => Math.abs(at(tensor, t, lines.unit)))) ?? [];
    const most = Math.max(0.5, ...all);
    if (narrow()) this.down(lines, rows, tensors, first, most);
    else this.right(lines, rows, tensors, first, most);
  }

  private column(lines: Lines, t: number): SVGGElement {
    const { now, step } = lines, known = now.known[t] ?? true, said = lines.says(now, t), isNow = t === step;
    return s("g", {
      class: `col${isNow ? " now" : ""}${known ? "" : " unknown"}`, tabindex: isNow ? 0 : -1, role: "button", "aria-pressed": String(isNow),
      "aria-label": text.cell.column(now.words[t] as string, t, known, said.label, said.p), "data-key": `step${t}`, "data-step": t, click: () => this.go(t),
      keydown: (event: KeyboardEvent) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        this.go(t);
      },
    });
  }

  private right(lines: Lines, rows: Row[], tensors: [Tensor, Tensor][], first: number | null, most: number): void {
    const { now, step, edits, width } = lines, T = now.words.length, left = 128, w = (width - left) / T, gap = 12;
    const heights = [118, ...rows.map((row) => (row[1] === "memory" ? 62 : 40))];
    const tight = now.words.some((word) => word.length * 8.6 + 12 > w), head = tight ? 84 : 44;
    const tops: number[] = [];
    let y = head;
    for (const height of heights) {
      tops.push(y);
      y += height + gap;
    }
    const top = (k: number): number => tops[k] as number, height = (k: number): number => heights[k] as number;
    const cy = (v: number): number => top(0) + 12 + (height(0) - 24) * (1 - v), cx = (t: number): number => left + w * (t + 0.5);
    const out: SVGElement[] = [];
    if (first !== null) out.push(s("rect", { class: "after", x: left + w * first, y: 0, width: width - left - w * first, height: y - gap, rx: 8 }));
    for (let t = 0; t < T; t++) {
      const g = this.column(lines, t), word = now.words[t] as string, wide = Math.min(w - 4, word.length * 8.6 + 22);
      g.append(s("rect", { class: "hit", x: left + w * t + 2, y: 2, width: Math.max(1, w - 4), height: y - gap - 2, rx: 10 }));
      if (tight) g.append(s("text", { class: "tokenword tilted", transform: `translate(${cx(t) + 4} ${head - 10}) rotate(-52)` }, word.length > 11 ? `${word.slice(0, 10)}…` : word));
      else g.append(s("rect", { class: "pill", x: cx(t) - wide / 2, y: 6, width: wide, height: 28, rx: 14 }), s("text", { class: "tokenword", x: cx(t), y: 25.5 }, word));
      const bars = s("g", { "aria-hidden": "true", class: t === step ? "bars now" : "bars", click: () => this.go(t) });
      rows.forEach(([name, role], k) => bars.append(...this.bar({ x: cx(t), y: top(k + 1) }, height(k + 1), lines, tensors[k] as [Tensor, Tensor], name, role, t, most, Math.max(4, Math.min(34, w - 16)), edits[t]?.[name] !== undefined)));
      out.push(g, bars);
    }
    const name = (k: number, a: string, b: string, tone: string): SVGElement[] => [
      s("text", { class: "rowname", x: 0, y: top(k) + height(k) / 2 - 1, style: tone && `fill:var(--${tone})` }, a),
      s("text", { class: "rowsub", x: 0, y: top(k) + height(k) / 2 + 15 }, b),
    ];
    out.push(...name(0, text.cell.soFar, text.cell.ended, ""), ...rows.flatMap((row, k) => name(k + 1, row[2], row[3], row[1])));
    const front = s("g", { "pointer-events": "none" });
    front.append(
      s("path", { class: "mid", d: `M${left} ${cy(0.5)}H${width}` }),
      s("text", { class: "rowsub", x: left - 10, y: cy(1) + 4, "text-anchor": "end" }, lines.ends[1]),
      s("text", { class: "rowsub", x: left - 10, y: cy(0) + 4, "text-anchor": "end" }, lines.ends[0]),
    );
    this.curves(front, lines, first, (t, v) => ({ x: cx(t), y: cy(v) }), true);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${y}`);
    this.svg.setAttribute("height", String(y));
    redraw(this.svg, ...out, front);
  }

  private down(lines: Lines, rows: Row[], tensors: [Tensor, Tensor][], first: number | null, most: number): void {
    const { now, step, edits, width } = lines, T = now.words.length, line = 58, top = 30, tokens = 86, curve = 92;
    const start = tokens + curve + 14, w = (width - start) / (rows.length + 0.6);
    const px = (v: number): number => tokens + 8 + (curve - 16) * v, cy = (t: number): number => top + line * (t + 0.5);
    const places = rows.map((_, k): [number, number] => (k === 0 ? [start, w * 1.6] : [start + w * (k + 0.6), w]));
    const middle = (k: number): number => (places[k]?.[0] ?? 0) + (places[k]?.[1] ?? 0) / 2 - 3;
    const out: SVGElement[] = [s("text", { class: "rowsub", x: tokens + curve / 2, y: 14, "text-anchor": "middle" }, text.cell.soFar)];
    rows.forEach((row, k) => out.push(s("text", { class: "rowname", x: middle(k), y: 14, "text-anchor": "middle", style: `fill:var(--${row[1]})` }, row[0])));
    if (first !== null) out.push(s("rect", { class: "after", x: 0, y: top + line * first, width, height: line * (T - first), rx: 8 }));
    for (let t = 0; t < T; t++) {
      const g = this.column(lines, t), word = now.words[t] as string, shown = word.length > 10 ? `${word.slice(0, 9)}…` : word, wide = Math.min(tokens - 8, shown.length * 8.8 + 20);
      g.append(
        s("rect", { class: "hit", x: 0, y: top + line * t + 2, width, height: line - 4, rx: 10 }),
        s("rect", { class: "pill", x: 4, y: cy(t) - 14, width: wide, height: 28, rx: 14 }),
        s("text", { class: "tokenword", style: shown.length > 7 ? "font-size:13px" : null, x: 4 + wide / 2, y: cy(t) + 5.5 }, shown),
      );
      const bars = s("g", { "aria-hidden": "true", class: t === step ? "bars now" : "bars", click: () => this.go(t) });
      rows.forEach(([name, role], k) => bars.append(...this.bar({ x: middle(k), y: cy(t) - 21 }, 42, lines, tensors[k] as [Tensor, Tensor], name, role, t, most, Math.min(22, (places[k]?.[1] ?? 30) - 8), edits[t]?.[name] !== undefined)));
      out.push(g, bars);
    }
    const front = s("g", { "pointer-events": "none" }, s("path", { class: "mid", d: `M${px(0.5)} ${top}V${top + T * line}` }));
    this.curves(front, lines, first, (t, v) => ({ x: px(v), y: cy(t) }), false);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${top + T * line}`);
    this.svg.setAttribute("height", String(top + T * line));
    redraw(this.svg, ...out, front);
  }

  private bar(place: Place, height: number, lines: Lines, tensors: [Tensor, Tensor], name: string, role: string, t: number, most: number, size: number, held: boolean): SVGElement[] {
    const { x, y } = place, memory = role === "memory", v = at(tensors[0], t, lines.unit), was = at(tensors[1], t, lines.unit);
    const middle = memory ? y + height / 2 : y + height, scale = memory ? height / 2 / most : height, long = Math.max(1, Math.abs(v) * scale);
    const out: SVGElement[] = [
      s("rect", { class: "ttrack", x: x - size / 2, y, width: size, height, rx: 4 }),
      s("rect", { class: "tbar", "data-tone": memory ? (v >= 0 ? "plus" : "minus") : role, x: x - size / 2, y: v >= 0 ? middle - v * scale : middle, width: size, height: long, rx: Math.min(3, long / 2) },
        s("title", {}, `${lines.model}.l0.${name}[${t}, ${lines.unit}] = ${exactly(v)}`)),
    ];
    if (memory) out.push(s("path", { class: "axis", d: `M${x - size / 2 - 4} ${middle}h${size + 8}` }));
    if (Math.abs(v - was) > 0.01) out.push(s("path", { class: "twas", d: `M${x - size / 2 - 3} ${middle - was * scale}h${size + 6}` }));
    if (held) out.push(s("rect", { x: x - size / 2 - 3, y: y - 3, width: size + 6, height: height + 6, rx: 6, fill: "none", stroke: `var(--${role})`, "stroke-width": 2 }));
    return out;
  }

  private curves(g: SVGGElement, lines: Lines, first: number | null, place: (t: number, v: number) => Place, numbers: boolean): void {
    const { trained, now, step, p } = lines, T = now.words.length;
    const line = (trace: Trace, from: number): string =>
      `M${Array.from({ length: T - from }, (_, k) => place(k + from, p(trace, k + from))).map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}`;
    if (first !== null && T > 1) g.append(s("path", { class: "curve was", d: line(trained, Math.max(0, first - 1)) }));
    if (T > 1) g.append(s("path", { class: "curve", d: line(now, 0) }));
    for (let t = 0; t < T; t++) {
      if (first !== null && t >= first) {
        const { x, y } = place(t, p(trained, t));
        g.append(s("circle", { class: "dot was", cx: x, cy: y, r: 4 }));
      }
      const v = p(now, t), { x, y } = place(t, v), tone = v >= 0.5 ? "plus" : "minus", marked = t === step || t === T - 1;
      g.append(s("circle", { class: "dot", "data-tone": tone, cx: x, cy: y, r: marked ? 7 : 5 }));
      if (numbers && marked) g.append(s("text", { class: "pnum", "data-tone": tone, x, y: y + (v > 0.5 ? 22 : -12) }, percent(v)));
    }
  }
}
