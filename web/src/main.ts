// The page: its frame, its address, and one screen at a time. The state is all there is; everything is drawn anew from it.
import "./style/base.css";
import "./style/cell.css";
import "./style/screens.css";
import { RECURRENT, cells, classifiers, type App, type Screen } from "./app";
import { h, s, set } from "./dom";
import { Network } from "./model/network";
import { AttentionScreen } from "./screens/attention";
import { CellScreen } from "./screens/cell";
import { DecodeScreen } from "./screens/decode";
import { LineageScreen } from "./screens/lineage";
import { MemoryScreen } from "./screens/memory";
import { UnrollScreen } from "./screens/unroll";
import { InTab, type PageData } from "./source";
import { MAX_TEXT, SCREENS, address, initial, read, type ScreenName, type State } from "./state";
import { text } from "./words/en";

const MAKE: Record<ScreenName, new (root: Element, app: App) => Screen> = {
  lineage: LineageScreen, unroll: UnrollScreen, cell: CellScreen, memory: MemoryScreen, attention: AttentionScreen, decode: DecodeScreen,
};
const ADDRESS_AFTER = 150; // ms after the last change: browsers limit how often an address may change

class Page implements App {
  readonly source: InTab;
  readonly saved: Map<string, PageData["networks"][number]>;
  readonly state: State;
  private readonly screens: ScreenName[];
  private readonly main = h("main", { id: "screen", tabindex: -1 });
  private readonly nav = h("nav", { "aria-label": text.nav });
  private readonly input = h("input", { id: "text", autocomplete: "off", spellcheck: "false", maxlength: MAX_TEXT });
  private readonly chips = h("div", { class: "chips", role: "group", "aria-label": text.examples });
  private readonly status = h("p", { class: "status", "aria-live": "polite" });
  private readonly foreign = h("p", { class: "status foreign", role: "status" });
  private readonly ask: HTMLFormElement;
  private current: { name: ScreenName; screen: Screen } | null = null;
  private timer = 0;
  private written = "";

  constructor(readonly data: PageData) {
    this.source = new InTab(data);
    this.saved = new Map(data.networks.map((saved) => [saved.model, saved]));
    const own = cells(this);
    this.screens = SCREENS.filter((name) => this.can(name, own));
    this.state = initial(data.examples[0]?.text ?? "", data.words[0]?.text ?? "", data.prompts[0] ?? "");
    this.state.model = own.includes("lstm") ? "lstm" : (own[0] ?? "lstm");
    this.ask = h("form", { class: "ask", role: "search", submit: (event: Event) => event.preventDefault() }, h("label", { for: "text" }, text.ask), this.input, this.chips, this.status);
    this.input.addEventListener("input", () => this.read(this.input.value));
    set(this.chips, ...data.examples.map((each) => h("button", { type: "button", click: () => this.read(each.text) }, each.text)));
    set(this.nav, ...this.screens.map((name) => h("a", { href: `#${name}`, "data-screen": name, click: (event: Event) => this.go(event, name) }, text.screens[name])));
    const brand = s("svg", { viewBox: "0 0 34 20", "aria-hidden": "true" }, s("path", { d: "M2 10h30", class: "brandbelt" }), ...[7, 17, 27].map((cx) => s("circle", { cx, cy: 10, r: 4 })));
    const exact = data.networks.every((saved) => saved.exact);
    document.body.prepend(
      h("a", { class: "skip", href: "#screen", click: (event: Event) => (event.preventDefault(), this.main.focus()) }, text.skip),
      h("header", { class: "top" }, h("a", { class: "brand", href: "#lineage", click: (event: Event) => this.go(event, "lineage") }, brand, "unrolled"), this.nav),
      this.foreign, this.ask, this.main,
      h("footer", {}, [text.footer, data.about, exact ? text.exact : text.rounded].filter(Boolean).join(" ")),
    );
  }

  private can(name: ScreenName, own: string[]): boolean {
    if (name === "unroll" || name === "cell") return own.length > 0;
    if (name === "memory") return classifiers(this).length > 0;
    if (name === "attention") return ["encoder_decoder", "attention", "transformer"].some((model) => this.saved.has(model));
    return name === "decode" ? this.saved.has("gpt") : true;
  }

  private go(event: Event, screen: ScreenName): void {
    event.preventDefault();
    this.set({ screen });
    scrollTo(0, 0);
  }

