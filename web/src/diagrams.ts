// The diagrams of the product as data, and the values of their nodes: the same files draw the pictures of the package.
import elman from "../../src/unrolled/inside/diagrams/elman.json";
import gru from "../../src/unrolled/inside/diagrams/gru.json";
import lstm from "../../src/unrolled/inside/diagrams/lstm.json";
import morphs from "../../src/unrolled/inside/diagrams/morphs.json";
import type { Cell } from "./model/recurrent";
import { at, type Tensors } from "./model/tensor";

export interface Mark {
  at: [number, number];
  kind: "word" | "gate" | "candidate" | "operation" | "function";
  role?: string;
  name?: string;
  sign?: string;
}

export interface Line {
  value: string;
  path: [number, number][];
  target?: string | null;
  label?: [number, number, string];
  letter?: string;
  role?: string;
  vector?: boolean;
}

export interface Layout {
  size: [number, number];
  belt?: [number, number][];
  missing?: [number, number][];
  marks: Record<string, Mark>;
  wires: Line[];
  notes: [number, number, string, string][];
}

interface Node {
  label: string;
  tensor?: string;
  gate?: number;
  before?: boolean;
  formula?: string;
}

interface Diagram {
  nodes: Record<string, Node>;
  layouts: { wide: Layout; narrow: Layout };
}

export const DIAGRAMS = { elman, lstm, gru } as unknown as Record<Cell, Diagram>;

/** The name of a part among all cells: that of the LSTM's part which it becomes, or was. */
export function identity(cell: Cell): (node: string) => string {
  const [grown, merged] = morphs as unknown as { keeps: Record<string, string>; merges: Record<string, string[]> }[];
  if (cell === "elman") return (node) => grown?.keeps[node] ?? node;
  if (cell === "lstm") return (node) => node;
  const back = new Map(Object.entries(merged?.keeps ?? {}).map(([old, now]) => [now, old]));
  for (const [now, old] of Object.entries(merged?.merges ?? {})) back.set(now, old[0] as string);
  return (node) => back.get(node) ?? `gru ${node}`;
}

/** The number of a formula such as "kept + written", "σ(sum_f)" or "1 − z". */
function evaluate(formula: string, value: (name: string) => number): number {
  const tokens = formula.match(/[A-Za-z_φσ][A-Za-z_0-9]*|\d+|[·+−()-]/g) ?? [];
  let k = 0;
  const factor = (): number => {
    const token = tokens[k++] ?? "";
    if (token === "(") {
      const inner = sum();
      k++;
      return inner;
    }
    if (/^\d+$/.test(token)) return Number(token);
    if (tokens[k] !== "(") return value(token);
    k++;
    const inner = sum();
    k++;
    return token === "σ" ? 1 / (1 + Math.exp(-inner)) : Math.tanh(inner);
  };
  const product = (): number => {
    let out = factor();
    while (tokens[k] === "·") {
      k++;
      out *= factor();
    }
    return out;
  };
  const sum = (): number => {
    let out = product();
    while (tokens[k] === "+" || tokens[k] === "−" || tokens[k] === "-") out += tokens[k++] === "+" ? product() : -product();
    return out;
  };
  return sum();
}

/** The name of a node's number as a tensor's element, or its label where it is not in the trace. */
export function elementName(cell: Cell, node: string, step: number, unit: number): string {
  const { tensor, gate, before, label } = DIAGRAMS[cell].nodes[node] ?? { label: node };
  if (!tensor) return label;
  const index = before ? step - 1 : step;
  if (before && step === 0) return `${cell}.l0.${tensor}0[${unit}]`;
  if (tensor === "bias") return `${cell}.l0.bias[${gate}, ${unit}]`;
  return `${cell}.l0.${tensor}[${gate === undefined ? index : `${index}, ${gate}`}, ${unit}]`;
}

/** All nodes of one unit at one step: from the tensors where they are in the trace, else by their formulas. */
export function valuesOf(cell: Cell, tensors: Tensors, step: number, unit: number): Record<string, number> {
  const { nodes } = DIAGRAMS[cell];
  const out: Record<string, number> = {};
  const value = (name: string): number => {
    if (out[name] !== undefined) return out[name];
    const node = nodes[name];
    if (!node) return NaN;
    const found = node.tensor ? tensors[`${cell}.l0.${node.tensor}`] : undefined;
    if (found && node.tensor) {
      if (node.before) out[name] = step ? at(found, step - 1, unit) : at(tensors[`${cell}.l0.${node.tensor}0`], unit);
      else if (node.tensor === "bias") out[name] = at(found, node.gate ?? 0, unit);
      else if (node.tensor === "bias_n") out[name] = at(found, unit);
      else out[name] = node.gate === undefined ? at(found, step, unit) : at(found, step, node.gate, unit);
    } else out[name] = node.formula ? evaluate(node.formula, value) : NaN;
    return out[name];
  };
  for (const name of Object.keys(nodes)) value(name);
  return out;
}
