// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What can be done to one vGPU, each after a question where something would be lost.

import { FormEvent, ReactNode, useState } from "react";

import { BusError } from "../bus.ts";
import { _, format } from "../i18n.ts";
import { VGpu, readUsers } from "../model.ts";
import { validateLabel } from "../select.ts";
import { useAsked, useBusy, useDaemon, useShared, useSnapshot } from "./hooks.tsx";
import { Hint, Refusal } from "./parts.tsx";
import { Alert, Button, Checkbox, Form, FormGroup, Modal, ModalBody, ModalFooter, ModalHeader, Spinner, TextInput } from "./pf.ts";
import { Users } from "./users-list.tsx";

const MANAGER_METHOD = "org.mdevgpu1.Manager.";

function nameOf(vgpu: VGpu): string {
    return vgpu.label || vgpu.uuid;
}

interface QuestionProps {
    id: string;
    title: string;
    refused: string;
    button: string;
    danger?: boolean;
    disabled?: boolean;
    /** Somebody else made it: it has to be said that it is meant all the same. */
    vgpu: VGpu;
    unmanaged: boolean;
    action: (options: Record<string, unknown>) => Promise<unknown>;
    children?: ReactNode;
    onClose: () => void;
}

function Question({ id, title, refused, button, danger, disabled, unmanaged, action, children, onClose }: QuestionProps) {
    const [error, setError] = useState<BusError>();
    const [meant, setMeant] = useState(false);
    const [busy, run] = useBusy();

    const submit = (event: FormEvent) => {
        event.preventDefault();
        void run(async () => {
            setError(undefined);
            await action(unmanaged ? { unmanaged: { t: "b", v: true } } : {}).then(onClose, e => setError(BusError.from(e)));
        });
    };

    return <Modal isOpen variant="small" onClose={onClose} aria-labelledby={`${id}-title`} data-dialog={id}>
        <ModalHeader labelId={`${id}-title`} title={title} {...danger ? { titleIconVariant: "warning" as const } : {}} />
        <ModalBody>
            <Form id={`${id}-form`} onSubmit={submit}>
                {error && <Refusal title={refused} text={error.message} />}
                {children}
                {unmanaged && <Checkbox id={`${id}-unmanaged`} isChecked={meant} onChange={(_event, checked) => setMeant(checked)}
                                        label={_("It was made by somebody else, not by mdevgpud. Do it all the same.")} />}
            </Form>
        </ModalBody>
        <ModalFooter>
            <Button type="submit" form={`${id}-form`} variant={danger ? "danger" : "primary"} isLoading={busy}
                    isDisabled={busy || disabled || (unmanaged && !meant)}>{button}</Button>
            <Button variant="link" onClick={onClose}>{_("Cancel")}</Button>
        </ModalFooter>
    </Modal>;
}

function DestroyDialog({ vgpu, onClose }: { vgpu: VGpu; onClose: () => void }) {
    const daemon = useDaemon();
    const users = useAsked(`${vgpu.uuid} ${vgpu.inUse}`, async () => readUsers((await daemon.manager("GetUsers", "sa{sv}", vgpu.uuid, {}))[0]));
    const used = (users.value?.length ?? 0) > 0;

    return <Question id="destroy" vgpu={vgpu} unmanaged={!vgpu.managed} danger onClose={onClose}
                     title={format(_("Destroy $0?"), nameOf(vgpu))} button={_("Destroy")} refused={_("It was not destroyed")}
                     action={options => daemon.manager("DestroyVGpu", "sa{sv}", vgpu.uuid, options)}>
        <p>{vgpu.persistent ? _("It stays defined, and can be started again.") : _("It is not defined: nothing of it stays.")}</p>
        {users.value === undefined && users.asking && <Spinner size="md" aria-label={_("Looking who uses it")} />}
        {used && <Alert variant="warning" isInline component="p" title={_("It is in use. mdevgpud destroys no vGPU that somebody uses.")}>
            <Users users={users.value ?? []} />
        </Alert>}
    </Question>;
}

function UndefineDialog({ vgpu, onClose }: { vgpu: VGpu; onClose: () => void }) {
    const daemon = useDaemon();

    return <Question id="undefine" vgpu={vgpu} unmanaged={!vgpu.managed} danger onClose={onClose}
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

    return <Question id="edit" vgpu={vgpu} unmanaged={!vgpu.managed} onClose={onClose} disabled={wrong !== "" || Object.keys(change).length === 0}
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

function SaveDialog({ vgpu, onClose }: { vgpu: VGpu; onClose: () => void }) {
    const daemon = useDaemon();
    const [name, setName] = useState(vgpu.label || vgpu.uuid.slice(0, 8));

    return <Question id="save" vgpu={vgpu} unmanaged={false} onClose={onClose} disabled={name.trim() === ""}
                     title={format(_("Save the state of $0"), nameOf(vgpu))} button={_("Save")} refused={_("Nothing was saved")}
                     action={options => daemon.manager("SaveState", "ssa{sv}", vgpu.uuid, name.trim(), options)}>
        <FormGroup label={_("Name")} fieldId="save-name" isRequired>
            <TextInput id="save-name" value={name} onChange={(_event, value) => setName(value)} isRequired />
        </FormGroup>
    </Question>;
}

type Dialog = "destroy" | "undefine" | "edit" | "save" | null;

function Dialogs({ vgpu, dialog, onClose }: { vgpu: VGpu; dialog: Dialog; onClose: () => void }) {
    switch (dialog) {
    case "destroy": return <DestroyDialog vgpu={vgpu} onClose={onClose} />;
    case "undefine": return <UndefineDialog vgpu={vgpu} onClose={onClose} />;
    case "edit": return <EditDialog vgpu={vgpu} onClose={onClose} />;
    case "save": return <SaveDialog vgpu={vgpu} onClose={onClose} />;
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
    const small = { variant: "secondary", size: "sm" } as const;

    const define = () => run(() => attempt(format(_("$0 was not defined"), nameOf(vgpu)),
                                           () => daemon.manager("DefineVGpu", "sssa{sv}", "", "", vgpu.uuid, {})));

    return <div className="mdevgpu-actions">
        {rights.define && <Button {...small} onClick={() => setDialog("edit")}>{_("Label and autostart")}</Button>}
        {rights.define && !vgpu.persistent && vgpu.state === "active" &&
            <Button {...small} isLoading={busy} isDisabled={busy} onClick={() => void define()}>{_("Define")}</Button>}
        {rights.define && vgpu.persistent && <Button {...small} onClick={() => setDialog("undefine")}>{_("Undefine")}</Button>}
        {rights.states && methods.has(`${MANAGER_METHOD}SaveState`) && vgpu.state === "active" &&
            <Button {...small} onClick={() => setDialog("save")}>{_("Save its state")}</Button>}
        <Dialogs vgpu={vgpu} dialog={dialog} onClose={() => setDialog(null)} />
    </div>;
}
