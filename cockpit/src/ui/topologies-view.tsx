// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { BusError } from "../bus.ts";
import { _, format, ngettext } from "../i18n.ts";
import { Step, Topology, readPlan, readTopologies } from "../model.ts";
import { isRunning } from "./jobs.tsx";
import { useAsked, useBusy, useDaemon, useSnapshot } from "./hooks.tsx";
import { Refusal, StateLabel } from "./parts.tsx";
import { Alert, Button, EmptyState, EmptyStateBody, Label, LayerGroupIcon, Modal, ModalBody, ModalFooter, ModalHeader, Spinner } from "./pf.ts";

function actionWord(action: string): string {
    const words: Record<string, string> = {
        keep: _("Keep"), destroy: _("Destroy"), undefine: _("Undefine"), modify: _("Change"), define: _("Define"), start: _("Start"),
        create: _("Create"), refuse: _("Cannot be"),
    };

    return words[action] ?? action;
}

const ACTION_STATE: Record<string, string> = { destroy: "failed", undefine: "failed", refuse: "failed", create: "active", start: "active",
                                               define: "running", modify: "running" };

function Steps({ steps }: { steps: Step[] }) {
    const cell = "pf-v6-c-table__td";

    return <table className="pf-v6-c-table pf-m-compact pf-m-grid-md" aria-label={_("Steps")}>
        <thead className="pf-v6-c-table__thead">
            <tr className="pf-v6-c-table__tr">
                {[_("Action"), _("vGPU"), _("GPU"), _("Type"), _("Why")].map(title =>
                    <th key={title} className="pf-v6-c-table__th" scope="col">{title}</th>)}
            </tr>
        </thead>
        <tbody className="pf-v6-c-table__tbody">
            {steps.map((step, index) => <tr key={index} className="pf-v6-c-table__tr" data-action={step.action}>
                <td className={cell} data-label={_("Action")}><StateLabel state={ACTION_STATE[step.action] ?? ""} word={actionWord(step.action)} /></td>
                <td className={cell} data-label={_("vGPU")}>
                    <div>{step.label}<div className="mdevgpu-mono mdevgpu-small">{step.uuid}</div></div>
                </td>
                <td className={cell} data-label={_("GPU")}>{step.gpu}</td>
                <td className={cell} data-label={_("Type")}>{step.type}</td>
                <td className={cell} data-label={_("Why")}>{step.reason}</td>
            </tr>)}
        </tbody>
    </table>;
}

function Verdict({ steps }: { steps: Step[] }) {
    const refused = steps.filter(step => step.action === "refuse").length;
    const changes = steps.filter(step => step.action !== "keep" && step.action !== "refuse").length;

    if (refused > 0)
        return <Alert variant="danger" isInline component="p" title={_("It cannot be applied: nothing would be touched.")} />;
    if (changes === 0)
        return <Alert variant="success" isInline component="p" title={_("Everything is as it says.")} />;
    return <Alert variant="info" isInline component="p"
                  title={format(ngettext("$0 step. If it fails, everything is as before.", "$0 steps. If one fails, those before it are taken back.", changes), changes)} />;
}

