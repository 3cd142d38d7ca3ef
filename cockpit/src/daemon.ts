// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The daemon as the page sees it: a snapshot of all that it shows on the bus, made anew whenever a signal says that
// something is otherwise. Nothing is polled. No React in here.

import { Bus, BusError, Names, Signal } from "./bus.ts";
import { History, Happening } from "./events.ts";
import * as model from "./model.ts";

export type Connection =
    | { state: "connecting" }
    | { state: "ready" }
    /** Nobody owns the name: not started, disabled, or stopped under us. */
    | { state: "absent"; reason: string }
    /** The bus lets us not even look. */
    | { state: "denied"; reason: string }
    | { state: "failed"; reason: string };

/** What the user may do without more ado. */
export interface Rights {
    manage: boolean;
    define: boolean;
    topology: boolean;
    reload: boolean;
    hardware: boolean;
    states: boolean;
    /** Jobs that somebody else began. */
    cancel: boolean;
}

const ACTIONS: Record<keyof Rights, string> = {
    manage: "org.mdevgpu1.manage-vgpus",
    define: "org.mdevgpu1.define-vgpus",
    topology: "org.mdevgpu1.apply-topology",
    reload: "org.mdevgpu1.reload",
    hardware: "org.mdevgpu1.manage-hardware",
    states: "org.mdevgpu1.migrate-state",
    cancel: "org.mdevgpu1.cancel-job-of-others",
};

export interface Snapshot {
    connection: Connection;
    manager: model.Manager;
    gpus: readonly model.Gpu[];
    types: ReadonlyMap<string, model.GpuType>;
    typesOf: ReadonlyMap<string, readonly model.GpuType[]>;
    vgpus: readonly model.VGpu[];
    vgpusOf: ReadonlyMap<string, readonly model.VGpu[]>;
    jobs: readonly model.Job[];
    happenings: readonly Happening[];
    rights: Rights;
    /** null until that is known: neither "you may not" is said then nor a button offered. */
    rightsKnown: boolean;
    /** As the daemon knows the user; null until that is known. */
    uid: number | null;
    methods: ReadonlySet<string>;
    /** Counts the times that the configuration was read: what is asked for, and not signalled, is asked for again. */
    reloads: number;
    /** The same for what may have changed the list of saved states. */
    savedStates: number;
}

export const ROOT = "/org/mdevgpu1";
const OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager";
const PROPERTIES = "org.freedesktop.DBus.Properties";

/** Signals come in bursts; a picture is made once for each. */
const SETTLE_MS = 50;

const FAILED_KEPT = 5;

const NO_RIGHTS: Rights = { manage: false, define: false, topology: false, reload: false, hardware: false, states: false, cancel: false };

const collator = new Intl.Collator("en", { numeric: true });

function byKey<T>(key: (item: T) => string): (a: T, b: T) => number {
    return (a, b) => collator.compare(key(a), key(b));
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
    const groups = new Map<string, T[]>();

    for (const item of items) {
        const group = groups.get(key(item));

        if (group)
            group.push(item);
        else
            groups.set(key(item), [item]);
    }
    return groups;
}

export class Daemon {
    snapshot: Snapshot;
    private objects = new Map<string, Map<string, model.Properties>>();
    private listeners = new Set<() => void>();
    private connection: Connection = { state: "connecting" };
    private history = new History();
    private rights = NO_RIGHTS;
    private rightsKnown = false;
    private uid: number | null = null;
    private methods: ReadonlySet<string> = new Set();
    private reloads = 0;
    private savedStates = 0;
    /** Jobs that failed stay when the daemon has forgotten them, which it does soon: somebody may look later. */
    private failed: model.Job[] = [];
    private listed: Promise<model.SavedState[]> | null = null;
    private bus: Bus | null = null;
    private owner: string | null | undefined = undefined;
    /** Signals that came before the objects did. */
    private early: Signal[] | null = null;
    private timer: ReturnType<typeof setTimeout> | null = null;

    constructor(private connect: () => Bus, private names: Names) {
        this.snapshot = this.picture();
        names.onAuthority(() => void this.askRights());
        names.watch(owner => this.onOwner(owner));
    }

