// Answers questions to the networks of the page: node forward.mjs MODEL.MJS QUESTIONS.JSON ANSWERS.JSON
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [built, questions, answers] = process.argv.slice(2);
const { InTab } = await import(pathToFileURL(built).href);
const { networks, asked } = JSON.parse(readFileSync(questions, "utf8"));
const source = new InTab({ networks });
const numbers = (tensors) =>
  Object.fromEntries(Object.entries(tensors).filter(([, tensor]) => tensor).map(([name, { shape, data }]) => [name, { shape, data: [...data].map((v) => (Number.isFinite(v) ? v : null)) }]));

const out = [];
for (const { model, text, options, measures } of asked) {
  const network = source.network(model);
  if (network.saved.task === "translate") {
    const { steps, tensors, letters } = network.speak(text, options);
    out.push({ tokens: letters, steps: steps.map(({ id, p }) => ({ id, p })), tensors: numbers(tensors) });
  } else {
    const { words, tensors, answers } = network.trace(text, options);
    const memory = {};
    for (const measure of measures ?? []) memory[measure] = await source.memory(model, text, measure);
    out.push({ tokens: words, answers: answers.map((p) => [...p]), tensors: numbers({ ...tensors, ...memory }) });
  }
}
writeFileSync(answers, JSON.stringify(out));
