// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format, formatBytes, formatTime, stateWord } from "../i18n.ts";
import { JOB, Job, text } from "../model.ts";
import { useBusy, useDaemon, useShared, useSnapshot } from "./hooks.tsx";
import { Button, Progress } from "./pf.ts";

export function operationWord(operation: string): string {
    const words: Record<string, string> = {
        "apply-topology": _("Applying a topology"),
        "roll-back-topology": _("Taking back a topology"),
        "save-state": _("Saving the state of a vGPU"),
        "restore-state": _("Restoring the state of a vGPU"),
        "export-state": _("Exporting the state of a vGPU"),
        "import-state": _("Importing the state of a vGPU"),
        "enable-vfs": _("Enabling virtual functions"),
    };

    return words[operation] ?? operation;
}

export function isRunning(job: Job): boolean {
    return job.state === "queued" || job.state === "running";
}

function detailOf(job: Job): string {
    if (job.message)
        return job.message;
    return [
        job.bytes !== null && job.totalBytes !== null ? format(_("$0 of $1"), formatBytes(job.bytes), formatBytes(job.totalBytes)) : "",
        job.rate ? format(_("$0 in a second"), formatBytes(job.rate)) : "",
        job.expectedEnd !== null && isRunning(job) ? format(_("done at about $0"), formatTime(job.expectedEnd)) : "",
    ].filter(Boolean).join(", ");
}

export function JobRow({ job, onDismiss }: { job: Job; onDismiss?: () => void }) {
    const daemon = useDaemon();
    const { attempt } = useShared();
    const [busy, run] = useBusy();
    const running = isRunning(job);
    const what = text(job.result.topology) ? `${operationWord(job.operation)}: ${text(job.result.topology)}` : operationWord(job.operation);
    const variant = job.state === "failed" ? "danger" : job.state === "done" ? "success" : job.state === "cancelled" ? "warning" : undefined;

    const cancel = () => run(() => attempt(_("It cannot be cancelled"),
                                           () => daemon.call(job.path, JOB, "Cancel", "a{sv}", {})));

    return <li className="mdevgpu-job" data-job={job.id} data-state={job.state}>
        <Progress title={what} value={job.state === "done" ? 100 : Math.round((job.progress ?? 0) * 100)} size="sm"
                  measureLocation={running && job.progress !== null ? "top" : "none"} {...variant ? { variant } : {}}
                  helperText={running ? detailOf(job) || undefined : [stateWord(job.state), detailOf(job)].filter(Boolean).join(": ")} />
        {running && job.cancelable &&
            <Button variant="secondary" size="sm" isLoading={busy} isDisabled={busy} onClick={() => void cancel()}>{_("Cancel")}</Button>}
        {!running && onDismiss && <Button variant="link" size="sm" onClick={onDismiss}>{_("Dismiss")}</Button>}
    </li>;
}

/** All that takes long, whoever began it; what has ended stays until the daemon forgets it or it is dismissed. */
export function Jobs() {
    const { jobs } = useSnapshot();
    const [dismissed, setDismissed] = useState<ReadonlySet<number>>(new Set());
    const shown = jobs.filter(job => !dismissed.has(job.id));

    if (shown.length === 0)
        return null;
    return <section className="mdevgpu-panel" aria-label={_("What goes on")}>
        <ul className="mdevgpu-jobs">
            {shown.map(job => <JobRow key={job.path} job={job} onDismiss={() => setDismissed(new Set([...dismissed, job.id]))} />)}
        </ul>
    </section>;
}
