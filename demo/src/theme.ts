import type { Theme } from "./colors.js";
import { byId } from "./dom.js";

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const listeners: (() => void)[] = [];

/** What the user has chosen, else what the system says. */
export function theme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : prefersDark.matches ? "dark" : "light";
}

/** Colours that are not in the style sheet are made anew. */
export function onThemeChange(listener: () => void): void {
  listeners.push(listener);
}

/** A colour of the style sheet. */
export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function startTheme(): void {
  const button = byId<HTMLButtonElement>("theme");
  const update = () => {
    const dark = theme() === "dark";
    button.setAttribute("aria-pressed", String(dark));
    for (const listener of listeners) listener();
  };
  button.addEventListener("click", () => {
    const chosen = theme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    update();
  });
  prefersDark.addEventListener("change", update);
  update();
}
