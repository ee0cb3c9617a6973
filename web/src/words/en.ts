// Every text of the page, and the sentences that are made from numbers. A translation is a second file of this form.
import type { Part } from "../dom";
import { number, percent, percent1, signed, count } from "./numbers";

type Values = Record<string, number>;

export interface Saying {
  role: string;
  gate?: string;
  lead: string;
  rest: string;
}

const FRACTIONS: [number, string][] = [
  [0.02, "nothing"], [0.08, "almost nothing"], [0.17, "an eighth"], [0.29, "a quarter"], [0.42, "a third"], [0.58, "half"],
  [0.71, "two thirds"], [0.84, "three quarters"], [0.93, "most"], [0.985, "nearly all"],
];

/** A number from 0 to 1 in words. */
export const fraction = (v: number): string => FRACTIONS.find(([top]) => v < top)?.[1] ?? "all";

const several = (v: number): boolean => ["two thirds", "three quarters"].includes(fraction(v));
const of = (v: number, noun: string, one: string, many: string): string => `${fraction(v)} of ${noun} ${several(v) ? many : one}`;

function change(before: number, after: number): string {
  if (Math.abs(after - before) < 0.05) return "It hardly changes.";
  if (Math.abs(before) < 0.05) return after > 0 ? "It becomes positive." : "It becomes negative.";
  if (Math.abs(after) < 0.05) return "It is emptied.";
  if (before * after < 0) return "It changes its sign.";
  return Math.abs(after) > Math.abs(before) ? "It grows." : "It shrinks.";
}

/** Sentences on one unit at one step, in the order in which things happen. */
export const says: Record<string, (v: Values, first: boolean) => Saying[]> = {
  lstm: (v, first) => [
    {
      role: "keep", gate: "f", lead: `The forget gate is ${number(v.f as number)}:`,
      rest: first ? "there is no memory yet that it could keep." : `${of(v.f as number, "the memory", "stays", "stay")}, ${signed(v.c_before as number)} becomes ${signed(v.kept as number)}.`,
    },
    {
      role: "write", gate: "i", lead: `The input gate is ${number(v.i as number)}:`,
      rest: `${of(v.i as number, `the candidate ${signed(v.g as number)}`, "is", "are")} written, ${signed(v.written as number)}.`,
    },
    { role: "memory", lead: `Memory ${signed(v.c as number)}:`, rest: `${signed(v.kept as number)} kept and ${signed(v.written as number)} written. ${change(v.c_before as number, v.c as number)}` },
    {
      role: "show", gate: "o", lead: `The output gate is ${number(v.o as number)}:`,
      rest: `${of(v.o as number, `tanh(c) = ${signed(v.tanh_c as number)}`, "is", "are")} shown to the next step, h = ${signed(v.h as number)}.`,
    },
  ],
  gru: (v, first) => [
    {
      role: "reset", gate: "r", lead: `The reset gate is ${number(v.r as number)}:`,
      rest: first ? "there is no past yet that it could let through." : `the candidate hears ${fraction(v.r as number)} of the past's part, ${signed(v.sum_past_n as number)} becomes ${signed(v.reset_past_n as number)}.`,
    },
    {
      role: "keep", gate: "z", lead: `The update gate is ${number(v.z as number)}:`,
      rest: first ? "there is no memory yet that it could keep." : `${of(v.z as number, "the memory", "stays", "stay")}, ${signed(v.h_before as number)} becomes ${signed(v.kept as number)}.`,
    },
    { role: "write", lead: `1 − z is ${number(v.one_minus_z as number)}:`, rest: `the rest is for the new: ${fraction(v.one_minus_z as number)} of the candidate ${signed(v.n as number)}, ${signed(v.written as number)}. One gate does the work of two.` },
    { role: "memory", lead: `Memory ${signed(v.h as number)}:`, rest: `${signed(v.kept as number)} kept and ${signed(v.written as number)} written. ${change(v.h_before as number, v.h as number)}` },
  ],
  elman: (v, first) => [
    { role: "idea", lead: `The word's part is ${signed(v.token as number)}:`, rest: "a weighted sum of the numbers of its vector." },
    { role: "idea", lead: `The past's part is ${signed(v.past as number)}:`, rest: first ? "nothing came before." : `a weighted sum of all units; this unit was ${signed(v.h_before as number)}.` },
    { role: "memory", lead: `The new state is ${signed(v.h as number)}:`, rest: `tanh of both parts and a bias. The old ${signed(v.h_before as number)} is gone.` },
    { role: "idea", lead: "There is no gate to drag:", rest: "to keep a number, this network must compute it anew from itself at every word." },
  ],
};

