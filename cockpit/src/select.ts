// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What follows from a snapshot: who has which part of a card, what still fits, which rows a filter lets through, and what
// of a form the daemon would refuse anyway.

import { _, format, stateWord } from "./i18n.ts";
import type { Gpu, GpuType, SavedState, VGpu } from "./model.ts";

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export interface Share {
    vgpu: VGpu;
    type: GpuType | undefined;
    bytes: number | null;
}

export interface Division {
    total: number | null;
    shares: Share[];
    used: number;
    free: number | null;
    /** Of some vGPU it is not known how much it takes: then `used` is less than what is used. */
    partial: boolean;
}

const HOLDS_MEMORY = new Set(["active", "creating", "removing", "saving", "restoring", "incoming"]);

function byUuid(a: VGpu, b: VGpu): number {
    return a.uuid < b.uuid ? -1 : a.uuid > b.uuid ? 1 : 0;
}

export function nameOf(vgpu: VGpu): string {
    return vgpu.label || vgpu.uuid;
}

function byName(a: VGpu, b: VGpu): number {
    return Number(a.label === "") - Number(b.label === "") || collator.compare(a.label, b.label) || byUuid(a, b);
}

/** How the card's memory is divided among the vGPUs that exist on it. */
export function divide(gpu: Gpu, vgpus: readonly VGpu[], types: ReadonlyMap<string, GpuType>): Division {
    const shares = vgpus.filter(vgpu => HOLDS_MEMORY.has(vgpu.state)).sort(byName).map(vgpu => {
        const type = types.get(vgpu.type);

        const each = type?.framebuffer ? type.framebuffer + type.reserved : null;

        // All of a card is all of its memory.
        return { vgpu, type, bytes: vgpu.kind === "whole" ? gpu.framebuffer : each };
    });
    const used = shares.reduce((sum, share) => sum + (share.bytes ?? 0), 0);

    return {
        total: gpu.framebuffer,
        shares,
        used,
        free: gpu.framebuffer === null ? null : Math.max(0, gpu.framebuffer - used),
        partial: shares.some(share => share.bytes === null),
    };
}

/** What such a card shows is of before. */
const NOT_NOW = new Set(["probing", "busy", "failed"]);

/** Types of which at least one more can be made now. */
export function fitting(gpu: Gpu, types: readonly GpuType[] | undefined): readonly GpuType[] {
    if (NOT_NOW.has(gpu.state))
        return [];
    return (types ?? []).filter(type => (type.available ?? 0) > 0);
}

export interface TypeChoice {
    id: string;
    name: string;
    framebuffer: number | null;
    available: number;
    class: string;
}

/** The same by id, over all cards: for who lets the daemon choose the card. */
export function fittingAnywhere(gpus: readonly Gpu[], typesOf: ReadonlyMap<string, readonly GpuType[]>): TypeChoice[] {
    const choices = new Map<string, TypeChoice>();

    for (const gpu of gpus)
        for (const type of fitting(gpu, typesOf.get(gpu.path))) {
            const choice = choices.get(type.id);

            if (choice)
                choice.available += type.available ?? 0;
            else
                choices.set(type.id, { id: type.id, name: type.name, framebuffer: type.framebuffer,
                                       available: type.available ?? 0, class: type.class });
        }
    return [...choices.values()];
}

export interface Filter {
    words: string;
    gpu: string;
    state: string;
}

export type Column = "label" | "uuid" | "type" | "gpu" | "state" | "inUse" | "kept" | "migration";

export interface Order {
    column: Column;
    descending: boolean;
}

export interface Names {
    typeName(vgpu: VGpu): string;
    gpuName(vgpu: VGpu): string;
}

function cell(vgpu: VGpu, column: Column, names: Names): string {
    switch (column) {
    case "type": return names.typeName(vgpu);
    case "gpu": return vgpu.parent;
    // What lasts longest comes first.
    case "kept": return vgpu.autostart ? "1" : vgpu.persistent ? "2" : "3";
    default: return vgpu[column];
    }
}

