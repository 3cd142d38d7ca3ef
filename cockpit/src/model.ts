// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the daemon shows on the bus, as plain values. Whatever comes from there is taken as it is stated in
// org.mdevgpu1.xml or not at all: a property of another type counts as absent, so that a newer or a strange daemon
// cannot break the page.

export const MANAGER = "org.mdevgpu1.Manager";
export const GPU = "org.mdevgpu1.Gpu";
export const SRIOV = "org.mdevgpu1.Gpu.Sriov";
export const TYPE = "org.mdevgpu1.Type";
export const VGPU = "org.mdevgpu1.VGpu";
export const JOB = "org.mdevgpu1.Job";

export type Properties = Record<string, unknown>;

/** Bytes, or a count; null is what the bus says by the largest number of the type: not known. */
export type Known = number | null;

export interface Sriov {
    enabled: Known;
    most: Known;
}

export interface Gpu {
    path: string;
    address: string;
    name: string;
    vendor: string;
    driver: string;
    driverVersion: string;
    backend: string;
    state: string;
    reason: string;
    framebuffer: Known;
    pendingTypes: boolean;
    sriov: Sriov | null;
}

export interface GpuType {
    path: string;
    gpu: string;
    id: string;
    name: string;
    description: string;
    deviceApi: string;
    class: string;
    max: Known;
    available: Known;
    framebuffer: Known;
    /** What each instance takes of the card beside its framebuffer, in bytes; 0 where the driver does not tell. */
    reserved: number;
    /** A vGPU of it keeps what is in it while nobody has it open; without that nothing could be saved. */
    keepsState: boolean;
    source: string;
    registration: string;
    reason: string;
}

export interface VGpu {
    path: string;
    uuid: string;
    kind: string;
    state: string;
    gpu: string;
    type: string;
    parent: string;
    typeId: string;
    label: string;
    sysfsPath: string;
    persistent: boolean;
    autostart: boolean;
    managed: boolean;
    inUse: string;
    iommuGroup: number;
    lastError: string;
    /** "" where the daemon has no such property. */
    migration: string;
}

export interface Job {
    path: string;
    id: number;
    operation: string;
    state: string;
    objects: string[];
    progress: number | null;
    cancelable: boolean;
    startTime: number;
    uid: number;
    result: Properties;
    error: string;
    message: string;
    bytes: Known;
    totalBytes: Known;
    /** Bytes in a second. */
    rate: Known;
    /** When it will have ended, in milliseconds since 1970. */
    expectedEnd: Known;
    transfer: Transfer;
}

/** What a job that moves a vGPU's state tells of that, beside its bytes. */
export interface Transfer {
    /** Of the saved state; "" of what is exported or imported. */
    name: string;
    /** "pre-copy", "stop-copy", "resuming"; "" before the first of them. */
    phase: string;
    /** Bytes that have changed since they were sent. */
    dirty: Known;
    /** How long the device stood still, in milliseconds. */
    downtime: Known;
    /** It could only be put back as new. */
    reset: boolean;
}

export interface Problem {
    file: string;
    line: number;
    column: number;
    severity: string;
    message: string;
}

export interface Manager {
    version: string;
    degraded: boolean;
    problems: Problem[];
    activeTopology: string;
}

/** JSON cannot tell 2^64 - 1 from its neighbours; no memory is near it, no count near 2^32 - 1. */
const LARGEST_U64 = 2 ** 63;
const LARGEST_U32 = 2 ** 32 - 1;

/** A variant comes from cockpit.js as { t, v }. */
export function unwrap(value: unknown): unknown {
    if (value && typeof value === "object" && "v" in value && "t" in value)
        return unwrap((value as { v: unknown }).v);
    return value;
}

export function properties(raw: unknown): Properties {
    const result: Properties = {};

    if (raw && typeof raw === "object" && !Array.isArray(raw))
        for (const [name, value] of Object.entries(raw))
            result[name] = unwrap(value);
    return result;
}

export function text(value: unknown): string {
    return typeof value === "string" ? value : "";
}

export function flag(value: unknown): boolean {
    return value === true;
}

export function number(value: unknown, otherwise = 0): number {
    return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}

/** A path; "" for the object that is not there, "/". */
export function path(value: unknown): string {
    return value === "/" ? "" : text(value);
}

export function count(value: unknown): Known {
    return typeof value === "number" && value >= 0 && value < LARGEST_U32 ? value : null;
}

export function bytes(value: unknown): Known {
    return typeof value === "number" && value >= 0 && value < LARGEST_U64 ? value : null;
}

function milliseconds(microseconds: Known): Known {
    return microseconds === null ? null : microseconds / 1000;
}

export function list(value: unknown): unknown[] {
    return Array.isArray(value) ? value : [];
}

export function readGpu(objectPath: string, p: Properties, sriov: Properties | undefined): Gpu {
    return {
        path: objectPath,
        address: text(p.Address),
        name: text(p.Name) || text(p.Address),
        vendor: text(p.Vendor),
        driver: text(p.Driver),
        driverVersion: text(p.DriverVersion),
        backend: text(p.Backend),
        state: text(p.State),
        reason: text(p.Reason),
        framebuffer: bytes(p.FramebufferTotal),
        pendingTypes: flag(p.PendingTypes),
        sriov: sriov ? { enabled: count(sriov.NumVfs), most: count(sriov.MaxVfs) } : null,
    };
}

