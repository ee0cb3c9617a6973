// Vectors, matrices, and the few products that the forward passes are made of. Everything is computed in 64 bits.

export type Vector = Float64Array<ArrayBufferLike>;

/** A named result: numbers in row-major order. */
export interface Tensor {
  shape: number[];
  data: Vector;
}

export type Tensors = Record<string, Tensor>;

/** A weight as packed by Python: float32, or one byte a number and one scale a row. */
export interface Packed {
  shape: number[];
  f32?: string;
  q8?: string;
  scale?: string;
}

export interface Weight {
  shape: number[];
  data: Float32Array;
}

function bytes(text: string): ArrayBuffer {
  const binary = atob(text);
  const out = new Uint8Array(binary.length);
  for (let k = 0; k < out.length; k++) out[k] = binary.charCodeAt(k);
  return out.buffer;
}

/** w_ij = s_i · q_ij, rounded to float32 as in Python; or the float32 numbers themselves. */
export function unpack(packed: Packed): Weight {
  if (packed.f32 !== undefined) return { shape: packed.shape, data: new Float32Array(bytes(packed.f32)) };
  const q = new Int8Array(bytes(packed.q8 ?? ""));
  const scale = new Float32Array(bytes(packed.scale ?? ""));
  const columns = packed.shape[1] ?? 1;
  const data = new Float32Array(q.length);
  for (let k = 0; k < q.length; k++) data[k] = (q[k] as number) * (scale[Math.floor(k / columns)] as number);
  return { shape: packed.shape, data };
}

/** W x (+ b), of rows `from` to `from + rows`. */
export function linear(W: Weight, x: ArrayLike<number>, b?: ArrayLike<number>, from = 0, rows = W.shape[0] as number): Vector {
  const n = W.shape[1] as number;
  const out = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = b ? (b[from + r] as number) : 0;
    const start = (from + r) * n;
    for (let k = 0; k < n; k++) sum += (W.data[start + k] as number) * (x[k] as number);
    out[r] = sum;
  }
  return out;
}

/** Row i of a matrix. */
export function row(W: Weight, i: number): Vector {
  const n = W.shape[1] as number;
  return Float64Array.from(W.data.subarray(i * n, i * n + n));
}

export const zeros = (n: number): Vector => new Float64Array(n);
export const add = (a: Vector, b: ArrayLike<number>): Vector => a.map((v, k) => v + (b[k] as number));
export const times = (a: Vector, b: ArrayLike<number>): Vector => a.map((v, k) => v * (b[k] as number));
export const tanh = (a: Vector): Vector => a.map(Math.tanh);
export const sigmoid = (a: Vector): Vector => a.map((v) => 1 / (1 + Math.exp(-v)));
export const concat = (...parts: Vector[]): Vector => {
  const out = new Float64Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
};

export function dot(a: ArrayLike<number>, b: ArrayLike<number>, n = a.length): number {
  let sum = 0;
  for (let k = 0; k < n; k++) sum += (a[k] as number) * (b[k] as number);
  return sum;
}

/** Softmax; −∞ stays 0. */
export function softmax(a: Vector): Vector {
  const most = a.reduce((p, q) => Math.max(p, q), -Infinity);
  const e = a.map((v) => Math.exp(v - most));
  const sum = e.reduce((p, q) => p + q, 0);
  return e.map((v) => v / sum);
}

/** erf by its series for small x, and by a continued fraction elsewhere: within 1e-12. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a, sum = a;
    for (let n = 1; n < 60; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
      if (Math.abs(term) < 1e-17) break;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let f = 0;
  for (let n = 60; n > 0; n--) f = (n / 2) / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * (a + f)));
}

export const PHI: Record<string, (v: number) => number> = {
  tanh: Math.tanh,
  relu: (v) => Math.max(0, v),
  gelu: (v) => 0.5 * v * (1 + erf(v / Math.SQRT2)),
  gelu_tanh: (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
  silu: (v) => v / (1 + Math.exp(-v)),
};

/** Rows as one tensor. */
export function stack(rows: ArrayLike<number>[], ...last: number[]): Tensor {
  const n = rows[0]?.length ?? 0;
  const data = new Float64Array(rows.length * n);
  rows.forEach((each, k) => data.set(Array.from(each), k * n));
  return { shape: [rows.length, ...(last.length ? last : [n])], data };
}

/** The number at an index of a tensor; NaN where there is none. */
export function at(tensor: Tensor | undefined, ...index: number[]): number {
  if (!tensor) return NaN;
  let place = 0;
  for (let k = 0; k < tensor.shape.length; k++) place = place * (tensor.shape[k] as number) + (index[k] ?? 0);
  return tensor.data[place] ?? NaN;
}

/** Row t of a matrix, or of the first axis of a tensor. */
export function slice(tensor: Tensor, t: number): Float64Array {
  const n = tensor.shape.slice(1).reduce((p, q) => p * q, 1);
  return tensor.data.subarray(t * n, t * n + n);
}
