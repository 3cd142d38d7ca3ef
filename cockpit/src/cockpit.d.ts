// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The part of cockpit.js (https://cockpit-project.org/guide/latest/) that this page uses. It comes from the host, by a
// <script> of index.html, as of Cockpit 287.

export interface EventSource {
    addEventListener(name: string, handler: (event: unknown, ...args: never[]) => void): void;
    removeEventListener(name: string, handler: (event: unknown, ...args: never[]) => void): void;
}

export interface DBusError {
    name?: string; // of the error, as org.mdevgpu1.Error.InUse
    problem?: string; // Cockpit's word for it, where it is no error of the bus
    message?: string;
}

export interface DBusMatch {
    path?: string;
    path_namespace?: string;
    interface?: string;
    member?: string;
    arg0?: string;
}

export interface DBusClient extends EventSource {
    unique_name?: string | null;
    call(path: string, iface: string, method: string, args: unknown[],
         options?: { type?: string; timeout?: number; flags?: string }): Promise<unknown[]>;
    subscribe(match: DBusMatch,
              handler: (path: string, iface: string, member: string, args: unknown[]) => void): { remove(): void };
    wait(): Promise<void>;
    close(problem?: string): void;
}

export interface Channel extends EventSource {
    id: string;
    send(data: Uint8Array | string): void;
    control(options: Record<string, unknown>): void;
    close(problem?: string): void;
}

/** Not in the guide; Cockpit's own pages use it the same way for what is downloaded. */
export interface Transport {
    csrf_token: string;
    uri(suffix: string): string;
    /** Of all that comes; what is not answered with true goes no further. */
    filter(filter: (message: unknown, channel: string, control?: { command?: string; channel?: string; sequence?: number }) => boolean): void;
}

export interface Permission extends EventSource {
    allowed: boolean | null;
    close(): void;
}

export interface Location extends EventSource {
    path: string[];
    options: Record<string, string | string[]>;
    go(path: string[] | string, options?: Record<string, string>): void;
    replace(path: string[] | string, options?: Record<string, string>): void;
}

export interface Cockpit extends EventSource {
    location: Location;
    language: string;
    gettext(text: string): string;
    ngettext(one: string, many: string, n: number): string;
    translate(): void;
    dbus(name: string | null, options?: { bus?: "system" | "session" | "internal"; superuser?: "try" | "require" }): DBusClient;
    channel(options: Record<string, unknown>): Channel;
    transport: Transport;
    permission(options: { admin: boolean }): Permission;
    jump(path: string): void;
}

declare global {
    // eslint-disable-next-line no-var
    var cockpit: Cockpit | undefined;
}
