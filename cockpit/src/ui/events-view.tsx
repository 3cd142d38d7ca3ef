// SPDX-License-Identifier: LGPL-2.1-or-later

import type { Happening } from "../events.ts";
import { _, format, formatTime, stateWord } from "../i18n.ts";
import { useSnapshot } from "./hooks.tsx";
import { operationWord } from "./jobs.tsx";
import { EmptyState, EmptyStateBody, Label, LayerGroupIcon } from "./pf.ts";

/** "done", or "failed: the sentence". */
function withWord(detail: string): string {
    const [, state = "", reason] = /^([\w-]+)(?:: ([^]*))?$/.exec(detail) ?? [];

    return reason ? `${stateWord(state)}. ${reason}` : stateWord(state);
}

export function describe({ kind, name, detail }: Happening): string {
    switch (kind) {
    case "gpu-added": return format(_("GPU $0 appeared: $1"), name, detail);
    case "gpu-removed": return format(_("GPU $0 is gone: $1"), name, detail);
    case "gpu-state": return format(_("GPU $0: $1"), name, withWord(detail));
    case "vgpu-added": return format(_("vGPU $0 appeared: $1"), name, detail);
    case "vgpu-removed": return format(_("vGPU $0 is gone"), name);
    case "vgpu-state": return format(_("vGPU $0: $1"), name, stateWord(detail));
    case "vgpu-use": return format(detail === "yes" ? _("vGPU $0 is used now") : _("vGPU $0 is used no more"), name);
    case "vgpu-error": return format(_("vGPU $0: $1"), name, detail);
    case "job-new": return format(_("Begun: $0"), operationWord(name));
    case "job-end": return format(_("$0: $1"), operationWord(name), withWord(detail));
    case "config": return _("The configuration was read");
    case "topology": return format(_("Topology $0 was applied"), name);
    case "started": return _("mdevgpud started");
    case "stopped": return _("mdevgpud stopped");
    }
}

export function EventsView() {
    const { happenings } = useSnapshot();

    if (happenings.length === 0)
        return <EmptyState headingLevel="h2" titleText={_("Nothing has happened yet")} icon={LayerGroupIcon}>
            <EmptyStateBody>{_("What is made, removed or changed while this page is open is listed here, whoever does it. What was before is in the journal.")}</EmptyStateBody>
        </EmptyState>;

    return <section className="mdevgpu-panel" aria-label={_("Events")}>
        <ol className="mdevgpu-events">
            {happenings.map(happening => <li key={happening.id} data-kind={happening.kind}>
                <time dateTime={new Date(happening.time).toISOString()}>{formatTime(happening.time)}</time>
                <span>{describe(happening)}</span>
                {happening.bad && <Label isCompact color="red">{_("Problem")}</Label>}
            </li>)}
        </ol>
    </section>;
}
