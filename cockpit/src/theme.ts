// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Light or dark, as the shell says. Each page of Cockpit has to follow by itself: the choice is in the local storage that
// all of them share ("auto", "light", "dark"), and the shell tells of a change by an event of that storage or, in the same
// frame, by one of its own. The class is that of PatternFly 6, whatever version the shell is made with.

const KEY = "shell:style";
const DARK = "pf-v6-theme-dark";

export function isDark(style: string | null, systemIsDark: boolean): boolean {
    return style === "dark" || (style !== "light" && systemIsDark);
}

export function followTheme(): void {
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    const update = (style: string | null) => document.documentElement.classList.toggle(DARK, isDark(style, system.matches));
    const read = () => update(localStorage.getItem(KEY));

    window.addEventListener("storage", event => event.key === KEY && read());
    window.addEventListener("cockpit-style", event => update((event as CustomEvent<{ style?: string }>).detail?.style ?? null));
    system.addEventListener("change", read);
    read();
}
