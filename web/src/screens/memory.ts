// Who still hears the first word: T×T squares of all models, on one scale.
import { RECURRENT, classifiers, title, type App, type Screen } from "../app";
import { h, redraw, rich, s, set } from "../dom";
import type { Trace } from "../model/network";
import { CELLS, type Cell } from "../model/recurrent";
import { at, type Tensor } from "../model/tensor";
import { MEASURES } from "../state";
import { text } from "../words/en";

const words = text.memory;

interface Panel {
  model: string;
  svg: SVGSVGElement;
  told: HTMLElement;
  half: HTMLElement;
}

export class MemoryScreen implements Screen {
  private readonly pick = h("div", { class: "pick", role: "group", "aria-label": words.measure });
  private readonly about = h("p", { class: "lead" });
  private readonly cursor = h("p", { class: "told", "aria-live": "polite" });
  private readonly panels: Panel[];
  private readonly scale = h("p", { class: "scale" });
  private shown = "";
  private found: (Tensor | null)[] = [];
  private traces: Trace[] = [];
  private ticket = 0;

  constructor(
    root: Element,
    private readonly app: App,
  ) {
    this.panels = classifiers(app).map(({ model }) => ({ model, svg: s("svg", { role: "img" }), told: h("p", { class: "told" }), half: h("p", { class: "half" }) }));
    set(
      root,
      h("div", { class: "cellhead" }, h("div", {}, h("h1", {}, words.title), h("p", { class: "lead" }, words.lead)), this.pick),
      this.about, this.cursor,
      h("div", { class: "squares" }, ...this.panels.map((each) => h("div", { class: "card square" }, h("h2", {}, title(each.model)), each.svg, each.told, each.half))),
      this.scale,
    );
  }

  async show(): Promise<void> {
    const { state, source } = this.app, { measure } = state, ticket = ++this.ticket;
    redraw(this.pick, ...MEASURES.map((each) => h("button", { type: "button", "data-key": each, "aria-pressed": String(each === measure), click: () => this.app.set({ measure: each }) }, words.measures[each] ?? each)));
    this.about.textContent = words.about[measure] ?? "";
    const key = `${measure} ${state.text}`;
    if (key !== this.shown) {
      const traces = await Promise.all(this.panels.map(({ model }) => source.trace(model, state.text)));
      const found: (Tensor | null)[] = [];
      for (const { model } of this.panels) {
        found.push(await source.memory(model, state.text, measure));
        await new Promise((done) => setTimeout(done));
        if (ticket !== this.ticket) return;
      }
      Object.assign(this, { traces, found, shown: key });
    }
    const T = this.traces[0]?.words.length ?? 0, step = Math.min(state.step, T - 1);
    const last = T - 1, value = words.value[measure] ?? String;
    const most = Math.max(1e-9, ...this.found.flatMap((tensor) => (tensor ? Array.from(tensor.data, Math.abs).filter(Number.isFinite) : [])));
    const word = (t: number): string => this.traces[0]?.words[t] ?? "";
    set(this.cursor, ...rich(words.cursor(word(last), word(step))));
    this.panels.forEach((panel, k) => {
      const tensor = this.found[k] ?? null;
      this.draw(panel, tensor, most, step);
      panel.told.textContent = tensor ? value(at(tensor, last, step)) : (words.missing[measure] ?? words.none);
      panel.half.textContent = measure === "retention" ? this.halfLife(panel.model, this.traces[k]) : "";
    });
    set(this.scale, h("span", { class: "ramp" }), ` ${words.scale}: ${measure === "occlusion" ? `−${value(most).slice(1)} … ${value(most)}` : `0 … ${value(most)}`}`);
    this.scale.classList.toggle("both", measure === "occlusion");
  }

  private halfLife(model: string, trace: Trace | undefined): string {
    const keeps = RECURRENT.includes(model) ? CELLS[model as Cell].keeps : "", gate = trace?.tensors[`${model}.l0.${keeps}`];
    if (!gate) return "";
    const [T, H] = gate.shape as [number, number];
    const lives = Array.from({ length: H }, (_, k) => {
      let sum = 0;
      for (let t = 0; t < T; t++) sum += Math.log(at(gate, t, k));
      return Math.LN2 / Math.max(1e-9, -sum / T);
    }).sort((a, b) => a - b);
    return words.half(lives[Math.floor(H / 2)] ?? 0);
  }

  private draw({ model, svg, told }: Panel, tensor: Tensor | null, most: number, step: number): void {
    told.classList.toggle("absent", !tensor);
    if (!tensor) {
      svg.replaceChildren();
      svg.setAttribute("viewBox", "0 0 220 10");
      return;
    }
    const T = tensor.shape[0] ?? 0, size = 200, side = size / Math.max(1, T), left = 8, top = 22, name = this.app.state.measure;
    const out: SVGElement[] = [s("text", { class: "axisname", x: left, y: 12 }, `${words.columns} →`)];
    for (let t = 0; t < T; t++)
      for (let k = 0; k <= t || (model === "transformer" && k < T && name === "retention"); k++) {
        const v = at(tensor, t, k);
        out.push(s("rect", {
          x: left + k * side, y: top + t * side, width: Math.max(0.5, side - 0.8), height: Math.max(0.5, side - 0.8), rx: Math.min(2, side / 6), class: "cellv", "data-tone": name === "occlusion" ? (v >= 0 ? "plus" : "minus") : "memory",
          "fill-opacity": (Math.abs(v) / most).toFixed(3), click: () => this.app.set({ step: k }),
        }, s("title", {}, `${model}: ${name}[${t}, ${k}] = ${v.toFixed(4)}`)));
      }
    out.push(
      s("rect", { class: "crossline", x: left + step * side - 1, y: top + step * side - 1, width: side + 1, height: size - step * side + 1, rx: 3 }),
      s("text", { class: "axisname", x: left, y: top + size + 14 }, this.traces[0]?.words[step] ?? ""),
    );
    svg.setAttribute("viewBox", `0 0 220 ${top + size + 20}`);
    svg.setAttribute("aria-label", words.picture(title(model), words.measures[name] ?? name));
    svg.replaceChildren(...out);
  }
}

export const canMemory = (app: App): boolean => classifiers(app).length > 0;
