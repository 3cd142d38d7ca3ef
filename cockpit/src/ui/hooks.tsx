// SPDX-License-Identifier: LGPL-2.1-or-later

import { createContext, ReactNode, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { BusError } from "../bus.ts";
import type { Daemon, Snapshot } from "../daemon.ts";
import type { SavedState } from "../model.ts";

export interface Notice {
    id: number;
    title: string;
    text: string;
}

interface Shared {
    daemon: Daemon;
    notices: Notice[];
    dismiss(id: number): void;
    /** Does something that a person asked for; what goes wrong is shown above the view. */
    attempt(title: string, action: () => Promise<unknown>): Promise<void>;
}

const Context = createContext<Shared | null>(null);

export function Root({ daemon, children }: { daemon: Daemon; children: ReactNode }) {
    const [notices, setNotices] = useState<Notice[]>([]);
    const last = useRef(0);

    const dismiss = useCallback((id: number) => setNotices(all => all.filter(notice => notice.id !== id)), []);
    const attempt = useCallback(async (title: string, action: () => Promise<unknown>) => {
        try {
            await action();
        } catch (error) {
            const id = ++last.current;

            setNotices(all => [...all, { id, title, text: BusError.from(error).message }]);
        }
    }, []);
    const shared = useMemo(() => ({ daemon, notices, dismiss, attempt }), [daemon, notices, dismiss, attempt]);

    return <Context.Provider value={shared}>{children}</Context.Provider>;
}

export function useShared(): Shared {
    return useContext(Context)!;
}

export function useDaemon(): Daemon {
    return useShared().daemon;
}

export function useSnapshot(): Snapshot {
    const daemon = useDaemon();

    return useSyncExternalStore(daemon.subscribe, daemon.getSnapshot);
}

export interface Asked<T> {
    value: T | undefined;
    error: BusError | undefined;
    asking: boolean;
    again(): void;
}

/** What has to be asked for when it is shown, and again when `key` changes; what was known stays until then. */
export function useAsked<T>(key: string, ask: () => Promise<T>): Asked<T> {
    const [state, setState] = useState<{ value?: T; error?: BusError; asking: boolean }>({ asking: true });
    const [round, setRound] = useState(0);
    const current = useRef(ask);

    current.current = ask;
    useEffect(() => {
        let stale = false;

        setState(({ value }) => ({ ...(value === undefined ? {} : { value }), asking: true }));
        current.current().then(value => stale || setState({ value, asking: false }),
                               error => stale || setState({ error: BusError.from(error), asking: false }));
        return () => { stale = true; };
    }, [key, round]);
    const again = useCallback(() => setRound(n => n + 1), []);

    return { value: state.value, error: state.error, asking: state.asking, again };
}

/** Saved states, where the user may see them; read anew when it is shown, and whenever the list may have changed. */
export function useSavedStates(): Asked<readonly SavedState[]> {
    const daemon = useDaemon();
    const { savedStates, rights, methods } = useSnapshot();
    const there = methods.has("org.mdevgpu1.Manager.ListSavedStates");

    return useAsked(`${savedStates} ${rights.states} ${there}`, async () => there ? daemon.listSavedStates() : []);
}

/** One that is under way: its button shows that, and cannot be pressed twice. */
export function useBusy(): [boolean, (action: () => Promise<unknown>) => Promise<void>] {
    const [busy, setBusy] = useState(false);
    const alive = useRef(true);

    useEffect(() => {
        alive.current = true;
        return () => { alive.current = false; };
    }, []);
    const run = useCallback(async (action: () => Promise<unknown>) => {
        setBusy(true);
        try {
            await action();
        } finally {
            if (alive.current)
                setBusy(false);
        }
    }, []);

    return [busy, run];
}

/** Where the page is: the path and the options behind the # of its address. */
export function useLocation(): { view: string; options: Record<string, string> } {
    const read = () => ({
        view: cockpit!.location.path[0] ?? "",
        options: Object.fromEntries(Object.entries(cockpit!.location.options).map(([k, v]) => [k, String(v)])),
    });
    const [location, setLocation] = useState(read);

    useEffect(() => {
        const update = () => setLocation(read());

        cockpit!.addEventListener("locationchanged", update);
        return () => cockpit!.removeEventListener("locationchanged", update);
    }, []);
    return location;
}

export function go(view: string, options?: Record<string, string>): void {
    cockpit!.location.go(view ? [view] : [], options);
}