export function readType(objectPath: string, p: Properties): GpuType {
    const details = properties(p.Details);

    return {
        path: objectPath,
        gpu: path(p.Gpu),
        id: text(p.Id),
        name: text(p.Name) || text(p.Id),
        description: text(p.Description),
        deviceApi: text(p.DeviceApi),
        class: text(p.Class),
        max: count(p.MaxInstances),
        available: count(p.AvailableInstances),
        framebuffer: bytes(p.Framebuffer),
        reserved: bytes(details.reserved) ?? 0,
        keepsState: flag(details["keeps-state"]),
        source: text(p.Source),
        registration: text(p.Registration),
        reason: text(p.Reason),
    };
}

export function readVGpu(objectPath: string, p: Properties): VGpu {
    return {
        path: objectPath,
        uuid: text(p.Uuid),
        kind: text(p.Kind),
        state: text(p.State),
        gpu: path(p.Gpu),
        type: path(p.Type),
        parent: text(p.Parent),
        typeId: text(p.TypeId),
        label: text(p.Label),
        sysfsPath: text(p.SysfsPath),
        persistent: flag(p.Persistent),
        autostart: flag(p.Autostart),
        managed: flag(p.Managed),
        inUse: text(p.InUse),
        iommuGroup: number(p.IommuGroup, -1),
        lastError: text(p.LastError),
        migration: text(p.MigrationState),
    };
}

function readTransfer(result: Properties): Transfer {
    return {
        name: text(result.name),
        phase: text(result.phase),
        dirty: bytes(result.dirty),
        downtime: milliseconds(bytes(result.downtime)),
        reset: flag(result.reset),
    };
}

export function readJob(objectPath: string, p: Properties): Job {
    const result = properties(p.Result);

    return {
        path: objectPath,
        id: number(p.Id),
        operation: text(p.Operation),
        state: text(p.State),
        objects: list(p.Objects).map(text),
        progress: flag(p.ProgressValid) ? Math.min(1, Math.max(0, number(p.Progress))) : null,
        cancelable: flag(p.Cancelable),
        startTime: milliseconds(number(p.StartTime)) ?? 0,
        uid: number(p.StartedByUID, -1),
        result,
        error: text(p.Error),
        message: text(p.ErrorMessage),
        bytes: bytes(p.Bytes),
        totalBytes: bytes(p.TotalBytes),
        rate: bytes(p.Rate),
        expectedEnd: milliseconds(bytes(p.ExpectedEndTime)),
        transfer: readTransfer(result),
    };
}

/** Rows a(suuss): file, line, column, severity, message. */
export function readProblems(value: unknown): Problem[] {
    return list(value).map(list).map(([file, line, column, severity, message]) => ({
        file: text(file),
        line: number(line),
        column: number(column),
        severity: text(severity),
        message: text(message),
    }));
}

export function readManager(p: Properties): Manager {
    return {
        version: text(p.Version),
        degraded: flag(p.Degraded),
        problems: readProblems(p.ConfigErrors),
        activeTopology: text(p.ActiveTopology),
    };
}

export interface User {
    pid: number;
    uid: number;
    comm: string;
    unit: string;
    vm: string;
}

export function readUsers(value: unknown): User[] {
    return list(value).map(properties).map(p => ({
        pid: number(p.pid), uid: number(p.uid), comm: text(p.comm), unit: text(p.unit), vm: text(p.vm),
    }));
}

export interface SavedState {
    name: string;
    uuid: string;
    type: string;
    size: Known;
    /** Milliseconds since 1970. */
    created: Known;
    label: string;
    host: string;
    gpu: string;
    driver: string;
    driverVersion: string;
    /** Why it is no image that can be read; then it has neither a UUID nor a type. */
    error: string;
}

/** Rows a(ssstta{sv}): name, UUID, type, size, time, details. */
export function readSavedStates(value: unknown): SavedState[] {
    return list(value).map(list).map(([name, uuid, type, size, created, more]) => {
        const p = properties(more);

        return {
            name: text(name), uuid: text(uuid), type: text(type), size: bytes(size), created: milliseconds(bytes(created) || null),
            label: text(p.label), host: text(p.host), gpu: text(p.gpu), driver: text(p.driver),
            driverVersion: text(p["driver-version"]), error: text(p.error),
        };
    }).filter(state => state.name !== "");
}

export interface Migration {
    /** "yes", "no", "unknown". */
    migratable: string;
    reasons: string[];
}

export function readMigration(value: unknown): Migration {
    const p = properties(value);

    return { migratable: text(p.migratable), reasons: list(p.reasons).map(text).filter(Boolean) };
}

export interface Topology {
    name: string;
    file: string;
    active: boolean;
    default: boolean;
    vgpus: number;
}

export function readTopologies(value: unknown): Topology[] {
    return list(value).map(list).map(([name, file, active, more]) => {
        const p = properties(more);

        return { name: text(name), file: text(file), active: flag(active), default: flag(p.default), vgpus: number(p.vgpus) };
    });
}

export interface Step {
    action: string;
    uuid: string;
    gpu: string;
    type: string;
    label: string;
    error: string;
    reason: string;
}

export function readPlan(value: unknown): Step[] {
    return list(value).map(properties).map(p => ({
        action: text(p.action), uuid: text(p.uuid), gpu: text(p.gpu), type: text(p.type), label: text(p.label),
        error: text(p.error), reason: text(p.reason),
    }));
}

/** The methods of each interface, as "org.mdevgpu1.Manager.CreateVGpu", from introspection data. */
export function readMethods(xml: string): Set<string> {
    const methods = new Set<string>();
    let iface = "";

    for (const [, interfaceName, method] of xml.matchAll(/<interface\s+name="([\w.]+)"|<method\s+name="(\w+)"/g))
        if (interfaceName)
            iface = interfaceName;
        else
            methods.add(`${iface}.${method}`);
    return methods;
}
