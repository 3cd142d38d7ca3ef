// SPDX-License-Identifier: LGPL-2.1-or-later

import type { ReactNode } from "react";

import { _, format, ngettext } from "../i18n.ts";
import { Announcer } from "./announcer.tsx";
import { ConfigView } from "./config-view.tsx";
import { EventsView } from "./events-view.tsx";
import { GpusView } from "./gpus-view.tsx";
import { useLocation, useShared, useSnapshot } from "./hooks.tsx";
import { Jobs } from "./jobs.tsx";
import { useKeptFocus } from "./kept-focus.ts";
import { NoDaemon } from "./no-daemon.tsx";
import { StatesView } from "./states-view.tsx";
import { Alert, AlertActionCloseButton, Label } from "./pf.ts";
import { TopologiesView } from "./topologies-view.tsx";
import { VGpusView } from "./vgpus-view.tsx";

interface View {
    name: string;
    title: string;
    badge?: string | undefined;
    content: ReactNode;
}

function useViews(): View[] {
    const { gpus, vgpus, manager, methods } = useSnapshot();
    const errors = manager.problems.filter(problem => problem.severity === "error").length;
    const views: View[] = [
        { name: "", title: _("GPUs"), badge: String(gpus.length), content: <GpusView /> },
        { name: "vgpus", title: _("vGPUs"), badge: String(vgpus.length), content: <VGpusView /> },
    ];

    if (methods.has("org.mdevgpu1.Manager.ListSavedStates"))
        views.push({ name: "states", title: _("Saved states"), content: <StatesView /> });
    if (methods.has("org.mdevgpu1.Manager.ListTopologies"))
        views.push({ name: "topologies", title: _("Topologies"), content: <TopologiesView /> });
    views.push({ name: "config", title: _("Configuration"), badge: errors ? String(errors) : undefined, content: <ConfigView /> });
    views.push({ name: "events", title: _("Events"), content: <EventsView /> });
    return views;
}

function Tabs({ views, current }: { views: View[]; current: View }) {
    return <nav className="pf-v6-c-tabs mdevgpu-tabs" aria-label={_("Views")}>
        <ul className="pf-v6-c-tabs__list">
            {views.map(view => <li key={view.name}
                                   className={`pf-v6-c-tabs__item ${view === current ? "pf-m-current" : ""}`}>
                <a className="pf-v6-c-tabs__link" href={`#/${view.name}`} aria-current={view === current ? "page" : undefined}>
                    <span className="pf-v6-c-tabs__item-text">{view.title}</span>
                    {view.badge && <span className="mdevgpu-badge">{view.badge}</span>}
                </a>
            </li>)}
        </ul>
    </nav>;
}

function Notices() {
    const { notices, dismiss } = useShared();
    const { rights, rightsKnown, manager, vgpus } = useSnapshot();
    const errors = manager.problems.filter(problem => problem.severity === "error");
    const { view } = useLocation();

    return <>
        {rightsKnown && !Object.values(rights).some(Boolean) && <Alert variant="info" isInline component="p" title={_("You have limited access: everything is shown, nothing can be changed.")} data-limited>
            {_("To make changes, press \"Limited access\" at the top of Cockpit and become administrator.")}
        </Alert>}
        {errors.length > 0 && view !== "config" &&
            <Alert variant="danger" isInline component="p"
                   title={format(ngettext("The configuration has $0 error; an earlier one may be in force.",
                                          "The configuration has $0 errors; an earlier one may be in force.", errors.length),
                                 errors.length)}>
                <a href="#/config">{_("Show where")}</a>
            </Alert>}
        {vgpus.filter(vgpu => vgpu.state === "failed").length > 0 && view === "" &&
            <Alert variant="warning" isInline component="p" title={_("A vGPU that shall be there could not be started.")}>
                <a href="#/vgpus?state=failed">{_("Show which")}</a>
            </Alert>}
        {notices.map(notice =>
            <Alert key={notice.id} variant="danger" isInline component="p" role="alert" title={notice.title} data-error
                   actionClose={<AlertActionCloseButton aria-label={_("Dismiss")} onClose={() => dismiss(notice.id)} />}>
                {notice.text}
            </Alert>)}
    </>;
}

export function App() {
    const { connection, manager } = useSnapshot();
    const { view } = useLocation();
    const views = useViews();
    const current = views.find(candidate => candidate.name === view) ?? views[0]!;

    useKeptFocus();
    if (connection.state !== "ready")
        return <main className="mdevgpu-main" tabIndex={-1}><NoDaemon connection={connection} /></main>;

    return <>
        <header className="mdevgpu-header">
            <h1>{_("vGPUs")}</h1>
            <span className="mdevgpu-quiet">mdevgpud {manager.version}</span>
            {manager.activeTopology && <Label isCompact color="blue">{format(_("Topology: $0"), manager.activeTopology)}</Label>}
            {manager.degraded && <Label isCompact color="orange">{_("Degraded")}</Label>}
        </header>
        <Tabs views={views} current={current} />
        <main className="mdevgpu-main" tabIndex={-1} aria-label={current.title}>
            <Notices />
            <Jobs />
            {current.content}
        </main>
        <Announcer />
    </>;
}
