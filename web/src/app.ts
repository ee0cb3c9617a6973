// What every screen has: the state, the source of answers, and the networks of the page.
import type { Saved } from "./model/network";
import type { Vector } from "./model/tensor";
import type { PageData, Source } from "./source";
import type { State } from "./state";
import { percent } from "./words/numbers";
import { text } from "./words/en";

export interface App {
  readonly source: Source;
  readonly data: PageData;
  readonly saved: Map<string, Saved>;
  readonly state: State;
  /** Changes the state, and draws the page anew. */
  set(change: Partial<State>): void;
}

export interface Screen {
  show(): Promise<void>;
}

export const RECURRENT = ["elman", "lstm", "gru"];

export const title = (model: string): string => text.lineage.names[model] ?? model;

export const has = (app: App, ...models: string[]): boolean => models.every((model) => app.saved.has(model));

/** Recurrent networks whose cell can be opened. */
export const cells = (app: App): string[] => RECURRENT.filter((model) => app.saved.has(model));

export const classifiers = (app: App): Saved[] => [...app.saved.values()].filter((saved) => saved.task === "classify");

export const argmax = (p: ArrayLike<number>): number => Array.from(p).reduce((best, v, k, all) => (v > (all[best] as number) ? k : best), 0);

/** The label whose probability is drawn: the second of two, or the one that the network chooses of the whole text. */
export const focus = (saved: Saved, trained: Vector | undefined): number => (saved.labels.length === 2 ? 1 : argmax(trained ?? [0]));

export interface Verdict {
  label: string;
  p: number;
  tone: "plus" | "minus";
}

export function verdict(saved: Saved, p: Vector | undefined, focused: number): Verdict {
  if (!p) return { label: "", p: NaN, tone: "plus" };
  const best = argmax(p);
  return { label: saved.labels[best] ?? "", p: p[best] as number, tone: best === focused ? "plus" : "minus" };
}

export const inWords = (each: Verdict): string => `${each.label} ${percent(each.p)}`;

/** Root mean square of a vector. */
export const rms = (v: ArrayLike<number>): number => Math.sqrt(Array.from(v).reduce((p, q) => p + q * q, 0) / Math.max(1, v.length));
