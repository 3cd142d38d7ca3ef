// SPDX-License-Identifier: LGPL-2.1-or-later

import { Fragment, ReactNode, useEffect, useMemo, useState } from "react";

import type { Snapshot } from "../daemon.ts";
import { _, format, formatPercent, migrationWord, ngettext, stateWord } from "../i18n.ts";
import type { VGpu } from "../model.ts";
import { Column, Filter, Names, Order, fittingAnywhere, selectVGpus } from "../select.ts";
import { CreateDialog } from "./create-dialog.tsx";
import { go, useLocation, useSnapshot } from "./hooks.tsx";
import { concerns, isRunning } from "./jobs.tsx";
import { CopyButton, StateLabel } from "./parts.tsx";
import { AngleDownIcon, AngleRightIcon, ArrowsAltVIcon, Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, FormSelect,
         FormSelectOption, Label, LayerGroupIcon, LongArrowAltDownIcon, LongArrowAltUpIcon, SearchIcon, TextInput } from "./pf.ts";
import { QuickAction } from "./vgpu-actions.tsx";
import { VGpuDetail } from "./vgpu-detail.tsx";

/** So many rows at a time; the rest on demand. */
const PAGE = 250;

function namesOf({ types, gpus }: Snapshot): Names {
    const byPath = new Map(gpus.map(gpu => [gpu.path, gpu]));

    return {
        typeName: vgpu => types.get(vgpu.type)?.name ?? vgpu.typeId,
        gpuName: vgpu => byPath.get(vgpu.gpu)?.name ?? "",
    };
}

function SortHeader({ column, order, onOrder, children }: { column: Column; order: Order; onOrder: (order: Order) => void; children: ReactNode }) {
    const current = order.column === column;
    const Icon = !current ? ArrowsAltVIcon : order.descending ? LongArrowAltDownIcon : LongArrowAltUpIcon;

    return <th className={`pf-v6-c-table__th pf-v6-c-table__sort ${current ? "pf-m-selected" : ""}`} scope="col"
               aria-sort={!current ? "none" : order.descending ? "descending" : "ascending"}>
        <button type="button" className="pf-v6-c-table__button" onClick={() => onOrder({ column, descending: current && !order.descending })}>
            <div className="pf-v6-c-table__button-content">
                <span className="pf-v6-c-table__text">{children}</span>
                <span className="pf-v6-c-table__sort-indicator"><Icon /></span>
            </div>
        </button>
    </th>;
}

function UseCell({ vgpu }: { vgpu: VGpu }) {
    if (vgpu.state !== "active")
        return <>–</>;
    return <span className={vgpu.inUse === "yes" ? "" : "mdevgpu-quiet"}>{stateWord(vgpu.inUse || "unknown")}</span>;
}

/** Of what goes on with it at present. */
function HowFar({ vgpu }: { vgpu: VGpu }) {
    const { jobs } = useSnapshot();
    const job = jobs.find(candidate => isRunning(candidate) && concerns(candidate, vgpu));

    return job?.operation.endsWith("-state") && job.progress !== null ? <span className="mdevgpu-small">{formatPercent(job.progress)}</span> : null;
}

function Kept({ vgpu }: { vgpu: VGpu }) {
    if (!vgpu.persistent)
        return <span className="mdevgpu-quiet">{_("Until reboot")}</span>;
    return <>
        <Label isCompact variant="outline">{_("Persistent")}</Label>
        {vgpu.autostart && <> <Label isCompact variant="outline" color="blue">{_("Autostart")}</Label></>}
    </>;
}

interface RowProps {
    vgpu: VGpu;
    names: Names;
    open: boolean;
    migration: boolean;
    onToggle: () => void;
}

