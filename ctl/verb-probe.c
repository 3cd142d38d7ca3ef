/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the drivers of this machine say: the worker program reports it, without a daemon.
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
