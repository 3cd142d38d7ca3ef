// SPDX-License-Identifier: LGPL-2.1-or-later

import { useEffect, useRef, useState } from "react";

import { describe } from "./events-view.tsx";
import { useSnapshot } from "./hooks.tsx";

/** Says to a screen reader what others see appear and go; the last thing of a burst is enough. */
export function Announcer() {
    const { happenings } = useSnapshot();
    const seen = useRef(happenings[0]?.id ?? 0);
    const [text, setText] = useState("");
    const newest = happenings[0];

    useEffect(() => {
        if (!newest || newest.id === seen.current)
            return;
        seen.current = newest.id;
        setText(describe(newest));
    }, [newest]);

    return <div className="mdevgpu-sr" aria-live="polite" role="log">{text}</div>;
}
