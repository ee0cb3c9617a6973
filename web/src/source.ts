// What a screen may ask, and who answers: the tab itself, or `unrolled serve`. Screens know only this interface, so that
// a run of any size can be shown by a second class that fetches the same answers (`source: "server"`).
import { Network, type PairOptions, type Saved, type Spoken, type Trace, type TraceOptions } from "./model/network";
import { CELLS, type Edits } from "./model/recurrent";
import { at, linear, slice, softmax, type Tensor, type Vector } from "./model/tensor";

export interface Example {
  text: string;
  /** The right answer, where it is known. */
  answer: string | null;
}

/** The content of the page's data element. */
export interface PageData {
  source: "tab";
  networks: Saved[];
  examples: Example[];
  words: Example[];
  prompts: string[];
  about: string;
}

export interface Sweep {
  step: number;
  gate: string;
  value: number;
  p: number;
}

export type Measure = "occlusion" | "retention" | "gradient_norm";

export interface Choice {
  id: number;
  token: string;
  p: number;
}

export interface Source {
  readonly kind: "tab" | "server";
  models(): Promise<Network["saved"][]>;
  trace(model: string, text: string, options?: TraceOptions): Promise<Trace>;
  speak(model: string, text: string, options?: PairOptions): Promise<Spoken>;
  /** The weights of the answer, labels × units. */
  head(model: string): Promise<Tensor | null>;
  /** The gate that, shut or opened at one step, moves the probability of a label most. */
  sweep(model: string, text: string, label: number): Promise<Sweep | null>;
  /** T×T: how much of the answer after step t depends on step s. null: it cannot be had here. */
  memory(model: string, text: string, measure: Measure): Promise<Tensor | null>;
  /** Next tokens after a text, the most probable first. */
  next(model: string, text: string): Promise<Choice[]>;
}

/** Maximum of words of which an encoder's T×T gradient is computed: each costs 24 passes a pair. */
export const GRADIENT_WORDS = 14;
const DIFFERENCE = 1e-4;

export class InTab implements Source {
  readonly kind = "tab";
  readonly networks: Map<string, Network>;
  private readonly saved: Saved[];

  constructor(data: PageData) {
    this.saved = data.networks;
    this.networks = new Map(data.networks.map((saved) => [saved.model, new Network(saved)]));
  }

  network(model: string): Network {
    const found = this.networks.get(model);
    if (!found) throw new Error(`there is no network ${model}`);
    return found;
  }

  models(): Promise<Saved[]> {
    return Promise.resolve(this.saved);
  }

  trace(model: string, text: string, options: TraceOptions = {}): Promise<Trace> {
    return Promise.resolve(this.network(model).trace(text, options));
  }

  speak(model: string, text: string, options: PairOptions = {}): Promise<Spoken> {
    return Promise.resolve(this.network(model).speak(text, options));
  }

  head(model: string): Promise<Tensor | null> {
    const W = this.network(model).W["head.weight"];
    return Promise.resolve(W ? { shape: W.shape, data: Float64Array.from(W.data) } : null);
  }

  sweep(model: string, text: string, label: number): Promise<Sweep | null> {
    const network = this.network(model);
    if (!network.recurrent) return Promise.resolve(null);
    const p = (edits: Edits): number => network.trace(text, { edits, every: false }).answers.at(-1)?.[label] ?? NaN;
    const trained = p({});
    let best: Sweep | null = null;
    for (let step = 0; step < network.trace(text).words.length; step++)
      for (const gate of CELLS[network.cell].held)
        for (const value of [0, 1]) {
          const found = p({ [step]: { [gate]: value } });
          if (!best || Math.abs(found - trained) > Math.abs(best.p - trained)) best = { step, gate, value, p: found };
        }
    return Promise.resolve(best);
  }

  memory(model: string, text: string, measure: Measure): Promise<Tensor | null> {
    const network = this.network(model);
    const trace = network.trace(text);
    const T = trace.words.length;
    if (measure === "retention") return Promise.resolve(retention(network, trace, T));
    if (measure === "gradient_norm" && model === "transformer" && T > GRADIENT_WORDS) return Promise.resolve(null);
    const labels = trace.answers.map((p) => p.indexOf(Math.max(...p)));
    const ids = network.tokenizer.read(text, network.limit).ids;
    const vectors = network.vectors(ids);
    const data = new Float64Array(T * T);
    const logs = (changed: Vector[]): Vector => {
      const { answers } = network.trace(text, { vectors: changed });
      return Float64Array.from(answers, (p, t) => Math.log(p[labels[t] as number] as number));
    };
    const replaced = (s: number, vector: Vector): Vector[] => vectors.map((v, k) => (k === s ? vector : v));
    const trained = logs(vectors);
    for (let s = 0; s < T; s++) {
      if (measure === "occlusion") {
        const without = logs(replaced(s, network.mean));
        for (let t = s; t < T; t++) data[t * T + s] = ((trained[t] as number) - (without[t] as number)) / Math.LN2;
        continue;
      }
      const x = vectors[s] as Vector;
      for (let d = 0; d < x.length; d++) {
        const moved = (by: number): Vector[] => replaced(s, x.map((v, k) => (k === d ? v + by : v)));
        const [up, down] = [logs(moved(DIFFERENCE)), logs(moved(-DIFFERENCE))];
        for (let t = s; t < T; t++) {
          const slope = ((up[t] as number) - (down[t] as number)) / (2 * DIFFERENCE);
          data[t * T + s] = (data[t * T + s] as number) + slope * slope;
        }
      }
      for (let t = s; t < T; t++) data[t * T + s] = Math.sqrt(data[t * T + s] as number);
    }
    return Promise.resolve({ shape: [T, T], data });
  }