    subscribe = (listener: () => void): (() => void) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
    };

    getSnapshot = (): Snapshot => this.snapshot;

    /** Has it started, and looks again. */
    async start(): Promise<void> {
        await this.names.start();
        // Its name is announced when it has come up; if it was up all the time, nobody announces anything.
        if (this.connection.state !== "ready" && this.connection.state !== "connecting")
            this.open();
    }

    retry(): void {
        this.open();
    }

    has(method: string): boolean {
        return this.methods.has(method);
    }

    async call(path: string, iface: string, method: string, signature = "", ...args: unknown[]): Promise<unknown[]> {
        if (!this.bus)
            throw new BusError("not-found", "mdevgpud is not running.");
        return this.bus.call(path, iface, method, args, signature);
    }

    manager(method: string, signature = "", ...args: unknown[]): Promise<unknown[]> {
        return this.call(ROOT, model.MANAGER, method, signature, ...args);
    }

    /** One answer for all who ask, until something may have changed the list. */
    listSavedStates(): Promise<model.SavedState[]> {
        if (this.listed)
            return this.listed;
        const asked = this.manager("ListSavedStates").then(([rows]) => model.readSavedStates(rows));

        this.listed = asked;
        // Who was refused may be allowed the next time.
        asked.catch(() => { this.listed = this.listed === asked ? null : this.listed; });
        return asked;
    }

    /** What the list was is not what it is: by SavedStatesChanged, or because others than the daemon may have changed it. */
    forgetSavedStates(): void {
        this.listed = null;
        this.savedStates++;
        this.changed();
    }

    private onOwner(owner: string | null): void {
        const first = this.owner === undefined;

        if (owner === this.owner && !first)
            return;
        if (owner && !first)
            this.history.add("started", "", "mdevgpud");
        else if (!owner && this.owner)
            this.history.add("stopped", "", "mdevgpud", "", true);
        this.owner = owner;

        // At first a call is made even if nobody is there: the bus starts the daemon for it. Later on it is not: who
        // stopped it wants it stopped.
        if (owner || first)
            this.open();
        else
            this.lose({ state: "absent", reason: "" });
    }

    private open(): void {
        this.bus?.close();
        const bus = this.bus = this.connect();

        this.early = [];
        // Another daemon counts its jobs from 1 again.
        this.failed = [];
        this.connection = { state: "connecting" };
        this.forgetSavedStates();
        bus.onSignal(signal => bus === this.bus && this.onSignal(signal));
        bus.onClose(error => bus === this.bus && this.fail(error));
        this.changed();
        void this.load(bus);
    }

    private async load(bus: Bus): Promise<void> {
        try {
            const [objects] = await bus.call(ROOT, OBJECT_MANAGER, "GetManagedObjects", [], "");
            const [manager] = await bus.call(ROOT, PROPERTIES, "GetAll", [model.MANAGER], "s");
            // Optional parts are shown where the daemon has them.
            const vgpu = Object.entries(objects as object).find(([, ifaces]) => model.VGPU in ifaces)?.[0];
            const paths = [ROOT, vgpu, ...Object.keys(objects as object).filter(p => /^\/org\/mdevgpu1\/gpu\/[^/]+$/.test(p))];
            const methods = new Set<string>();

            for (const path of paths.filter(p => p !== undefined)) {
                const [xml] = await bus.call(path, "org.freedesktop.DBus.Introspectable", "Introspect", [], "")
                    .catch(error => path === ROOT ? Promise.reject(error) : [""]);

                model.readMethods(xml as string).forEach(method => methods.add(method));
            }
            if (bus !== this.bus)
                return;

            this.objects = new Map();
            for (const [path, ifaces] of Object.entries(objects as Record<string, Record<string, unknown>>))
                this.put(path, ifaces);
            this.put(ROOT, { [model.MANAGER]: manager });
            this.methods = methods;
            const early = this.early ?? [];
            this.early = null;
            early.forEach(signal => this.apply(signal));
            this.connection = { state: "ready" };
            this.changed();
            await this.askRights();
        } catch (error) {
            if (bus === this.bus)
                this.fail(BusError.from(error));
        }
    }

    private fail(error: BusError): void {
        this.lose({ state: error.denied ? "denied" : error.absent ? "absent" : "failed", reason: error.message });
    }

    private lose(connection: Connection): void {
        const bus = this.bus;

        this.bus = null;
        bus?.close();
        this.objects = new Map();
        this.early = null;
        this.connection = connection;
        this.changed();
    }

    private async askRights(): Promise<void> {
        this.uid = await this.names.whoAmI();
        const answers = await Promise.all(Object.entries(ACTIONS).map(async ([right, action]) =>
            [right, await this.names.mayI(action)] as const));

        this.rights = Object.fromEntries(answers) as unknown as Rights;
        this.rightsKnown = true;
        this.changed();
    }

    private put(path: string, ifaces: Record<string, unknown>): void {
        const object = this.objects.get(path) ?? new Map<string, model.Properties>();

        for (const [iface, raw] of Object.entries(ifaces))
            object.set(iface, model.properties(raw));
        this.objects.set(path, object);
    }

    private onSignal(signal: Signal): void {
        if (this.early)
            this.early.push(signal);
        else
            this.apply(signal);
    }

    private apply({ path, interface: iface, member, args }: Signal): void {
        if (iface === OBJECT_MANAGER && member === "InterfacesAdded")
            this.onAdded(model.text(args[0]), args[1]);
        else if (iface === OBJECT_MANAGER && member === "InterfacesRemoved")
            this.onRemoved(model.text(args[0]), model.list(args[1]).map(model.text));
        else if (iface === PROPERTIES && member === "PropertiesChanged")
            this.onChanged(path, model.text(args[0]), args[1], model.list(args[2]));
        else if (iface === model.MANAGER && member === "Reloading" && args[0] === false)
            this.onReloaded();
        else if (iface === model.MANAGER && member === "SavedStatesChanged")
            this.forgetSavedStates();
        else
            return;
        this.changed();
    }

    private onAdded(path: string, raw: unknown): void {
        if (!raw || typeof raw !== "object")
            return;
        const known = this.objects.get(path);

        for (const [iface, p] of Object.entries(raw))
            if (!known?.has(iface))
                this.history.added(path, iface, model.properties(p));
        this.put(path, raw as Record<string, unknown>);
    }

    private onRemoved(path: string, ifaces: string[]): void {
        const object = this.objects.get(path);

        for (const iface of ifaces) {
            const p = object?.get(iface);

            if (p)
                this.history.removed(path, iface, p);
            if (p && iface === model.JOB && p.State === "failed")
                this.failed = [model.readJob(path, p), ...this.failed].slice(0, FAILED_KEPT);
            object?.delete(iface);
        }
        if (object && object.size === 0)
            this.objects.delete(path);
    }

    private onChanged(path: string, iface: string, raw: unknown, invalidated: unknown[]): void {
        const before = this.objects.get(path)?.get(iface);

        // Of an object that we do not know: it is on its way out, or its InterfacesAdded will tell all.
        if (!before)
            return;
        const after = { ...before, ...model.properties(raw) };

        this.history.changed(path, iface, before, after);
        this.objects.get(path)?.set(iface, after);
        if (iface === model.MANAGER && before.ActiveTopology !== after.ActiveTopology)
            this.history.add("topology", path, model.text(after.ActiveTopology));
        if (invalidated.length > 0)
            void this.reread(path, iface);
    }

    private async reread(path: string, iface: string): Promise<void> {
        const bus = this.bus;
        const [raw] = await this.call(path, PROPERTIES, "GetAll", "s", iface).catch(() => [undefined]);

        if (raw !== undefined && bus === this.bus && this.objects.get(path)?.has(iface)) {
            this.put(path, { [iface]: raw });
            this.changed();
        }
    }

    private onReloaded(): void {
        this.reloads++;
        this.history.add("config", "", "");
    }

    private changed(): void {
        if (this.timer !== null)
            return;
        this.timer = setTimeout(() => {
            this.timer = null;
            this.snapshot = this.picture();
            this.listeners.forEach(listener => listener());
        }, SETTLE_MS);
    }

    private picture(): Snapshot {
        const gpus: model.Gpu[] = [], types: model.GpuType[] = [], vgpus: model.VGpu[] = [], jobs: model.Job[] = [];

        for (const [path, object] of this.objects)
            for (const [iface, p] of object)
                if (iface === model.GPU)
                    gpus.push(model.readGpu(path, p, object.get(model.SRIOV)));
                else if (iface === model.TYPE)
                    types.push(model.readType(path, p));
                else if (iface === model.VGPU)
                    vgpus.push(model.readVGpu(path, p));
                else if (iface === model.JOB)
                    jobs.push(model.readJob(path, p));
        gpus.sort(byKey(gpu => gpu.address));
        types.sort((a, b) => (b.framebuffer ?? 0) - (a.framebuffer ?? 0) || collator.compare(a.id, b.id));
        vgpus.sort(byKey(vgpu => vgpu.uuid));
        jobs.push(...this.failed);
        jobs.sort((a, b) => b.id - a.id);

        return {
            connection: this.connection,
            manager: model.readManager(this.objects.get(ROOT)?.get(model.MANAGER) ?? {}),
            gpus, vgpus, jobs,
            types: new Map(types.map(type => [type.path, type])),
            typesOf: groupBy(types, type => type.gpu),
            vgpusOf: groupBy(vgpus, vgpu => vgpu.gpu),
            happenings: this.history.entries,
            rights: this.rights,
            rightsKnown: this.rightsKnown,
            uid: this.uid,
            methods: this.methods,
            reloads: this.reloads,
            savedStates: this.savedStates,
        };
    }
}
