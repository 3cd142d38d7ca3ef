/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What needs no daemon: other programs of mdevgpud's do it, and take this one's place.
 */

#include <stdio.h>

#include "verbs.h"

Status verb_probe(Ctl *ctl, char **arguments) {
        if (ctl->output != OUTPUT_TEXT)
                return ctl_error(STATUS_USAGE, "probe reports in text for a person only; there is no JSON of it.");
        if (ctl->host || ctl->address)
                return ctl_error(STATUS_USAGE, "probe looks at this machine and asks no daemon.");

        (void)execl(WORKER_PATH, "mdevgpud-worker", "--probe", NULL);
        return ctl_error(STATUS_FAILED, "%s cannot be run: %s.", WORKER_PATH, strerror(errno));
}

Status verb_import(Ctl *ctl, char **arguments) {
        char name[] = "mdevgpud-import", *argv[3 + IMPORT_NAMES_MAX + 1] = { name };

        if (ctl->output != OUTPUT_TEXT)
                return ctl_error(STATUS_USAGE, "import prints YAML; there is no JSON of it.");
        if (ctl->host || ctl->address)
                return ctl_error(STATUS_USAGE, "import reads a file of this machine and asks no daemon.");

        for (size_t i = 0; arguments[i]; i++)
                argv[i + 1] = arguments[i];

        (void)execv(IMPORT_PATH, argv);
        return ctl_error(STATUS_FAILED, "%s cannot be run: %s.", IMPORT_PATH, strerror(errno));
}
