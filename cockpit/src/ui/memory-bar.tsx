// SPDX-License-Identifier: LGPL-2.1-or-later

import { _, format, formatBytes, ngettext } from "../i18n.ts";
import type { Division, Share } from "../select.ts";

/** More of them make a legend that nobody reads; the table has them all. */
const LEGEND = 8;

function nameOf({ vgpu }: Share): string {
    return vgpu.label || vgpu.uuid.slice(0, 8);
}

function shareText(share: Share): string {
    return format("$0, $1, $2", nameOf(share), share.type?.name ?? share.vgpu.typeId, formatBytes(share.bytes));
}

function summaryOf({ total, used, free, partial }: Division): string {
    if (total === null)
        return format(_("$0 used; how much there is, the driver does not tell"), formatBytes(used));
    if (partial)
        return format(_("at least $0 of $1 used"), formatBytes(used), formatBytes(total));
    return format(_("$0 of $1 used, $2 free"), formatBytes(used), formatBytes(total), formatBytes(free));
}

function Legend({ division, gpu }: { division: Division; gpu: string }) {
    const shares = division.shares.slice(0, LEGEND);
    const more = division.shares.length - shares.length;

    return <ul className="mdevgpu-legend">
        {shares.map((share, index) => <li key={share.vgpu.path}>
            <span className={`mdevgpu-swatch mdevgpu-share-${index % 6}`} aria-hidden="true" />
            <a href={`#/vgpus?vgpu=${share.vgpu.uuid}`}>{nameOf(share)}</a>
            <span className="mdevgpu-quiet">{share.type?.name ?? share.vgpu.typeId}, {formatBytes(share.bytes)}</span>
        </li>)}
        {more > 0 && <li><a href={`#/vgpus?gpu=${gpu}`}>{format(ngettext("$0 more", "$0 more", more), more)}</a></li>}
    </ul>;
}

/** Who has which part of a card's memory. */
export function MemoryBar({ division, gpu }: { division: Division; gpu: string }) {
    // Where the size of the card is not known, the parts fill the bar.
    const whole = Math.max(division.total ?? 0, division.used) || 1;
    const summary = summaryOf(division);

    return <div className="mdevgpu-memory">
        <div className="mdevgpu-row">
            <h3>{_("Framebuffer")}</h3>
            <span className="mdevgpu-quiet" data-memory>{summary}</span>
        </div>
        <div className="mdevgpu-bar" role="img" aria-label={[summary, ...division.shares.map(shareText)].join("; ")}>
            {division.shares.map((share, index) => share.bytes !== null &&
                <span key={share.vgpu.path} className={`mdevgpu-share mdevgpu-share-${index % 6}`} title={shareText(share)}
                      style={{ width: `${100 * share.bytes / whole}%` }} />)}
        </div>
        <Legend division={division} gpu={gpu} />
    </div>;
}