  next(model: string, text: string): Promise<Choice[]> {
    const network = this.network(model);
    const { answers } = network.trace(text);
    const p = answers.at(-1);
    if (!p) return Promise.resolve([]);
    const words = [...p.keys()].filter((id) => network.target.isWord(id));
    const found = words.map((id) => ({ id, token: network.target.token(id), p: p[id] as number }));
    return Promise.resolve(found.sort((a, b) => b.p - a.p));
  }
}

/** Fraction of each earlier step on the direct path of the lowest layer, as src/unrolled/inside/memory.py. */
function retention(network: Network, trace: Trace, T: number): Tensor | null {
  const { model, config } = network.saved;
  const data = new Float64Array(T * T);
  if (model === "feedforward" && config.read !== "max") {
    for (let t = 0; t < T; t++) data.fill(1 / (t + 1), t * T, t * T + t + 1);
    return { shape: [T, T], data };
  }
  if (model === "transformer") {
    const weights = trace.tensors["transformer.l0.weights"];
    if (!weights) return null;
    const N = weights.shape[0] as number;
    for (let n = 0; n < N; n++) for (let k = 0; k < T * T; k++) data[k] = (data[k] as number) + (weights.data[n * T * T + k] as number) / N;
    return { shape: [T, T], data };
  }
  const keeps = network.recurrent ? CELLS[network.cell].keeps : "";
  const gate = trace.tensors[`${model}.l0.${keeps}`];
  if (!gate) return model === "elman" ? jacobians(network, trace, T) : null;
  const H = gate.shape[1] as number;
  for (let s = 0; s < T; s++) {
    const product = new Float64Array(H).fill(1);
    for (let t = s; t < T; t++) {
      if (t > s) for (let k = 0; k < H; k++) product[k] = (product[k] as number) * at(gate, t, k);
      data[t * T + s] = product.reduce((p, q) => p + q, 0) / H;
    }
  }
  return { shape: [T, T], data };
}

/** The same of an Elman layer: √ of the mean of ‖∏ diag(1 − h²) W_h v‖² over fixed vectors v of length 1. */
function jacobians(network: Network, trace: Trace, T: number): Tensor | null {
  const h = trace.tensors["elman.l0.h"];
  const W = network.W["layers.layers.0.cell.weight_h"];
  if (!h || !W || (network.saved.config.nonlinearity ?? "tanh") !== "tanh") return null;
  const H = h.shape[1] as number;
  const vectors = Array.from({ length: network.saved.directions.length / H }, (_, k) => Float64Array.from(network.saved.directions.slice(k * H, k * H + H)));
  const data = new Float64Array(T * T);
  for (let s = 0; s < T; s++) {
    let moved: Vector[] = vectors;
    for (let t = s; t < T; t++) {
      if (t > s) {
        const slope = slice(h, t).map((v) => 1 - v * v);
        moved = moved.map((v) => linear(W, v).map((a, i) => a * (slope[i] as number)));
      }
      const squares = moved.map((v) => v.reduce((p, q) => p + q * q, 0));
      data[t * T + s] = Math.sqrt(squares.reduce((p, q) => p + q, 0) / squares.length);
    }
  }
  return { shape: [T, T], data };
}

export interface Sampling {
  temperature: number;
  topK: number;
  topP: number;
}

/** Choices after temperature, with those that top-k and top-p leave: the definitions of src/unrolled/decoding/sampling.py. */
export function sampled(choices: Choice[], { temperature, topK, topP }: Sampling): (Choice & { kept: boolean })[] {
  if (!choices.length) return [];
  const p = softmax(Float64Array.from(choices, (each) => Math.log(each.p) / temperature));
  let sum = 0;
  return choices.map((each, k) => {
    const kept = (topK === 0 || k < topK) && (k === 0 || sum < topP);
    sum += p[k] as number;
    return { ...each, p: p[k] as number, kept };
  });
}