  private read(value: string): void {
    this.set({ text: value, edits: {}, unit: null, step: Math.max(0, this.tokens(value) - 1) });
  }

  private tokens(value: string): number {
    const [first] = classifiers(this);
    return first ? this.source.network(first.model).tokenizer.read(value, 1000).words.length : 0;
  }

  set(change: Partial<State>): void {
    const before = this.state.screen;
    Object.assign(this.state, change);
    if (this.state.screen !== before) this.write(true);
    void this.show();
  }

  private write(push: boolean): void {
    clearTimeout(this.timer);
    const now = address(this.state);
    this.written = now;
    try {
      history[push ? "pushState" : "replaceState"](null, "", now);
    } catch {
      location.hash = now; // a file in a browser without a history for files
    }
  }

  /** Reads the address; old or foreign parts are named above the picture, and the rest is shown. */
  open(): void {
    if (location.hash === this.written) return;
    const foreign = read(location.hash, this.state, RECURRENT.filter((model) => this.saved.has(model)));
    if (!this.screens.includes(this.state.screen)) {
      foreign.push(this.state.screen);
      this.state.screen = "lineage";
    }
    this.foreign.textContent = foreign.length ? text.foreign(foreign) : "";
    void this.show();
  }

  async show(): Promise<void> {
    const { state } = this;
    if (this.current?.name !== state.screen) {
      const root = h("div", { class: `screen screen-${state.screen}` });
      set(this.main, root);
      this.current = { name: state.screen, screen: new MAKE[state.screen](root, this) };
      for (const link of this.nav.children) {
        if ((link as HTMLElement).dataset.screen === state.screen) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      const now = this.nav.querySelector<HTMLElement>("[aria-current]");
      if (now) this.nav.scrollLeft = now.offsetLeft - this.nav.offsetLeft - 40; // in sight where the menu scrolls
      document.title = `${text.screens[state.screen]} · ${text.title}`;
    }
    this.ask.hidden = state.screen === "decode" || !this.data.examples.length;
    if (this.input.value !== state.text) this.input.value = state.text;
    for (const button of this.chips.children) button.setAttribute("aria-pressed", String(button.textContent === state.text));
    const [first] = classifiers(this), network: Network | null = first ? this.source.network(first.model) : null;
    const tokens = network?.tokenizer.read(state.text, network.limit), unknown = [...new Set(tokens?.words.filter((_, k) => !tokens.known[k]) ?? [])];
    this.status.textContent = [unknown.length ? text.unknown(unknown.slice(0, 12)) : "", tokens?.left ? text.left(tokens.left, tokens.words.length) : ""].filter(Boolean).join(" ");
    const empty = tokens?.words.length === 0 && !["attention", "decode"].includes(state.screen);
    this.main.classList.toggle("empty", empty);
    if (empty) this.status.textContent = text.empty;
    else
      try {
        await this.current.screen.show();
      } catch (error) {
        set(this.main, h("p", { class: "status", role: "alert" }, `${text.failed} ${error instanceof Error ? error.message : String(error)}`));
        this.current = null;
      }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(false), ADDRESS_AFTER) as unknown as number;
  }

  key(event: KeyboardEvent): void {
    const target = event.target as Element;
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    if (event.altKey || event.ctrlKey || event.metaKey || target.matches("input, [role=slider], .scroll") || !["cell", "unroll", "memory"].includes(this.state.screen)) return;
    const T = this.tokens(this.state.text), moved = Math.min(this.state.step, T - 1) + (event.key === "ArrowRight" ? 1 : -1);
    event.preventDefault();
    const inside = target.closest(".col, .copy") !== null;
    this.state.step = Math.max(0, Math.min(T - 1, moved));
    void this.show().then(() => inside && document.querySelector<SVGElement>(".col[tabindex='0'], .copy[tabindex='0']")?.focus({ preventScroll: true }));
  }
}

function start(): void {
  const element = document.getElementById("unrolled-data");
  const page = new Page(JSON.parse(element?.textContent ?? "null") as PageData);
  addEventListener("hashchange", () => page.open());
  addEventListener("popstate", () => page.open());
  addEventListener("resize", () => void page.show());
  addEventListener("keydown", (event) => page.key(event));
  if (location.hash) page.open();
  else void page.show();
}

start();
