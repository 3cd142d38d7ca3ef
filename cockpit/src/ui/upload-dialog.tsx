// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format, formatBytes } from "../i18n.ts";
import { validateLabel } from "../select.ts";
import { upload } from "../streams.ts";
import { useShared, useSnapshot } from "./hooks.tsx";
import { Hint } from "./parts.tsx";
import { Checkbox, FormGroup, FormSelect, FormSelectOption, TextInput } from "./pf.ts";
import { Question } from "./question.tsx";

/** What is in the file only the daemon knows: which type, and whether it fits, it says when it has read that. */
export function UploadDialog({ onClose }: { onClose: () => void }) {
    const { gpus } = useSnapshot();
    const { attempt } = useShared();
    const [file, setFile] = useState<File>();
    const [gpu, setGpu] = useState("");
    const [anew, setAnew] = useState(false);
    const [label, setLabel] = useState("");
    const wrong = validateLabel(label);
    const ready = gpus.filter(candidate => candidate.state === "ready");
    const address = ready.some(candidate => candidate.address === gpu) ? gpu : "";

    const restore = async () => {
        const command = ["mdevgpuctl", "--quiet", "import-state", ...anew ? ["--uuid=new"] : [], ...label ? [`--label=${label}`] : [], "-",
                         ...address ? [address] : []];

        // It goes on when this is closed: the job tells how far it is.
        void attempt(format(_("$0 was not restored"), file!.name), () => upload(command, file!));
    };

    return <Question id="upload" onClose={onClose} disabled={!file || wrong !== ""} action={restore} title={_("Restore from a file")}
                     button={_("Restore")} refused={_("Nothing was restored")}>
        <FormGroup label={_("File")} fieldId="upload-file" isRequired>
            <input type="file" id="upload-file" onChange={event => setFile(event.target.files?.[0])} aria-describedby="upload-file-hint" />
            <Hint id="upload-file-hint">
                {file ? format(_("$0. Stay on this page until it is done."), formatBytes(file.size)) : _("A state that was downloaded, or that mdevgpuctl exported.")}
            </Hint>
        </FormGroup>
        <FormGroup label={_("GPU")} fieldId="upload-gpu">
            <FormSelect id="upload-gpu" value={address} onChange={(_event, value) => setGpu(value)}>
                <FormSelectOption value="" label={_("Whichever has room")} />
                {ready.map(candidate => <FormSelectOption key={candidate.path} value={candidate.address} label={candidate.address} />)}
            </FormSelect>
        </FormGroup>
        <FormGroup label={_("Label")} fieldId="upload-label">
            <TextInput id="upload-label" value={label} onChange={(_event, value) => setLabel(value)} autoComplete="off"
                       validated={wrong ? "error" : "default"} aria-describedby="upload-label-hint" />
            <Hint id="upload-label-hint" error={wrong}>{_("That of the state if none is given.")}</Hint>
        </FormGroup>
        <Checkbox id="upload-anew" label={_("Under another UUID, made here")} isChecked={anew} onChange={(_event, checked) => setAnew(checked)} />
    </Question>;
}
