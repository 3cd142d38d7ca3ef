// SPDX-License-Identifier: LGPL-2.1-or-later

import { useState } from "react";

import { _, format } from "../i18n.ts";
import { Problem, readProblems } from "../model.ts";
import { useBusy, useDaemon, useShared, useSnapshot } from "./hooks.tsx";
import { StateLabel } from "./parts.tsx";
import { Alert, Button, CheckCircleIcon, EmptyState, EmptyStateBody } from "./pf.ts";

function placeOf({ file, line, column }: Problem): string {
    return line ? `${file}:${line}${column ? `:${column}` : ""}` : file;
}

function Problems({ problems, label }: { problems: readonly Problem[]; label: string }) {
    const cell = "pf-v6-c-table__td";

    return <table className="pf-v6-c-table pf-m-grid-md" aria-label={label}>
        <thead className="pf-v6-c-table__thead">
            <tr className="pf-v6-c-table__tr">
                {[_("Severity"), _("Where"), _("What")].map(title => <th key={title} className="pf-v6-c-table__th" scope="col">{title}</th>)}
            </tr>
        </thead>
        <tbody className="pf-v6-c-table__tbody">
            {problems.map((problem, index) => <tr key={index} className="pf-v6-c-table__tr" data-problem={placeOf(problem)}>
                <td className={cell} data-label={_("Severity")}>
                    <StateLabel state={problem.severity} word={problem.severity === "error" ? _("Error") : _("Warning")} />
                </td>
                <td className={cell} data-label={_("Where")}><span className="mdevgpu-mono">{placeOf(problem)}</span></td>
                <td className={cell} data-label={_("What")}>{problem.message}</td>
            </tr>)}
        </tbody>
    </table>;
}

/** What CheckConfig() says of the files as they are now. */
function Checked({ problems }: { problems: Problem[] | null }) {
    if (!problems)
        return null;
    return <section className="mdevgpu-stack" aria-label={_("The files as they are now")} role="status">
        <h2>{_("The files as they are now")}</h2>
        {problems.length === 0
            ? <Alert variant="success" isInline component="p" title={_("There is nothing wrong with them.")} />
            : <Problems problems={problems} label={_("The files as they are now")} />}
    </section>;
}

export function ConfigView() {
    const daemon = useDaemon();
    const { attempt } = useShared();
    const { manager, rights } = useSnapshot();
    const [checked, setChecked] = useState<Problem[] | null>(null);
    const [checking, runCheck] = useBusy();
    const [reloading, runReload] = useBusy();
    const errors = manager.problems.filter(problem => problem.severity === "error").length;

    const check = () => runCheck(() => attempt(_("They could not be checked"), async () =>
        setChecked(readProblems((await daemon.manager("CheckConfig"))[0]))));
    const reload = () => runReload(() => attempt(_("The last good configuration stays in force"), async () => {
        setChecked(null);
        await daemon.manager("Reload", "a{sv}", {});
    }));

    return <section className="mdevgpu-panel mdevgpu-stack" aria-label={_("Configuration")}>
        <div className="mdevgpu-toolbar">
            <p className="mdevgpu-quiet mdevgpu-grow">{format(_("Profiles are in $0, topologies in $1."), "/etc/mdevgpud/types.d", "/etc/mdevgpud/topologies.d")}</p>
            <Button variant="secondary" isLoading={checking} isDisabled={checking} onClick={() => void check()}>{_("Check the files")}</Button>
            {rights.reload && <Button isLoading={reloading} isDisabled={reloading} onClick={() => void reload()}>{_("Reload")}</Button>}
        </div>
        {errors > 0 && <Alert variant="danger" isInline component="p" title={_("When it was read last, it had errors. What was in force before is still in force.")} />}
        {manager.problems.length > 0
            ? <Problems problems={manager.problems} label={_("Problems")} />
            : <EmptyState headingLevel="h2" titleText={_("The configuration has no errors")} icon={CheckCircleIcon} variant="sm">
                <EmptyStateBody>{_("That is how it was read last. Files that were changed since count from the next reload on.")}</EmptyStateBody>
            </EmptyState>}
        <Checked problems={checked} />
    </section>;
}
