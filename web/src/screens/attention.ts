// One vector for all, or a look back at each step; and every word that looks at every word.
import { argmax, title, type App, type Screen } from "../app";
import { h, narrow, redraw, rich, s, set } from "../dom";
import type { Spoken, Trace } from "../model/network";
import { at } from "../model/tensor";
import { percent } from "../words/numbers";
import { text } from "../words/en";

const words = text.attention;
const PAIRS = ["encoder_decoder", "attention"] as const;

export class AttentionScreen implements Screen {
  private readonly input = h("input", { id: "word", autocomplete: "off", spellcheck: "false", maxlength: 24 });
  private readonly chips = h("div", { class: "chips", role: "group", "aria-label": text.examples });
  private readonly status = h("p", { class: "status", "aria-live": "polite" });
  private readonly panels: { model: string; svg: SVGSVGElement; told: HTMLElement }[];
  private readonly close = h("button", { class: "plain", type: "button", click: () => this.app.set({ closed: !this.app.state.closed }) });
  private readonly length = s("svg", { role: "img" });
  private readonly heads = h("div", { class: "heads" });
  private readonly headTold = h("p", { class: "told", "aria-live": "polite" });
  private ticket = 0;

  constructor(
    root: Element,
    private readonly app: App,
  ) {
    const models = PAIRS.filter((model) => app.saved.has(model)), change = (word: string): void => app.set({ word, held: {}, spoken: null });
    this.panels = models.map((model) => ({ model, svg: s("svg", { role: "group", "aria-label": model === "attention" ? words.alignment : words.fixed }), told: h("p", { class: "told", "aria-live": "polite" }) }));
    this.input.addEventListener("input", () => change(this.input.value));
    const two = models.length === 2;
    set(
      root,
      ...(models.length
        ? [
            h("form", { class: "ask word", submit: (event: Event) => event.preventDefault() }, h("label", { for: "word" }, words.ask), this.input, this.chips, this.status),
            h("h1", {}, ...rich(words.title)), h("p", { class: "lead" }, words.lead),
            h("div", { class: "two" }, ...this.panels.map(({ model, svg, told }) => h("div", { class: "card pairs" }, h("div", { class: "row" }, h("h2", {}, title(model), " ", h("small", {}, String(text.lineage.years[model]))), model === "attention" ? this.close : null), svg, told))),
            two && models.every((model) => (app.saved.get(model)?.test.by_length.length ?? 0) > 1) ? h("div", { class: "card length" }, h("h2", {}, words.length, " ", h("small", {}, words.lengthSub)), this.length) : null,
          ]
        : []),
      app.saved.has("transformer") ? h("div", { class: "card self" }, h("h2", {}, words.self, " ", h("small", {}, "2017")), h("p", { class: "lead" }, words.selfLead), this.heads, this.headTold) : null,
    );
    set(this.chips, ...app.data.words.map(({ text: word }) => h("button", { type: "button", click: () => change(word) }, word)));
  }

  async show(): Promise<void> {
    const { state, source } = this.app, ticket = ++this.ticket;
    if (document.activeElement !== this.input) this.input.value = state.word;
    for (const button of this.chips.children) button.setAttribute("aria-pressed", String(button.textContent === state.word));
    this.close.textContent = state.closed ? words.open : words.close;
    this.close.setAttribute("aria-pressed", String(state.closed));
    for (const panel of this.panels) {
      const spoken = await source.speak(panel.model, state.word, panel.model === "attention" ? { held: state.held, closed: state.closed } : {});
      if (ticket !== this.ticket) return;
      this.status.textContent = spoken.letters.length ? (spoken.left ? text.left(spoken.left, spoken.letters.length) : "") : text.empty;
      this.draw(panel.svg, panel.told, spoken, panel.model === "attention");
    }
    if (this.panels.length === 2) this.lengths();
    if (this.app.saved.has("transformer")) this.self(await source.trace("transformer", state.text));
  }

