// A network as Python packed it, and its forward passes. Nothing here knows of a picture.
// A trace has the tensors of the product by their names, so that trace.tensors["lstm.l0.f"] is that of run.explain(text).
import { blocks } from "./blocks";
import { CELLS, scan, step, type Cell, type Edits, type Held, type Scan } from "./recurrent";
import { add, concat, dot, linear, PHI, row, softmax, stack, tanh, unpack, zeros, type Packed, type Tensors, type Vector, type Weight } from "./tensor";
import { BEGIN, END, SPECIAL, Tokenizer, type Vocabulary } from "./tokens";

export type Model = "feedforward" | "elman" | "lstm" | "gru" | "encoder_decoder" | "attention" | "transformer" | "gpt";

export interface Saved {
  name: string;
  model: Model;
  task: "classify" | "translate" | "generate";
  config: {
    num_layers: number;
    bidirectional: boolean;
    read: "last" | "mean" | "max" | null;
    num_heads: number;
    norm: "pre" | "post";
    position: "sinusoidal" | "learned";
    nonlinearity: string | null;
    cell: Cell | null;
    reverse_source: boolean;
    tied: boolean;
    window: number | null;
  };
  labels: string[];
  tokenizers: Vocabulary[];
  weights: Record<string, Packed>;
  /** Elman: the vectors of length 1 that its retention is measured with, one after the other. */
  directions: number[];
  exact: boolean;
  parameters: number;
  data: string;
  test: { name: string; value: number | null; interval: [number, number] | null; n: number | null; by_length: [number, number, number][] };
}

export interface Trace {
  model: string;
  words: string[];
  known: boolean[];
  left: number;
  tensors: Tensors;
  /** The distribution over labels (or next tokens) if the text ended after each step. */
  answers: Vector[];
}

export interface TraceOptions {
  edits?: Edits;
  unit?: number | null;
  /** Replaces the vectors of tokens, T×D: for occlusion and gradients. */
  vectors?: Vector[];
  /** Whether answers of steps before the last are wanted. Each costs a whole pass where reading is not step by step. */
  every?: boolean;
}

export interface Spoken {
  letters: string[];
  known: boolean[];
  left: number;
  steps: { id: number; token: string; p: number; weights: Vector | null; best: { token: string; p: number }[] }[];
  tensors: Tensors;
}

export interface PairOptions {
  /** {step: source position}: all attention on one place. */
  held?: Record<number, number>;
  /** Closes attention: the context is 0 at each step, and only the fixed vector is left. */
  closed?: boolean;
  /** Token ids that the decoder is given instead of its own answers. */
  forced?: number[];
}

export const MAX_WORDS = 60, MAX_LETTERS = 24, MAX_SPOKEN = 32;

export class Network {
  readonly W: Record<string, Weight> = {};
  readonly tokenizer: Tokenizer;
  readonly target: Tokenizer;
  readonly cell: Cell;
  readonly recurrent: boolean;

  constructor(readonly saved: Saved) {
    for (const [name, packed] of Object.entries(saved.weights)) this.W[name] = unpack(packed);
    this.tokenizer = new Tokenizer(saved.tokenizers[0] as Vocabulary);
    this.target = new Tokenizer(saved.tokenizers.at(-1) as Vocabulary);
    const { model } = saved;
    this.recurrent = model === "elman" || model === "lstm" || model === "gru";
    this.cell = this.recurrent ? (model as Cell) : (saved.config.cell ?? "gru");
  }

  private weight(name: string): Weight {
    const found = this.W[name];
    if (!found) throw new Error(`this network has no ${name}`);
    return found;
  }

  /** Number of units H of the lowest recurrent layer. */
  get size(): number {
    const own = Object.keys(this.W).find((name) => name.endsWith("weight_h"));
    return own ? (this.weight(own).shape[1] as number) : 0;
  }

  vectors(ids: number[]): Vector[] {
    return ids.map((id) => row(this.weight("embedding.weight"), id));
  }

  /** The mean of all vectors but those of special tokens, which replaces a token in occlusion. */
  get mean(): Vector {
    const E = this.weight("embedding.weight");
    const D = E.shape[1] as number, words = (E.shape[0] as number) - SPECIAL;
    const sum = zeros(D);
    for (let k = SPECIAL * D; k < E.data.length; k++) sum[k % D] = (sum[k % D] as number) + (E.data[k] as number) / words;
    return sum;
  }

  private head(y: Vector): Vector {
    const tied = this.W["head.weight"] === undefined;
    const project = this.W["head.project.weight"];
    const from = tied && project ? linear(project, y) : y;
    return linear(tied ? this.weight("embedding.weight") : this.weight("head.weight"), from, this.weight("head.bias").data);
  }

