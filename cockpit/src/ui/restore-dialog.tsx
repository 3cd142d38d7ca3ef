// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format, formatBytes, formatDate } from "../i18n.ts";
import type { SavedState, VGpu } from "../model.ts";
import { Target, nameOf, restoreTarget, validateLabel } from "../select.ts";
import { useDaemon, useSnapshot } from "./hooks.tsx";
import { Hint } from "./parts.tsx";
import { Alert, FormGroup, FormSelect, FormSelectOption, Radio, TextInput } from "./pf.ts";
import { Question } from "./question.tsx";

function stateText(state: SavedState): string {
    return [state.name, state.created === null ? "" : formatDate(state.created), formatBytes(state.size)].filter(Boolean).join(", ");
}

function ownText(existing: VGpu | undefined, own: boolean): string {
    if (!existing)
        return _("There is no vGPU of this UUID at present.");
    if (!own)
        return format(_("Not possible while $0 has it."), nameOf(existing));
    return existing.state === "incoming" ? format(_("$0 waits for its state."), nameOf(existing))
        : format(_("$0 is defined, and is started for it."), nameOf(existing));
}

interface WhichProps {
    state: SavedState;
    target: Target;
    anew: boolean;
    onAnew: (anew: boolean) => void;
}

function Which({ state, target: { existing, own }, anew, onAnew }: WhichProps) {
    return <FormGroup role="radiogroup" label={_("UUID")} fieldId="restore-uuid">
        <Radio id="restore-own" name="restore-uuid" isChecked={!anew} isDisabled={!own} onChange={() => onAnew(false)}
               label={<>{_("Its own")} <span className="mdevgpu-mono">{state.uuid}</span></>} description={ownText(existing, own)} />
        <Radio id="restore-anew" name="restore-uuid" isChecked={anew} onChange={() => onAnew(true)} label={_("Another, made here")}
               description={_("It becomes a vGPU of its own.")} />
    </FormGroup>;
}

function Where({ target, gpu, onGpu }: { target: Target; gpu: string; onGpu: (gpu: string) => void }) {
    return <FormGroup label={_("GPU")} fieldId="restore-gpu">
        <FormSelect id="restore-gpu" value={gpu} onChange={(_event, value) => onGpu(value)} aria-describedby="restore-gpu-hint">
            <FormSelectOption value="" label={_("Whichever has room")} />
            {target.gpus.map(candidate => <FormSelectOption key={candidate.path} value={candidate.address}
                label={candidate.name === candidate.address ? candidate.address : `${candidate.address} ${candidate.name}`} />)}
        </FormSelect>
        <Hint id="restore-gpu-hint">{_("Only what fits at this moment is listed.")}</Hint>
    </FormGroup>;
}

/** Of one saved state, or of one among those of a vGPU. */
export function RestoreDialog({ states, onClose }: { states: readonly SavedState[]; onClose: () => void }) {
    const daemon = useDaemon();
    const { gpus, typesOf, vgpus } = useSnapshot();
    const [chosen, setChosen] = useState(states[0]!.name);
    const state = states.find(candidate => candidate.name === chosen) ?? states[0]!;
    const [gpu, setGpu] = useState("");
    const [wanted, setAnew] = useState(false);
    const [typed, setLabel] = useState<string>();
    const label = typed ?? state.label;
    const wrong = validateLabel(label);
    // Somebody may have started one of its UUID meanwhile.
    const anew = wanted || !restoreTarget(state, false, gpus, typesOf, vgpus).own;
    const target = restoreTarget(state, anew, gpus, typesOf, vgpus);
    const address = target.gpus.some(candidate => candidate.address === gpu) ? gpu : "";

    const restore = () => daemon.manager("RestoreState", "ssa{sv}", address, state.name, {
        ...anew ? { uuid: { t: "s", v: "new" } } : {},
        ...label === state.label ? {} : { label: { t: "s", v: label } },
    });

    return <Question id="restore" onClose={onClose} disabled={wrong !== "" || target.gpus.length === 0} action={restore}
                     title={states.length > 1 ? _("Restore a saved state") : format(_("Restore $0"), state.name)}
                     button={_("Restore")} refused={_("Nothing was restored")}>
        {target.gpus.length === 0 && <Alert variant="warning" isInline component="p"
            title={format(_("No GPU has room for type $0 at present."), state.type)} />}
        {states.length > 1 && <FormGroup label={_("Saved state")} fieldId="restore-state">
            <FormSelect id="restore-state" value={state.name} onChange={(_event, value) => setChosen(value)}>
                {states.map(candidate => <FormSelectOption key={candidate.name} value={candidate.name} label={stateText(candidate)} />)}
            </FormSelect>
        </FormGroup>}
        <p>{_("The restored state is there until somebody opens the vGPU and resets it, as QEMU does when a virtual machine starts.")}</p>
        <Which state={state} target={target} anew={anew} onAnew={setAnew} />
        <Where target={target} gpu={address} onGpu={setGpu} />
        {(anew || !target.existing) && <FormGroup label={_("Label")} fieldId="restore-label">
            <TextInput id="restore-label" value={label} onChange={(_event, value) => setLabel(value)} autoComplete="off"
                       validated={wrong ? "error" : "default"} aria-describedby="restore-label-hint" />
            <Hint id="restore-label-hint" error={wrong}>{_("A word for people, such as the virtual machine's name.")}</Hint>
        </FormGroup>}
    </Question>;
}
