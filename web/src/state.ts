// The state of the page, which is its address: everything is drawn anew from it.
import type { Measure } from "./source";
import type { Edits } from "./model/recurrent";

export const SCREENS = ["lineage", "unroll", "cell", "memory", "attention", "decode"] as const;
export type ScreenName = (typeof SCREENS)[number];
export const MEASURES: Measure[] = ["occlusion", "retention", "gradient_norm"];

export interface State {
  screen: ScreenName;
  /** The recurrent network of Cell and Unroll. */
  model: string;
  text: string;
  word: string;
  prompt: string;
  /** The cursor: a step of the sentence, for all panels. */
  step: number;
  /** null: the unit that counts most for the answer. */
  unit: number | null;
  scope: "all" | "one";
  edits: Edits;
  measure: Measure;
  /** Copies that Unroll shows; 0: all. */
  copies: number;
  /** Cursor of the decoder's steps, and places that are held. */
  spoken: number | null;
  held: Record<number, number>;
  closed: boolean;
  layer: number;
  head: number;
  temperature: number;
  topK: number;
  topP: number;
}

export const MAX_TEXT = 400;

export function initial(text: string, word: string, prompt: string): State {
  return {
    screen: "lineage", model: "lstm", text, word, prompt, step: 2, unit: null, scope: "all", edits: {}, measure: "occlusion",
    copies: 0, spoken: null, held: {}, closed: false, layer: 0, head: 0, temperature: 1, topK: 0, topP: 1,
  };
}

const round = (v: number): string => String(Math.round(v * 100) / 100);

/** The address of a state: #screen/model?… with all that differs from the beginning. */
export function address(state: State): string {
  const q = new URLSearchParams();
  q.set("s", state.text);
  const put = (name: string, value: string | number | null, without: string | number | null): void => {
    if (value !== null && value !== without) q.set(name, String(value));
  };
  const { screen } = state;
  if (screen !== "lineage" && screen !== "decode") q.set("step", String(state.step + 1));
  if (screen === "cell") {
    put("unit", state.unit, null);
    put("scope", state.scope, "all");
    for (const [t, gates] of Object.entries(state.edits)) for (const [gate, v] of Object.entries(gates)) q.set(`${gate}@${Number(t) + 1}`, v.toFixed(2));
  }
  if (screen === "unroll") put("copies", state.copies, 0);
  if (screen === "memory") put("measure", state.measure, "occlusion");
  if (screen === "attention") {
    q.set("word", state.word);
    put("spoken", state.spoken === null ? null : state.spoken + 1, null);
    if (state.closed) q.set("closed", "1");
    for (const [t, place] of Object.entries(state.held)) q.set(`at@${Number(t) + 1}`, String(place + 1));
    put("layer", state.layer, 0);
    put("head", state.head, 0);
  }
  if (screen === "decode") {
    q.set("prompt", state.prompt);
    put("temperature", round(state.temperature), "1");
    put("top-k", state.topK, 0);
    put("top-p", round(state.topP), "1");
  }
  const model = screen === "cell" || screen === "unroll" ? `/${state.model}` : "";
  return `#${screen}${model}?${q.toString()}`;
}

const GATE = /^([fiozr])@(\d{1,3})$/;

/** Reads an address into a state; returns the parts that this page does not have. */
export function read(hash: string, state: State, models: string[]): string[] {
  const foreign: string[] = [];
  const [path = "", query] = hash.replace(/^#/, "").split(/\?(.*)/s);
  if (!path && query === undefined) return foreign;
  const [screen = "", model] = path.split("/");
  if ((SCREENS as readonly string[]).includes(screen)) state.screen = screen as ScreenName;
  else if (screen) foreign.push(screen);
  if (model !== undefined) {
    if (models.includes(model)) state.model = model;
    else foreign.push(model);
  }
  if (query === undefined) {
    Object.assign(state, { unit: null, edits: {}, held: {}, spoken: null });
    return foreign;
  }
  const q = new URLSearchParams(query);
  const whole = (text: string, most: number): number | null => (/^\d{1,6}$/.test(text) && Number(text) <= most ? Number(text) : null);
  const inside = (text: string, low: number, high: number): number | null => {
    const v = Number(text);
    return text.trim() !== "" && v >= low && v <= high ? v : null;
  };
  const fresh: Pick<State, "edits" | "held" | "unit" | "spoken" | "closed" | "copies"> = { edits: {}, held: {}, unit: null, spoken: null, closed: false, copies: 0 };
  for (const [name, value] of q) {
    const gate = GATE.exec(name), at = /^at@(\d{1,3})$/.exec(name);
    let ok = true;
    const use = <T>(v: T | null, put: (v: T) => void): void => (v === null ? void (ok = false) : put(v));
    if (name === "s") state.text = value.slice(0, MAX_TEXT);
    else if (name === "word") state.word = value.slice(0, 40);
    else if (name === "prompt") state.prompt = value.slice(0, MAX_TEXT);
    else if (name === "step") use(whole(value, 1000), (v) => (state.step = Math.max(0, v - 1)));
    else if (name === "unit") use(whole(value, 65536), (v) => (fresh.unit = v));
    else if (name === "scope" && (value === "one" || value === "all")) state.scope = value;
    else if (name === "measure" && (MEASURES as string[]).includes(value)) state.measure = value as Measure;
    else if (name === "copies") use(whole(value, 1000), (v) => (fresh.copies = v));
    else if (name === "spoken") use(whole(value, 100), (v) => (fresh.spoken = Math.max(0, v - 1)));
    else if (name === "closed") fresh.closed = value === "1";
    else if (name === "layer") use(whole(value, 1000), (v) => (state.layer = v));
    else if (name === "head") use(whole(value, 1000), (v) => (state.head = v));
    else if (name === "temperature") use(inside(value, 0.1, 3), (v) => (state.temperature = v));
    else if (name === "top-k") use(whole(value, 1000), (v) => (state.topK = v));
    else if (name === "top-p") use(inside(value, 0.05, 1), (v) => (state.topP = v));
    else if (gate) use(inside(value, 0, 1), (v) => ((fresh.edits[Number(gate[2]) - 1] ??= {})[gate[1] as string] = v));
    else if (at) use(whole(value, 100), (v) => (fresh.held[Number(at[1]) - 1] = Math.max(0, v - 1)));
    else ok = false;
    if (!ok) foreign.push(`${name}=${value}`.slice(0, 40));
  }
  Object.assign(state, fresh);
  return foreign;
}
