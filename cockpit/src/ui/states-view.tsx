// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format, formatBytes } from "../i18n.ts";
import { bytes, list, text } from "../model.ts";
import { useAsked, useBusy, useDaemon, useShared, useSnapshot } from "./hooks.tsx";
import { Refusal } from "./parts.tsx";
import { Button, EmptyState, EmptyStateBody, FormSelect, FormSelectOption, LayerGroupIcon, Spinner } from "./pf.ts";

interface Saved {
    name: string;
    uuid: string;
    type: string;
    size: number | null;
}

/** Rows a(ssstta{sv}): name, UUID, type, size, time. */
function readStates(value: unknown): Saved[] {
    return list(value).map(list).map(([name, uuid, type, size]) => ({ name: text(name), uuid: text(uuid), type: text(type), size: bytes(size) }));
}

function Row({ state, onChanged }: { state: Saved; onChanged: () => void }) {
    const daemon = useDaemon();
    const { attempt } = useShared();
    const { gpus, rights } = useSnapshot();
    const ready = gpus.filter(gpu => gpu.state === "ready");
    const [chosen, setChosen] = useState("");
    const [busy, run] = useBusy();
    const gpu = chosen || ready[0]?.address || "";
    const cell = "pf-v6-c-table__td";

    const restore = () => run(() => attempt(format(_("$0 was not restored"), state.name), () => daemon.manager("RestoreState", "ssa{sv}", gpu, state.name, {})));
    const remove = () => run(() => attempt(format(_("$0 was not deleted"), state.name), () => daemon.manager("DeleteSavedState", "sa{sv}", state.name, {}).then(onChanged)));

    return <tr className="pf-v6-c-table__tr" data-saved={state.name}>
        <th className={cell} scope="row" data-label={_("Name")}>{state.name}</th>
        <td className={cell} data-label={_("UUID")}><span className="mdevgpu-mono">{state.uuid}</span></td>
        <td className={cell} data-label={_("Type")}>{state.type}</td>
        <td className={cell} data-label={_("Size")}>{formatBytes(state.size)}</td>
        <td className={`${cell} pf-v6-c-table__action`}>
            {rights.states && <div className="mdevgpu-actions">
                <FormSelect aria-label={format(_("Where to restore $0"), state.name)} value={gpu} onChange={(_event, value) => setChosen(value)}>
                    {ready.map(candidate => <FormSelectOption key={candidate.path} value={candidate.address} label={candidate.address} />)}
                </FormSelect>
                <Button variant="secondary" size="sm" isDisabled={busy || !gpu} onClick={() => void restore()}>{_("Restore")}</Button>
                <Button variant="secondary" isDanger size="sm" isDisabled={busy} onClick={() => void remove()}>{_("Delete")}</Button>
            </div>}
        </td>
    </tr>;
}

/** Shown where the daemon has the methods. */
export function StatesView() {
    const daemon = useDaemon();
    const { jobs } = useSnapshot();
    const asked = useAsked(jobs.map(job => `${job.id} ${job.state}`).join(), async () => readStates((await daemon.manager("ListSavedStates"))[0]));

    if (asked.error)
        return <Refusal title={_("Saved states cannot be listed")} text={asked.error.message} />;
    if (!asked.value)
        return <Spinner aria-label={_("Asking for saved states")} />;
    if (asked.value.length === 0)
        return <EmptyState headingLevel="h2" titleText={_("No saved states")} icon={LayerGroupIcon}>
            <EmptyStateBody>{_("The state of a vGPU that nobody uses can be saved, and restored on this host or another.")}</EmptyStateBody>
        </EmptyState>;

    return <section className="mdevgpu-panel" aria-label={_("Saved states")}>
        <table className="pf-v6-c-table pf-m-grid-md" aria-label={_("Saved states")}>
            <thead className="pf-v6-c-table__thead">
                <tr className="pf-v6-c-table__tr">
                    {[_("Name"), _("UUID"), _("Type"), _("Size")].map(title => <th key={title} className="pf-v6-c-table__th" scope="col">{title}</th>)}
                    <td className="pf-v6-c-table__td" />
                </tr>
            </thead>
            <tbody className="pf-v6-c-table__tbody">
                {asked.value.map(state => <Row key={state.name} state={state} onChanged={asked.again} />)}
            </tbody>
        </table>
    </section>;
}
