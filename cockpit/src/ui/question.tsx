// SPDX-License-Identifier: LGPL-2.1-or-later

import { FormEvent, ReactNode, useState } from "react";

import { BusError } from "../bus.ts";
import { _ } from "../i18n.ts";
import { useBusy } from "./hooks.tsx";
import { Refusal } from "./parts.tsx";
import { Button, Checkbox, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "./pf.ts";

interface QuestionProps {
    id: string;
    title: string;
    refused: string;
    button: string;
    danger?: boolean;
    disabled?: boolean;
    /** Somebody else made it: it has to be said that it is meant all the same. */
    unmanaged?: boolean;
    action: (options: Record<string, unknown>) => Promise<unknown>;
    children?: ReactNode;
    onClose: () => void;
}

export function Question({ id, title, refused, button, danger, disabled, unmanaged = false, action, children, onClose }: QuestionProps) {
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
                    isDisabled={busy || disabled === true || (unmanaged && !meant)}>{button}</Button>
            <Button variant="link" onClick={onClose}>{_("Cancel")}</Button>
        </ModalFooter>
    </Modal>;
}
