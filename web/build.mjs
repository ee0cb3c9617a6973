// Builds the page into src/unrolled/page/built/: page.js and page.css, model.mjs (the networks alone, for tests in Node),
// and the sum of the sources, by which a test without Node tells whether the built copy is fresh.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const web = dirname(fileURLToPath(import.meta.url));
const root = dirname(web);
const out = join(root, "src/unrolled/page/built");

const library = (entry, format, fileName) => ({
  configFile: false,
  root: web,
  logLevel: "warn",
  build: {
    outDir: out,
    emptyOutDir: false,
    target: "es2022",
    minify: true,
    cssCodeSplit: false,
    lib: { entry: join(web, entry), formats: [format], name: "unrolledPage", fileName: () => fileName, cssFileName: "page" },
  },
});

const walk = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? walk(join(folder, each.name)) : [join(folder, each.name)]));

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build(library("src/main.ts", "iife", "page.js"));
await build(library("src/model.ts", "es", "model.mjs"));
const script = readFileSync(join(out, "page.js"), "utf8").trim();
if (/<\/script|<!--/i.test(script)) throw new Error("the script cannot stand in an HTML file: it has </script or <!--");
writeFileSync(join(out, "page.js"), script);

const diagrams = join(root, "src/unrolled/inside/diagrams");
const sources = [
  ...walk(join(web, "src")),
  ...["build.mjs", "package.json", "tsconfig.json"].map((name) => join(web, name)),
  ...readdirSync(diagrams).filter((name) => name.endsWith(".json")).map((name) => join(diagrams, name)),
];
const named = sources.map((path) => [relative(root, path).split(sep).join("/"), path]).sort(([a], [b]) => (a < b ? -1 : 1));
const lines = named.map(([name, path]) => `${name} ${createHash("sha256").update(readFileSync(path)).digest("hex")}\n`);
writeFileSync(join(out, "sources.sha256"), createHash("sha256").update(lines.join("")).digest("hex") + "\n");
