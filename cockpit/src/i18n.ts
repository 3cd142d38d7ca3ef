// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Words for people. Every text that is shown goes through _() or ngettext(); tools/pot.js collects them.

export function _(text: string): string {
    return globalThis.cockpit?.gettext(text) ?? text;
}

export function ngettext(one: string, many: string, n: number): string {
    return globalThis.cockpit?.ngettext(one, many, n) ?? (n === 1 ? one : many);
}

/** "$0 of $1": cockpit.format() does the same, but is not there where the tests run. */
export function format(template: string, ...values: (string | number)[]): string {
    return template.replace(/\$(\d)/g, (_match, index: string) => String(values[Number(index)] ?? ""));
}

function language(): string {
    return (globalThis.cockpit?.language ?? "en").replace("_", "-");
}

/** Memory, in the units that drivers and profiles use. */
export function formatBytes(bytes: number | null): string {
    if (bytes === null)
        return _("not known");
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let value = bytes, unit = 0;

    while (value >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit++;
    }
    const digits = Number.isInteger(value) || value >= 100 ? 0 : 1;

    return `${new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value)} ${units[unit]}`;
}

export function formatTime(milliseconds: number): string {
    return new Intl.DateTimeFormat(language(), { timeStyle: "medium" }).format(milliseconds);
}

export function formatDate(milliseconds: number): string {
    return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(milliseconds);
}

export function formatPercent(part: number): string {
    return new Intl.NumberFormat(language(), { style: "percent" }).format(part);
}

/** A time that something took. */
export function formatDuration(milliseconds: number): string {
    const short = milliseconds < 1000;

    return new Intl.NumberFormat(language(), { style: "unit", unit: short ? "millisecond" : "second", maximumSignificantDigits: 3 })
        .format(short ? milliseconds : milliseconds / 1000);
}

/** What of a migration concerns a vGPU. */
export function migrationWord(migration: string): string {
    const words: Record<string, string> = {
        "": "–", none: "–", incoming: _("Waits for its state"), starting: _("A virtual machine starts"), probing: _("Being looked at"),
        saving: _("Being saved"), restoring: _("Being restored"),
    };

    return words[migration] ?? migration;
}

/** What the daemon calls a state, for people. A word that is not known is shown as it is. */
export function stateWord(state: string): string {
    const words: Record<string, string> = {
        active: _("Active"), busy: _("Busy"), cancelled: _("Cancelled"), creating: _("Being created"),
        defined: _("Defined"), done: _("Done"), failed: _("Failed"), incoming: _("Incoming"),
        "no-driver": _("No driver"), probing: _("Being looked at"), queued: _("Queued"), ready: _("Ready"),
        removing: _("Being removed"), restoring: _("Being restored"), running: _("Running"), saving: _("Being saved"),
        unsupported: _("Not supported"), degraded: _("Degraded"), "host-ready": _("Nothing to divide yet"),
        "driver-not-vgpu-host": _("Driver runs no vGPUs"), "layout-unknown": _("Driver not known"),
        yes: _("In use"), no: _("Free"), unknown: _("Not known"),
    };

    return words[state] ?? state;
}
