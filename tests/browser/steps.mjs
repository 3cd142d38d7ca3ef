// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What tests of the page are made of.

import assert from "node:assert/strict";
import fs from "node:fs";

import { require, until } from "./rig.mjs";

export const GPU = "0000:41:00.0";
const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

/** Without anybody asking; how soon, one test measures. A machine may be busy with other things. */
export const SOON = 15_000;

export const tests = [];

export function test(name, body) {
    tests.push({ name, body });
}

export const row = uuid => `tr[data-vgpu="${uuid}"]`;
export const card = gpu => `[data-gpu="${gpu}"]`;
export const button = name => `role=button[name="${name}"]`;

export async function go(frame, view) {
    await frame.click(`nav a[href="#/${view}"]`);
}

export async function texts(frame, selector) {
    return frame.locator(selector).allInnerTexts();
}

/** What the page shows comes to be so, soon, and without anybody asking. */
export function shows(frame, selector, text, timeout = SOON) {
    return until(`"${text}" in ${selector}; it says ${selector}`, async () => (await texts(frame, selector)).join("\n").includes(text), timeout);
}

export function gone(frame, selector, timeout = SOON) {
    return frame.waitForSelector(selector, { state: "detached", timeout });
}

/** Nothing that axe knows hinders anybody. */
export async function axe(frame, what) {
    await frame.evaluate(AXE);
    const { violations } = await frame.evaluate(() => window.axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    }));

    assert.deepEqual(violations.map(v => `${v.id}: ${v.nodes.map(n => `${n.html} ${n.failureSummary}`).join(" | ")}`), [], what);
}
