// Inside a cell: one unit at one step with all its arithmetic. A held gate changes everything after it.
import { argmax, cells, focus, inWords, title, verdict, type App, type Screen } from "../app";
import { DIAGRAMS, elementName, identity, valuesOf } from "../diagrams";
import { h, narrow, redraw, rich, s, set, type Part } from "../dom";
import type { Trace } from "../model/network";
import type { Cell } from "../model/recurrent";
import { CELLS } from "../model/recurrent";
import { at, slice, type Vector } from "../model/tensor";
import type { Sweep } from "../source";
import { CellPicture } from "../view/picture";
import { TimeLine } from "../view/timeline";
import { exactly, number, percent } from "../words/numbers";
import { says, text } from "../words/en";

const words = text.cell;
const HINT_AFTER = 120; // ms: the picture first, then the search for the strongest gate

export class CellScreen implements Screen {
  private readonly heading = h("h1");
  private readonly lead = h("p", { class: "lead" });
  private readonly pick = h("div", { class: "pick", role: "group", "aria-label": words.pick });
  private readonly drawing = s("svg", { class: "cell", role: "group", "aria-label": words.picture });
  private readonly unitText = h("span");
  private readonly strip = h("div", { class: "strip", role: "group" });
  private readonly legend = h("div", { class: "legend" });
  private readonly sayings = h("div", { class: "says", "aria-live": "polite" });
  private readonly scope = h("div", { class: "row scope" });
  private readonly answer = h("div", { class: "answer", "aria-live": "polite" });
  private readonly side = h("div", { class: "card side" }, this.sayings, this.scope, this.answer);
  private readonly lineTitle = h("h2");
  private readonly releaseAll = h("button", { class: "plain", type: "button", click: () => this.app.set({ edits: {} }) }, words.releaseAll);
  private readonly lineSvg = s("svg", { role: "group", "aria-label": words.lineLabel });
  private readonly table = h("table");
  private readonly picture: CellPicture;
  private readonly line: TimeLine;
  private tried = "";
  private best: Sweep | null = null;
  private ticket = 0;

  constructor(
    root: Element,
    private readonly app: App,
  ) {
    set(
      root,
      h("div", { class: "cellhead" }, h("div", {}, this.heading, this.lead), this.pick),
      h("div", { class: "cellgrid" }, h("div", { class: "card drawing" }, this.drawing, h("div", { class: "units" }, this.unitText, this.strip), this.legend), this.side),
      h("div", { class: "card time" }, h("div", { class: "row" }, this.lineTitle, this.releaseAll), this.lineSvg, h("details", {}, h("summary", {}, text.table), h("div", { class: "scroll", tabindex: 0 }, this.table))),
    );
    this.picture = new CellPicture(this.drawing, { hold: (gate, v) => this.hold(gate, v), release: (gate) => this.release(gate) });
    this.line = new TimeLine(this.lineSvg, (step) => this.app.set({ step }));
    set(this.pick, ...cells(app).map((model) =>
      h("button", { type: "button", "data-model": model, click: () => this.app.set({ model, edits: {}, unit: null }) }, title(model), h("small", {}, String(text.lineage.years[model])))));
  }

  private hold(gate: string, value: number): void {
    const { edits, step } = this.app.state;
    this.app.set({ edits: { ...edits, [step]: { ...edits[step], [gate]: Math.round(value * 100) / 100 } } });
  }

  private release(gate: string): void {
    const { edits, step } = this.app.state, { [gate]: _, ...left } = edits[step] ?? {}, { [step]: __, ...others } = edits;
    this.app.set({ edits: Object.keys(left).length ? { ...others, [step]: left } : others });
  }

