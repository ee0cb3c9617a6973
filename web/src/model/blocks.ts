// Transformer blocks: self-attention and a feedforward network, each added to x. src/unrolled/layers/block.py.
import { PHI, add, concat, dot, linear, softmax, stack, type Tensor, type Tensors, type Vector, type Weight } from "./tensor";

export interface BlockSettings {
  num_layers: number;
  num_heads: number;
  norm: "pre" | "post";
  position: "sinusoidal" | "learned";
  nonlinearity: string;
  causal: boolean;
}

const EPSILON = 1e-5;

function normalized(x: Vector, g: ArrayLike<number>, b: ArrayLike<number>): Vector {
  const mean = x.reduce((p, v) => p + v, 0) / x.length;
  const variance = x.reduce((p, v) => p + (v - mean) ** 2, 0) / x.length;
  const scale = 1 / Math.sqrt(variance + EPSILON);
  return x.map((v, k) => (v - mean) * scale * (g[k] as number) + (b[k] as number));
}

function position(t: number, D: number): Vector {
  return Float64Array.from({ length: D }, (_, k) => {
    const angle = t / 10000 ** ((k - (k % 2)) / D);
    return k % 2 ? Math.cos(angle) : Math.sin(angle);
  });
}

/** Heads of T vectors: N×T×K, the part of each vector from `from` on. */
function heads(rows: Vector[], from: number, N: number, K: number): Tensor {
  const T = rows.length;
  const data = new Float64Array(N * T * K);
  for (let n = 0; n < N; n++)
    for (let t = 0; t < T; t++)
      for (let k = 0; k < K; k++) data[(n * T + t) * K + k] = (rows[t] as Vector)[from + n * K + k] as number;
  return { shape: [N, T, K], data };
}

/** x (T vectors) to the outputs of the stack; tensors are those of a trace, by the name of the product. */
export function blocks(W: Record<string, Weight>, settings: BlockSettings, inputs: Vector[]): { outputs: Vector[]; tensors: Tensors } {
  const tensors: Tensors = {};
  const enter = W["blocks.enter.weight"];
  const { num_heads: N, norm, causal } = settings;
  const phi = PHI[settings.nonlinearity] as (v: number) => number;
  const T = inputs.length;
  let x = enter ? inputs.map((v) => linear(enter, v, (W["blocks.enter.bias"] as Weight).data)) : inputs;
  const D = x[0]?.length ?? 0;
  const K = D / N;
  const learned = W["blocks.position.weight"];
  const positions = x.map((_, t) => (learned ? Float64Array.from(learned.data.subarray(t * D, t * D + D)) : position(t, D)));
  tensors["transformer.token"] = stack(x);
  tensors["transformer.position"] = stack(positions);
  x = x.map((v, t) => add(v, positions[t] as Vector));
  for (let l = 0; l < settings.num_layers; l++) {
    const prefix = `blocks.blocks.${l}.`;
    const weight = (name: string): Weight => W[`${prefix}${name}.weight`] as Weight;
    const bias = (name: string): Float32Array => (W[`${prefix}${name}.bias`] as Weight).data;
    const own = (name: string): string => `transformer.l${l}.${name}`;
    const normed = (k: number, v: Vector): Vector => normalized(v, weight(`norms.${k}`).data, bias(`norms.${k}`));
    tensors[own("x")] = stack(x);
    const first = norm === "pre" ? x.map((v) => normed(0, v)) : x;
    const qkv = first.map((v) => linear(weight("mixer.project"), v, bias("mixer.project")));
    const [query, key, value] = [heads(qkv, 0, N, K), heads(qkv, D, N, K), heads(qkv, 2 * D, N, K)];
    const score = new Float64Array(N * T * T), weights = new Float64Array(N * T * T), context = new Float64Array(N * T * K);
    for (let n = 0; n < N; n++)
      for (let t = 0; t < T; t++) {
        const q = query.data.subarray((n * T + t) * K, (n * T + t + 1) * K);
        const row = new Float64Array(T).map((_, s) =>
          causal && s > t ? -Infinity : dot(q, key.data.subarray((n * T + s) * K, (n * T + s + 1) * K)) / Math.sqrt(K),
        );
        const a = softmax(row);
        score.set(row, (n * T + t) * T);
        weights.set(a, (n * T + t) * T);
        for (let s = 0; s < T; s++)
          for (let k = 0; k < K; k++) {
            const place = (n * T + t) * K + k;
            context[place] = (context[place] as number) + (a[s] as number) * (value.data[(n * T + s) * K + k] as number);
          }
      }
    const shape = [N, T, T];
    const mixed = x.map((_, t) => {
      const joined = concat(...Array.from({ length: N }, (_, n) => context.subarray((n * T + t) * K, (n * T + t + 1) * K)));
      return linear(weight("mixer.output"), joined, bias("mixer.output"));
    });
    x = x.map((v, t) => add(v, mixed[t] as Vector));
    if (norm === "post") x = x.map((v) => normed(0, v));
    const second = norm === "pre" ? x.map((v) => normed(1, v)) : x;
    const inner = second.map((v) => linear(weight("feedforward.0"), v, bias("feedforward.0")).map(phi));
    const fed = inner.map((v) => linear(weight("feedforward.3"), v, bias("feedforward.3")));
    x = x.map((v, t) => add(v, fed[t] as Vector));
    if (norm === "post") x = x.map((v) => normed(1, v));
    Object.assign(tensors, {
      [own("attention_input")]: stack(first),
      [own("query")]: query,
      [own("key")]: key,
      [own("value")]: value,
      [own("score")]: { shape, data: score },
      [own("weights")]: { shape, data: weights },
      [own("context")]: { shape: [N, T, K], data: context },
      [own("attention_output")]: stack(mixed),
      [own("feedforward_input")]: stack(second),
      [own("inner")]: stack(inner),
      [own("feedforward_output")]: stack(fed),
      [own("y")]: stack(x),
    });
  }
  const final = W["blocks.norm.weight"];
  if (final) x = x.map((v) => normalized(v, final.data, (W["blocks.norm.bias"] as Weight).data));
  return { outputs: x, tensors };
}
