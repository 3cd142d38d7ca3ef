// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format, formatBytes } from "../i18n.ts";
import { VGPU, VGpu, readMigration, readUsers, text } from "../model.ts";
import { concerns, isRunning, JobRow } from "./jobs.tsx";
import { useAsked, useDaemon, useSnapshot } from "./hooks.tsx";
import { Code, CopyButton, Term } from "./parts.tsx";
import { Alert, DescriptionList, FormSelect, FormSelectOption, Spinner } from "./pf.ts";
import { Users } from "./users-list.tsx";
import { Actions } from "./vgpu-actions.tsx";

function UsersTerm({ vgpu }: { vgpu: VGpu }) {
    const daemon = useDaemon();
    const users = useAsked(`${vgpu.uuid} ${vgpu.inUse} ${vgpu.state}`,
                           async () => readUsers((await daemon.manager("GetUsers", "sa{sv}", vgpu.uuid, {}))[0]));

    return <Term name={_("Users")}>
        <span data-users>
            {users.value === undefined
                ? users.error ? users.error.message : <Spinner size="md" aria-label={_("Looking who uses it")} />
                : users.value.length === 0 ? _("Nobody") : <Users users={users.value} />}
        </span>
    </Term>;
}

function MigrationTerm({ vgpu }: { vgpu: VGpu }) {
    const daemon = useDaemon();
    const asked = useAsked(`${vgpu.uuid} ${vgpu.inUse} ${vgpu.state} ${vgpu.migration}`,
                           async () => readMigration((await daemon.manager("QueryMigration", "sa{sv}", vgpu.uuid, {}))[0]));
    const words: Record<string, string> = { yes: _("Possible, as far as this host goes"), no: _("Not possible"), unknown: _("Not known") };

    if (asked.value === undefined)
        return <Term name={_("Migration")}>{asked.error ? asked.error.message : <Spinner size="md" aria-label={_("Asking for its migration")} />}</Term>;
    return <Term name={_("Migration")}>
        <span data-migratable={asked.value.migratable}>{words[asked.value.migratable] ?? asked.value.migratable}</span>
        {asked.value.reasons.length > 0 && <ul className="mdevgpu-quiet mdevgpu-small">
            {asked.value.reasons.map(reason => <li key={reason}>{reason}</li>)}
        </ul>}
    </Term>;
}

function Attachment({ vgpu }: { vgpu: VGpu }) {
    const daemon = useDaemon();
    const [kind, setKind] = useState("libvirt-xml");
    const asked = useAsked(`${kind} ${vgpu.path} ${vgpu.state}`, async () =>
        text((await daemon.call(vgpu.path, VGPU, "GetAttachment", "sa{sv}", kind, {}))[0]));
    const id = `attachment-${vgpu.uuid}`;

    return <section className="mdevgpu-attachment" aria-labelledby={id}>
        <div className="mdevgpu-row">
            <h2 id={id}>{_("Attach it")}</h2>
            <FormSelect aria-label={_("To what")} value={kind} onChange={(_event, value) => setKind(value)}>
                <FormSelectOption value="libvirt-xml" label={_("libvirt: into a domain's <devices>")} />
                <FormSelectOption value="qemu" label={_("QEMU: arguments of its command line")} />
                <FormSelectOption value="cdi" label={_("Containers: Container Device Interface")} />
            </FormSelect>
            {asked.value && <CopyButton text={asked.value} what={_("the attachment")} label={_("Copy")} />}
        </div>
        {asked.error ? <p className="mdevgpu-quiet">{asked.error.message}</p> : asked.value !== undefined && <Code text={asked.value} label={_("Attachment")} />}
    </section>;
}

const KINDS: Record<string, () => string> = {
    mdev: () => _("Mediated device"), vf: () => _("Virtual function"), whole: () => _("Whole card"),
};

export function VGpuDetail({ vgpu, typeName }: { vgpu: VGpu; typeName: string }) {
    const { jobs, types, methods } = useSnapshot();
    const running = jobs.filter(job => isRunning(job) && concerns(job, vgpu));
    const framebuffer = types.get(vgpu.type)?.framebuffer;

    return <div className="mdevgpu-stack mdevgpu-detail" data-detail={vgpu.uuid}>
        {vgpu.lastError && <Alert variant={vgpu.state === "failed" ? "danger" : "warning"} isInline component="p" title={vgpu.lastError} />}
        {running.length > 0 && <ul className="mdevgpu-jobs">{running.map(job => <JobRow key={job.path} job={job} />)}</ul>}
        <Actions vgpu={vgpu} />
        <DescriptionList isCompact columnModifier={{ default: "1Col", md: "2Col", xl: "3Col" }}>
            {vgpu.state === "active" && <UsersTerm vgpu={vgpu} />}
            {vgpu.state === "active" && methods.has("org.mdevgpu1.Manager.QueryMigration") && <MigrationTerm vgpu={vgpu} />}
            <Term name={_("Type")}>{[typeName, vgpu.typeId === typeName ? "" : `(${vgpu.typeId})`, framebuffer ? formatBytes(framebuffer) : ""].filter(Boolean).join(" ")}</Term>
            <Term name={_("Kind")}>{KINDS[vgpu.kind]?.() ?? vgpu.kind}</Term>
            <Term name={_("Made by")}>{vgpu.managed ? "mdevgpud" : _("somebody else")}</Term>
            {vgpu.sysfsPath && <Term name={_("In sysfs")}><span className="mdevgpu-mono">{vgpu.sysfsPath}</span></Term>}
            {vgpu.iommuGroup >= 0 && <Term name={_("IOMMU group")}>{format("$0", vgpu.iommuGroup)}</Term>}
        </DescriptionList>
        <Attachment vgpu={vgpu} />
    </div>;
}
