// SPDX-License-Identifier: LGPL-2.1-or-later

import { _, format } from "../i18n.ts";
import type { User } from "../model.ts";

export function Users({ users }: { users: readonly User[] }) {
    return <ul className="mdevgpu-users">
        {users.map(user => <li key={user.pid}>
            {user.vm ? format(_("virtual machine $0"), user.vm) : user.comm || _("a process")}
            <span className="mdevgpu-quiet"> {[format(_("process $0"), user.pid), format(_("user $0"), user.uid), user.unit].filter(Boolean).join(", ")}</span>
        </li>)}
    </ul>;
}
