// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format, formatBytes, formatDuration, formatTime, stateWord } from "../i18n.ts";
import { JOB, Job, VGpu, text } from "../model.ts";
import { nameOf } from "../select.ts";
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

/** Where it is with the device, of a job that moves a state. */
function phaseWord(phase: string): string {
    const words: Record<string, string> = {
        "pre-copy": _("Copied while it runs"),
        "stop-copy": _("Copied while it stands still"),
        resuming: _("Given to the device"),
    };

    return words[phase] ?? phase;
}

/** Of one that restores, the vGPU may not have been there when it began. */
export function concerns(job: Job, vgpu: VGpu): boolean {
    return job.objects.includes(vgpu.path) || job.result.uuid === vgpu.uuid;
}

/** What it is done to: a topology; a vGPU by its label, if that is there yet, and a saved state. */
function subjectOf(job: Job, vgpus: readonly VGpu[]): string {
    const vgpu = vgpus.find(candidate => concerns(job, candidate));

    if (text(job.result.topology))
        return text(job.result.topology);
    return job.operation.endsWith("-state") ? [vgpu ? nameOf(vgpu) : text(job.result.uuid), job.transfer.name].filter(Boolean).join(", ") : "";
}

function endOf({ transfer, bytes }: Job): string[] {
    return [
        bytes === null ? "" : formatBytes(bytes),
        transfer.downtime === null ? "" : format(_("it stood still for $0"), formatDuration(transfer.downtime)),
        transfer.reset ? _("it could only be put back as new") : "",
    ];
}

function detailOf(job: Job): string {
    if (job.message)
        return job.message;
    if (!isRunning(job))
        return endOf(job).filter(Boolean).join(", ");
    return [
        phaseWord(job.transfer.phase),
        job.bytes === null ? "" : job.totalBytes === null ? formatBytes(job.bytes) : "",
        job.bytes !== null && job.totalBytes !== null ? format(_("$0 of $1"), formatBytes(job.bytes), formatBytes(job.totalBytes)) : "",
        job.rate ? format(_("$0 in a second"), formatBytes(job.rate)) : "",
        job.transfer.dirty ? format(_("$0 have changed since"), formatBytes(job.transfer.dirty)) : "",
        job.expectedEnd !== null ? format(_("done at about $0"), formatTime(job.expectedEnd)) : "",
    ].filter(Boolean).join(", ");
}

export function JobRow({ job, onDismiss }: { job: Job; onDismiss?: () => void }) {
    const daemon = useDaemon();
    const { attempt } = useShared();
    const [busy, run] = useBusy();
    const running = isRunning(job);
    const { vgpus, rights, uid } = useSnapshot();
    const mine = rights.cancel || job.uid === uid;
    const what = [operationWord(job.operation), subjectOf(job, vgpus)].filter(Boolean).join(": ");
    const unknown = running && job.progress === null;
    const variant = job.state === "failed" ? "danger" : job.state === "done" ? "success" : job.state === "cancelled" ? "warning" : undefined;

    const cancel = () => run(() => attempt(_("It cannot be cancelled"),
                                           () => daemon.call(job.path, JOB, "Cancel", "a{sv}", {})));

    return <li className={unknown ? "mdevgpu-job mdevgpu-unknown" : "mdevgpu-job"} data-job={job.id} data-state={job.state}>
        <Progress title={what} value={job.state === "done" ? 100 : Math.round((job.progress ?? 0) * 100)} size="sm"
                  measureLocation={running && !unknown ? "top" : "none"} {...unknown ? { valueText: _("not known") } : {}} {...variant ? { variant } : {}}
                  helperText={running ? detailOf(job) || undefined : [stateWord(job.state), detailOf(job)].filter(Boolean).join(": ")} />
        {running && job.cancelable && mine &&
            <Button variant="secondary" size="sm" isLoading={busy} isDisabled={busy} onClick={() => void cancel()}>{_("Cancel")}</Button>}
        {!running && onDismiss && <Button variant="link" size="sm" onClick={onDismiss}>{_("Dismiss")}</Button>}
    </li>;
}

/** A daemon that was started anew counts from 1 again. */
function keyOf(job: Job): string {
    return `${job.id} ${job.startTime}`;
}

/** All that takes long, whoever began it; what has ended stays until the daemon forgets it or, of what failed, it is dismissed. */
export function Jobs() {
    const { jobs } = useSnapshot();
    const [dismissed, setDismissed] = useState<ReadonlySet<string>>(new Set());
    const shown = jobs.filter(job => !dismissed.has(keyOf(job)));

    if (shown.length === 0)
        return null;
    return <section className="mdevgpu-panel" aria-label={_("What goes on")}>
        <ul className="mdevgpu-jobs">
            {shown.map(job => <JobRow key={keyOf(job)} job={job} onDismiss={() => setDismissed(new Set([...dismissed, keyOf(job)]))} />)}
        </ul>
    </section>;
}
