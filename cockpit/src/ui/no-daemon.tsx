// SPDX-License-Identifier: LGPL-2.1-or-later

import { useEffect, useState } from "react";

import { BusError } from "../bus.ts";
import type { Connection } from "../daemon.ts";
import { _ } from "../i18n.ts";
import { useBusy, useDaemon } from "./hooks.tsx";
import { Refusal } from "./parts.tsx";
import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, ExclamationCircleIcon, LockIcon, PowerOffIcon,
         Spinner } from "./pf.ts";

function Connecting() {
    // What is there at once needs no word.
    const [late, setLate] = useState(false);

    useEffect(() => {
        const timer = setTimeout(() => setLate(true), 300);

        return () => clearTimeout(timer);
    }, []);
    return late
        ? <EmptyState headingLevel="h1" titleText={_("Asking mdevgpud")} icon={Spinner}>
            <EmptyStateBody>{_("While it starts it looks at every GPU, which can take some seconds.")}</EmptyStateBody>
        </EmptyState>
        : null;
}

function Absent({ reason }: { reason: string }) {
    const daemon = useDaemon();
    const [busy, run] = useBusy();
    const [error, setError] = useState<BusError>();

    const start = () => run(async () => {
        setError(undefined);
        await daemon.start().catch(e => setError(BusError.from(e)));
    });

    return <EmptyState headingLevel="h1" titleText={_("mdevgpud is not running")} icon={PowerOffIcon} data-absent>
        <EmptyStateBody>
            <p>{_("vGPUs that exist stay as they are, and virtual machines keep theirs.")}</p>
            {reason && <p className="mdevgpu-quiet">{reason}</p>}
            {error && <Refusal title={_("It could not be started")} text={error.denied
                ? _("Only an administrator can start services: press \"Limited access\" at the top of Cockpit.") : error.message} />}
        </EmptyStateBody>
        <EmptyStateFooter>
            <EmptyStateActions>
                <Button variant="primary" isLoading={busy} isDisabled={busy} onClick={() => void start()}>{_("Start it")}</Button>
            </EmptyStateActions>
            <EmptyStateActions>
                <Button variant="link" onClick={() => cockpit!.jump("/system/services#/mdevgpud.service")}>{_("Show the service")}</Button>
            </EmptyStateActions>
        </EmptyStateFooter>
    </EmptyState>;
}

function Failed({ title, reason, denied }: { title: string; reason: string; denied: boolean }) {
    const daemon = useDaemon();

    return <EmptyState headingLevel="h1" titleText={title} icon={denied ? LockIcon : ExclamationCircleIcon}
                       status={denied ? "warning" : "danger"} data-failed>
        <EmptyStateBody>
            {denied && <p>{_("Become administrator: press \"Limited access\" at the top of Cockpit.")}</p>}
            <p className="mdevgpu-quiet">{reason}</p>
        </EmptyStateBody>
        <EmptyStateFooter>
            <EmptyStateActions>
                <Button variant="primary" onClick={() => daemon.retry()}>{_("Try again")}</Button>
            </EmptyStateActions>
        </EmptyStateFooter>
    </EmptyState>;
}

export function NoDaemon({ connection }: { connection: Exclude<Connection, { state: "ready" }> }) {
    switch (connection.state) {
    case "connecting":
        return <Connecting />;
    case "absent":
        return <Absent reason={connection.reason} />;
    case "denied":
        return <Failed denied title={_("You may not look at vGPUs")} reason={connection.reason} />;
    case "failed":
        return <Failed denied={false} title={_("mdevgpud cannot be asked")} reason={connection.reason} />;
    }
}
