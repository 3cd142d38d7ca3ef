// SPDX-License-Identifier: LGPL-2.1-or-later

import { FormEvent, useState } from "react";

import { BusError } from "../bus.ts";
import { _, format } from "../i18n.ts";
import { Gpu, SRIOV, Sriov } from "../model.ts";
import { useBusy, useDaemon, useSnapshot } from "./hooks.tsx";
import { Refusal, Term } from "./parts.tsx";
import { Button, Form, FormGroup, Modal, ModalBody, ModalFooter, ModalHeader, TextInput } from "./pf.ts";

function EnableDialog({ gpu, sriov, onClose }: { gpu: Gpu; sriov: Sriov; onClose: () => void }) {
    const daemon = useDaemon();
    const [number, setNumber] = useState(String(sriov.enabled ?? 0));
    const [error, setError] = useState<BusError>();
    const [busy, run] = useBusy();
    const value = /^\d+$/.test(number) ? Number(number) : NaN;
    const valid = value <= (sriov.most ?? Infinity);

    const submit = (event: FormEvent) => {
        event.preventDefault();
        void run(async () => {
            setError(undefined);
            await daemon.call(gpu.path, SRIOV, "EnableVfs", "ua{sv}", value, {})
                .then(onClose, e => setError(BusError.from(e)));
        });
    };

    return <Modal isOpen variant="small" onClose={onClose} aria-labelledby="vfs-title">
        <ModalHeader labelId="vfs-title" title={format(_("Virtual functions of $0"), gpu.address)} />
        <ModalBody>
            <Form id="vfs-form" onSubmit={submit}>
                {error && <Refusal title={_("They could not be enabled")} text={error.message} />}
                <FormGroup label={format(_("How many, of $0"), sriov.most ?? "–")} fieldId="vfs-number">
                    <TextInput id="vfs-number" type="number" min={0} max={sriov.most ?? undefined} value={number}
                               onChange={(_event, text) => setNumber(text)} validated={valid ? "default" : "error"} />
                </FormGroup>
            </Form>
        </ModalBody>
        <ModalFooter>
            <Button type="submit" form="vfs-form" isDisabled={!valid || busy} isLoading={busy}>{_("Enable")}</Button>
            <Button variant="link" onClick={onClose}>{_("Cancel")}</Button>
        </ModalFooter>
    </Modal>;
}

export function VirtualFunctions({ gpu, sriov }: { gpu: Gpu; sriov: Sriov }) {
    const { methods, rights } = useSnapshot();
    const [open, setOpen] = useState(false);

    return <Term name={_("Virtual functions")}>
        {format(_("$0 of $1 enabled"), sriov.enabled ?? "–", sriov.most ?? "–")}
        {methods.has("org.mdevgpu1.Gpu.Sriov.EnableVfs") && rights.hardware &&
            <> <Button variant="link" isInline size="sm" onClick={() => setOpen(true)}>{_("Change")}</Button></>}
        {open && <EnableDialog gpu={gpu} sriov={sriov} onClose={() => setOpen(false)} />}
    </Term>;
}
