/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mdevctl, for those who run that: libvirt above all. What changes something is done by the daemon, with mdevctl's callouts
 * around it; what only looks reads the files that mdevctl reads, so that it waits for nobody. Without the daemon changes
 * are the real mdevctl's, where that is installed.
 */

#include <sys/stat.h>

#include "change.h"
#include "daemon.h"
#include "host.h"
#include "list.h"

/* Becomes the real one. Returns if there is none, but this one by another name. */
static void become_real(char **argv) {
        static const char *const programs[] = { "/usr/sbin/mdevctl", "/usr/bin/mdevctl" };
        struct stat own, st;

        if (stat("/proc/self/exe", &own) < 0)
                return;

        for (size_t i = 0; i < ELEMENTSOF(programs); i++) {
                char path[PATH_MAX];

                if (host_path(path, "%s", programs[i]) < 0 || stat(path, &st) < 0)
                        continue;
                if (st.st_dev == own.st_dev && st.st_ino == own.st_ino)
                        continue;
                (void)execv(path, argv);
        }
}

static int change(sd_bus *bus, const Options *o) {
        switch (o->verb) {
        case VERB_DEFINE:
                return change_define(bus, o);
        case VERB_UNDEFINE:
                return change_undefine(bus, o);
        case VERB_MODIFY:
                return change_modify(bus, o);
        case VERB_START:
                return change_start(bus, o);
        case VERB_STOP:
                return change_stop(bus, o);
        default:
                return change_start_parent(bus, o);
        }
}

int main(int argc, char **argv) {
        sd_bus *bus = NULL;
        Options o;
        int r;

        r = options_parse(&o, argc, argv);
        if (r <= 0)
                return r < 0 ? 2 : EXIT_SUCCESS;

        if (o.verb == VERB_LIST)
                r = list_devices(&o);
        else if (o.verb == VERB_TYPES)
                r = list_types(&o);
        else {
                r = daemon_connect(&bus);
                if (r < 0) {
                        become_real(argv);
                        r = fail(r, "mdevgpud does not answer, and there is no other mdevctl: nothing was changed");
                } else
                        r = change(bus, &o);
        }

        sd_bus_flush_close_unref(bus);
        if (fflush(stdout) != 0 || ferror(stdout))
                r = fail(-EIO, "what was to be printed cannot be written");
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
