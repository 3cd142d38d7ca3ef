// SPDX-License-Identifier: LGPL-2.1-or-later

import { _ } from "../i18n.ts";
import type { Finding } from "../findings.ts";
import { Alert } from "./pf.ts";

const VARIANTS: Record<string, "danger" | "warning" | "info"> = { error: "danger", warning: "warning" };

/** What is wrong, and what to do about it. */
export function Findings({ findings }: { findings: readonly Finding[] }) {
    return <>{findings.map((finding, index) =>
        <Alert key={`${finding.id} ${index}`} variant={VARIANTS[finding.severity] ?? "info"} isInline component="p"
               title={finding.message} data-finding={finding.id}>
            {finding.advice}
            {finding.vgpu && <> <a href={`#/vgpus?vgpu=${finding.subject}`}>{_("Show it")}</a></>}
        </Alert>)}
    </>;
}