export const text = {
  title: "unrolled: one sentence, every architecture",
  skip: "Skip to the picture",
  nav: "Screens",
  screens: { lineage: "Lineage", unroll: "Unroll", cell: "Cell", memory: "Memory", attention: "Attention", decode: "Decode" },
  ask: "A sentence: real networks read it as you type",
  examples: "Examples",
  unknown: (words: string[]) => `Not in their vocabulary: ${words.join(", ")}.`,
  left: (left: number, read: number) => `Only the first ${read} are read: ${left} more are left out.`,
  empty: "Type a word: there is nothing to read yet.",
  foreign: (parts: string[]) => `The address names ${parts.join(", ")}: this page does not have that. It shows the rest.`,
  failed: "This screen cannot be drawn. The address of this page tells why:",
  noscript: "This page computes networks in the browser and needs JavaScript.",
  footer: "Every number here is computed in this tab by a network that was trained with unrolled.",
  exact: "The page computes with exactly the weights of the runs.",
  rounded: "The page computes with weights rounded to 8 bits, so its numbers differ from the run's in the third digit.",
  table: "The same numbers as a table",
  step: "step",
  word: "word",
  asTrained: "as trained",
  right: "right",
  wrong: "wrong",

  lineage: {
    title: (n: number) => `One sentence, ${["no", "one", "two", "three", "four", "five", "six", "seven", "eight"][n] ?? n} networks`,
    lead: "From the bag of words to GPT: each architecture mends a weakness of the one before. All of them read your sentence now. Above the line, problem and mend; click a mend to see it happen. Right: the fraction of held-out examples; weights: how many numbers it learnt; a step: time in this tab; carries: its state.",
    names: {
      feedforward: "Feedforward", elman: "Elman", lstm: "LSTM", gru: "GRU", encoder_decoder: "Encoder-decoder",
      attention: "Attention", transformer: "Transformer", gpt: "GPT",
    } as Record<string, string>,
    years: { feedforward: 1986, elman: 1990, lstm: 1997, gru: 2014, encoder_decoder: 2014, attention: 2015, transformer: 2017, gpt: 2018 } as Record<string, number>,
    adds: {
      feedforward: "All words at once, layer by layer.",
      elman: "Its last output comes back in: step by step.",
      lstm: "A memory line; gates keep, write and show.",
      gru: "Two gates: 1 − z does the other’s work.",
      encoder_decoder: "One network reads all, another writes.",
      attention: "A weighted look at all inputs, at each step.",
      transformer: "Attention alone: every word looks at every word.",
      gpt: "The decoder alone: it predicts the next word.",
    } as Record<string, string>,
    cannot: {
      feedforward: "Order: it sees a bag of words.",
      elman: "Keep a word for long.",
      lstm: "Answer in another length or order.",
      gru: "Answer in another length or order.",
      encoder_decoder: "Say all in one vector.",
      attention: "Read all steps at once.",
      transformer: "Read on with a state that does not grow.",
      gpt: "Read on with a state that does not grow.",
    } as Record<string, string>,
    edges: {
      "feedforward>elman": ["no order", "a loop"],
      "elman>lstm": ["forgets", "a memory line with gates"],
      "lstm>gru": ["many parts", "two gates, one state"],
      "gru>encoder_decoder": ["one output an input", "two networks"],
      "encoder_decoder>attention": ["one vector", "a look back"],
      "attention>transformer": ["step by step", "attention alone"],
      "transformer>gpt": ["labels needed", "the next word"],
    } as Record<string, [string, string]>,
    mended: "mended by",
    addsHead: "adds",
    cannotHead: "still cannot",
    score: { accuracy: "right", exact_match: "right", perplexity: "perplexity" } as Record<string, string>,
    parameters: "weights",
    carries: "carries",
    bytes: (n: number) => `${count(n)} B`,
    same: "however long",
    grows: { classify: "more with every word", translate: "more with every letter", generate: "more with every word" } as Record<string, string>,
    time: "a step",
    microseconds: (v: number) => (v < 1000 ? `${Math.max(1, Math.round(v))} µs` : `${(v / 1000).toFixed(1)} ms`),
    next: "next, it expects",
    read: (model: string) => `${model} reads the sentence, word by word`,
    spells: (model: string, word: string) => `${model} reads ${word}, letter by letter`,
  },

  unroll: {
    title: "One loop, or a chain of copies",
    lead: "A recurrent network is one cell in a loop. Unrolled in time, it is a chain of copies with the same weights. Pull the slider.",
    slider: "copies",
    folded: "one cell, used for every word",
    copies: (n: number, T: number) => (n === T ? `${n} copies, one a word` : `${n} ${n === 1 ? "copy" : "copies"}; the last one loops over ${T - n + 1} words`),
    weights: (n: number) => `The weights exist once: ${count(n)} numbers for every copy.`,
    after: (word: string, label: string, p: number): Part[] => ["After ", { b: word }, ` the answer would be ${label}, ${percent(p)}.`],
    loop: (n: number) => `${n} times`,
    picture: "The network, unrolled over the words",
  },

  cell: {
    title: (name: string, word: string): Part[] => [`Inside the ${name} cell, while it reads `, { em: word }],
    lead: {
      elman: "One layer that hears the word and its own last output. Everything it remembers must pass through tanh at every step.",
      lstm: "Nothing changes the memory by itself: it runs along the top, and three gates decide about keeping, writing and showing. Drag one.",
      gru: "Two gates and one state: z keeps a part of the old, and 1 − z takes the rest from the new. Drag one.",
    } as Record<string, string>,
    pick: "Cell",
    picture: "The cell with the numbers of one unit at one step",
    scope: "A held gate holds in",
    all: (n: number) => `all ${n} units`,
    one: "this unit",
    units: (word: string, unit: number, label: string): Part[] => ["All units after ", { b: word }, "; drawn above: ", { b: `unit ${unit}` }, `, which speaks for ${label} when it is above 0`],
    unit: (k: number, v: number) => `unit ${k}, memory ${signed(v)}`,
    sum: (word: number, past: number, bias: number) => `σ(${signed(word)} word, ${signed(past)} past, ${signed(bias)} bias)`,
    held: (v: number) => `held by you; as trained it is ${number(v)}`,
    gate: (name: string, letter: string) => `${name} gate ${letter}`,
    value: (v: number, held: boolean) => `${number(v)}${held ? ", held by you" : ""}`,
    release: "release",
    releaseAll: "Release all gates",
    answer: "Its answer to the whole sentence",
    changed: "with your gate",
    hint: (open: boolean, gate: string, word: string): Part[] => [`Try the strongest: ${open ? "open" : "shut"} the `, { b: `${gate} gate` }, " while it reads ", { b: word }],
    grow: ["See the addition of 1997: ", { b: "a memory line and three gates" }] as Part[],
    gates: { f: "forget", i: "input", o: "output", z: "update", r: "reset" } as Record<string, string>,
    effect: (steps: Part[], from: string, to: string, points: number, label: string): Part[] =>
      from !== to ? ["Holding ", ...steps, " ", { b: "turns the answer" }, ` from ${from} to ${to}.`]
      : Math.abs(points) < 3 ? ["Holding ", ...steps, " hardly moves the answer."]
      : ["Holding ", ...steps, ` moves it ${Math.abs(points)} points ${points > 0 ? "towards" : "away from"} ${label}.`],
    holding: (gate: string, v: number, word: string): Part[] => [`${gate} at ${number(v)} while it read `, { b: word }],
    legend: { plus: "above 0", minus: "below 0", keep: "keeps", write: "writes", show: "shows", reset: "lets the past be heard", bus: "all numbers of a vector; thicker: larger" } as Record<string, string>,
    line: "The sentence, word by word: click a step, or use ← and →",
    lineNarrow: "Word by word: tap one",
    lineLabel: "The sentence as a time line",
    soFar: "answer so far",
    ended: "if it ended here",
    rows: {
      elman: [["h", "memory", "memory h", "all that it carries"]],
      lstm: [["c", "memory", "memory c", "carried along"], ["f", "keep", "forget f", "how much stays"], ["i", "write", "input i", "how much is written"], ["o", "show", "output o", "how much is shown"]],
      gru: [["h", "memory", "memory h", "carried along"], ["z", "keep", "update z", "how much stays"], ["r", "reset", "reset r", "how much past is heard"]],
    } as Record<string, [string, string, string, string][]>,
    column: (word: string, t: number, known: boolean, label: string, p: number) => `${word}, step ${t + 1}${known ? "" : ", not in the vocabulary"}, answer so far ${label} ${percent(p)}`,
    caption: (unit: number, model: string) => `Unit ${unit} of ${model}.l0`,
  },

  memory: {
    title: "Who still hears the first word?",
    lead: "Each square is one pair of words: down the answer after a word, across the word that it depends on. All models share one scale.",
    measures: { occlusion: "Occlusion", retention: "Retention", gradient_norm: "Gradient" } as Record<string, string>,
    about: {
      occlusion: "Bits by which the answer becomes less probable when the word is replaced by the mean of all words.",
      retention: "Fraction of the old state that is still in the new one on the direct path: the product of the gates that keep. In a Transformer, the attention weight.",
      gradient_norm: "Length of the gradient of the answer's log probability with respect to the word's vector, in nats.",
    } as Record<string, string>,
    measure: "Measure",
    cursor: (answer: string, word: string): Part[] => ["The answer after ", { b: answer }, " depends on ", { b: word }, ":"],
    value: { occlusion: (v: number) => `${signed(v)} bits`, retention: (v: number) => percent1(v), gradient_norm: (v: number) => `${v.toFixed(3)} nats` } as Record<string, (v: number) => string>,
    missing: { retention: "This network has no direct path that gates keep.", gradient_norm: "The sentence is too long for this measure of a Transformer: at most 14 words.", occlusion: "" } as Record<string, string>,
    none: "This network has no answer before the last word.",
    half: (steps: number) => `Half of an old state is gone after ${steps < 100 ? steps.toFixed(1) : "more than 100"} steps, in the median unit.`,
    picture: (name: string, measure: string) => `${name}: ${measure} of every pair of words`,
    scale: "scale",
    rows: "answer after",
    columns: "depends on",
  },

  attention: {
    ask: "A word: two networks pronounce it, letter by letter",
    title: ["One vector for all, or ", { em: "a look back" }, " at each step"] as Part[],
    lead: "Both read the letters and then say the sounds. The left one must carry the whole word through one vector. The right one has a weight for every letter, anew at each sound.",
    vector: (n: number) => `one vector, ${n} numbers: nothing else is passed on`,
    fixed: "Letters, one vector, sounds",
    alignment: "Alignment of letters and sounds; a click on a letter holds all attention there",
    close: "Close the look back",
    open: "Open it again",
    closed: "The look is closed: only the vector is left, and this network never learnt to rely on it.",
    said: (sounds: string): Part[] => ["It says ", { b: sounds || "nothing" }, "."],
    looks: (sound: string, share: number, letter: string, held: boolean): Part[] =>
      [sound ? "To say " : "To stop", sound ? { b: sound } : "", held ? " it looks, held by you, at " : ` it puts ${percent(share)} of its weight on `, { b: letter }, "."],
    release: "release",
    end: "end",
    sound: (sound: string, t: number, p: number) => `${sound || "end"}, step ${t + 1}, ${percent(p)}`,
    letter: (letter: string, k: number, weight: number) => `${letter}, letter ${k + 1}, has ${percent(weight)}: hold all attention here`,
    length: "The longer the word, the more the vector loses",
    lengthSub: "fraction of held-out words said exactly right",
    letters: "letters in the word",
    one: "one vector",
    look: "a look back",
    self: "Every word looks at every word",
    selfLead: "The Transformer reads your sentence: two layers, in each some heads. Row: the word that looks. Column: the word it looks at. Click a head to enlarge it.",
    head: (layer: number, head: number) => `layer ${layer + 1}, head ${head + 1}`,
    strongest: (from: string, to: string, weight: number): Part[] => [{ b: from }, ` puts ${percent(weight)} of its weight on `, { b: to }, "."],
    weights: (layer: number, head: number) => `Attention weights of layer ${layer + 1}, head ${head + 1}`,
  },

  decode: {
    ask: "The beginning of a sentence: a small GPT continues it",
    title: "One word after another, by lot",
    lead: "At each step the network gives every word a probability. Temperature sharpens or flattens them; top-k and top-p cut off the rest before one is drawn.",
    temperature: "temperature",
    topK: "top-k",
    topP: "top-p",
    off: "off",
    bars: (n: number) => `The next word: ${count(n)} candidates`,
    barsLabel: "Probabilities of the next word",
    cut: "cut off",
    left: (n: number, mass: number) => `${count(n)} ${n === 1 ? "word stays" : "words stay"}; before the cut they had ${percent(mass)} of the probability.`,
    take: (token: string, p: number) => `${token} ${percent(p)}: continue here`,
    tree: "The tree of the likely continuations",
    treeLead: "Width is probability; grey branches are cut. Click a word to continue there.",
    treeLabel: "Tree of continuations",
    best: "Most probable each time",
    bestLabel: (n: number) => `The next ${n} words, always the most probable`,
    state: (bytes: number, T: number, lstm: number) => `After ${T} ${T === 1 ? "word" : "words"} it carries keys and values of ${count(bytes)} bytes, more with every word. An LSTM of the same width carries ${count(lstm)} bytes, however long the text.`,
    back: "Take back the last word",
  },
};

export type Text = typeof text;