  async show(): Promise<void> {
    const { state, source } = this.app, ticket = ++this.ticket, model = state.model as Cell, saved = this.app.saved.get(model);
    if (!saved) return;
    const trained = await source.trace(model, state.text);
    const T = trained.words.length;
    const edits = Object.fromEntries(Object.entries(state.edits).filter(([t, gates]) => Number(t) < T && Object.keys(gates).some((gate) => CELLS[model].held.includes(gate))));
    const step = Math.min(state.step, T - 1), edited = Object.keys(edits).length > 0;
    const head = await this.headOf(trained, model);
    const H = trained.tensors[`${model}.l0.h`]?.shape[1] ?? 1;
    const unit = state.unit !== null && state.unit < H ? state.unit : head.loudest;
    const now = edited ? await source.trace(model, state.text, { edits, unit: state.scope === "one" ? unit : null }) : trained;
    if (ticket !== this.ticket) return;
    const focused = focus(saved, trained.answers.at(-1));
    const v = valuesOf(model, now.tensors, step, unit), was = valuesOf(model, trained.tensors, step, unit), held = edits[step] ?? {};
    const word = now.words[step] ?? "";
    set(this.heading, ...rich(words.title(title(model), word)));
    this.lead.textContent = words.lead[model] ?? "";
    for (const button of this.pick.children) button.setAttribute("aria-pressed", String((button as HTMLElement).dataset.model === model));
    this.picture.show(`${model} ${narrow()}`, {
      layout: DIAGRAMS[model].layouts[narrow() ? "narrow" : "wide"], identity: identity(model), values: v, trained: was, held, word,
      tip: (node, x) => `${elementName(model, node, step, unit)} = ${exactly(x)}`,
    });
    this.units(now, model, step, unit, saved.labels[head.votes[unit] ?? 0] ?? "");
    this.sides(model, v, was, held, step, H);
    this.line.show({
      model, trained, now, unit, step, edits, width: Math.max(260, Math.round(this.lineSvg.parentElement?.clientWidth ?? 800) - (narrow() ? 28 : 36)),
      p: (trace, t) => trace.answers[t]?.[focused] ?? NaN, says: (trace, t) => verdict(saved, trace.answers[t], focused),
      ends: saved.labels.length === 2 ? [saved.labels[0] as string, saved.labels[1] as string] : ["0 %", "100 %"],
    });
    this.lineTitle.textContent = narrow() ? words.lineNarrow : words.line;
    this.releaseAll.hidden = !edited;
    this.side.classList.toggle("edited", edited);
    this.tabulate(now, model, unit, focused);
    await this.answers(trained, now, edits, focused, ticket);
  }

  /** The unit that counts most for the answer, and the label that each unit speaks for when it is above 0. */
  private async headOf(trace: Trace, model: string): Promise<{ loudest: number; votes: number[] }> {
    const W = await this.app.source.head(model), last = trace.tensors[`${model}.l0.h`];
    if (!W || !last) return { loudest: 0, votes: [] };
    const H = last.shape[1] as number, K = W.shape[0] as number, n = W.shape[1] as number, y = slice(last, (last.shape[0] as number) - 1);
    const columns = Array.from({ length: H }, (_, k) => Array.from({ length: K }, (_, label) => W.data[label * n + k] as number));
    const spread = (column: number[], h: number): number => (Math.max(...column) - Math.min(...column)) * Math.abs(h);
    const loudness = columns.map((column, k) => spread(column, y[k] as number));
    return { loudest: argmax(loudness), votes: columns.map(argmax) };
  }

  private units(now: Trace, model: Cell, step: number, unit: number, label: string): void {
    const name = `${model}.l0.${CELLS[model].memory}`, tensor = now.tensors[name];
    const memory: Vector = tensor ? slice(tensor, step) : new Float64Array(0), most = Math.max(0.5, ...Array.from(memory, Math.abs));
    set(this.unitText, ...rich(words.units(now.words[step] ?? "", unit, label)));
    redraw(this.strip, ...Array.from(memory, (v, k) => {
      const x = v / most;
      return h("button", {
        type: "button", "data-key": `unit${k}`, "data-tone": x >= 0 ? "plus" : "minus", "aria-pressed": String(k === unit), "aria-label": words.unit(k, v),
        title: `${name}[${step}, ${k}] = ${exactly(v)}`, style: `--y:${19 - Math.max(0, x) * 16}px;--h:${Math.max(1.5, Math.abs(x) * 16)}px`, click: () => this.app.set({ unit: k }),
      });
    }));
    const tones = { elman: [], lstm: ["keep", "write", "show"], gru: ["keep", "write", "reset"] }[model];
    set(this.legend, ...["plus", "minus", ...tones].map((tone) => h("span", { "data-tone": tone }, words.legend[tone] ?? "")), h("span", { class: "bus" }, words.legend.bus ?? ""));
  }