  trace(text: string, options: TraceOptions = {}): Trace {
    const { words, ids, known, left } = this.tokenizer.read(text, this.limit);
    if (this.saved.model === "gpt") {
      words.unshift(this.tokenizer.token(BEGIN)); // it reads <bos> first
      ids.unshift(BEGIN);
      known.unshift(true);
    }
    const x = options.vectors ?? this.vectors(ids);
    const made = x.length === 0 ? { tensors: {}, answers: [] } : this.forward(x, options);
    return { model: this.saved.model, words, known, left, ...made };
  }

  get limit(): number {
    return this.saved.model === "gpt" ? Math.min(MAX_WORDS, (this.saved.config.window ?? 64) - 1) : MAX_WORDS;
  }

  private forward(x: Vector[], options: TraceOptions): { tensors: Tensors; answers: Vector[] } {
    const { model } = this.saved;
    if (model === "feedforward") return this.bag(x);
    if (model === "transformer") return this.encoder(x, options.every ?? true);
    if (model === "gpt") return this.decoder(x);
    return this.recurrentPass(x, { edits: options.edits ?? {}, unit: options.unit ?? null }, options.every ?? true);
  }

  private bag(x: Vector[]): { tensors: Tensors; answers: Vector[] } {
    const { read, num_layers, nonlinearity } = this.saved.config;
    const phi = PHI[nonlinearity ?? "relu"] as (v: number) => number;
    const tensors: Tensors = {};
    let pooled = x[0] as Vector;
    const answers = x.map((v, t) => {
      if (t) pooled = read === "max" ? pooled.map((p, k) => Math.max(p, v[k] as number)) : add(pooled, v);
      let h = read === "max" ? pooled : pooled.map((p) => p / (t + 1));
      tensors["feedforward.x"] = stack([h]);
      for (let l = 0; l < num_layers; l++) {
        h = linear(this.weight(`mlp.steps.${3 * l}.weight`), h, this.weight(`mlp.steps.${3 * l}.bias`).data).map(phi);
        tensors[`feedforward.l${l}.h`] = stack([h]);
      }
      return softmax(this.head(h));
    });
    return { tensors, answers };
  }

  private recurrentPass(x: Vector[], held: Held, every: boolean): { tensors: Tensors; answers: Vector[] } {
    const { num_layers, bidirectional, read, nonlinearity } = this.saved.config;
    const { cell, W } = this;
    const tensors: Tensors = {};
    const keep = (layer: number, direction: string, made: Scan): void => {
      for (const [name, tensor] of Object.entries(made.tensors)) tensors[`${cell}.l${layer}.${direction}${name}`] = tensor;
    };
    let inputs = x;
    let last: Scan[] = [];
    for (let l = 0; l < num_layers; l++) {
      const prefix = `layers.layers.${l}.`;
      const own = l === 0 ? { held, nonlinearity } : { nonlinearity };
      const forward = scan(cell, W, bidirectional ? `${prefix}forward_layer.cell.` : `${prefix}cell.`, inputs, own);
      keep(l, "", forward);
      last = [forward];
      if (bidirectional) {
        const backward = scan(cell, W, `${prefix}backward_layer.cell.`, inputs, { reverse: true, nonlinearity });
        keep(l, "reverse.", backward);
        last.push(backward);
      }
      inputs = inputs.map((_, t) => concat(...last.map((each) => each.outputs[t] as Vector)));
    }
    const pooled = (T: number, y: Vector[], final: Vector): Vector => {
      if (read === "mean") return y.reduce(add).map((v) => v / T);
      return read === "max" ? y.reduce((a, b) => a.map((v, k) => Math.max(v, b[k] as number))) : final;
    };
    if (!bidirectional) {
      let running = inputs[0] as Vector;
      const answers = inputs.map((y, t) => {
        if (t) running = read === "max" ? running.map((v, k) => Math.max(v, y[k] as number)) : add(running, y);
        return softmax(this.head(read === "max" ? running : read === "mean" ? running.map((v) => v / (t + 1)) : y));
      });
      return { tensors, answers };
    }
    const T = x.length;
    const whole = softmax(this.head(pooled(T, inputs, concat(...last.map((each) => each.final.h)))));
    if (!every) return { tensors, answers: [whole] };
    const before = x.slice(0, -1).map((_, t) => this.recurrentPass(x.slice(0, t + 1), held, false).answers[0] as Vector);
    return { tensors, answers: [...before, whole] };
  }

  private settings(causal: boolean): Parameters<typeof blocks>[1] {
    const { num_layers, num_heads, norm, position, nonlinearity } = this.saved.config;
    return { num_layers, num_heads, norm, position, nonlinearity: nonlinearity ?? (causal ? "gelu" : "relu"), causal };
  }

  private encoder(x: Vector[], every: boolean): { tensors: Tensors; answers: Vector[] } {
    const { outputs, tensors } = blocks(this.W, this.settings(false), x);
    const { read } = this.saved.config;
    const pool = read === "max"
      ? outputs.reduce((a, b) => a.map((v, k) => Math.max(v, b[k] as number)))
      : outputs.reduce(add).map((v) => v / outputs.length);
    const whole = softmax(this.head(pool));
    if (!every) return { tensors, answers: [whole] };
    const before = x.slice(0, -1).map((_, t) => this.encoder(x.slice(0, t + 1), false).answers[0] as Vector);
    return { tensors, answers: [...before, whole] };
  }