function Row({ vgpu, names, open, migration, onToggle }: RowProps) {
    const cell = "pf-v6-c-table__td";
    const name = vgpu.label || vgpu.uuid;

    return <tr className="pf-v6-c-table__tr" data-vgpu={vgpu.uuid} data-state={vgpu.state}>
        <td className={`${cell} pf-v6-c-table__toggle`}>
            <Button variant="plain" aria-expanded={open} onClick={onToggle}
                    aria-label={format(_("Details of $0"), name)} icon={open ? <AngleDownIcon /> : <AngleRightIcon />} />
        </td>
        <th className={cell} data-label={_("Label")} scope="row">{vgpu.label || <span className="mdevgpu-quiet">–</span>}</th>
        <td className={cell} data-label={_("UUID")}>
            <span className="mdevgpu-uuid"><span className="mdevgpu-mono">{vgpu.uuid}</span><CopyButton text={vgpu.uuid} what={format(_("UUID of $0"), name)} /></span>
        </td>
        <td className={cell} data-label={_("Type")}>{names.typeName(vgpu)}</td>
        <td className={cell} data-label={_("GPU")}><span className="mdevgpu-mono mdevgpu-whole">{vgpu.parent}</span></td>
        <td className={cell} data-label={_("State")}>
            <div><StateLabel state={vgpu.state} /> <HowFar vgpu={vgpu} />{vgpu.lastError && <div className="mdevgpu-small mdevgpu-clip" title={vgpu.lastError}>{vgpu.lastError}</div>}</div>
        </td>
        <td className={cell} data-label={_("Users")}><UseCell vgpu={vgpu} /></td>
        <td className={cell} data-label={_("Lifetime")}><span><Kept vgpu={vgpu} /></span></td>
        {migration && <td className={cell} data-label={_("Migration")}>{migrationWord(vgpu.migration)}</td>}
        <td className={`${cell} pf-v6-c-table__action`}><QuickAction vgpu={vgpu} /></td>
    </tr>;
}

interface TableProps {
    rows: VGpu[];
    names: Names;
    order: Order;
    onOrder: (order: Order) => void;
    open: ReadonlySet<string>;
    onToggle: (uuid: string) => void;
}

function Table({ rows, names, order, onOrder, open, onToggle }: TableProps) {
    const migration = rows.some(vgpu => vgpu.migration !== "");
    const sort = { order, onOrder };

    return <table className="pf-v6-c-table pf-m-grid-lg pf-m-compact mdevgpu-vgpus" aria-label={_("vGPUs")}>
        <thead className="pf-v6-c-table__thead">
            <tr className="pf-v6-c-table__tr">
                <td className="pf-v6-c-table__td" />
                <SortHeader column="label" {...sort}>{_("Label")}</SortHeader>
                <SortHeader column="uuid" {...sort}>{_("UUID")}</SortHeader>
                <SortHeader column="type" {...sort}>{_("Type")}</SortHeader>
                <SortHeader column="gpu" {...sort}>{_("GPU")}</SortHeader>
                <SortHeader column="state" {...sort}>{_("State")}</SortHeader>
                <SortHeader column="inUse" {...sort}>{_("Users")}</SortHeader>
                <SortHeader column="kept" {...sort}>{_("Lifetime")}</SortHeader>
                {migration && <SortHeader column="migration" {...sort}>{_("Migration")}</SortHeader>}
                <td className="pf-v6-c-table__td" />
            </tr>
        </thead>
        {rows.map(vgpu => <tbody key={vgpu.path} className={`pf-v6-c-table__tbody ${open.has(vgpu.uuid) ? "pf-m-expanded" : ""}`}>
            <Row vgpu={vgpu} names={names} open={open.has(vgpu.uuid)} migration={migration} onToggle={() => onToggle(vgpu.uuid)} />
            {open.has(vgpu.uuid) && <tr className="pf-v6-c-table__tr pf-v6-c-table__expandable-row pf-m-expanded">
                <td className="pf-v6-c-table__td" colSpan={migration ? 10 : 9}>
                    <div className="pf-v6-c-table__expandable-row-content"><VGpuDetail vgpu={vgpu} typeName={names.typeName(vgpu)} /></div>
                </td>
            </tr>}
        </tbody>)}
    </table>;
}

interface ToolbarProps {
    filter: Filter;
    onFilter: (filter: Filter) => void;
    shown: number;
    onCreate: () => void;
}

function Toolbar({ filter, onFilter, shown, onCreate }: ToolbarProps) {
    const { gpus, vgpus, rights, typesOf } = useSnapshot();
    const states = [...new Set([...vgpus.map(vgpu => vgpu.state), ...filter.state ? [filter.state] : []])].sort();
    const fits = fittingAnywhere(gpus, typesOf).length > 0;

    return <div className="mdevgpu-toolbar" role="search">
        <TextInput type="search" aria-label={_("Filter by label, UUID, type, GPU, state or lifetime")} placeholder={_("Filter")} value={filter.words}
                   onChange={(_event, words) => onFilter({ ...filter, words })} customIcon={<SearchIcon />} id="filter-words" />
        <FormSelect aria-label={_("GPU")} value={filter.gpu} onChange={(_event, gpu) => onFilter({ ...filter, gpu })} id="filter-gpu">
            <FormSelectOption value="" label={_("All GPUs")} />
            {gpus.map(gpu => <FormSelectOption key={gpu.path} value={gpu.path} label={gpu.address} />)}
        </FormSelect>
        <FormSelect aria-label={_("State")} value={filter.state} onChange={(_event, state) => onFilter({ ...filter, state })} id="filter-state">
            <FormSelectOption value="" label={_("All states")} />
            {states.map(state => <FormSelectOption key={state} value={state} label={stateWord(state)} />)}
        </FormSelect>
        <span className="mdevgpu-quiet mdevgpu-grow" role="status" data-shown>
            {shown === vgpus.length ? format(ngettext("$0 vGPU", "$0 vGPUs", shown), shown) : format(_("$0 of $1 vGPUs"), shown, vgpus.length)}
        </span>
        {rights.manage && <Button variant="primary" onClick={onCreate} isAriaDisabled={!fits}>{_("Create vGPU")}</Button>}
    </div>;
}