  private sides(model: Cell, v: Record<string, number>, was: Record<string, number>, held: Record<string, number>, step: number, H: number): void {
    const items = (says[model] ?? (() => []))(v, step === 0);
    if (this.sayings.dataset.model !== model) {
      this.sayings.dataset.model = model;
      set(this.sayings, ...items.map((item) => {
        const gate = item.gate;
        return h("div", { class: "say", "data-tone": item.role }, h("p", {}, h("b"), " ", h("span")), gate
          ? h("div", {}, h("small"), h("div", { class: "hold" },
              h("input", { type: "range", min: 0, max: 1, step: 0.01, "data-gate": gate, input: (event: Event) => this.hold(gate, Number((event.target as HTMLInputElement).value)), keydown: (event: KeyboardEvent) => event.key === "Escape" && this.release(gate) }),
              h("button", { class: "plain", type: "button", click: () => this.release(gate) }, words.release)))
          : null);
      }));
    }
    items.forEach((item, k) => {
      const element = this.sayings.children[k] as HTMLElement, text = (query: string, value: string): void => {
        const found = element.querySelector(query);
        if (found && found.textContent !== value) found.textContent = value;
      };
      text("b", item.lead);
      text("span", item.rest);
      if (!item.gate) return;
      const gate = item.gate, input = element.querySelector("input") as HTMLInputElement, on = held[gate] !== undefined;
      input.value = String(v[gate]);
      input.style.setProperty("--p", `${100 * (v[gate] ?? 0)}%`);
      input.setAttribute("aria-label", words.gate(words.gates[gate] ?? gate, gate));
      text("small", on ? words.held(was[gate] as number) : words.sum(v[`token_${gate}`] as number, v[`past_${gate}`] as number, v[`bias_${gate}`] as number));
      element.querySelector(".hold")?.classList.toggle("on", on);
    });
    const { scope } = this.app.state;
    const choice = (value: "all" | "one", name: string): Node => h("button", { type: "button", "data-key": value, "aria-pressed": String(scope === value), click: () => this.app.set({ scope: value }) }, name);
    redraw(this.scope, ...(CELLS[model].held.length ? [h("h2", {}, words.scope), h("div", { class: "pick" }, choice("all", words.all(H)), choice("one", words.one))] : []));
  }

  private async answers(trained: Trace, now: Trace, edits: State["edits"], focused: number, ticket: number): Promise<void> {
    const { state, source } = this.app, model = state.model, saved = this.app.saved.get(model);
    if (!saved) return;
    const edited = Object.keys(edits).length > 0, [a, b] = [trained, now].map((trace) => verdict(saved, trace.answers.at(-1), focused)) as [ReturnType<typeof verdict>, ReturnType<typeof verdict>];
    const p = (trace: Trace): number => trace.answers.at(-1)?.[focused] ?? NaN;
    const bar = (name: string, each: typeof a, value: number, was: boolean): Node =>
      h("div", { class: was ? "bar was" : "bar", "data-tone": each.tone }, h("span", {}, name), h("i", {}, h("u", { style: `left:${Math.min(50, 100 * value)}%;width:${Math.abs(100 * value - 50)}%` })), h("b", {}, `${percent(each.p)} ${each.label}`));
    const parts: Node[] = [h("h2", {}, words.answer), bar(text.asTrained, a, p(trained), edited)];
    if (edited) {
      const steps: Part[] = Object.entries(edits).flatMap(([t, gates], k) => [...(k ? ["; "] : []), ...Object.entries(gates).flatMap(([gate, v]) => words.holding(gate, v, now.words[Number(t)] ?? ""))]);
      parts.push(bar(words.changed, b, p(now), false), h("p", { class: "say-it" }, ...rich(words.effect(steps, a.label, b.label, Math.round(100 * (p(now) - p(trained))), saved.labels[focused] ?? ""))));
      redraw(this.answer, ...parts);
      return;
    }
    redraw(this.answer, ...parts);
    if (!CELLS[model as Cell].held.length) {
      if (this.app.saved.has("lstm")) this.answer.append(h("button", { class: "try", type: "button", click: () => this.app.set({ model: "lstm", unit: null }) }, ...rich(words.grow)));
      return;
    }
    await new Promise((done) => setTimeout(done, HINT_AFTER));
    if (ticket !== this.ticket) return;
    if (this.tried !== `${model} ${state.text}`) {
      this.tried = `${model} ${state.text}`;
      this.best = null;
      this.best = await source.sweep(model, state.text, focused);
    }
    const best = this.best;
    if (ticket !== this.ticket || !best) return;
    this.answer.append(h("button", { class: "try", type: "button", click: () => this.app.set({ step: best.step, edits: { [best.step]: { [best.gate]: best.value } }, scope: "all" }) },
      ...rich(words.hint(best.value === 1, words.gates[best.gate] ?? best.gate, trained.words[best.step] ?? ""))));
  }

  private tabulate(now: Trace, model: Cell, unit: number, focused: number): void {
    const saved = this.app.saved.get(model), columns = [...new Set([...CELLS[model].gates, CELLS[model].memory, "h"])];
    set(this.table,
      h("caption", {}, words.caption(unit, model)),
      h("tr", {}, h("th", { scope: "col" }, text.word), ...columns.map((name) => h("th", { scope: "col" }, name)), h("th", { scope: "col" }, words.soFar)),
      ...now.words.map((word, t) => h("tr", {}, h("th", { scope: "row" }, word), ...columns.map((name) => h("td", {}, number(at(now.tensors[`${model}.l0.${name}`], t, unit)))), h("td", {}, saved ? inWords(verdict(saved, now.answers[t], focused)) : ""))));
  }
}

type State = App["state"];
