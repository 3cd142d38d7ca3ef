// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What can be done to one vGPU, each after a question where something would be lost.

import { useState } from "react";

import { _, format } from "../i18n.ts";
import type { SavedState, VGpu } from "../model.ts";
import { nameOf, validateLabel } from "../select.ts";
import { useBusy, useDaemon, useSavedStates, useShared, useSnapshot } from "./hooks.tsx";
import { Hint } from "./parts.tsx";
import { Button, Checkbox, FormGroup, TextInput } from "./pf.ts";
import { Question } from "./question.tsx";
import { RestoreDialog } from "./restore-dialog.tsx";
import { SaveDialog } from "./save-dialog.tsx";
import { InUse } from "./users-list.tsx";

const MANAGER_METHOD = "org.mdevgpu1.Manager.";

function DestroyDialog({ vgpu, onClose }: { vgpu: VGpu; onClose: () => void }) {
    const daemon = useDaemon();

    return <Question id="destroy" unmanaged={!vgpu.managed} danger onClose={onClose}
                     title={format(_("Destroy $0?"), nameOf(vgpu))} button={_("Destroy")} refused={_("It was not destroyed")}
                     action={options => daemon.manager("DestroyVGpu", "sa{sv}", vgpu.uuid, options)}>
        <p>{vgpu.persistent ? _("It stays defined, and can be started again.") : _("It is not defined: nothing of it stays.")}</p>
        <InUse vgpu={vgpu} text={_("It is in use. mdevgpud destroys no vGPU that somebody uses.")} />
    </Question>;
}

function UndefineDialog({ vgpu, onClose }: { vgpu: VGpu; onClose: () => void }) {
    const daemon = useDaemon();

    return <Question id="undefine" unmanaged={!vgpu.managed} danger onClose={onClose}
                     title={format(_("Undefine $0?"), nameOf(vgpu))} button={_("Undefine")} refused={_("It was not undefined")}
                     action={options => daemon.manager("UndefineVGpu", "sa{sv}", vgpu.uuid, options)}>
        <p>{vgpu.state === "defined" || vgpu.state === "failed" ? _("It is not active: nothing of it stays.")
            : _("It stays until it is destroyed or the host reboots.")}</p>
    </Question>;
}

function EditDialog({ vgpu, onClose }: { vgpu: VGpu; onClose: () => void }) {
    const daemon = useDaemon();
    const [label, setLabel] = useState(vgpu.label);
    const [autostart, setAutostart] = useState(vgpu.autostart);
    const wrong = validateLabel(label);
    const change = {
        ...label === vgpu.label ? {} : { label: { t: "s", v: label } },
        ...autostart === vgpu.autostart ? {} : { autostart: { t: "b", v: autostart } },
    };

    return <Question id="edit" unmanaged={!vgpu.managed} onClose={onClose} disabled={wrong !== "" || Object.keys(change).length === 0}
                     title={format(_("Change $0"), nameOf(vgpu))} button={_("Change")} refused={_("It was not changed")}
                     action={options => daemon.manager("ModifyVGpu", "sa{sv}", vgpu.uuid, { ...options, ...change })}>
        <FormGroup label={_("Label")} fieldId="edit-label">
            <TextInput id="edit-label" value={label} onChange={(_event, value) => setLabel(value)} validated={wrong ? "error" : "default"}
                       aria-describedby="edit-label-hint" />
            <Hint id="edit-label-hint" error={wrong}>{_("A word for people, such as the virtual machine's name.")}</Hint>
        </FormGroup>
        <Checkbox id="edit-autostart" label={_("Start it at each boot")} isChecked={autostart} isDisabled={!vgpu.persistent}
                  onChange={(_event, checked) => setAutostart(checked)}
                  description={vgpu.persistent ? undefined : _("Only what is defined can be started by itself.")} />
    </Question>;
}

type Dialog = "destroy" | "undefine" | "edit" | "save" | "restore" | null;

