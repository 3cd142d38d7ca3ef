// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How the rest speaks to D-Bus: as little of cockpit.js as that takes, so that tests can stand in for it.

import type { DBusClient, DBusError } from "./cockpit";

/** Why something could not be done: the daemon's own sentence where there is one. */
export class BusError extends Error {
    constructor(readonly code: string, message: string) {
        super(message);
        this.name = "BusError";
    }

    static from(error: unknown): BusError {
        if (error instanceof BusError)
            return error;
        const { name, problem, message } = (error ?? {}) as DBusError;
        // cockpit.js gives a problem for what failed on the way, and then a name that is none of the bus.
        const code = problem && problem !== "protocol-error" && !name?.includes(".") ? problem : name || problem || "unknown";
        return new BusError(code, message || problem || String(error));
    }

    get denied(): boolean {
        return ["org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
                "access-denied"].includes(this.code);
    }

    /** There is no daemon to answer. */
    get absent(): boolean {
        return ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
                "org.freedesktop.DBus.Error.NoReply", "not-found"].includes(this.code) ||
            this.code.startsWith("org.freedesktop.DBus.Error.Spawn") || this.code.startsWith("org.freedesktop.systemd1.");
    }
}

export interface Signal {
    path: string;
    interface: string;
    member: string;
    args: unknown[];
}

/** One connection to the daemon, as long as one owner of its name lives. */
export interface Bus {
    call(path: string, iface: string, method: string, args: unknown[], signature: string): Promise<unknown[]>;
    onSignal(handler: (signal: Signal) => void): void;
    onClose(handler: (error: BusError) => void): void;
    close(): void;
}

/** The bus itself: who owns the daemon's name, and what others offer. */
export interface Names {
    /** Tells the owner now, and whenever it changes; null while there is none. */
    watch(handler: (owner: string | null) => void): void;
    /** May the user do what this action of polkit stands for, without being asked for a password? */
    mayI(action: string): Promise<boolean>;
    /** Whom the daemon takes the user for, who may cancel what that one began. */
    whoAmI(): Promise<number | null>;
    /** What mayI() says has to be asked anew. */
    onAuthority(handler: () => void): void;
    /** Has the daemon started. */
    start(): Promise<void>;
    close(): void;
}

const NAME = "org.mdevgpu1";
const ROOT = "/org/mdevgpu1";
const DBUS = "org.freedesktop.DBus";
const POLKIT = "org.freedesktop.PolicyKit1";
const SYSTEMD = "org.freedesktop.systemd1";

/** Longer than the daemon takes to say Timeout, which it does after 20 s. */
const CALL_TIMEOUT_MS = 25_000;

export class CockpitBus implements Bus {
    private client: DBusClient;

    constructor() {
        this.client = cockpit!.dbus(NAME, { bus: "system", superuser: "try" });
    }

    async call(path: string, iface: string, method: string, args: unknown[], signature: string): Promise<unknown[]> {
        try {
            return await this.client.call(path, iface, method, args, { type: signature, timeout: CALL_TIMEOUT_MS });
        } catch (error) {
            throw BusError.from(error);
        }
    }

    onSignal(handler: (signal: Signal) => void): void {
        this.client.subscribe({ path_namespace: ROOT },
                              (path, iface, member, args) => handler({ path, interface: iface, member, args }));
    }

    onClose(handler: (error: BusError) => void): void {
        this.client.addEventListener("close", (_event: unknown, options: DBusError) => handler(BusError.from(options)));
    }

    close(): void {
        this.client.close();
    }
}

export class CockpitNames implements Names {
    private bus = cockpit!.dbus(DBUS, { bus: "system" });
    /** Of the kind that calls the daemon, as polkit judges the connection that asks. */
    private polkit = cockpit!.dbus(POLKIT, { bus: "system" });
    private admin = cockpit!.permission({ admin: true });

    watch(handler: (owner: string | null) => void): void {
        this.bus.subscribe({ interface: DBUS, member: "NameOwnerChanged", arg0: NAME },
                           (_path, _iface, _member, args) => handler((args[2] as string) || null));
        this.bus.call("/org/freedesktop/DBus", DBUS, "GetNameOwner", [NAME])
            .then(([owner]) => handler(owner as string), () => handler(null));
    }

    async mayI(action: string): Promise<boolean> {
        if (this.admin.allowed)
            return true;
        try {
            await this.polkit.wait();
            const subject = ["system-bus-name", { name: { t: "s", v: this.polkit.unique_name } }];
            const [result] = await this.polkit.call("/org/freedesktop/PolicyKit1/Authority", `${POLKIT}.Authority`,
                                                    "CheckAuthorization", [subject, action, {}, 0, ""],
                                                    { type: "(sa{sv})sa{ss}us" });
            return (result as unknown[])[0] === true;
        } catch {
            return false; // no polkit: then root alone may
        }
    }

    async whoAmI(): Promise<number | null> {
        if (this.admin.allowed)
            return 0;
        try {
            await this.bus.wait();
            const [uid] = await this.bus.call("/org/freedesktop/DBus", DBUS, "GetConnectionUnixUser", [this.bus.unique_name], { type: "s" });

            return uid as number;
        } catch {
            return null;
        }
    }

    onAuthority(handler: () => void): void {
        this.admin.addEventListener("changed", handler);
        this.polkit.subscribe({ interface: `${POLKIT}.Authority`, member: "Changed" }, handler);
    }

    async start(): Promise<void> {
        const systemd = cockpit!.dbus(SYSTEMD, { bus: "system", superuser: "try" });

        try {
            await systemd.call("/org/freedesktop/systemd1", `${SYSTEMD}.Manager`, "StartUnit",
                               ["mdevgpud.service", "replace"], { type: "ss" });
        } catch (error) {
            const failure = BusError.from(error);

            // Not systemd's bus: that of a test, or of a container. The bus may know how to start it.
            if (!failure.absent || failure.code.startsWith("org.freedesktop.systemd1."))
                throw failure;
            await this.activate();
        } finally {
            systemd.close();
        }
    }

    private async activate(): Promise<void> {
        try {
            await this.bus.call("/org/freedesktop/DBus", DBUS, "StartServiceByName", [NAME, 0], { type: "su" });
        } catch (error) {
            throw BusError.from(error);
        }
    }

    close(): void {
        this.bus.close();
        this.polkit.close();
        this.admin.close();
    }
}