function Empty({ onCreate }: { onCreate: () => void }) {
    const { rights, gpus, typesOf } = useSnapshot();
    const fits = fittingAnywhere(gpus, typesOf).length > 0;

    return <EmptyState headingLevel="h2" titleText={_("No vGPUs")} icon={LayerGroupIcon}>
        <EmptyStateBody>{fits ? _("A vGPU is a part of a card that a virtual machine can have.")
            : _("No GPU offers a type of which one could be made; the cards say why.")}</EmptyStateBody>
        <EmptyStateFooter>
            <EmptyStateActions>
                {rights.manage && fits && <Button variant="primary" onClick={onCreate}>{_("Create vGPU")}</Button>}
                {!fits && <Button variant="link" onClick={() => go("")}>{_("Show GPUs")}</Button>}
            </EmptyStateActions>
        </EmptyStateFooter>
    </EmptyState>;
}

function useFilter(): [Filter, (filter: Filter) => void] {
    const { options } = useLocation();
    const asked = { words: "", gpu: options.gpu ?? "", state: options.state ?? "" };
    const [filter, setFilter] = useState<Filter>(asked);

    useEffect(() => {
        if (options.gpu || options.state)
            setFilter({ words: "", gpu: options.gpu ?? "", state: options.state ?? "" });
    }, [options.gpu, options.state]);
    return [filter, setFilter];
}

/** Those that are unfolded; a link to one of them unfolds it and goes there. */
function useOpen(): [ReadonlySet<string>, (uuid: string) => void] {
    const { options } = useLocation();
    const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
    const asked = options.vgpu ?? "";

    useEffect(() => {
        if (!asked)
            return;
        setOpen(all => new Set([...all, asked]));
        requestAnimationFrame(() => {
            const row = document.querySelector(`tr[data-vgpu="${CSS.escape(asked)}"]`);

            row?.scrollIntoView({ block: "center" });
            row?.querySelector("button")?.focus({ preventScroll: true });
        });
    }, [asked]);
    const toggle = (uuid: string) => setOpen(all => {
        const next = new Set(all);

        if (!next.delete(uuid))
            next.add(uuid);
        return next;
    });

    return [open, toggle];
}

export function VGpusView() {
    const snapshot = useSnapshot();
    const [filter, setFilter] = useFilter();
    const [order, setOrder] = useState<Order>({ column: "label", descending: false });
    const [open, toggle] = useOpen();
    const [limit, setLimit] = useState(PAGE);
    const [creating, setCreating] = useState(false);
    const names = useMemo(() => namesOf(snapshot), [snapshot]);
    const rows = useMemo(() => selectVGpus(snapshot.vgpus, filter, order, names), [snapshot, filter, order, names]);

    return <Fragment>
        {snapshot.vgpus.length === 0 ? <Empty onCreate={() => setCreating(true)} /> : <section className="mdevgpu-panel" aria-label={_("vGPUs")}>
            <Toolbar filter={filter} onFilter={setFilter} shown={rows.length} onCreate={() => setCreating(true)} />
            {rows.length === 0
                ? <EmptyState headingLevel="h2" titleText={_("None of them matches")} icon={SearchIcon} variant="sm">
                    <EmptyStateFooter>
                        <Button variant="link" onClick={() => setFilter({ words: "", gpu: "", state: "" })}>{_("Show all")}</Button>
                    </EmptyStateFooter>
                </EmptyState>
                : <Table rows={rows.slice(0, limit)} names={names} order={order} onOrder={setOrder} open={open} onToggle={toggle} />}
            {rows.length > limit && <Button variant="link" onClick={() => setLimit(limit + PAGE)}>
                {format(_("Show more; $0 are left"), rows.length - limit)}
            </Button>}
        </section>}
        {creating && <CreateDialog gpu={filter.gpu} type="" onClose={() => setCreating(false)} />}
    </Fragment>;
}
