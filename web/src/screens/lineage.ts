// Home: every architecture on the sentence, and the reason why each came after the other.
import { RECURRENT, cells, focus, title, verdict, type App, type Screen } from "../app";
import { h, s, set } from "../dom";
import type { Saved } from "../model/network";
import type { State } from "../state";
import { ofSpoken, ofTrace } from "../view/minis";
import { count, percent, percent1 } from "../words/numbers";
import { text } from "../words/en";

const words = text.lineage;
const MORPH = 650; // ms, before a cell becomes the next: long enough to see the old one

interface Card {
  saved: Saved;
  mini: SVGSVGElement;
  live: HTMLElement;
  facts: HTMLElement;
  fastest: number;
}

export class LineageScreen implements Screen {
  private readonly cards: Card[];
  private ticket = 0;

  constructor(
    root: Element,
    private readonly app: App,
  ) {
    const models = [...app.saved.keys()];
    this.cards = [...app.saved.values()].map((saved) => ({ saved, mini: s("svg", { class: "mini", viewBox: "0 0 156 104", role: "img" }), live: h("div", { class: "live" }), facts: h("dl"), fastest: Infinity }));
    const parts = this.cards.flatMap(({ saved, mini, live, facts }, k) => {
      const model = saved.model, before = models[k - 1], edge = before && words.edges[`${before}>${model}`];
      const card = h("article", { class: "card mind", style: `--c:${k + 1}` },
        h("header", {}, h("time", {}, String(words.years[model])), h("h2", {}, h("a", { href: this.link(model), click: (event: Event) => this.follow(event, model) }, title(model)))),
        mini, live, h("p", { class: "adds" }, h("span", { class: "tag" }, words.addsHead), words.adds[model] ?? ""), h("p", { class: "cannot" }, h("span", { class: "tag" }, words.cannotHead), words.cannot[model] ?? ""), facts);
      const arrow = s("svg", { viewBox: "0 0 40 12", role: "img", "aria-label": words.mended }, s("path", { d: "M1 6H36M31 1.5L37 6L31 10.5" }));
      return edge && before ? [h("button", { class: "edge", type: "button", style: `--c:${k}`, click: () => this.open(before, model) }, h("span", {}, edge[0]), arrow, h("b", {}, edge[1])), card] : [card];
    });
    set(root, h("h1", {}, words.title(models.length)), h("p", { class: "lead" }, words.lead), h("div", { class: "line", style: `--n:${models.length}` }, ...parts));
  }

  private link(model: string): string {
    if (RECURRENT.includes(model)) return `#cell/${model}`;
    return model === "gpt" ? "#decode" : model === "feedforward" ? "#memory" : "#attention";
  }

  private follow(event: Event, model: string): void {
    event.preventDefault();
    this.open(model, model);
  }

  /** Opens a model; an edge opens the older cell and turns it into the newer before the reader's eyes. */
  private open(from: string, to: string): void {
    const own = cells(this.app), change: Partial<State> = { edits: {}, unit: null };
    if (own.includes(to)) {
      this.app.set({ ...change, screen: "cell", model: own.includes(from) ? from : to });
      if (own.includes(from) && from !== to) setTimeout(() => this.app.state.screen === "cell" && this.app.set({ model: to }), MORPH);
    } else this.app.set({ ...change, screen: to === "gpt" ? "decode" : to === "feedforward" ? "memory" : "attention", ...(to === "gpt" ? { prompt: this.app.state.text } : {}) });
    scrollTo(0, 0);
  }

  async show(): Promise<void> {
    const ticket = ++this.ticket;
    for (const card of this.cards) {
      await (card.saved.task === "translate" ? this.pair(card) : this.reader(card));
      if (ticket !== this.ticket) return;
    }
  }

