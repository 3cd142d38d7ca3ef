// SPDX-License-Identifier: LGPL-2.1-or-later

import type { Finding } from "../findings.ts";
import { _, format, formatBytes } from "../i18n.ts";
import type { Gpu, GpuType } from "../model.ts";
import { divide, fitting } from "../select.ts";
import { Findings } from "./findings-list.tsx";
import { useSnapshot } from "./hooks.tsx";
import { MemoryBar } from "./memory-bar.tsx";
import { Alert, Button, Card, CardBody, CardHeader, CardTitle, DescriptionList } from "./pf.ts";
import { StateLabel, Term } from "./parts.tsx";
import { UsageTerms } from "./usage.tsx";
import { VirtualFunctions } from "./virtual-functions.tsx";

function registrationWord(registration: string): string {
    const words: Record<string, string> = {
        differs: _("Differs from its profile"), refused: _("Refused by the driver"), pending: _("Waits for the last vGPU to go"),
        retired: _("No profile states it any more"),
    };

    return words[registration] ?? registration;
}

function TypeRow({ type, onCreate }: { type: GpuType; onCreate?: (() => void) | undefined }) {
    const fits = (type.available ?? 0) > 0;

    return <tr className="pf-v6-c-table__tr" data-type={type.id}>
        <td className="pf-v6-c-table__td" data-label={_("Type")}>
            <div>
                <div>{type.name}</div>
                <div className="mdevgpu-quiet mdevgpu-small">{[type.id === type.name ? "" : type.id, type.class].filter(Boolean).join(", ")}</div>
                {type.registration && type.registration !== "registered" && <>
                    <StateLabel state={type.registration} word={registrationWord(type.registration)} />
                    {type.reason && <div className="mdevgpu-small">{type.reason}</div>}
                </>}
            </div>
        </td>
        <td className="pf-v6-c-table__td mdevgpu-whole" data-label={_("Framebuffer")}>{type.framebuffer ? formatBytes(type.framebuffer) : "–"}</td>
        <td className={`pf-v6-c-table__td mdevgpu-whole ${fits ? "" : "mdevgpu-quiet"}`} data-label={_("Left")}>
            {type.max === null ? type.available ?? "–" : format(_("$0 of $1"), type.available ?? "–", type.max)}
        </td>
        <td className="pf-v6-c-table__td pf-v6-c-table__action">
            {onCreate && fits && <Button variant="link" size="sm" onClick={onCreate}
                                         aria-label={format(_("Create a vGPU of type $0"), type.name)}>{_("Create")}</Button>}
        </td>
    </tr>;
}

function Types({ types, label, onCreate }: { types: readonly GpuType[]; label: string; onCreate?: ((type: string) => void) | undefined }) {
    return <table className="pf-v6-c-table pf-m-compact" aria-label={label}>
        <thead className="pf-v6-c-table__thead">
            <tr className="pf-v6-c-table__tr">
                <th className="pf-v6-c-table__th" scope="col">{_("Type")}</th>
                <th className="pf-v6-c-table__th" scope="col">{_("Framebuffer")}</th>
                <th className="pf-v6-c-table__th" scope="col">{_("Left")}</th>
                <td className="pf-v6-c-table__td" />
            </tr>
        </thead>
        <tbody className="pf-v6-c-table__tbody">
            {types.map(type => <TypeRow key={type.path} type={type} onCreate={onCreate && (() => onCreate(type.id))} />)}
        </tbody>
    </table>;
}

/** Findings that say why a card is as it is, and what to do: then its own reason would say it twice. */
const EXPLAINS = new Set(["no-driver", "driver-not-vgpu", "gvt-off", "gpu-busy", "gpu-failed", "no-profile", "no-types"]);

export function GpuCard({ gpu, findings, onCreate }: { gpu: Gpu; findings: Finding[]; onCreate: (type: string) => void }) {
    const { vgpusOf, typesOf, types, rights } = useSnapshot();
    const own = typesOf.get(gpu.path) ?? [];
    const division = divide(gpu, vgpusOf.get(gpu.path) ?? [], types);
    const fits = fitting(gpu, own).length > 0;
    const title = `gpu-${gpu.address}`;
    const explained = findings.some(finding => EXPLAINS.has(finding.id));

    return <Card component="article" aria-labelledby={title} data-gpu={gpu.address} className="mdevgpu-card">
        <CardHeader actions={{ hasNoOffset: true, actions: rights.manage && fits
            ? <Button variant="secondary" size="sm" onClick={() => onCreate("")}
                      aria-label={format(_("Create vGPU on $0"), gpu.address)}>{_("Create vGPU")}</Button> : null }}>
            <CardTitle component="h2" id={title}>{gpu.name} <StateLabel state={gpu.state} /></CardTitle>
        </CardHeader>
        <CardBody className="mdevgpu-stack">
            <DescriptionList isCompact columnModifier={{ default: "2Col" }}>
                <Term name={_("Address")}><span className="mdevgpu-mono">{gpu.address}</span></Term>
                <Term name={_("Driver")}>{[gpu.driver || _("none"), gpu.driverVersion].filter(Boolean).join(" ")}</Term>
                {gpu.vendor && <Term name={_("Vendor")}>{gpu.vendor}</Term>}
                {gpu.sriov && <VirtualFunctions gpu={gpu} sriov={gpu.sriov} />}
                <UsageTerms gpu={gpu} />
            </DescriptionList>
            {gpu.reason && !explained && <Alert variant={gpu.state === "failed" || gpu.state === "degraded" ? "danger" : gpu.state === "ready" ? "info" : "warning"}
                                  isInline isPlain component="p" title={gpu.reason} />}
            {gpu.pendingTypes && <Alert variant="info" isInline isPlain component="p"
                                        title={_("Types have changed. They are registered when the last vGPU of this GPU has gone.")} />}
            {(gpu.framebuffer !== null || division.used > 0) && <MemoryBar division={division} gpu={gpu.path} />}
            {own.length > 0
                ? <Types types={own} label={format(_("Types of $0"), gpu.address)} onCreate={rights.manage && fits ? onCreate : undefined} />
                : gpu.state === "ready" && <p className="mdevgpu-quiet">{_("It offers no types. A profile in /etc/mdevgpud/types.d may state some.")}</p>}
            <Findings findings={findings} />
        </CardBody>
    </Card>;
}
