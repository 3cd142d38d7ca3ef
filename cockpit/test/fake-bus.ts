// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A bus that answers from tables and lets a test be the daemon. Values are as cockpit.js hands them over.

import { Bus, BusError, Names, Signal } from "../src/bus.ts";

export type Ifaces = Record<string, Record<string, unknown>>;

const variant = (v: unknown) => ({ t: typeof v === "boolean" ? "b" : typeof v === "number" ? "u" : "s", v });

export const variants = (p: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(p).map(([name, value]) => [name, variant(value)]));

export class FakeDaemon {
    objects: Record<string, Ifaces> = {};
    manager: Record<string, unknown> = { Version: "1", Degraded: false, ActiveTopology: "", ConfigErrors: [] };
    xml = '<node><interface name="org.mdevgpu1.Manager"><method name="CreateVGpu"/></interface></node>';
    refuse: BusError | null = null;
    /** What other methods answer. */
    answers: Record<string, unknown[]> = {};
    calls: string[] = [];
    buses: FakeBus[] = [];
    /** Called while the objects are read: what is signalled then comes before they do. */
    meanwhile: (() => void) | null = null;

    connect = (): Bus => {
        const bus = new FakeBus(this);

        this.buses.push(bus);
        return bus;
    };

    signal(path: string, iface: string, member: string, ...args: unknown[]): void {
        this.buses.at(-1)!.deliver({ path, interface: iface, member, args });
    }

    added(path: string, ifaces: Ifaces): void {
        const wrapped = Object.fromEntries(Object.entries(ifaces).map(([iface, p]) => [iface, variants(p)]));

        this.signal("/org/mdevgpu1", "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", path, wrapped);
    }

    removed(path: string, ...ifaces: string[]): void {
        this.signal("/org/mdevgpu1", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", path, ifaces);
    }

    changed(path: string, iface: string, p: Record<string, unknown>, invalidated: string[] = []): void {
        this.signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged", iface, variants(p), invalidated);
    }
}

export class FakeBus implements Bus {
    closed = false;
    private handlers: ((signal: Signal) => void)[] = [];
    private closers: ((error: BusError) => void)[] = [];

    constructor(private daemon: FakeDaemon) {}

    async call(path: string, _iface: string, method: string, args: unknown[]): Promise<unknown[]> {
        this.daemon.calls.push(method);
        await Promise.resolve();
        if (this.daemon.refuse)
            throw this.daemon.refuse;
        if (method === "GetManagedObjects") {
            const answer = Object.fromEntries(Object.entries(this.daemon.objects).map(([object, ifaces]) =>
                [object, Object.fromEntries(Object.entries(ifaces).map(([name, p]) => [name, variants(p)]))]));

            this.daemon.meanwhile?.();
            return [answer];
        }
        if (method === "GetAll")
            return [variants(path === "/org/mdevgpu1" ? this.daemon.manager : this.daemon.objects[path]?.[args[0] as string] ?? {})];
        if (method === "Introspect")
            return [this.daemon.xml];
        return this.daemon.answers[method] ?? [];
    }

    onSignal(handler: (signal: Signal) => void): void {
        this.handlers.push(handler);
    }

    onClose(handler: (error: BusError) => void): void {
        this.closers.push(handler);
    }

    deliver(signal: Signal): void {
        this.handlers.forEach(handler => handler(signal));
    }

    breakDown(error: BusError): void {
        this.closers.forEach(handler => handler(error));
    }

    close(): void {
        this.closed = true;
    }
}

export class FakeNames implements Names {
    allowed = new Set<string>();
    started = 0;
    private watchers: ((owner: string | null) => void)[] = [];
    private asked: (() => void)[] = [];

    watch(handler: (owner: string | null) => void): void {
        this.watchers.push(handler);
    }

    owner(owner: string | null): void {
        this.watchers.forEach(handler => handler(owner));
    }

    onAuthority(handler: () => void): void {
        this.asked.push(handler);
    }

    authorityChanged(): void {
        this.asked.forEach(handler => handler());
    }

    async mayI(action: string): Promise<boolean> {
        return this.allowed.has(action);
    }

    async whoAmI(): Promise<number | null> {
        return 1000;
    }

    async start(): Promise<void> {
        this.started++;
    }

    close(): void {
        // nothing is open
    }
}
