// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What has the focus may go, by whatever hand. Browsers begin at the top of the page then; here one stays where that was: in
// the same row or card, or else in the view.

import { useEffect } from "react";

const DIALOG = "[role=dialog]";

function placeOf(element: Element | null): Element | null {
    return element?.closest("main tr, main article, main section, main") ?? null;
}

export function useKeptFocus(): void {
    useEffect(() => {
        let place: Element | null = null;
        // A dialog gives it back to what it was opened from, if that is still there. Who clicks beside everything has none.
        const note = ({ target }: Event) => {
            if (target instanceof Element && !target.closest(DIALOG))
                place = placeOf(document.activeElement);
        };
        const keep = () => {
            // Who is in another frame, as in Cockpit's own menus, stays there.
            if (!place || !document.hasFocus() || document.activeElement !== document.body || document.querySelector(DIALOG))
                return;
            const next = place.isConnected ? place.querySelector<HTMLElement>("button:enabled, a[href]") : null;

            (next ?? document.querySelector("main"))?.focus({ preventScroll: true });
        };
        const observer = new MutationObserver(keep);

        document.addEventListener("focusin", note);
        document.addEventListener("click", note);
        observer.observe(document.body, { childList: true, subtree: true });
        return () => {
            document.removeEventListener("focusin", note);
            document.removeEventListener("click", note);
            observer.disconnect();
        };
    }, []);
}
