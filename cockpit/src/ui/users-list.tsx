// SPDX-License-Identifier: LGPL-2.1-or-later

import { _, format } from "../i18n.ts";
import { User, VGpu, readUsers } from "../model.ts";
import { useAsked, useDaemon } from "./hooks.tsx";
import { Alert, Spinner } from "./pf.ts";

export function Users({ users }: { users: readonly User[] }) {
    return <ul className="mdevgpu-users">
        {users.map(user => <li key={user.pid}>
            {user.vm ? format(_("virtual machine $0"), user.vm) : user.comm || _("a process")}
            <span className="mdevgpu-quiet"> {[format(_("process $0"), user.pid), format(_("user $0"), user.uid), user.unit].filter(Boolean).join(", ")}</span>
        </li>)}
    </ul>;
}

/** Who uses a vGPU, for dialogs of what cannot be done then. */
export function InUse({ vgpu, text }: { vgpu: VGpu; text: string }) {
    const daemon = useDaemon();
    const users = useAsked(`${vgpu.uuid} ${vgpu.inUse}`, async () => readUsers((await daemon.manager("GetUsers", "sa{sv}", vgpu.uuid, {}))[0]));

    if (users.value === undefined && users.asking)
        return <Spinner size="md" aria-label={_("Looking who uses it")} />;
    if (!users.value?.length)
        return null;
    return <Alert variant="warning" isInline component="p" title={text}><Users users={users.value} /></Alert>;
}
