// SPDX-License-Identifier: LGPL-2.1-or-later

import { FormEvent, useState } from "react";

import { BusError } from "../bus.ts";
import { _, format, formatBytes, ngettext } from "../i18n.ts";
import { Attributes, TypeChoice, fitting, fittingAnywhere, parseAttributes, validateLabel, validateUuid } from "../select.ts";
import { useBusy, useDaemon, useSnapshot } from "./hooks.tsx";
import { Hint, Refusal } from "./parts.tsx";
import { Alert, Button, Checkbox, Form, FormGroup, FormSelect, FormSelectOption, Modal, ModalBody, ModalFooter, ModalHeader, TextArea,
         TextInput } from "./pf.ts";

/** The id of the type that is all of a card, on any card. */
const WHOLE_CARD = "vfio-pci";

interface Values {
    gpu: string; // a path, or "" for whichever has room
    type: string; // an id
    label: string;
    uuid: string;
    start: boolean;
    persistent: boolean;
    autostart: boolean;
    display: boolean;
    attributes: string;
}

/** What the cards have room for at this moment: what is taken elsewhere meanwhile goes from the lists by itself. */
function useChoices(gpuPath: string): { gpus: { path: string; text: string }[]; types: TypeChoice[] } {
    const { gpus, typesOf } = useSnapshot();
    const withRoom = gpus.filter(gpu => fitting(gpu, typesOf.get(gpu.path)).length > 0);
    const types = fittingAnywhere(gpuPath ? gpus.filter(gpu => gpu.path === gpuPath) : gpus, typesOf);

    return { gpus: withRoom.map(gpu => ({ path: gpu.path, text: gpu.name === gpu.address ? gpu.address : `${gpu.address} ${gpu.name}` })), types };
}

function typeText(type: TypeChoice): string {
    const left = format(ngettext("$0 left", "$0 left", type.available), type.available);

    return [type.name, type.framebuffer ? formatBytes(type.framebuffer) : "", left].filter(Boolean).join(", ");
}

function optionsOf(values: Values, { pairs }: Attributes): Record<string, unknown> {
    const flag = (name: keyof Values) => values[name] ? { [name]: { t: "b", v: true } } : {};

    return {
        ...values.start ? flag("persistent") : {},
        ...flag("autostart"),
        ...values.label ? { label: { t: "s", v: values.label } } : {},
        ...pairs.length ? { attrs: { t: "a(ss)", v: pairs } } : {},
        ...values.start && values.display ? { "take-display": { t: "b", v: true } } : {},
    };
}

interface FieldProps {
    values: Values;
    set: (change: Partial<Values>) => void;
}

function Where({ values, set }: FieldProps) {
    const { gpus, types } = useChoices(values.gpu);

    return <>
        <FormGroup label={_("GPU")} fieldId="create-gpu">
            <FormSelect id="create-gpu" value={values.gpu} onChange={(_event, gpu) => set({ gpu })}>
                {values.start && <FormSelectOption value="" label={_("Whichever has room")} />}
                {gpus.map(gpu => <FormSelectOption key={gpu.path} value={gpu.path} label={gpu.text} />)}
            </FormSelect>
        </FormGroup>
        <FormGroup label={_("Type")} fieldId="create-type" isRequired>
            <FormSelect id="create-type" value={values.type} onChange={(_event, type) => set({ type })}
                        aria-describedby="create-type-hint">
                {types.map(type => <FormSelectOption key={type.id} value={type.id} label={typeText(type)} />)}
            </FormSelect>
            <Hint id="create-type-hint">{_("Only what fits at this moment is listed.")}</Hint>
        </FormGroup>
    </>;
}

function Keep({ values, set }: FieldProps) {
    return <FormGroup role="group" label={_("Lifetime")} fieldId="create-start">
        <Checkbox id="create-start" label={_("Create it now")} isChecked={values.start}
                  onChange={(_event, start) => set(start ? { start } : { start, persistent: true })}
                  description={values.start ? undefined : _("It is defined alone, and can be started later.")} />
        <Checkbox id="create-persistent" label={_("Define it, so that it can be started after a reboot")}
                  isChecked={values.persistent || values.autostart} isDisabled={!values.start || values.autostart}
                  onChange={(_event, persistent) => set({ persistent })} />
        <Checkbox id="create-autostart" label={_("Start it at each boot")} isChecked={values.autostart}
                  onChange={(_event, autostart) => set({ autostart })} />
    </FormGroup>;
}

