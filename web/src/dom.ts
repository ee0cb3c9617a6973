// Elements from data. Texts are always text nodes: nothing that a user or a model wrote is ever read as HTML.

export type Child = Node | string | null | undefined | false;
export type Attributes = Record<string, string | number | boolean | null | undefined | ((event: never) => void)>;

const SVG = "http://www.w3.org/2000/svg";

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value as unknown as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

export function s<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag) as SVGElementTagNameMap[K], attributes, children);
}

/** A piece of a sentence: plain, in bold, or in the page's accent. */
export type Part = string | { b: string } | { em: string };

export const rich = (parts: Part[]): Child[] =>
  parts.map((part) => (typeof part === "string" ? part : "b" in part ? h("b", {}, part.b) : h("em", {}, part.em)));

export const plain = (parts: Part[]): string => parts.map((part) => (typeof part === "string" ? part : "b" in part ? part.b : part.em)).join("");

export function set(element: Element, ...children: Child[]): void {
  element.replaceChildren(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
}

/** Replaces the content and leaves the focus on the element with the same data-key. */
export function redraw(element: Element, ...children: Child[]): void {
  const key = element.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.key : undefined;
  set(element, ...children);
  if (key === undefined) return;
  const found = [...element.querySelectorAll<HTMLElement>("[data-key]")].find((each) => each.dataset.key === key);
  found?.focus({ preventScroll: true });
}

export const NARROW = 720;
export const narrow = (): boolean => innerWidth < NARROW;
