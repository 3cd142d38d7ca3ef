/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What needs no daemon: other programs of mdevgpud's do it, and take this one's place.
 */

#include <libgen.h>
#include <limits.h>
#include <stdio.h>

#include "verbs.h"

/*
 * A build folder has the command in ctl/ and the programs in daemon/; wherever else the command lies they are where they
 * were to be installed.
 */
static const char *program_find(const char *installed, char buffer[static PATH_MAX]) {
        char self[PATH_MAX], *folder;
        ssize_t n;

        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n <= 0)
                return installed;

        self[n] = '\0';
        folder = dirname(self);
        if (snprintf(buffer, PATH_MAX, "%s/../daemon/%s", folder, strrchr(installed, '/') + 1) >= PATH_MAX ||
            !streq(basename(folder), "ctl") || access(buffer, X_OK) < 0)
                return installed;

        return buffer;
}

Status verb_probe(Ctl *ctl, char **arguments) {
        char buffer[PATH_MAX];
        const char *path;

        if (ctl->output != OUTPUT_TEXT)
                return ctl_error(STATUS_USAGE, "probe reports in text for a person only; there is no JSON of it.");
        if (ctl->host || ctl->address)
                return ctl_error(STATUS_USAGE, "probe looks at this machine and asks no daemon.");

        path = program_find(WORKER_PATH, buffer);
        (void)execl(path, "mdevgpud-worker", "--probe", NULL);
        return ctl_error(STATUS_FAILED, "%s cannot be run: %s.", path, strerror(errno));
}

Status verb_import(Ctl *ctl, char **arguments) {
        char name[] = "mdevgpud-import", *argv[3 + IMPORT_NAMES_MAX + 1] = { name };
        char buffer[PATH_MAX];
        const char *path;

        if (ctl->output != OUTPUT_TEXT)
                return ctl_error(STATUS_USAGE, "import prints YAML; there is no JSON of it.");
        if (ctl->host || ctl->address)
                return ctl_error(STATUS_USAGE, "import reads a file of this machine and asks no daemon.");

        for (size_t i = 0; arguments[i]; i++)
                argv[i + 1] = arguments[i];

        path = program_find(IMPORT_PATH, buffer);
        (void)execv(path, argv);
        return ctl_error(STATUS_FAILED, "%s cannot be run: %s.", path, strerror(errno));
}
