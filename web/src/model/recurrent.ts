// Recurrent layers, step by step, with everything that a step computes. Letters and order as in src/unrolled/cells/.
import { PHI, add, linear, sigmoid, stack, tanh, times, zeros, type Tensors, type Vector, type Weight } from "./tensor";

export type Cell = "elman" | "lstm" | "gru";

/** {step: {gate: value}}: gates that the reader holds. */
export type Edits = Record<number, Record<string, number>>;

/** Gates in packed order, those that may be held, and the leaf of the state that is the memory. */
export const CELLS: Record<Cell, { gates: string[]; held: string[]; memory: "c" | "h"; keeps: string }> = {
  elman: { gates: ["h"], held: [], memory: "h", keeps: "" },
  lstm: { gates: ["i", "f", "g", "o"], held: ["f", "i", "o"], memory: "c", keeps: "f" },
  gru: { gates: ["r", "z", "n"], held: ["z", "r"], memory: "h", keeps: "z" },
};

export interface Scan {
  /** h after each step, in the order of the inputs. */
  outputs: Vector[];
  /** The state after the last step that was read. */
  final: { h: Vector; c?: Vector };
  /** T×H each; from_x and from_h T×G×H; bias G×H. */
  tensors: Tensors;
}

export interface Held {
  edits: Edits;
  /** The one unit in which gates are held; null: in all. */
  unit: number | null;
}

const FREE: Held = { edits: {}, unit: null };

/** One step of a cell, and every intermediate result by name. */
export function step(
  cell: Cell,
  W: Record<string, Weight>,
  prefix: string,
  x: Vector,
  before: { h: Vector; c?: Vector },
  hold: (gate: string, value: Vector) => Vector = (_, value) => value,
  phi: (v: number) => number = Math.tanh,
): Record<string, Vector> {
  const H = before.h.length;
  const ax = linear(W[`${prefix}weight_x`] as Weight, x);
  const ah = linear(W[`${prefix}weight_h`] as Weight, before.h);
  const b = (W[`${prefix}bias`] as Weight).data;
  const part = (a: Vector, g: number): Vector => a.slice(g * H, g * H + H);
  const sum = (g: number): Vector => add(add(part(ax, g), part(ah, g)), b.subarray(g * H, g * H + H));
  if (cell === "elman") return { from_x: ax, from_h: ah, h: sum(0).map(phi) };
  if (cell === "lstm") {
    const c0 = before.c as Vector;
    const i = hold("i", sigmoid(sum(0)));
    const f = hold("f", sigmoid(sum(1)));
    const g = tanh(sum(2));
    const o = hold("o", sigmoid(sum(3)));
    const c = add(times(f, c0), times(i, g));
    return { from_x: ax, from_h: ah, i, f, g, o, c, h: times(o, tanh(c)) };
  }
  const r = hold("r", sigmoid(sum(0)));
  const z = hold("z", sigmoid(sum(1)));
  const past = add(part(ah, 2), (W[`${prefix}bias_n`] as Weight).data);
  const n = tanh(add(add(part(ax, 2), b.subarray(2 * H, 3 * H)), times(r, past)));
  const h = before.h.map((v, k) => (1 - (z[k] as number)) * (n[k] as number) + (z[k] as number) * v);
  return { from_x: ax, from_h: ah, r, z, n, h };
}

/** All steps of one layer in one direction. */
export function scan(
  cell: Cell,
  W: Record<string, Weight>,
  prefix: string,
  inputs: Vector[],
  options: { initial?: { h: Vector; c?: Vector }; reverse?: boolean; held?: Held; nonlinearity?: string | null } = {},
): Scan {
  const G = CELLS[cell].gates.length;
  const H = (W[`${prefix}weight_h`] as Weight).shape[1] as number;
  const { edits, unit } = options.held ?? FREE;
  const phi = PHI[options.nonlinearity ?? "tanh"] as (v: number) => number;
  const T = inputs.length;
  const rows: Record<string, Vector[]> = {};
  const initial = options.initial ?? { h: zeros(H), c: zeros(H) };
  let state = initial;
  for (let read = 0; read < T; read++) {
    const t = options.reverse ? T - 1 - read : read;
    const hold = (gate: string, value: Vector): Vector => {
      const held = edits[t]?.[gate];
      return held === undefined ? value : value.map((v, k) => (unit === null || unit === k ? held : v));
    };
    const made = step(cell, W, prefix, inputs[t] as Vector, state, hold, phi);
    for (const [name, value] of Object.entries(made)) (rows[name] ??= new Array<Vector>(T))[t] = value;
    state = cell === "lstm" ? { h: made.h as Vector, c: made.c as Vector } : { h: made.h as Vector };
  }
  const tensors: Tensors = {};
  for (const [name, each] of Object.entries(rows)) tensors[name] = name.startsWith("from_") ? stack(each, G, H) : stack(each);
  tensors.bias = { shape: [G, H], data: Float64Array.from((W[`${prefix}bias`] as Weight).data) };
  const second = W[`${prefix}bias_n`];
  if (second) tensors.bias_n = { shape: [H], data: Float64Array.from(second.data) };
  tensors.h0 = { shape: [H], data: initial.h };
  if (initial.c && cell === "lstm") tensors.c0 = { shape: [H], data: initial.c };
  return { outputs: rows.h ?? [], final: state, tensors };
}
