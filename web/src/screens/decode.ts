// The next word, by lot: temperature, top-k and top-p on the probabilities, and the tree of the likely continuations.
import type { App, Screen } from "../app";
import { h, redraw, s, set } from "../dom";
import { sampled, type Choice, type Sampling } from "../source";
import { percent, percent1 } from "../words/numbers";
import { text } from "../words/en";

const words = text.decode;
const BARS = 20, DEPTH = 4, ROOT = 64, BRANCHES = 3, GREEDY = 12, MODEL = "gpt";

type Candidate = Choice & { kept: boolean };
interface Branch extends Candidate {
  text: string;
  p: number;
  children: Branch[];
}

export class DecodeScreen implements Screen {
  private readonly input = h("input", { id: "prompt", autocomplete: "off", spellcheck: "false", maxlength: 200 });
  private readonly chips = h("div", { class: "chips", role: "group", "aria-label": text.examples });
  private readonly status = h("p", { class: "status", "aria-live": "polite" });
  private readonly controls = h("div", { class: "controls" });
  private readonly barsTitle = h("h2");
  private readonly bars = h("div", { class: "bars", role: "group", "aria-label": words.barsLabel });
  private readonly told = h("p", { class: "told", "aria-live": "polite" });
  private readonly tree = s("svg", { role: "group", "aria-label": words.treeLabel });
  private readonly greedy = h("p", { class: "told greedy" });
  private readonly cost = h("p", { class: "told" });
  private readonly sliders: { input: HTMLInputElement; shown: HTMLOutputElement; say: () => string; value: () => number }[] = [];
  private ticket = 0;

  constructor(
    root: Element,
    private readonly app: App,
  ) {
    const { state } = app;
    this.input.addEventListener("input", () => app.set({ prompt: this.input.value }));
    this.slider(words.temperature, 0.1, 2, 0.05, () => state.temperature, (v) => ({ temperature: v }), () => state.temperature.toFixed(2));
    this.slider(words.topK, 0, 20, 1, () => state.topK, (v) => ({ topK: v }), () => (state.topK ? String(state.topK) : words.off));
    this.slider(words.topP, 0.05, 1, 0.05, () => state.topP, (v) => ({ topP: v }), () => (state.topP < 1 ? state.topP.toFixed(2) : words.off));
    set(
      root,
      h("form", { class: "ask word", submit: (event: Event) => event.preventDefault() }, h("label", { for: "prompt" }, words.ask), this.input, this.chips, this.status),
      h("h1", {}, words.title), h("p", { class: "lead" }, words.lead), this.controls,
      h("div", { class: "decoding" }, h("div", { class: "card pad" }, this.barsTitle, this.bars, this.told), h("div", { class: "card pad" }, h("h2", {}, words.tree), h("p", { class: "lead small" }, words.treeLead), h("div", { class: "scroll", tabindex: 0 }, this.tree))),
      h("div", { class: "card pad" }, h("h2", {}, words.best), this.greedy, this.cost),
    );
    set(this.chips, ...app.data.prompts.map((prompt) => h("button", { type: "button", click: () => app.set({ prompt }) }, prompt)), h("button", { type: "button", class: "back", click: () => app.set({ prompt: app.state.prompt.trim().replace(/\s*\S+$/, "") }) }, words.back));
  }

  private slider(name: string, min: number, max: number, step: number, value: () => number, change: (v: number) => object, say: () => string): void {
    const shown = h("output"), input = h("input", { type: "range", min, max, step, "aria-label": name, input: () => this.app.set(change(Number(input.value))) });
    this.sliders.push({ input, shown, say, value });
    this.controls.append(h("label", {}, h("span", {}, name), input, shown));
  }

  async show(): Promise<void> {
    const { state, source } = this.app, ticket = ++this.ticket, options: Sampling = { temperature: state.temperature, topK: state.topK, topP: state.topP };
    if (document.activeElement !== this.input) this.input.value = state.prompt;
    for (const { input, shown, say, value } of this.sliders) {
      input.value = String(value());
      input.style.setProperty("--p", `${(100 * (value() - Number(input.min))) / (Number(input.max) - Number(input.min))}%`);
      input.setAttribute("aria-valuetext", say());
      shown.textContent = say();
    }
    for (const button of this.chips.children) if (!button.classList.contains("back")) button.setAttribute("aria-pressed", String(button.textContent === state.prompt));
    const trace = await source.trace(MODEL, state.prompt), T = trace.words.length - 1, unknown = trace.words.filter((_, k) => !trace.known[k]);
    this.status.textContent = [T ? "" : text.empty, unknown.length ? text.unknown(unknown) : "", trace.left ? text.left(trace.left, T) : ""].filter(Boolean).join(" ");
    const choices = T ? await source.next(MODEL, state.prompt) : [];
    if (ticket !== this.ticket) return;
    const all = sampled(choices, options);
    this.barsTitle.textContent = words.bars(all.length);
    this.showBars(all);
    const branches = await this.grow(state.prompt, all, options, DEPTH);
    if (ticket !== this.ticket) return;
    this.showTree(branches);
    let line = state.prompt;
    const best: string[] = [];
    for (let k = 0; k < GREEDY && T; k++) {
      const [next] = await source.next(MODEL, line);
      if (!next || ticket !== this.ticket) break;
      best.push(next.token);
      line = `${line} ${next.token}`;
    }
    set(this.greedy, `${state.prompt} `, h("b", {}, best.join(" ")));
    const keys = Object.entries(trace.tensors).filter(([name]) => /\.(key|value)$/.test(name)).reduce((sum, [, tensor]) => sum + tensor.data.length, 0);
    const width = trace.tensors["transformer.token"]?.shape[1] ?? 0;
    this.cost.textContent = T ? words.state(4 * keys, T, 8 * width) : "";
  }

