// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { readFindings } from "../findings.ts";
import { _ } from "../i18n.ts";
import { CreateDialog } from "./create-dialog.tsx";
import { Findings } from "./findings-list.tsx";
import { GpuCard } from "./gpu-card.tsx";
import { useAsked, useDaemon, useSnapshot } from "./hooks.tsx";
import { Refusal } from "./parts.tsx";
import { EmptyState, EmptyStateBody, MicrochipIcon } from "./pf.ts";

/** Asked for anew when a state changes that a finding may be about. */
function useFindings() {
    const daemon = useDaemon();
    const { methods, gpus, manager, reloads, vgpus, types } = useSnapshot();
    const there = methods.has("org.mdevgpu1.Manager.Diagnose");
    const key = [there, reloads, manager.problems.length, ...gpus.map(gpu => `${gpu.address} ${gpu.state} ${gpu.pendingTypes} ${gpu.sriov?.enabled}`),
                 ...[...types.values()].map(type => `${type.registration} ${type.available === 0}`),
                 ...vgpus.filter(vgpu => vgpu.state === "failed").map(vgpu => vgpu.uuid)].join();

    return useAsked(key, async () => there ? readFindings((await daemon.manager("Diagnose", "a{sv}", {}))[0]) : []);
}

export function GpusView() {
    const { gpus } = useSnapshot();
    const [creating, setCreating] = useState<{ gpu: string; type: string } | null>(null);
    const asked = useFindings();
    const findings = asked.value ?? [];
    const shown = new Set(gpus.map(gpu => gpu.path));

    return <>
        {asked.error && <Refusal title={_("Whether something is wrong cannot be told")} text={asked.error.message} />}
        <Findings findings={findings.filter(finding => !shown.has(finding.gpu))} />
        {gpus.length === 0
            ? <EmptyState headingLevel="h2" titleText={_("No GPU")} icon={MicrochipIcon}>
                <EmptyStateBody>{_("mdevgpud has found no GPU, and nothing else that offers mediated devices. One that appears is shown here at once.")}</EmptyStateBody>
            </EmptyState>
            : <div className="mdevgpu-gallery">
                {gpus.map(gpu => <GpuCard key={gpu.path} gpu={gpu} findings={findings.filter(finding => finding.gpu === gpu.path)}
                                          onCreate={type => setCreating({ gpu: gpu.path, type })} />)}
            </div>}
        {creating && <CreateDialog gpu={creating.gpu} type={creating.type} onClose={() => setCreating(null)} />}
    </>;
}