function PlanDialog({ topology, onClose }: { topology: Topology; onClose: () => void }) {
    const daemon = useDaemon();
    const { rights, vgpus, reloads } = useSnapshot();
    // A plan is of what is there: it is made anew when that changes.
    const key = [topology.name, reloads, ...vgpus.map(vgpu => `${vgpu.uuid} ${vgpu.state} ${vgpu.label} ${vgpu.autostart} ${vgpu.persistent}`)].join();
    const plan = useAsked(key, async () => readPlan((await daemon.manager("PlanTopology", "sa{sv}", topology.name, {}))[0]));
    const [error, setError] = useState<BusError>();
    const [busy, run] = useBusy();
    const steps = plan.value ?? [];
    const possible = plan.value !== undefined && !steps.some(step => step.action === "refuse") && steps.some(step => step.action !== "keep");

    const apply = () => run(async () => {
        setError(undefined);
        await daemon.manager("ApplyTopology", "sa{sv}", topology.name, {}).then(onClose, e => setError(BusError.from(e)));
    });

    return <Modal isOpen variant="large" onClose={onClose} aria-labelledby="plan-title" data-dialog="plan">
        <ModalHeader labelId="plan-title" title={format(_("What topology $0 would do now"), topology.name)} />
        <ModalBody tabIndex={0} aria-label={_("Plan")}>
            <div className="mdevgpu-stack">
                {error && <Refusal title={_("It was not applied")} text={error.message} />}
                {plan.error && <Refusal title={_("There is no plan")} text={plan.error.message} />}
                {plan.value === undefined && plan.asking && <Spinner size="lg" aria-label={_("Planning")} />}
                {plan.value && <Verdict steps={steps} />}
                {steps.length > 0 && <Steps steps={steps} />}
            </div>
        </ModalBody>
        <ModalFooter>
            {rights.topology && <Button isDisabled={!possible || busy} isLoading={busy} onClick={() => void apply()}>{_("Apply")}</Button>}
            <Button variant="link" onClick={onClose}>{_("Close")}</Button>
        </ModalFooter>
    </Modal>;
}

function Row({ topology, onPlan, busy }: { topology: Topology; onPlan: () => void; busy: boolean }) {
    const cell = "pf-v6-c-table__td";

    return <tr className="pf-v6-c-table__tr" data-topology={topology.name}>
        <th className={cell} scope="row" data-label={_("Name")}>
            <span>{topology.name} {topology.active && <Label isCompact color="green">{_("Applied last")}</Label>} {topology.default && <Label isCompact variant="outline">{_("Default")}</Label>}</span>
        </th>
        <td className={cell} data-label={_("vGPUs")}>{topology.vgpus}</td>
        <td className={cell} data-label={_("File")}><span className="mdevgpu-mono">{topology.file}</span></td>
        <td className={`${cell} pf-v6-c-table__action`}>
            <Button variant="secondary" size="sm" onClick={onPlan} isAriaDisabled={busy} aria-label={format(_("Plan $0"), topology.name)}>{_("Plan")}</Button>
        </td>
    </tr>;
}

export function TopologiesView() {
    const daemon = useDaemon();
    const { reloads, manager, jobs } = useSnapshot();
    const asked = useAsked(`${reloads} ${manager.activeTopology}`, async () => readTopologies((await daemon.manager("ListTopologies"))[0]));
    const [planned, setPlanned] = useState<Topology | null>(null);

    if (asked.error)
        return <Refusal title={_("Topologies cannot be listed")} text={asked.error.message} />;
    if (!asked.value)
        return <Spinner aria-label={_("Asking for topologies")} />;
    if (asked.value.length === 0)
        return <EmptyState headingLevel="h2" titleText={_("No topologies")} icon={LayerGroupIcon}>
            <EmptyStateBody>{_("A topology is a named state of the whole host: which vGPUs there shall be. It is stated in a file of /etc/mdevgpud/topologies.d; mdevgpud-topologies.d(5) says how.")}</EmptyStateBody>
        </EmptyState>;

    return <section className="mdevgpu-panel" aria-label={_("Topologies")}>
        <table className="pf-v6-c-table pf-m-grid-md" aria-label={_("Topologies")}>
            <thead className="pf-v6-c-table__thead">
                <tr className="pf-v6-c-table__tr">
                    <th className="pf-v6-c-table__th" scope="col">{_("Name")}</th>
                    <th className="pf-v6-c-table__th" scope="col">{_("vGPUs")}</th>
                    <th className="pf-v6-c-table__th" scope="col">{_("File")}</th>
                    <td className="pf-v6-c-table__td" />
                </tr>
            </thead>
            <tbody className="pf-v6-c-table__tbody">
                {asked.value.map(topology => <Row key={topology.name} topology={topology} busy={jobs.some(isRunning)} onPlan={() => setPlanned(topology)} />)}
            </tbody>
        </table>
        {planned && <PlanDialog topology={planned} onClose={() => setPlanned(null)} />}
    </section>;
}
