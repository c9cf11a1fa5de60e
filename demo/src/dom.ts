/** Small things that every part of the page needs. */

type Child = Node | string | number | false | null | undefined;

/** Makes an element; keys that start with `on` are listeners, others attributes. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | number | boolean | ((event: Event) => void) | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== false && child !== null && child !== undefined).map(asNode));
  return element;
}

const asNode = (child: unknown): Node | string => (child instanceof Node ? child : String(child));

/** An element of index.html. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no #${id} in index.html`);
  return element as T;
}

/** Says something to those who hear the page. */
export function announce(text: string): void {
  byId("announcer").textContent = text;
}

export function show(element: HTMLElement, shown: boolean): void {
  element.hidden = !shown;
}

const counts = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export const formatCount = (n: number): string => counts.format(n);
export const formatCompact = (n: number): string => compact.format(n);
/** With a sign that is as wide as a digit. */
export const formatSigned = (x: number, digits = 3): string => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(digits)}`;
export const formatNumber = (x: number, digits = 4): string => (x < 0 ? `−${(-x).toFixed(digits)}` : x.toFixed(digits));
export const formatPercent = (p: number): string => `${(100 * p).toFixed(1)} %`;

export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Lets the page draw, and its user click, between two pieces of work. */
export const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
