// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Small things that several views are made of.

import { ReactNode, useEffect, useRef, useState } from "react";

import { _, format, stateWord } from "../i18n.ts";
import { Alert, Button, CheckIcon, CopyIcon, DescriptionListDescription, DescriptionListGroup, DescriptionListTerm, FormHelperText,
         HelperText, HelperTextItem, Label } from "./pf.ts";

const COLORS: Record<string, "green" | "blue" | "red" | "orange" | "grey" | "teal"> = {
    active: "green", ready: "green", done: "green", registered: "green",
    creating: "blue", removing: "blue", probing: "blue", running: "blue", saving: "blue", restoring: "blue", incoming: "blue",
    failed: "red", refused: "red", error: "red",
    busy: "orange", differs: "orange", pending: "orange", degraded: "orange", "host-ready": "orange", "driver-not-vgpu-host": "orange", "layout-unknown": "orange",
    warning: "orange", "no-driver": "orange", retired: "orange",
};

export function StateLabel({ state, word }: { state: string; word?: string }) {
    return <Label color={COLORS[state] ?? "grey"} isCompact>{word ?? stateWord(state)}</Label>;
}

/** Not every Cockpit lets a frame use the clipboard's own interface; the old way works in all. */
async function copy(text: string): Promise<void> {
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        const area = document.createElement("textarea");

        area.value = text;
        area.setAttribute("aria-hidden", "true");
        area.style.position = "fixed";
        area.style.opacity = "0";
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
    }
}

export function CopyButton({ text, what, label }: { text: string; what: string; label?: string }) {
    const [done, setDone] = useState(false);
    const timer = useRef<ReturnType<typeof setTimeout>>();

    useEffect(() => () => clearTimeout(timer.current), []);
    const onClick = async (event: React.MouseEvent<HTMLButtonElement>) => {
        const button = event.currentTarget;

        await copy(text);
        button.focus();
        setDone(true);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => setDone(false), 2000);
    };

    return <>
        <Button variant={label ? "secondary" : "plain"} size="sm" icon={done ? <CheckIcon /> : <CopyIcon />}
                {...label ? {} : { "aria-label": format(_("Copy $0"), what) }} title={label ? undefined : _("Copy")}
                onClick={event => void onClick(event)}>
            {label && (done ? _("Copied") : label)}
        </Button>
        <span className="mdevgpu-sr" role="status">{done ? _("Copied") : ""}</span>
    </>;
}

export function Term({ name, children }: { name: string; children: ReactNode }) {
    return <DescriptionListGroup>
        <DescriptionListTerm>{name}</DescriptionListTerm>
        <DescriptionListDescription>{children}</DescriptionListDescription>
    </DescriptionListGroup>;
}

export function Refusal({ title, text }: { title: string; text: string }) {
    return <Alert variant="danger" isInline title={title} component="p" role="alert" data-error>{text}</Alert>;
}

/** What a field's value lacks, or what the field is for. */
export function Hint({ id, error, children }: { id: string; error?: string | undefined; children?: ReactNode }) {
    return <FormHelperText>
        <HelperText id={id} isLiveRegion={Boolean(error)}>
            <HelperTextItem variant={error ? "error" : "default"}>{error || children}</HelperTextItem>
        </HelperText>
    </FormHelperText>;
}

/** The text for a machine: monospaced, copied as a whole. */
export function Code({ text, label }: { text: string; label: string }) {
    return <div className="pf-v6-c-code-block mdevgpu-code">
        <pre className="pf-v6-c-code-block__pre" tabIndex={0} aria-label={label}>
            <code className="pf-v6-c-code-block__code">{text}</code>
        </pre>
    </div>;
}
