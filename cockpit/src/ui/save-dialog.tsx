// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format } from "../i18n.ts";
import type { VGpu } from "../model.ts";
import { nameOf, suggestStateName, validateStateName } from "../select.ts";
import { download } from "../streams.ts";
import { useDaemon, useSavedStates, useShared, useSnapshot } from "./hooks.tsx";
import { Hint } from "./parts.tsx";
import { Alert, Checkbox, FormGroup, Radio, TextInput } from "./pf.ts";
import { Question } from "./question.tsx";
import { InUse } from "./users-list.tsx";

type After = "run" | "stop" | "destroy";

type Where = "host" | "browser";

interface AfterwardsProps {
    vgpu: VGpu;
    where: Where;
    after: After;
    onAfter: (after: After) => void;
}

/** Whether a download has come to its end only the browser knows: what is not elsewhere is not destroyed for it. */
function isPossible(where: Where, after: After): boolean {
    return where === "host" || after !== "destroy";
}

function Target({ where, onWhere }: { where: Where; onWhere: (where: Where) => void }) {
    return <FormGroup role="radiogroup" label={_("Where to")} fieldId="save-where">
        <Radio id="save-where-host" name="save-where" label={_("On this host")} isChecked={where === "host"} onChange={() => onWhere("host")} />
        <Radio id="save-where-browser" name="save-where" label={_("Download it")} isChecked={where === "browser"} onChange={() => onWhere("browser")}
               description={_("The browser has to stay open until it is done.")} />
    </FormGroup>;
}

function Afterwards({ vgpu, where, after, onAfter }: AfterwardsProps) {
    const ways: [After, string, string][] = [
        ["run", _("It goes on"), _("What it does afterwards is not in the saved state.")],
        ["stop", _("It stands still"), _("As it was saved, where its driver keeps that.")],
        ["destroy", _("It is destroyed"), vgpu.persistent ? _("It stays defined, and can be restored or started.")
            : _("Nothing of it stays but what was saved.")],
    ];

    return <FormGroup role="radiogroup" label={_("When it is saved")} fieldId="save-after">
        {ways.filter(([way]) => isPossible(where, way)).map(([way, label, description]) =>
            <Radio key={way} id={`save-after-${way}`} name="save-after" label={label} description={description}
                   isChecked={after === way} onChange={() => onAfter(way)} />)}
    </FormGroup>;
}

export function SaveDialog({ vgpu, onClose }: { vgpu: VGpu; onClose: () => void }) {
    const daemon = useDaemon();
    const { attempt } = useShared();
    const { methods, types } = useSnapshot();
    const states = useSavedStates().value ?? [];
    const isTaken = (candidate: string) => states.some(state => state.name === candidate);
    const [typed, setTyped] = useState<string>();
    const [where, setWhere] = useState<Where>("host");
    const [chosen, setAfter] = useState<After>("run");
    const after = isPossible(where, chosen) ? chosen : "run";
    const [replace, setReplace] = useState(false);
    const name = typed ?? suggestStateName(vgpu, isTaken);
    const wrong = validateStateName(name);
    const taken = where === "host" && isTaken(name);

    const save = async (options: Record<string, unknown>) => {
        if (where === "browser") {
            const command = ["mdevgpuctl", "--quiet", "export-state", `--after=${after}`, vgpu.uuid];

            // It goes on when this is closed: the job tells how far it is.
            void attempt(format(_("$0.state is not whole: throw away what the browser has of it"), name),
                         () => download(command, `${name}.state`));
            return;
        }
        await daemon.manager("SaveState", "ssa{sv}", vgpu.uuid, name, {
            ...options,
            after: { t: "s", v: after },
            ...taken && replace ? { replace: { t: "b", v: true } } : {},
        });
    };
    const keeps = types.get(vgpu.type)?.keepsState === true;

    return <Question id="save" onClose={onClose} disabled={wrong !== "" || (taken && !replace)} action={save}
                     unmanaged={after === "destroy" && !vgpu.managed}
                     title={format(_("Save the state of $0"), nameOf(vgpu))} button={_("Save")} refused={_("Nothing was saved")}>
        {!keeps && <Alert variant="warning" isInline component="p"
            title={_("Its driver is not known to keep what is in it while nobody uses it; mdevgpud may refuse.")} />}
        <InUse vgpu={vgpu} text={_("It is in use. Only what nobody uses can be saved.")} />
        {methods.has("org.mdevgpu1.Manager.ExportState") && <Target where={where} onWhere={setWhere} />}
        <FormGroup label={_("Name")} fieldId="save-name" isRequired>
            <TextInput id="save-name" value={name} onChange={(_event, value) => setTyped(value)} autoComplete="off" isRequired
                       validated={wrong || (taken && !replace) ? "error" : "default"} aria-describedby="save-name-hint" />
            <Hint id="save-name-hint" error={wrong || (taken && !replace ? _("There is a saved state of this name.") : "")}>
                {where === "host" ? _("Under this name it is restored.") : _("Of the file, which ends in .state.")}
            </Hint>
        </FormGroup>
        {taken && <Checkbox id="save-replace" label={_("Replace the one that is there")} isChecked={replace}
                            onChange={(_event, checked) => setReplace(checked)} />}
        <Afterwards vgpu={vgpu} where={where} after={after} onAfter={setAfter} />
    </Question>;
}
