// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What happened while the page was open, told from the signals: who made, removed or changed something, here or elsewhere.

import { GPU, JOB, Properties, VGPU, text } from "./model.ts";

export interface Happening {
    id: number;
    time: number;
    kind: "gpu-added" | "gpu-removed" | "gpu-state" | "vgpu-added" | "vgpu-removed" | "vgpu-state" | "vgpu-use" | "vgpu-error" |
        "job-new" | "job-end" | "config" | "topology" | "started" | "stopped";
    /** The object's path, as long as it lives. */
    path: string;
    /** How it is called: a label, a UUID, an address, an operation. */
    name: string;
    detail: string;
    bad: boolean;
}

const KEPT = 500;

/** Newest first. */
export class History {
    entries: readonly Happening[] = [];
    private last = 0;

    constructor(private now: () => number = Date.now) {}

    add(kind: Happening["kind"], path: string, name: string, detail = "", bad = false): void {
        this.entries = [{ id: ++this.last, time: this.now(), kind, path, name, detail, bad }, ...this.entries].slice(0, KEPT);
    }

    added(path: string, iface: string, p: Properties): void {
        if (iface === GPU)
            this.add("gpu-added", path, text(p.Address), text(p.Name));
        else if (iface === VGPU)
            this.add("vgpu-added", path, nameOf(p), text(p.TypeId));
        else if (iface === JOB)
            this.add("job-new", path, text(p.Operation));
    }

    removed(path: string, iface: string, p: Properties): void {
        if (iface === GPU)
            this.add("gpu-removed", path, text(p.Address), text(p.Name));
        else if (iface === VGPU)
            this.add("vgpu-removed", path, nameOf(p), text(p.TypeId));
    }

    changed(path: string, iface: string, before: Properties, after: Properties): void {
        const differs = (name: string) => name in after && before[name] !== after[name];

        if (iface === GPU && differs("State"))
            this.add("gpu-state", path, text(after.Address), join(after.State, after.Reason),
                     after.State === "failed" || after.State === "busy");
        if (iface === JOB && differs("State") && ["done", "failed", "cancelled"].includes(text(after.State)))
            this.add("job-end", path, text(after.Operation), join(after.State, after.ErrorMessage), after.State === "failed");
        if (iface !== VGPU)
            return;
        if (differs("State"))
            this.add("vgpu-state", path, nameOf(after), text(after.State), after.State === "failed");
        if (differs("InUse") && before.InUse !== "unknown")
            this.add("vgpu-use", path, nameOf(after), text(after.InUse));
        if (differs("LastError") && after.LastError !== "")
            this.add("vgpu-error", path, nameOf(after), text(after.LastError), true);
    }
}

function nameOf(p: Properties): string {
    return text(p.Label) || text(p.Uuid);
}

function join(state: unknown, reason: unknown): string {
    return text(reason) ? `${text(state)}: ${text(reason)}` : text(state);
}
