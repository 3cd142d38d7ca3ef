// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What is uploaded waits for the host, and says how it ended.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { BusError } from "../src/bus.ts";
import { Pipes, download, upload } from "../src/streams.ts";

const CHUNK = 256 * 1024;
const settle = () => new Promise(resolve => setTimeout(resolve, 50));

class FakePipe implements Pipes {
    options: Record<string, unknown> = {};
    sent = 0;
    pings: number[] = [];
    done = false;
    closed = "";
    private pong: ((sequence: number) => void) | null = null;
    private closers: ((event: unknown, end: object) => void)[] = [];
    private readers: ((event: unknown, text: string) => void)[] = [];

    open(options: Record<string, unknown>) {
        this.options = options;
        return {
            id: "4:1",
            send: (data: Uint8Array | string) => { this.sent += data.length; },
            control: ({ command, sequence }: Record<string, unknown>) => {
                if (command === "ping")
                    this.pings.push(sequence as number);
                else
                    this.done = command === "done";
            },
            close: (problem = "") => { this.closed = problem; },
            addEventListener: (name: string, handler: (event: unknown, ...args: never[]) => void) => {
                if (name === "close")
                    this.closers.push(handler as never);
                if (name === "message")
                    this.readers.push(handler as never);
            },
            removeEventListener: () => undefined,
        };
    }

    onPong(id: string, handler: (sequence: number) => void) {
        assert.equal(id, "4:1");
        this.pong = handler;
        return () => { this.pong = null; };
    }

    answer(sequence: number): void {
        this.pong?.(sequence);
    }

    says(text: string): void {
        this.readers.forEach(reader => reader({}, text));
    }

    end(end: object): void {
        this.closers.forEach(closer => closer({}, end));
    }

    get listens(): boolean {
        return this.pong !== null;
    }
}

test("an upload goes no further ahead than the host takes it", async () => {
    const pipe = new FakePipe(), size = 20 * CHUNK + 5;
    const result = upload(["a", "b"], new Blob([new Uint8Array(size)]), pipe);

    await settle();
    assert.deepEqual(pipe.options, { payload: "stream", spawn: ["a", "b"], superuser: "try", binary: true, err: "message" });
    assert.deepEqual([pipe.sent, pipe.pings.length, pipe.done], [16 * CHUNK, 16, false]);
    pipe.answer(2);
    await settle();
    assert.deepEqual([pipe.sent, pipe.done], [18 * CHUNK, false]);
    pipe.answer(18);
    await settle();
    assert.deepEqual([pipe.sent, pipe.done], [size, true]);
    pipe.end({ "exit-status": 0 });
    await result;
    assert.equal(pipe.listens, false);
});

test("an upload that is refused says why, and stops", async () => {
    const pipe = new FakePipe();
    const result = upload(["a"], new Blob([new Uint8Array(30 * CHUNK)]), pipe);

    await settle();
    pipe.end({ "exit-status": 1, message: "mdevgpuctl: it is no image\n" });
    await assert.rejects(result, (error: BusError) => error.message === "it is no image");
    pipe.answer(16);
    await settle();
    assert.deepEqual([pipe.sent, pipe.done], [16 * CHUNK, false]);
});

test("a file that cannot be read on is not taken for all of it", async () => {
    const pipe = new FakePipe();
    const file = { size: 3, slice: () => ({ arrayBuffer: () => Promise.reject(new Error("it is gone")) }) };

    await assert.rejects(upload(["a"], file as unknown as Blob, pipe), /it is gone/);
    assert.deepEqual([pipe.closed, pipe.done], ["terminated", false]);
});

test("a download begins once, where its command writes, and fails in the command's words", async () => {
    const cockpit = { transport: { uri: (suffix: string) => `ws://host/cockpit/${suffix}`, csrf_token: "token" } };

    Object.assign(globalThis, { cockpit });
    try {
        const pipe = new FakePipe(), saved: string[] = [];
        const result = download(["a", "b"], "web1.state", pipe, (url, name) => {
            const { spawn } = JSON.parse(atob(url.split("?")[1]!)) as { spawn: string[] };

            saved.push(`${name} of ${spawn.join(" ")}`);
        });

        assert.deepEqual((pipe.options.spawn as string[]).slice(-3), ["sh", "a", "b"]);
        pipe.says("/tmp/x/st");
        assert.deepEqual(saved, []);
        pipe.says("ate\n");
        pipe.says("more\n");
        assert.deepEqual(saved, ["web1.state of cat /tmp/x/state"]);
        pipe.end({ "exit-status": 1, message: "mdevgpuctl: it is in use\n" });
        await assert.rejects(result, (error: BusError) => error.message === "it is in use");
    } finally {
        Object.assign(globalThis, { cockpit: undefined });
    }
});
