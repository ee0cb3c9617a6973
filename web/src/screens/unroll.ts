// One cell in a loop, or a chain of copies in time: a slider turns the one into the other.
import { cells, focus, rms, title, verdict, type App, type Screen } from "../app";
import { h, narrow, redraw, rich, s, set } from "../dom";
import type { Trace } from "../model/network";
import type { Cell } from "../model/recurrent";
import { CELLS } from "../model/recurrent";
import { slice } from "../model/tensor";
import { percent } from "../words/numbers";
import { text } from "../words/en";

const words = text.unroll;

export class UnrollScreen implements Screen {
  private readonly pick = h("div", { class: "pick", role: "group", "aria-label": text.cell.pick });
  private readonly slider = h("input", { type: "range", min: 1, step: 1, "aria-label": words.slider });
  private readonly said = h("output");
  private readonly picture = s("svg", { role: "group", "aria-label": words.picture });
  private readonly weights = h("p", { class: "told" });
  private readonly after = h("p", { class: "told", "aria-live": "polite" });
  private ticket = 0;
  private T = 1;

  constructor(
    root: Element,
    private readonly app: App,
  ) {
    this.slider.addEventListener("input", () => app.set({ copies: Number(this.slider.value) === this.T ? 0 : Number(this.slider.value) }));
    set(
      root,
      h("div", { class: "cellhead" }, h("div", {}, h("h1", {}, words.title), h("p", { class: "lead" }, words.lead)), this.pick),
      h("div", { class: "card unroll" }, h("div", { class: "row folding" }, this.slider, this.said), h("div", { class: "chain" }, this.picture), this.after, this.weights),
    );
    set(this.pick, ...cells(app).map((model) => h("button", { type: "button", "data-model": model, click: () => app.set({ model, edits: {}, unit: null }) }, title(model), h("small", {}, String(text.lineage.years[model])))));
  }

  async show(): Promise<void> {
    const { state, source } = this.app, ticket = ++this.ticket, model = state.model as Cell, saved = this.app.saved.get(model);
    if (!saved) return;
    const trace = await source.trace(model, state.text);
    if (ticket !== this.ticket) return;
    const T = (this.T = trace.words.length), n = state.copies ? Math.min(state.copies, T) : T, step = Math.min(state.step, T - 1);
    this.slider.max = String(T);
    this.slider.value = String(n);
    this.slider.setAttribute("aria-valuetext", n === 1 ? words.folded : words.copies(n, T));
    this.said.textContent = n === 1 ? words.folded : words.copies(n, T);
    for (const button of this.pick.children) button.setAttribute("aria-pressed", String((button as HTMLElement).dataset.model === model));
    const focused = focus(saved, trace.answers.at(-1)), said = verdict(saved, trace.answers[step], focused);
    set(this.after, ...rich(words.after(trace.words[step] ?? "", said.label, said.p)));
    this.weights.textContent = words.weights(this.cellWeights(saved.weights));
    this.draw(trace, model, n, step, (t) => verdict(saved, trace.answers[t], focused));
  }

  private cellWeights(weights: Record<string, { shape: number[] }>): number {
    return Object.entries(weights).filter(([name]) => name.includes(".cell.")).reduce((sum, [, { shape }]) => sum + shape.reduce((p, q) => p * q, 1), 0);
  }