  private draw(svg: SVGSVGElement, told: HTMLElement, spoken: Spoken, looks: boolean): void {
    const down = narrow(), S = spoken.letters.length, O = spoken.steps.length, { state } = this.app;
    if (!S || !O) {
      set(told);
      return svg.replaceChildren();
    }
    const width = Math.max(240, Math.round((svg.parentElement?.clientWidth ?? 560) - (down ? 28 : 40))), height = down ? Math.max(S, O) * 36 + 24 : 300;
    const spread = (n: number, k: number, length: number): number => length / 2 + (k - (n - 1) / 2) * Math.min(down ? 36 : 50, (length - 40) / Math.max(1, n - 1));
    const L = (k: number): [number, number] => (down ? [58, spread(S, k, height)] : [spread(S, k, width), 62]);
    const P = (k: number): [number, number] => (down ? [width - 74, spread(O, k, height)] : [spread(O, k, width), 236]);
    const unsure = spoken.steps.findIndex((step) => step.weights && Math.max(...step.weights) < 0.8);
    const step = Math.min(state.spoken ?? Math.max(0, unsure), O - 1), now = spoken.steps[step];
    const r = Math.min(15, ((down ? height : width) - 40) / Math.max(S, O) / 2.4), out: SVGElement[] = [], marks: SVGElement[] = [];
    const curve = ([a, b]: [number, number], [c, d]: [number, number]): string =>
      down ? `M${a + r} ${b}C${(a + c) / 2} ${b} ${(a + c) / 2} ${d} ${c - r} ${d}` : `M${a} ${b + r}C${a} ${(b + d) / 2} ${c} ${(b + d) / 2} ${c} ${d - r}`;
    out.push(s("path", { d: `M${L(0)}L${L(S - 1)}`, class: "apast" }), s("path", { d: `M${P(0)}L${P(O - 1)}`, class: "apast" }));
    const open = looks && !state.closed;
    if (open) {
      spoken.steps.forEach((each, o) => o !== step && each.weights?.forEach((w, k) => w > 0.02 && out.push(s("path", { d: curve(L(k), P(o)), class: "alook", style: `stroke-width:${(9 * w).toFixed(2)}` }))));
      now?.weights?.forEach((w, k) => w > 0.005 && out.push(s("path", { d: curve(L(k), P(step)), class: "alook on", style: `stroke-width:${Math.max(1, 12 * w).toFixed(2)}` }, s("title", {}, `attention.weights[${step}, ${k}] = ${w.toFixed(4)}`))));
    } else out.push(...this.vector(spoken, width, height, L(S - 1), P(0), r));
    spoken.letters.forEach((letter, k) => {
      const [x, y] = L(k), w = now?.weights?.[k] ?? 0, held = state.held[step] === k;
      const g = s("g", { class: open ? "aletter can" : "aletter" }, s("circle", { cx: x, cy: y, r }), s("text", { x, y: y + 5 }, letter));
      if (open) {
        if (w >= 0.05) out.push(s("text", { class: "aweight", "aria-hidden": "true", x: down ? x - r - 8 : x, y: down ? y + 4 : y - r - 8, style: down ? "text-anchor:end" : null }, percent(w)));
        const hold = (): void => this.app.set({ spoken: step, held: held ? {} : { ...state.held, [step]: k } });
        this.button(g, words.letter(letter, k, w), `letter${k}`, held, hold);
      }
      out.push(g);
    });
    spoken.steps.forEach((each, k) => {
      const [x, y] = P(k), isNow = open && k === step, g = s("g", { class: `asound${open ? " can" : ""}${isNow ? " on" : ""}${state.held[k] !== undefined && looks ? " held" : ""}` });
      g.append(s("circle", { cx: x, cy: y, r }), s("text", { class: "aname", x: down ? x + r + 8 : x, y: down ? y + 5 : y + r + 20, "text-anchor": down ? "start" : "middle" }, each.token || words.end));
      if (r > 11) marks.push(s("text", { class: isNow ? "aprob on" : "aprob", "aria-hidden": "true", "pointer-events": "none", x, y: y + 4 }, String(Math.round(100 * each.p))));
      if (open) this.button(g, words.sound(each.token, k, each.p), `sound${k}`, isNow, () => this.app.set({ spoken: k }));
      out.push(g);
    });
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", String(height));
    redraw(svg, ...out, ...marks);
    this.tell(told, spoken, step, looks);
  }

