// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the daemon's Diagnose() finds, where it has that method: dictionaries, of which nothing but a sentence is taken for
// granted.

import { list, path, properties, text } from "./model.ts";

export interface Finding {
    id: string;
    severity: string;
    /** A GPU's address, a UUID, FILE:LINE:COLUMN, a path, or "host". */
    subject: string;
    message: string;
    advice: string;
    /** Objects; "" where it is about none. */
    gpu: string;
    vgpu: string;
}

/** Said elsewhere on the page already, where it belongs. */
const ELSEWHERE = new Set(["config-error", "config-warning", "types-pending"]);

export function readFindings(value: unknown): Finding[] {
    return list(value).map(properties).map(p => ({
        id: text(p.id),
        severity: text(p.severity),
        subject: text(p.subject),
        message: text(p.message),
        advice: text(p.advice),
        gpu: path(p.gpu),
        vgpu: path(p.vgpu),
    })).filter(finding => finding.message !== "" && !ELSEWHERE.has(finding.id));
}
