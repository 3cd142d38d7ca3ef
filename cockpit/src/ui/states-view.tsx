// SPDX-License-Identifier: LGPL-2.1-or-later

import { useEffect, useState } from "react";

import { _, format, formatBytes, formatDate } from "../i18n.ts";
import type { SavedState } from "../model.ts";
import { useDaemon, useSavedStates, useSnapshot } from "./hooks.tsx";
import { CopyButton, Refusal, StateLabel } from "./parts.tsx";
import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, LayerGroupIcon, LockIcon, Spinner } from "./pf.ts";
import { Question } from "./question.tsx";
import { RestoreDialog } from "./restore-dialog.tsx";
import { UploadDialog } from "./upload-dialog.tsx";

function DeleteDialog({ state, onClose }: { state: SavedState; onClose: () => void }) {
    const daemon = useDaemon();

    return <Question id="delete" danger onClose={onClose} title={format(_("Delete the saved state $0?"), state.name)} button={_("Delete")}
                     refused={_("It was not deleted")}
                     action={() => daemon.manager("DeleteSavedState", "sa{sv}", state.name, {}).then(() => daemon.forgetSavedStates())}>
        <p>{_("Nothing of it stays. vGPUs that were restored from it are not touched.")}</p>
    </Question>;
}

function SourceOf({ state }: { state: SavedState }) {
    const from = [state.host, state.gpu, [state.driver, state.driverVersion].filter(Boolean).join(" ")].filter(Boolean).join(", ");

    return from ? <div className="mdevgpu-quiet mdevgpu-small" data-source>{from}</div> : null;
}

interface RowProps {
    state: SavedState;
    typeName: string;
    onRestore: () => void;
    onDelete: () => void;
}

function Row({ state, typeName, onRestore, onDelete }: RowProps) {
    const { rights } = useSnapshot();
    const cell = "pf-v6-c-table__td";

    return <tr className="pf-v6-c-table__tr" data-saved={state.name}>
        <th className={cell} scope="row" data-label={_("Name")}>{state.name}</th>
        <td className={cell} data-label={_("Label")}>{state.label || "–"}</td>
        <td className={cell} data-label={_("Type")}>
            {state.error ? <div><StateLabel state="error" word={_("Cannot be read")} /><div className="mdevgpu-small">{state.error}</div></div> : typeName}
        </td>
        <td className={`${cell} mdevgpu-whole`} data-label={_("Size")}>{formatBytes(state.size)}</td>
        <td className={cell} data-label={_("Created")}>
            <div><span className="mdevgpu-whole">{state.created === null ? "–" : formatDate(state.created)}</span><SourceOf state={state} /></div>
        </td>
        <td className={cell} data-label={_("UUID")}>
            {state.uuid ? <span className="mdevgpu-uuid"><span className="mdevgpu-mono">{state.uuid}</span>
                <CopyButton text={state.uuid} what={format(_("UUID of $0"), state.name)} /></span> : "–"}
        </td>
        <td className={`${cell} pf-v6-c-table__action`}>
            {rights.states && <div className="mdevgpu-actions">
                {!state.error && <Button variant="secondary" size="sm" onClick={onRestore}
                                         aria-label={format(_("Restore $0"), state.name)}>{_("Restore")}</Button>}
                <Button variant="secondary" isDanger size="sm" onClick={onDelete}
                        aria-label={format(_("Delete $0"), state.name)}>{_("Delete")}</Button>
            </div>}
        </td>
    </tr>;
}

function Table({ states, onRestore, onDelete }: { states: readonly SavedState[]; onRestore: (state: SavedState) => void; onDelete: (state: SavedState) => void }) {
    const { types } = useSnapshot();
    const nameOfType = (id: string) => [...types.values()].find(type => type.id === id)?.name ?? id;

    return <table className="pf-v6-c-table pf-m-grid-lg pf-m-compact mdevgpu-saved" aria-label={_("Saved states")}>
        <thead className="pf-v6-c-table__thead">
            <tr className="pf-v6-c-table__tr">
                {[_("Name"), _("Label"), _("Type"), _("Size"), _("Created"), _("UUID")].map(title =>
                    <th key={title} className="pf-v6-c-table__th" scope="col">{title}</th>)}
                <td className="pf-v6-c-table__td" />
            </tr>
        </thead>
        <tbody className="pf-v6-c-table__tbody">
            {states.map(state => <Row key={state.name} state={state} typeName={nameOfType(state.type)} onRestore={() => onRestore(state)}
                                      onDelete={() => onDelete(state)} />)}
        </tbody>
    </table>;
}

/** The daemon does not know of files that others put there: they are looked for when the view is shown, and when one comes back to it. */
function useFresh() {
    const daemon = useDaemon();

    useEffect(() => {
        const onVisible = () => {
            if (!document.hidden)
                daemon.forgetSavedStates();
        };

        onVisible();
        document.addEventListener("visibilitychange", onVisible);
        return () => document.removeEventListener("visibilitychange", onVisible);
    }, [daemon]);
}

/** Shown where the daemon has the methods. */
export function StatesView() {
    const asked = useSavedStates();
    const { rights, methods } = useSnapshot();
    const [dialog, setDialog] = useState<{ what: "restore" | "delete"; state: SavedState } | { what: "upload" } | null>(null);
    const onClose = () => setDialog(null);

    useFresh();
    if (asked.error?.denied)
        return <EmptyState headingLevel="h2" titleText={_("Saved states are not shown to everybody")} icon={LockIcon}>
            <EmptyStateBody>{asked.error.message}</EmptyStateBody>
        </EmptyState>;
    if (asked.error)
        return <Refusal title={_("Saved states cannot be listed")} text={asked.error.message} />;
    if (!asked.value)
        return <Spinner aria-label={_("Asking for saved states")} />;

    const states = [...asked.value].sort((a, b) => (b.created ?? 0) - (a.created ?? 0));

    const upload = rights.states && methods.has("org.mdevgpu1.Manager.ImportState") &&
        <Button variant="secondary" onClick={() => setDialog({ what: "upload" })}>{_("Restore from a file")}</Button>;

    return <>
        {states.length === 0
            ? <EmptyState headingLevel="h2" titleText={_("No saved states")} icon={LayerGroupIcon}>
                <EmptyStateBody>{_("The state of a vGPU that nobody uses can be saved, by its row in the list of vGPUs, and restored later.")}</EmptyStateBody>
                <EmptyStateFooter><EmptyStateActions>{upload}</EmptyStateActions></EmptyStateFooter>
            </EmptyState>
            : <section className="mdevgpu-panel" aria-label={_("Saved states")}>
                {upload && <div className="mdevgpu-toolbar"><span className="mdevgpu-grow" />{upload}</div>}
                <Table states={states} onRestore={state => setDialog({ what: "restore", state })} onDelete={state => setDialog({ what: "delete", state })} />
            </section>}
        {dialog?.what === "restore" && <RestoreDialog states={[dialog.state]} onClose={onClose} />}
        {dialog?.what === "delete" && <DeleteDialog state={dialog.state} onClose={onClose} />}
        {dialog?.what === "upload" && <UploadDialog onClose={onClose} />}
    </>;
}