  private button(g: SVGGElement, name: string, key: string, pressed: boolean, press: () => void): void {
    for (const [attribute, value] of Object.entries({ role: "button", tabindex: "0", "aria-label": name, "aria-pressed": String(pressed), "data-key": key })) g.setAttribute(attribute, value);
    g.addEventListener("click", press);
    g.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      press();
    });
  }

  /** The fixed vector, all its numbers, between the last letter and the first sound. */
  private vector(spoken: Spoken, width: number, height: number, [lx, ly]: [number, number], [px, py]: [number, number], r: number): SVGElement[] {
    const down = narrow(), all = spoken.tensors["encoder.summary"]?.data ?? new Float64Array(0), n = Math.min(64, all.length), shown = all.slice(0, n);
    const bar = Math.min(7, (down ? Math.min(210, height - 60) : width - 120) / Math.max(1, n)), [cx, cy] = down ? [width / 2 - 8, height / 2] : [width / 2, 149], start = down ? cy - (n * bar) / 2 : cx - (n * bar) / 2;
    const out: SVGElement[] = [
      s("path", { class: "avec", d: down ? `M${lx + r} ${ly}C${cx} ${ly} ${cx} ${ly} ${cx} ${start + n * bar + 6}` : `M${lx} ${ly + r}C${lx} ${cy - 20} ${start + n * bar + 40} ${cy - 30} ${start + n * bar + 8} ${cy}` }),
      s("path", { class: "avec", d: down ? `M${cx} ${start - 6}C${cx} ${py} ${cx} ${py} ${px - r - 4} ${py}` : `M${start - 8} ${cy}C${start - 40} ${cy + 30} ${px} ${cy + 20} ${px} ${py - r - 4}` }),
      s("rect", down ? { class: "abelt", x: cx - 24, y: start - 6, width: 48, height: n * bar + 12, rx: 12 } : { class: "abelt", x: start - 8, y: cy - 27, width: n * bar + 16, height: 54, rx: 14 }),
    ];
    shown.forEach((v, k) => {
      const box = down ? { x: v >= 0 ? cx : cx + v * 20, y: start + k * bar, width: Math.abs(v) * 20, height: Math.max(1, bar - 1) } : { x: start + k * bar, y: v >= 0 ? cy - v * 22 : cy, width: Math.max(1, bar - 1.4), height: Math.abs(v) * 22 };
      out.push(s("rect", { class: "tbar", "data-tone": v >= 0 ? "plus" : "minus", ...box }, s("title", {}, `encoder.summary[0, ${k}] = ${v.toFixed(4)}`)));
    });
    if (!down) out.push(s("text", { class: "note", x: cx, y: cy + 46, "text-anchor": "middle" }, words.vector(all.length)));
    return out;
  }

  private tell(told: HTMLElement, spoken: Spoken, step: number, looks: boolean): void {
    const { state, data } = this.app, said = spoken.steps.map((each) => each.token).filter(Boolean).join(" ");
    const known = data.words.find(({ text: word }) => word === state.word)?.answer ?? null, now = spoken.steps[step];
    const mark = known === null ? null : h("i", { class: known === said ? "right" : "wrong" }, known === said ? text.right : text.wrong);
    const parts: (Node | string | null)[] = [...rich(words.said(said)) as (Node | string)[], " ", mark, mark ? " " : null];
    if (looks && state.closed) parts.push(words.closed);
    else if (looks && now?.weights) {
      const top = argmax(now.weights);
      parts.push(...(rich(words.looks(now.token, now.weights[top] ?? 0, spoken.letters[top] ?? "", state.held[step] !== undefined)) as (Node | string)[]));
      if (Object.keys(state.held).length) parts.push(" ", h("button", { class: "plain", type: "button", "data-key": "release", click: () => this.app.set({ held: {} }) }, words.release));
    }
    redraw(told, ...parts);
  }

  private lengths(): void {
    const rows = PAIRS.map((model) => this.app.saved.get(model)?.test.by_length ?? []), [first] = rows;
    if (!first || first.length < 2) return;
    const down = narrow(), svg = this.length, width = Math.max(260, Math.round((svg.parentElement?.clientWidth ?? 800) - (down ? 28 : 40))), n = first.length;
    const most = Math.max(0.1, ...rows.flat().map((each) => each[2])), x = (k: number): number => 64 + ((width - (down ? 84 : 200)) * k) / (n - 1), y = (v: number): number => 150 - (132 * v) / (1.08 * most);
    const out: SVGElement[] = [], mine = [...this.app.state.word].length, at = first.findIndex(([a, b]) => mine >= a && mine <= b);
    for (const v of [0, 0.2, 0.4, 0.6, 0.8, 1].filter((v) => v <= 1.05 * most)) out.push(s("path", { class: "axis", d: `M40 ${y(v)}H${width - (down ? 10 : 130)}` }), s("text", { class: "note", x: 36, y: y(v) + 4, "text-anchor": "end" }, percent(v)));
    if (at >= 0) out.push(s("rect", { class: "amine", x: x(at) - 34, y: 8, width: 68, height: 172, rx: 10 }));
    first.forEach(([a, b], k) => out.push(s("text", { class: "note", x: x(k), y: 172, "text-anchor": "middle" }, a === b ? `${a}` : `${a}–${b}`)));
    out.push(s("text", { class: "note", x: 0, y: 190 }, words.letters));
    rows.forEach((row, i) => {
      out.push(s("path", { class: i ? "curve look" : "curve", d: `M${row.map((each, k) => `${x(k)} ${y(each[2])}`).join("L")}` }));
      row.forEach((each, k) => {
        out.push(i ? s("circle", { class: "ldot look", cx: x(k), cy: y(each[2]), r: 5.5 }) : s("rect", { class: "ldot", x: x(k) - 5, y: y(each[2]) - 5, width: 10, height: 10 }));
        if (k === at) out.push(s("text", { class: "pnum", style: i ? "fill:var(--memory)" : "fill:var(--ink)", x: x(k), y: y(each[2]) + (i || y(each[2]) > 128 ? -12 : 21) }, percent(each[2])));
      });
      const end = row.at(-1)?.[2] ?? 0, other = rows[1 - i]?.at(-1)?.[2] ?? 0, apart = Math.abs(y(end) - y(other)) < 16 ? (end >= other ? -8 : 8) : 0;
      if (!down) out.push(s("text", { class: "rowname", x: x(n - 1) + 16, y: y(end) + 5 + apart, style: i ? "fill:var(--memory)" : null }, i ? words.look : words.one));
    });
    svg.setAttribute("viewBox", `0 0 ${width} 196`);
    svg.setAttribute("height", "196");
    svg.setAttribute("aria-label", `${words.length}: ${rows.map((row, i) => `${i ? words.look : words.one} ${row.map(([a, b, v]) => `${a}–${b}: ${percent(v)}`).join(", ")}`).join("; ")}`);
    svg.replaceChildren(...out);
  }

  private self(trace: Trace): void {
    const T = trace.words.length, { state } = this.app, names = Object.keys(trace.tensors).filter((name) => /l\d+\.weights$/.test(name)).sort();
    if (!T) return set(this.heads, text.empty);
    const layer = Math.min(state.layer, names.length - 1), weights = trace.tensors[names[layer] ?? ""], N = weights?.shape[0] ?? 1, head = Math.min(state.head, N - 1), step = Math.min(state.step, T - 1);
    const small = names.map((name, l) => h("div", { class: "layerrow" }, ...Array.from({ length: trace.tensors[name]?.shape[0] ?? 0 }, (_, n) =>
      h("button", { type: "button", class: "headpick", "data-key": `head${l}.${n}`, "aria-pressed": String(l === layer && n === head), click: () => this.app.set({ layer: l, head: n }) },
        this.square(trace, name, n, 96, -1, false), h("span", {}, words.head(l, n))))));
    const big = this.square(trace, names[layer] ?? "", head, 300, step, true);
    big.setAttribute("role", "img");
    big.setAttribute("aria-label", words.weights(layer, head));
    redraw(this.heads, h("div", { class: "smalls" }, ...small), h("div", { class: "bighead" }, big));
    const row = Float64Array.from({ length: T }, (_, k) => at(weights, head, step, k)), top = argmax(row);
    set(this.headTold, ...rich(words.strongest(trace.words[step] ?? "", trace.words[top] ?? "", row[top] ?? 0)));
  }

  private square(trace: Trace, name: string, n: number, size: number, step: number, named: boolean): SVGSVGElement {
    const T = trace.words.length, weights = trace.tensors[name], margin = named ? 78 : 0, side = size / T, font = Math.min(12.5, Math.max(6, side * 0.8));
    const svg = s("svg", { viewBox: `0 0 ${size + margin + (named ? 26 : 0)} ${size + margin}` });
    for (let t = 0; t < T; t++)
      for (let k = 0; k < T; k++) {
        const w = at(weights, n, t, k);
        svg.append(s("rect", { class: "cellv", "data-tone": "memory", x: margin + k * side, y: margin + t * side, width: Math.max(0.5, side - (named ? 1 : 0.4)), height: Math.max(0.5, side - (named ? 1 : 0.4)), rx: Math.min(2, side / 6), "fill-opacity": w.toFixed(3) }, named ? s("title", {}, `${name}[${n}, ${t}, ${k}] = ${w.toFixed(4)}`) : null));
      }
    if (!named) return svg;
    trace.words.forEach((word, k) => {
      const shown = word.length > 11 ? `${word.slice(0, 10)}…` : word;
      svg.append(
        s("text", { class: k === step ? "axisname now" : "axisname", style: `font-size:${font}px`, x: margin - 6, y: margin + (k + 0.5) * side + font / 3, "text-anchor": "end", click: () => this.app.set({ step: k }) }, shown),
        s("text", { class: "axisname", style: `font-size:${font}px`, transform: `translate(${margin + (k + 0.5) * side + font / 3} ${margin - 6}) rotate(-60)` }, shown),
      );
    });
    svg.append(s("rect", { class: "crossline", x: margin - 1, y: margin + step * side - 1, width: size + 1, height: side + 1, rx: 3 }));
    return svg;
  }
}
