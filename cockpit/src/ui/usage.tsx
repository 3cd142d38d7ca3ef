// SPDX-License-Identifier: LGPL-2.1-or-later

import { _, formatBytes } from "../i18n.ts";
import { Gpu, bytes, properties } from "../model.ts";
import { useAsked, useDaemon, useSnapshot } from "./hooks.tsx";
import { Term } from "./parts.tsx";

function Asked({ gpu }: { gpu: Gpu }) {
    const daemon = useDaemon();
    const { vgpusOf } = useSnapshot();
    // What a driver tells of the whole card changes with its vGPUs; between that it is not looked at.
    const key = (vgpusOf.get(gpu.path) ?? []).map(vgpu => `${vgpu.uuid} ${vgpu.state} ${vgpu.inUse}`).join();
    const usage = useAsked(key, async () => properties((await daemon.manager("GetUsage", "sa{sv}", gpu.address, {}))[0]));
    const used = bytes(usage.value?.["framebuffer-used"]);

    return used === null ? null : <Term name={_("In use, as the driver says")}>{formatBytes(used)}</Term>;
}

/** How much of the card is at work, where the daemon can tell. */
export function UsageTerms({ gpu }: { gpu: Gpu }) {
    const { methods } = useSnapshot();

    return methods.has("org.mdevgpu1.Manager.GetUsage") && gpu.state === "ready" ? <Asked gpu={gpu} /> : null;
}