export function selectVGpus(vgpus: readonly VGpu[], filter: Filter, order: Order, names: Names): VGpu[] {
    const words = filter.words.toLowerCase().split(/\s+/).filter(word => word !== "");
    const rows = vgpus.filter(vgpu => {
        const all = [vgpu.label, vgpu.uuid, names.typeName(vgpu), vgpu.typeId, names.gpuName(vgpu), vgpu.parent, vgpu.state, stateWord(vgpu.state),
                     vgpu.persistent ? _("Persistent") : _("Until reboot"), vgpu.autostart ? _("Autostart") : "", vgpu.migration]
            .join("\n").toLowerCase();

        return (!filter.gpu || vgpu.gpu === filter.gpu) && (!filter.state || vgpu.state === filter.state) &&
            words.every(word => all.includes(word));
    });
    const sign = order.descending ? -1 : 1;

    return rows.sort((a, b) => {
        const x = cell(a, order.column, names), y = cell(b, order.column, names);

        // What has no label comes last either way.
        if ((x === "") !== (y === ""))
            return x === "" ? 1 : -1;
        // Digits of a UUID are no numbers.
        return sign * (order.column === "uuid" ? byUuid(a, b) : collator.compare(x, y)) || byUuid(a, b);
    });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const LABEL_BYTES = 127;
const VALUE_BYTES = 4095;
const MOST_ATTRIBUTES = 64;

/** Each of these says what is wrong, or "". */
export function validateUuid(uuid: string, taken: (uuid: string) => boolean): string {
    if (uuid === "")
        return "";
    if (!UUID.test(uuid))
        return _("A UUID has 32 hexadecimal digits: 8-4-4-4-12.");
    return taken(uuid.toLowerCase()) ? _("There is a vGPU with this UUID.") : "";
}

function byteLength(text: string): number {
    return new TextEncoder().encode(text).length;
}

export function validateLabel(label: string): string {
    // eslint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f]/.test(label))
        return _("A label is one line of text.");
    const excess = byteLength(label) - LABEL_BYTES;

    return excess > 0 ? format(_("The label is $0 bytes too long."), excess) : "";
}

/** As the daemon's own rule for such names, which are names of files. */
const STATE_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;
const STATE_NAME_LENGTH = 64;

export function validateStateName(name: string): string {
    if (name === "")
        return _("A saved state needs a name.");
    if (name.startsWith("."))
        return _("A name begins with no dot.");
    if (!STATE_NAME.test(name))
        return _("A name is made of letters without accents, digits, dots, _ and -.");
    return name.length > STATE_NAME_LENGTH ? format(_("The name is $0 characters too long."), name.length - STATE_NAME_LENGTH) : "";
}

/** One that is allowed and not taken, after the vGPU's label or else its UUID. */
export function suggestStateName(vgpu: VGpu, taken: (name: string) => boolean): string {
    const base = vgpu.label.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[.-]+|-+$/g, "")
        .slice(0, STATE_NAME_LENGTH - 5) || vgpu.uuid.slice(0, 8);

    for (let n = 1; ; n++) {
        const name = n === 1 ? base : `${base}-${n}`;

        if (!taken(name))
            return name;
    }
}

export interface Target {
    /** What of a vGPU with the state's UUID is there; "own" is possible but with an active one. */
    existing: VGpu | undefined;
    own: boolean;
    /** The cards that have room for it now. */
    gpus: readonly Gpu[];
}

/** Where a saved state could be restored to at this moment, under its own UUID or under another. */
export function restoreTarget(state: SavedState, anew: boolean, gpus: readonly Gpu[], typesOf: ReadonlyMap<string, readonly GpuType[]>,
                              vgpus: readonly VGpu[]): Target {
    const existing = vgpus.find(vgpu => vgpu.uuid === state.uuid);
    const own = !existing || ["defined", "failed", "incoming"].includes(existing.state);
    const withRoom = gpus.filter(gpu => fitting(gpu, typesOf.get(gpu.path)).some(type => type.id === state.type));

    if (anew || !existing || !own)
        return { existing, own, gpus: withRoom };
    // That which waits for it has its room already.
    return { existing, own, gpus: (existing.state === "incoming" ? gpus : withRoom).filter(gpu => gpu.address === existing.parent) };
}

export interface Attributes {
    pairs: [string, string][];
    error: string;
}

/** Lines of "name=value". */
export function parseAttributes(text: string): Attributes {
    const pairs: [string, string][] = [];

    for (const [index, raw] of text.split("\n").entries()) {
        const line = raw.trim();
        const at = line.indexOf("=");

        if (line === "")
            continue;
        const name = line.slice(0, at).trim(), value = line.slice(at + 1).trim();

        if (at < 1 || name === "")
            return { pairs: [], error: format(_("Line $0 is not name=value."), index + 1) };
        if (name.startsWith("/") || name.split("/").includes(".."))
            return { pairs: [], error: format(_("Line $0: an attribute is a path below the vGPU's own folder."), index + 1) };
        if (byteLength(value) > VALUE_BYTES)
            return { pairs: [], error: format(_("Line $0 is too long."), index + 1) };
        pairs.push([name, value]);
    }
    return { pairs, error: pairs.length > MOST_ATTRIBUTES ? format(_("There are more than $0 attributes."), MOST_ATTRIBUTES) : "" };
}