  private async pair(card: Card): Promise<void> {
    const { saved, mini, live } = card, attends = saved.model === "attention", { source, state, data } = this.app;
    const found = state.text.toLowerCase().match(/[a-z']{2,24}/g) ?? [];
    const word = found.reduce((best, each) => (each.length > best.length ? each : best), "") || "film";
    const began = performance.now(), spoken = await source.speak(saved.model, word);
    card.fastest = Math.min(card.fastest, (performance.now() - began) / Math.max(1, spoken.steps.length + spoken.letters.length));
    ofSpoken(mini, spoken, attends);
    mini.setAttribute("aria-label", words.spells(title(saved.model), word));
    const said = spoken.steps.map((step) => step.token).filter(Boolean).join(" ");
    const known = data.words.find((each) => each.text === word)?.answer ?? null;
    delete live.dataset.tone;
    set(live, h("span", {}, word), h("b", { class: "phonemes" }, said), this.mark(known, said));
    const H = spoken.tensors["encoder.summary"]?.data.length ?? 0, A = spoken.tensors["attention.weights"] ? 2 * H * spoken.letters.length : 0;
    this.note(card, 4 * (H + A), attends);
  }

  private async reader(card: Card): Promise<void> {
    const { saved, mini, live } = card, { source, state, data } = this.app;
    const began = performance.now();
    await source.trace(saved.model, state.text, { every: false });
    const took = performance.now() - began;
    const trace = await source.trace(saved.model, state.text), T = trace.words.length;
    if (!T) {
      mini.replaceChildren();
      return set(live, text.empty);
    }
    card.fastest = Math.min(card.fastest, took / T);
    const last = trace.answers.at(-1), D = trace.tensors["embedding"]?.shape[1] ?? trace.tensors["feedforward.x"]?.shape[1] ?? 0;
    mini.setAttribute("aria-label", words.read(title(saved.model)));
    if (saved.task === "generate") {
      ofTrace(mini, trace, saved.model, () => NaN);
      const [best] = await source.next(saved.model, state.text);
      delete live.dataset.tone;
      set(live, h("span", {}, words.next), h("b", {}, best?.token ?? ""), best ? ` ${percent(best.p)}` : "");
    } else {
      const focused = focus(saved, last), said = verdict(saved, last, focused), p = (t: number): number => trace.answers[t]?.[focused] ?? NaN;
      ofTrace(mini, trace, saved.model, p);
      live.dataset.tone = said.tone;
      const known = data.examples.find((each) => each.text === state.text)?.answer ?? null;
      set(live, h("b", {}, percent(said.p)), ` ${said.label}`, h("br"), this.mark(known, said.label), h("u", { style: `--x:${(100 * p(T - 1)).toFixed(1)}%` }));
    }
    const blocks = Object.keys(trace.tensors).filter((name) => name.endsWith(".key")).map((name) => 2 * (trace.tensors[name]?.data.length ?? 0));
    const H = trace.tensors[`${saved.model}.l0.h`]?.shape[1] ?? 0;
    const numbers = blocks.length ? blocks.reduce((p, q) => p + q, 0) : saved.model === "feedforward" ? D + 1 : H * (saved.model === "lstm" ? 2 : 1) * saved.config.num_layers * (saved.config.bidirectional ? 2 : 1);
    this.note(card, 4 * numbers, blocks.length > 0);
  }

  private mark(known: string | null, said: string): Node | null {
    if (known === null) return null;
    return known === said ? h("i", { class: "right" }, text.right) : h("i", { class: "wrong" }, text.wrong);
  }

  private note({ saved, facts, fastest }: Card, bytes: number, grows: boolean): void {
    const { name, value } = saved.test;
    const score = value === null ? "–" : name === "perplexity" ? value.toFixed(1) : percent1(value);
    const fact = (label: string, shown: string): Node[] => [h("dt", {}, label), h("dd", {}, shown)];
    set(facts, ...fact(words.score[name] ?? name, score), ...fact(words.parameters, count(saved.parameters)), ...fact(words.time, words.microseconds(1000 * fastest)), ...fact(words.carries, words.bytes(bytes)), h("dd", { class: "grows" }, grows ? (words.grows[saved.task] ?? "") : words.same));
  }
}
