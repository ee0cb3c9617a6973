// The small pictures of the Lineage, each drawn from the numbers of a network on the sentence.
import { s } from "../dom";
import type { Spoken, Trace } from "../model/network";
import { at, slice } from "../model/tensor";
import { rms } from "../app";

const WIDTH = 156;
const place = (T: number, k: number): number => WIDTH / 2 + (k - (T - 1) / 2) * Math.min(18, 136 / Math.max(1, T));

export function ofTrace(svg: SVGSVGElement, trace: Trace, model: string, p: (t: number) => number): void {
  const T = trace.words.length, r = Math.min(6, 50 / Math.max(1, T)), x = (k: number): number => place(T, k);
  const out: SVGElement[] = [];
  const line = (d: string, style?: string): void => void out.push(s("path", { class: "mline", d, style }));
  const cell = (cx: number, cy: number, v: number, size = r): void =>
    void out.push(s("circle", { cx, cy, r: size + 0.8, class: "mback" }), s("circle", { class: "mcell", "data-tone": v >= 0.5 ? "plus" : "minus", cx, cy, r: size, "fill-opacity": Math.min(1, 0.2 + 1.6 * Math.abs(v - 0.5)) }));
  if (model === "feedforward") {
    for (let k = 0; k < T; k++) line(`M${x(k)} 92L78 42`);
    line("M78 42V22");
    cell(78, 42, p(T - 1), 10);
  } else if (model === "transformer" || model === "gpt") {
    const layers = Object.keys(trace.tensors).filter((name) => /\.weights$/.test(name)).sort();
    const weights = trace.tensors[layers.at(-1) ?? ""], N = weights?.shape[0] ?? 0;
    for (let q = 0; q < T; q++)
      for (let k = 0; k < T; k++) {
        let w = 0;
        for (let n = 0; n < N; n++) w += at(weights, n, q, k) / N;
        if (w > 0.01) line(`M${x(k)} 92L${x(q)} 44`, `stroke:var(--memory);stroke-width:${(4.5 * w).toFixed(2)}`);
      }
    for (let q = 0; q < T; q++) {
      if (model === "transformer") line(`M${x(q)} 44L78 16`);
      else line(`M${x(q)} 44V24`);
      out.push(s("circle", { cx: x(q), cy: 44, r, class: "mtok2" }));
      if (model === "gpt") out.push(s("circle", { cx: x(q), cy: 22, r: Math.min(3.6, r), class: "mnext" }));
    }
    if (model === "transformer") cell(78, 16, p(T - 1), 9);
  } else {
    const memory = trace.tensors[`${model}.l0.${model === "lstm" ? "c" : "h"}`], y = model === "lstm" ? 32 : 54;
    if (model !== "elman" && memory) {
      out.push(s("path", { d: `M4 ${y}H152`, class: "mbelt" }));
      for (let k = 0; k < T; k++) out.push(s("path", { d: `M${x(k)} ${y}H${k < T - 1 ? x(k + 1) : 150}`, class: "mmem", style: `stroke-width:${(1 + 7 * Math.min(1, rms(slice(memory, k)))).toFixed(2)}` }));
    }
    if (model === "lstm") for (let k = 0; k < T; k++) line(`M${x(k)} 32V54`);
    if (model !== "gru") line(`M${x(0)} 54H${x(T - 1) + r + 8}`);
    for (let k = 0; k < T; k++) {
      line(`M${x(k)} 92V54`);
      cell(x(k), 54, p(k), k === T - 1 ? r + 2 : r);
    }
  }
  for (let k = 0; k < T; k++) out.push(s("circle", { class: trace.known[k] ? "mtok" : "mtok un", cx: x(k), cy: 92, r: Math.min(3.6, r) }, s("title", {}, trace.words[k] ?? "")));
  svg.replaceChildren(...out);
}

export function ofSpoken(svg: SVGSVGElement, spoken: Spoken, attends: boolean): void {
  const steps = spoken.steps.filter((step) => step.token), S = spoken.letters.length, O = Math.max(1, steps.length);
  const x = (k: number): number => place(S, k), o = (k: number): number => place(O, k), out: SVGElement[] = [];
  const line = (d: string, style?: string): void => void out.push(s("path", { class: "mline", d, style }));
  if (attends) steps.forEach((step, k) => step.weights?.forEach((w, j) => w > 0.02 && line(`M${x(j)} 76L${o(k)} 26`, `stroke:var(--memory);stroke-width:${(5 * w).toFixed(2)}`)));
  else {
    line(`M${x(S - 1)} 76C${x(S - 1) + 24} 76 ${x(S - 1) + 20} 51 84 51`);
    line(`M72 51C${o(0) - 26} 51 ${o(0) - 26} 26 ${o(0)} 26`);
  }
  line(`M${x(0)} 76H${x(S - 1)}`);
  line(`M${o(0)} 26H${o(O - 1)}`);
  const small = Math.max(S, O) > 11 ? "font-size:8px" : null;
  for (let k = 0; k < S; k++) out.push(s("circle", { cx: x(k), cy: 76, r: Math.min(5, 60 / S), class: "mnode" }), s("text", { x: x(k), y: 99, class: "mtext", style: small }, spoken.letters[k] ?? ""));
  steps.forEach((step, k) => out.push(s("circle", { cx: o(k), cy: 26, r: Math.min(5, 60 / O), class: "mnode" }), s("text", { x: o(k), y: k % 2 && O > 8 ? 6 : 15, class: "mtext", style: small }, step.token)));
  if (!attends) out.push(s("circle", { cx: 78, cy: 51, r: 9, class: "mvec" }));
  svg.replaceChildren(...out);
}