  private decoder(x: Vector[]): { tensors: Tensors; answers: Vector[] } {
    const { outputs, tensors } = blocks(this.W, this.settings(true), x);
    return { tensors, answers: outputs.map((y) => softmax(this.head(y))) };
  }

  /** A source to a target, the most probable token at each step. */
  speak(text: string, options: PairOptions = {}): Spoken {
    const { W, cell } = this;
    const { bidirectional, reverse_source } = this.saved.config;
    const { words: letters, ids, known, left } = this.tokenizer.read(text, MAX_LETTERS);
    const tensors: Tensors = {};
    if (!letters.length) return { letters, known, left, steps: [], tensors };
    const source = ids.map((id) => row(this.weight("source_embedding.weight"), id));
    const keep = (prefix: string, made: Tensors): void => {
      for (const [name, tensor] of Object.entries(made)) tensors[`${prefix}${name}`] = tensor;
    };
    const forward = scan(cell, W, bidirectional ? "encoder.layers.0.forward_layer.cell." : "encoder.layers.0.cell.", source, { reverse: reverse_source });
    const directions = [forward];
    keep(reverse_source ? `encoder.${cell}.l0.reverse.` : `encoder.${cell}.l0.`, forward.tensors);
    if (bidirectional) {
      const backward = scan(cell, W, "encoder.layers.0.backward_layer.cell.", source, { reverse: true });
      directions.push(backward);
      keep(`encoder.${cell}.l0.reverse.`, backward.tensors);
    }
    const outputs = source.map((_, t) => concat(...directions.map((each) => each.outputs[t] as Vector)));
    const summary = concat(...directions.map((each) => each.final.h));
    tensors["encoder.summary"] = stack([summary]);
    const bridge = (leaf: "h" | "c"): Vector =>
      tanh(linear(this.weight(`bridge.0.fields.${leaf}.weight`), concat(...directions.map((each) => each.final[leaf] as Vector)), this.weight(`bridge.0.fields.${leaf}.bias`).data));
    let state: { h: Vector; c?: Vector } = cell === "lstm" ? { h: bridge("h"), c: bridge("c") } : { h: bridge("h") };
    const attends = W["decoder.score.v"] !== undefined;
    const prefix = attends ? "decoder.layers.layers.0.cell." : "decoder.layers.0.cell.";
    const v = W["decoder.score.v"]?.data;
    const keys = attends ? outputs.map((o) => linear(this.weight("decoder.score.key.weight"), o, this.weight("decoder.score.key.bias").data)) : [];
    const record: Record<string, Vector[]> = {}, note = (name: string, value: Vector): void => void (record[name] ??= []).push(value);
    const steps: Spoken["steps"] = [];
    let id = BEGIN;
    for (let t = 0; t < MAX_SPOKEN; t++) {
      let x = row(this.weight("embedding.weight"), id);
      let weights: Vector | null = null;
      if (attends && v) {
        const query = state.h, projected = linear(this.weight("decoder.score.query.weight"), query);
        const score = Float64Array.from(keys, (key) => dot(v, key.map((a, k) => Math.tanh(a + (projected[k] as number)))));
        const place = options.held?.[t];
        weights = place === undefined ? softmax(score) : score.map((_, k) => (k === place ? 1 : 0));
        const held = weights;
        const context = outputs.map((o, k): Vector => o.map((a) => a * (held[k] as number))).reduce(add);
        note("attention.query", query);
        note("attention.score", score);
        note("attention.weights", weights);
        note("attention.context", context);
        x = concat(x, options.closed ? zeros(context.length) : context);
      }
      const made = step(cell, W, prefix, x, state);
      state = cell === "lstm" ? { h: made.h as Vector, c: made.c as Vector } : { h: made.h as Vector };
      for (const [name, value] of Object.entries(made)) note(`decoder.${cell}.l0.${name}`, value);
      const p = softmax(this.head(state.h));
      const order = [...p.keys()].sort((a, b) => (p[b] as number) - (p[a] as number)).slice(0, 4);
      id = options.forced?.[t] ?? (order[0] as number);
      const token = (each: number): string => (each === END ? "" : this.target.token(each));
      steps.push({ id, token: token(id), p: p[id] as number, weights, best: order.map((each) => ({ token: token(each), p: p[each] as number })) });
      if (options.forced ? t === options.forced.length - 1 : id === END) break;
    }
    const G = CELLS[cell].gates.length;
    for (const [name, rows] of Object.entries(record)) {
      const H = (rows[0] as Vector).length / G;
      tensors[name] = /\.from_[xh]$/.test(name) ? stack(rows, G, H) : stack(rows);
    }
    return { letters, known, left, steps, tensors };
  }
}
