// SPDX-License-Identifier: LGPL-2.1-or-later
//
// States of vGPUs between a file of the browser's and the daemon. What is handed over there is an open file, which cannot
// come through Cockpit's bus: mdevgpuctl opens it on the host, and Cockpit's channel is its other end.

import { BusError } from "./bus.ts";
import type { Channel } from "./cockpit";

const CHUNK = 256 * 1024;

/** Chunks that may be under way: what the host does not take yet stays in the file. */
const AHEAD = 16;

function stream(spawn: string[]): Record<string, unknown> {
    return { payload: "stream", spawn, superuser: "try" };
}

/** Base64 of what may be more than Latin-1. */
function encode(text: string): string {
    return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** Where a browser finds what a command writes, to be saved under such a name. */
export function downloadUrl(command: string[], name: string): string {
    const { uri, csrf_token } = cockpit!.transport;
    const external = {
        "content-type": "application/octet-stream",
        "content-disposition": `attachment; filename="${name}"`,
    };

    return `${new URL(uri(`channel/${csrf_token}`)).pathname}?${encode(JSON.stringify({ ...stream(command), binary: "raw", external }))}`;
}

/** The browser asks where to put it, and tells itself how far it is. */
function saveAs(url: string, name: string): void {
    const link = document.createElement("a");

    link.href = url;
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
}

/** The little of cockpit.js that an upload needs, so that a test can stand in for it. */
export interface Pipes {
    open(options: Record<string, unknown>): Channel;
    /** Tells the numbers of a channel's pings that were answered. */
    onPong(id: string, handler: (sequence: number) => void): () => void;
}

/** cockpit.js keeps pongs from a channel's listeners: they are taken out of all that comes, by a filter that stays. */
class CockpitPipes implements Pipes {
    private handlers: Map<string, (sequence: number) => void> | null = null;

    open(options: Record<string, unknown>): Channel {
        return cockpit!.channel(options);
    }

    onPong(id: string, handler: (sequence: number) => void): () => void {
        if (!this.handlers) {
            this.handlers = new Map();
            cockpit!.transport.filter((_message, _channel, control) => {
                if (control?.command === "pong" && control.channel !== undefined)
                    this.handlers!.get(control.channel)?.(control.sequence ?? 0);
                return true;
            });
        }
        this.handlers.set(id, handler);
        return () => this.handlers!.delete(id);
    }
}

const cockpitPipes = new CockpitPipes();

interface End {
    problem?: string;
    message?: string;
    "exit-status"?: number;
}

function readEnd({ problem, message, ...end }: End): BusError | null {
    if (!problem && end["exit-status"] === 0)
        return null;
    return new BusError(problem ?? "exit-status", message?.trim().replace(/^mdevgpuctl: /, "") || problem || "mdevgpuctl");
}

/**
 * Runs a command with a pipe that has a name as its last argument, and tells that first. Whoever only has what a command
 * writes takes what is cut off, or is nothing at all, for all of it; this way it is known how the command ends, and why.
 * Whoever still waits for somebody to write into the pipe is let go in the end.
 */
const RELAY = `d=$(mktemp -d) || exit
trap '[ ! -p "$d/state" ] || exec 3<>"$d/state"; rm -rf "$d"' EXIT
trap 'kill $!' HUP TERM
mkfifo "$d/state" && echo "$d/state" && { "$@" "$d/state" & wait $!; }`;

/** Lets the browser save what a command writes into the pipe. Fails in the command's words. */
export function download(command: string[], name: string, pipes: Pipes = cockpitPipes, save = saveAs): Promise<void> {
    const channel = pipes.open({ ...stream(["sh", "-c", RELAY, "sh", ...command]), err: "message" });
    let told = "";

    return new Promise((resolve, reject) => {
        channel.addEventListener("message", (_event: unknown, text: string) => {
            const began = told.includes("\n");

            told += text;
            if (!began && told.includes("\n"))
                save(downloadUrl(["cat", told.slice(0, told.indexOf("\n"))], name), name);
        });
        channel.addEventListener("close", (_event: unknown, end: End) => {
            const error = readEnd(end);

            if (error)
                reject(error);
            else
                resolve();
        });
    });
}

/** Sends what the host takes; "done" once all of it is sent. */
class Pump {
    private at = 0;
    private sent = 0;
    private taken = 0;
    private running = false;
    ended = false;

    constructor(private channel: Channel, private file: Blob) {}

    onPong(sequence: number): void {
        this.taken = sequence;
    }

    async run(): Promise<void> {
        if (this.running)
            return;
        this.running = true;
        try {
            while (!this.ended && this.at < this.file.size && this.sent - this.taken < AHEAD)
                await this.sendChunk();
        } finally {
            this.running = false;
        }
        if (!this.ended && this.at >= this.file.size) {
            this.ended = true;
            this.channel.control({ command: "done" });
        }
    }

    private async sendChunk(): Promise<void> {
        const chunk = new Uint8Array(await this.file.slice(this.at, this.at + CHUNK).arrayBuffer());

        if (this.ended)
            return;
        this.channel.send(chunk);
        this.at += chunk.length;
        // Answered when the host has room for more.
        this.channel.control({ command: "ping", sequence: ++this.sent });
    }
}

/** Gives a file to a command. Fails in the command's words. */
export function upload(command: string[], file: Blob, pipes: Pipes = cockpitPipes): Promise<void> {
    const channel = pipes.open({ ...stream(command), binary: true, err: "message" });
    const pump = new Pump(channel, file);

    return new Promise((resolve, reject) => {
        const more = () => {
            pump.run().catch(error => {
                // A file that cannot be read to its end; nobody must take what was sent for all of it.
                pump.ended = true;
                channel.close("terminated");
                reject(BusError.from(error));
            });
        };
        const forget = pipes.onPong(channel.id, sequence => {
            pump.onPong(sequence);
            more();
        });

        channel.addEventListener("close", (_event: unknown, end: End) => {
            const error = readEnd(end);

            pump.ended = true;
            forget();
            if (error)
                reject(error);
            else
                resolve();
        });
        more();
    });
}
