// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format } from "../i18n.ts";
import type { VGpu } from "../model.ts";
import { nameOf, suggestStateName, validateStateName } from "../select.ts";
import { useDaemon, useSavedStates } from "./hooks.tsx";
import { Hint } from "./parts.tsx";
import { Checkbox, FormGroup, Radio, TextInput } from "./pf.ts";
import { Question } from "./question.tsx";
import { InUse } from "./users-list.tsx";

type After = "run" | "stop" | "destroy";

function Afterwards({ vgpu, after, onAfter }: { vgpu: VGpu; after: After; onAfter: (after: After) => void }) {
    const ways: [After, string, string][] = [
        ["run", _("It goes on"), _("What it does afterwards is not in the saved state.")],
        ["stop", _("It stands still"), _("As it was saved, where its driver keeps that.")],
        ["destroy", _("It is destroyed"), vgpu.persistent ? _("It stays defined, and can be restored or started.")
            : _("Nothing of it stays but what was saved.")],
    ];

    return <FormGroup role="radiogroup" label={_("When it is saved")} fieldId="save-after">
        {ways.map(([way, label, description]) =>
            <Radio key={way} id={`save-after-${way}`} name="save-after" label={label} description={description}
                   isChecked={after === way} onChange={() => onAfter(way)} />)}
    </FormGroup>;
}

export function SaveDialog({ vgpu, onClose }: { vgpu: VGpu; onClose: () => void }) {
    const daemon = useDaemon();
    const states = useSavedStates().value ?? [];
    const isTaken = (candidate: string) => states.some(state => state.name === candidate);
    const [typed, setTyped] = useState<string>();
    const [after, setAfter] = useState<After>("run");
    const [replace, setReplace] = useState(false);
    const name = typed ?? suggestStateName(vgpu, isTaken);
    const wrong = validateStateName(name);
    const taken = isTaken(name);

    const save = () => daemon.manager("SaveState", "ssa{sv}", vgpu.uuid, name, {
        after: { t: "s", v: after },
        ...taken && replace ? { replace: { t: "b", v: true } } : {},
    });

    return <Question id="save" onClose={onClose} disabled={wrong !== "" || (taken && !replace)} action={save}
                     title={format(_("Save the state of $0"), nameOf(vgpu))} button={_("Save")} refused={_("Nothing was saved")}>
        <InUse vgpu={vgpu} text={_("It is in use. Only what nobody uses can be saved.")} />
        <FormGroup label={_("Name")} fieldId="save-name" isRequired>
            <TextInput id="save-name" value={name} onChange={(_event, value) => setTyped(value)} autoComplete="off" isRequired
                       validated={wrong || (taken && !replace) ? "error" : "default"} aria-describedby="save-name-hint" />
            <Hint id="save-name-hint" error={wrong || (taken && !replace ? _("There is a saved state of this name.") : "")}>
                {_("Under this name it is restored.")}
            </Hint>
        </FormGroup>
        {taken && <Checkbox id="save-replace" label={_("Replace the one that is there")} isChecked={replace}
                            onChange={(_event, checked) => setReplace(checked)} />}
        <Afterwards vgpu={vgpu} after={after} onAfter={setAfter} />
    </Question>;
}