function Naming({ values, set, errors }: FieldProps & { errors: Errors }) {
    return <>
        <FormGroup label={_("Label")} fieldId="create-label">
            <TextInput id="create-label" value={values.label} onChange={(_event, label) => set({ label })} autoComplete="off"
                       validated={errors.label ? "error" : "default"} aria-describedby="create-label-hint" />
            <Hint id="create-label-hint" error={errors.label}>{_("A word for people, such as the virtual machine's name.")}</Hint>
        </FormGroup>
        <FormGroup label={_("UUID")} fieldId="create-uuid">
            <TextInput id="create-uuid" value={values.uuid} onChange={(_event, uuid) => set({ uuid: uuid.trim() })} autoComplete="off"
                       validated={errors.uuid ? "error" : "default"} aria-describedby="create-uuid-hint" className="mdevgpu-mono" />
            <Hint id="create-uuid-hint" error={errors.uuid}>{_("A random one if none is given.")}</Hint>
        </FormGroup>
    </>;
}

function More({ values, set, errors, whole }: FieldProps & { errors: Errors; whole: boolean }) {
    return <>
        <FormGroup label={_("Attributes")} fieldId="create-attributes">
            <TextArea id="create-attributes" value={values.attributes} onChange={(_event, attributes) => set({ attributes })} rows={2}
                      validated={errors.attributes ? "error" : "default"} aria-describedby="create-attributes-hint" className="mdevgpu-mono" />
            <Hint id="create-attributes-hint" error={errors.attributes}>{_("Of the driver: one name=value in each line.")}</Hint>
        </FormGroup>
        {whole && <Checkbox id="create-display" label={_("Also if this machine shows a picture on it")} isChecked={values.display}
                            onChange={(_event, display) => set({ display })} />}
    </>;
}

interface Errors {
    label: string;
    uuid: string;
    attributes: string;
}

function useForm(gpu: string, type: string) {
    const { vgpus, gpus, typesOf } = useSnapshot();
    const [values, setValues] = useState<Values>({ gpu, type, label: "", uuid: "", start: true, persistent: false, autostart: false,
                                                   display: false, attributes: "" });
    const types = useChoices(values.gpu).types;
    // Another card, or what was left has been taken: then the first that fits.
    const chosen = types.find(candidate => candidate.id === values.type) ?? types[0];
    const firstGpu = gpus.find(candidate => fitting(candidate, typesOf.get(candidate.path)).length > 0)?.path ?? "";
    const effective = { ...values, type: chosen?.id ?? "", gpu: values.start ? values.gpu : values.gpu || firstGpu };
    const attributes = parseAttributes(values.attributes);
    const errors: Errors = {
        label: validateLabel(values.label),
        uuid: validateUuid(values.uuid, uuid => vgpus.some(vgpu => vgpu.uuid === uuid)),
        attributes: attributes.error,
    };
    const set = (change: Partial<Values>) => setValues(before => ({ ...before, ...change }));

    return { values: effective, set, attributes, errors, chosen, valid: Boolean(chosen) && !Object.values(errors).some(Boolean) };
}

function useSubmit(onClose: () => void) {
    const daemon = useDaemon();
    const { gpus } = useSnapshot();
    const [error, setError] = useState<BusError>();
    const [busy, run] = useBusy();

    const submit = (values: Values, attributes: Attributes) => run(async () => {
        const address = gpus.find(gpu => gpu.path === values.gpu)?.address ?? "";

        setError(undefined);
        await daemon.manager(values.start ? "CreateVGpu" : "DefineVGpu", "sssa{sv}", address, values.type, values.uuid,
                             optionsOf(values, attributes)).then(onClose, e => setError(BusError.from(e)));
    });

    return { error, busy, submit };
}

export function CreateDialog({ gpu, type, onClose }: { gpu: string; type: string; onClose: () => void }) {
    const { values, set, attributes, errors, chosen, valid } = useForm(gpu, type);
    const { error, busy, submit } = useSubmit(onClose);
    const [more, setMore] = useState(false);
    const whole = chosen?.id === WHOLE_CARD;

    const onSubmit = (event: FormEvent) => {
        event.preventDefault();
        if (valid && !busy)
            void submit(values, attributes);
    };

    return <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="create-title" data-dialog="create">
        <ModalHeader labelId="create-title" title={_("Create vGPU")} />
        <ModalBody>
            <Form id="create-form" onSubmit={onSubmit}>
                {error && <Refusal title={_("It was not created")} text={error.message} />}
                {!chosen && <Alert variant="warning" isInline component="p" title={_("Nothing fits at present. What becomes free is listed here at once.")} />}
                <Where values={values} set={set} />
                <Naming values={values} set={set} errors={errors} />
                <Keep values={values} set={set} />
                <Button variant="link" isInline aria-expanded={more} onClick={() => setMore(!more)} className="mdevgpu-start">
                    {more ? _("Less") : _("More options")}
                </Button>
                {more && <More values={values} set={set} errors={errors} whole={whole} />}
            </Form>
        </ModalBody>
        <ModalFooter>
            <Button type="submit" form="create-form" isDisabled={!valid || busy} isLoading={busy}>{values.start ? _("Create") : _("Define")}</Button>
            <Button variant="link" onClick={onClose}>{_("Cancel")}</Button>
        </ModalFooter>
    </Modal>;
}