  private draw(trace: Trace, model: Cell, n: number, step: number, says: (t: number) => { label: string; p: number; tone: string }): void {
    const T = trace.words.length, down = narrow(), memory = trace.tensors[`${model}.l0.${CELLS[model].memory}`];
    const room = Math.max(260, (this.picture.parentElement?.clientWidth ?? 800) - 4), pitch = down ? 92 : Math.max(84, Math.min(132, (room - 90) / Math.max(n, 1)));
    const long = pitch * n + 90, width = down ? room : Math.max(room, long), height = down ? long : 250;
    const start = down ? 20 : Math.max(30, (width - long) / 2 + 30);
    const along = (k: number): number => start + pitch * (k + 0.5);
    const xy = (k: number, across: number): [number, number] => (down ? [across, along(k)] : [along(k), across]);
    const belt = down ? 60 : 80, answer = down ? room - 60 : 24, word = down ? 150 : 200, end = start + pitch * n + 24;
    const out: SVGElement[] = [];
    const straight = (across: number, from: number, to: number): string => (down ? `M${across} ${from}V${to}` : `M${from} ${across}H${to}`);
    const gated = model !== "elman";
    if (gated) out.push(s("path", { class: "ubelt", d: straight(belt, start - 16, end) }));
    for (let k = 0; k <= n; k++) {
      const t = Math.min(k, T) - 1, strength = t >= 0 && memory ? rms(slice(memory, Math.min(t, T - 1))) : 0;
      const from = k === 0 ? start - 16 : along(k - 1) + 24, to = k === n ? end : along(k) - 24;
      out.push(s("path", { class: "umem", d: straight(belt, from, to), style: `stroke-width:${(1.5 + 6.5 * Math.min(1, strength)).toFixed(2)}` }));
    }
    if (n < T) {
      const first = along(n - 1);
      out.push(s("path", { class: "uloop", d: down ? `M${belt} ${end}C${belt - 46} ${end + 6} ${belt - 46} ${first - 30} ${belt - 22} ${first - 18}` : `M${end} ${belt}C${end + 6} ${belt - 62} ${first - 36} ${belt - 62} ${first - 20} ${belt - 22}` }));
      const [x, y] = down ? [belt + 36, end + 4] : [end - 20, belt - 50];
      out.push(s("text", { class: "note", x, y, "text-anchor": down ? "start" : "middle" }, words.loop(T - n + 1)));
    }
    for (let k = 0; k < n; k++) {
      const t = k, folded = k === n - 1 && n < T, at = folded ? Math.max(k, step) : k, said = says(at), own = trace.words[at] ?? "", isNow = at === step;
      const shown = own.length > 11 ? `${own.slice(0, 10)}…` : own, wide = Math.max(34, shown.length * 8.4 + 20);
      const g = s("g", {
        class: isNow ? "copy now" : "copy", role: "button", tabindex: isNow ? 0 : -1, "aria-pressed": String(isNow), "data-key": `copy${t}`,
        "aria-label": `${own}, ${text.step} ${at + 1}, ${said.label} ${percent(said.p)}`, click: () => this.app.set({ step: at }),
        keydown: (event: KeyboardEvent) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), this.app.set({ step: at })),
      });
      const [cx, cy] = xy(k, belt), [wx, wy] = xy(k, word), [ax, ay] = xy(k, answer);
      const wire = down ? `M${wx - wide / 2} ${wy}H${cx + 22}` : `M${wx} ${wy - 16}V${cy + 22}`, up = down ? `M${cx + 24} ${cy - 19}H${ax - 44}` : `M${cx} ${cy - 22}V${ay + 16}`;
      const drawn = s("g", { "aria-hidden": "true", "pointer-events": "none" });
      g.append(
        s("rect", { class: "hit", ...(down ? { x: 4, y: cy - pitch / 2 + 3, width: width - 8, height: pitch - 6 } : { x: cx - pitch / 2 + 3, y: 2, width: pitch - 6, height: height - 8 }), rx: 12 }),
        s("rect", { class: "upill", x: wx - wide / 2, y: wy - 14, width: wide, height: 28, rx: 14 }),
        s("text", { class: "uword", x: wx, y: wy + 5 }, shown),
      );
      drawn.append(
        s("path", { class: "mline", d: wire }),
        s("path", { class: "mline", d: up }),
        s("rect", { class: "ucell", x: cx - 24, y: cy - 22, width: 48, height: 44, rx: 10 }),
        ...(gated ? [s("circle", { class: "uop", cx: cx - 10, cy, r: 8.5 }), s("text", { class: "usign", x: cx - 10, y: cy + 4.5 }, "×"), s("circle", { class: "uop", cx: cx + 10, cy, r: 8.5 }), s("text", { class: "usign", x: cx + 10, y: cy + 4.5 }, "+")] : [s("text", { class: "usign", x: cx, y: cy + 4.5 }, "tanh")]),
        s("text", { class: "uanswer", "data-tone": said.tone, x: ax, y: ay - 3 }, percent(said.p), s("tspan", { class: "ulabel", x: ax, dy: 15 }, said.label.length > 12 ? `${said.label.slice(0, 11)}…` : said.label)),
      );
      out.push(g, drawn);
    }
    this.picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.picture.setAttribute("width", String(width));
    this.picture.setAttribute("height", String(height));
    redraw(this.picture, ...out);
  }
}