interface DialogsProps {
    vgpu: VGpu;
    dialog: Dialog;
    /** Those of its UUID. */
    saved?: readonly SavedState[];
    onClose: () => void;
}

function Dialogs({ vgpu, dialog, saved = [], onClose }: DialogsProps) {
    switch (dialog) {
    case "destroy": return <DestroyDialog vgpu={vgpu} onClose={onClose} />;
    case "undefine": return <UndefineDialog vgpu={vgpu} onClose={onClose} />;
    case "edit": return <EditDialog vgpu={vgpu} onClose={onClose} />;
    case "save": return <SaveDialog vgpu={vgpu} onClose={onClose} />;
    case "restore": return saved.length > 0 ? <RestoreDialog states={saved} onClose={onClose} /> : null;
    case null: return null;
    }
}

function useStart(vgpu: VGpu): [boolean, () => void] {
    const daemon = useDaemon();
    const { attempt } = useShared();
    const [busy, run] = useBusy();

    return [busy, () => void run(() => attempt(format(_("$0 was not started"), nameOf(vgpu)),
                                               () => daemon.manager("StartVGpu", "sa{sv}", vgpu.uuid, {})))];
}

const startable = (vgpu: VGpu) => vgpu.persistent && (vgpu.state === "defined" || vgpu.state === "failed");

/** The one thing that a row is mostly wanted for. */
export function QuickAction({ vgpu }: { vgpu: VGpu }) {
    const { rights } = useSnapshot();
    const [dialog, setDialog] = useState<Dialog>(null);
    const [busy, start] = useStart(vgpu);

    return <>
        {rights.manage && startable(vgpu) && <Button variant="secondary" size="sm" isLoading={busy} isDisabled={busy} onClick={start}
            aria-label={format(_("Start $0"), nameOf(vgpu))}>{_("Start")}</Button>}
        {rights.manage && vgpu.state === "active" && <Button variant="secondary" size="sm" isDanger onClick={() => setDialog("destroy")}
            aria-label={format(_("Destroy $0"), nameOf(vgpu))}>{_("Destroy")}</Button>}
        <Dialogs vgpu={vgpu} dialog={dialog} onClose={() => setDialog(null)} />
    </>;
}

export function Actions({ vgpu }: { vgpu: VGpu }) {
    const daemon = useDaemon();
    const { attempt } = useShared();
    const { rights, methods } = useSnapshot();
    const [dialog, setDialog] = useState<Dialog>(null);
    const [busy, run] = useBusy();
    const saved = useSavedStates().value?.filter(state => state.uuid === vgpu.uuid) ?? [];
    const can = (method: string) => methods.has(MANAGER_METHOD + method);
    const small = { variant: "secondary", size: "sm" } as const;

    const define = () => run(() => attempt(format(_("$0 was not defined"), nameOf(vgpu)),
                                           () => daemon.manager("DefineVGpu", "sssa{sv}", "", "", vgpu.uuid, {})));

    return <div className="mdevgpu-actions">
        {rights.define && <Button {...small} onClick={() => setDialog("edit")}>{_("Label and autostart")}</Button>}
        {rights.define && !vgpu.persistent && vgpu.state === "active" &&
            <Button {...small} isLoading={busy} isDisabled={busy} onClick={() => void define()}>{_("Define")}</Button>}
        {rights.define && vgpu.persistent && <Button {...small} onClick={() => setDialog("undefine")}>{_("Undefine")}</Button>}
        {rights.states && can("SaveState") && vgpu.state === "active" &&
            <Button {...small} onClick={() => setDialog("save")}>{_("Save its state")}</Button>}
        {rights.states && can("RestoreState") && saved.length > 0 &&
            <Button {...small} onClick={() => setDialog("restore")}>{_("Restore a state")}</Button>}
        <Dialogs vgpu={vgpu} dialog={dialog} saved={saved} onClose={() => setDialog(null)} />
    </div>;
}