  private take(token: string): void {
    this.app.set({ prompt: `${this.app.state.prompt.trimEnd()} ${token}` });
  }

  private showBars(all: Candidate[]): void {
    const shown = all.slice(0, BARS), most = Math.max(1e-9, shown[0]?.p ?? 0), kept = all.filter((each) => each.kept);
    redraw(this.bars, ...shown.map((each, k) =>
      h("button", { type: "button", class: each.kept ? "option" : "option cut", "data-key": `option${k}`, disabled: !each.kept, click: () => this.take(each.token) },
        h("span", { class: "token" }, each.token), h("i", {}, h("u", { style: `width:${((100 * each.p) / most).toFixed(1)}%` })), h("b", {}, percent1(each.p)))));
    set(this.told, all.length ? words.left(kept.length, kept.reduce((sum, each) => sum + each.p, 0)) : "");
  }

  private async grow(before: string, all: Candidate[], options: Sampling, depth: number): Promise<Branch[]> {
    const out: Branch[] = [];
    const kept = all.filter((each) => each.kept).slice(0, BRANCHES), mass = all.filter((each) => each.kept).reduce((sum, each) => sum + each.p, 0);
    for (const each of [...kept, ...all.filter((one) => !one.kept).slice(0, BRANCHES - kept.length)]) {
      const line = `${before} ${each.token}`, go = each.kept && depth > 1;
      const next = go ? sampled(await this.app.source.next(MODEL, line), options) : [];
      const narrower = depth > 2 ? options : { ...options, topK: options.topK ? Math.min(2, options.topK) : 0 };
      out.push({ ...each, p: each.kept ? each.p / mass : each.p, text: line, children: go ? await this.grow(line, next, narrower, depth - 1) : [] });
    }
    return depth < DEPTH ? out.slice(0, 2) : out;
  }

  private showTree(branches: Branch[]): void {
    const leaves = (all: Branch[]): number => all.reduce((sum, each) => sum + Math.max(1, leaves(each.children)), 0);
    const total = leaves(branches), line = 30, height = Math.max(60, total * line + 10), width = Math.max(560, Math.round((this.tree.parentElement?.clientWidth ?? 640) - 4)), column = (width - ROOT - 20) / DEPTH;
    const out: SVGElement[] = [], labels: SVGElement[] = [];
    const draw = (all: Branch[], depth: number, top: number, from: [number, number]): void => {
      let y = top;
      for (const each of all) {
        const rows = Math.max(1, leaves(each.children)), cy = y + (rows * line) / 2, x = ROOT + depth * column, shown = each.token.length > 11 ? `${each.token.slice(0, 10)}…` : each.token, wide = shown.length * 8 + 18;
        out.push(s("path", { class: each.kept ? "twig" : "twig cut", d: `M${from[0]} ${from[1]}C${from[0] + 24} ${from[1]} ${x - 26} ${cy} ${x} ${cy}`, style: `stroke-width:${Math.max(1, 12 * each.p).toFixed(2)}` }));
        const g = s("g", { class: each.kept ? "leaf" : "leaf cut" }, s("rect", { x, y: cy - 12, width: wide, height: 24, rx: 12 }), s("text", { x: x + wide / 2, y: cy + 4.5, class: "leafword" }, shown));
        labels.push(s("text", { x: x + wide + 5, y: cy + 4, class: "leafp", "aria-hidden": "true" }, percent(each.p)));
        if (each.kept) {
          const press = (): void => this.app.set({ prompt: each.text });
          for (const [name, value] of Object.entries({ role: "button", tabindex: "0", "aria-label": words.take(each.token, each.p), "data-key": each.text })) g.setAttribute(name, value);
          g.addEventListener("click", press);
          g.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), press()));
        }
        labels.push(g);
        draw(each.children, depth + 1, y, [x + wide + (each.kept ? 34 : 0), cy]);
        y += rows * line;
      }
    };
    out.push(s("circle", { class: "mtok", cx: 8, cy: height / 2, r: 6 }));
    draw(branches, 0, 5, [14, height / 2]);
    this.tree.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.tree.setAttribute("width", String(width));
    this.tree.setAttribute("height", String(height));
    redraw(this.tree, ...out, ...labels);
  }
}
