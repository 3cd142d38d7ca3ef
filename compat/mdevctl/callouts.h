/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Callouts: others' programs in mdevctl's folders, which are asked before a change and told after it, run as mdevctl 1.4
 * runs them. The daemon runs none.
 */

#include "device.h"

typedef struct Script {
        char *path; /* NULL: none has said that it is for this device */
        bool versioned; /* it said itself what it is for; else it is for all but live and capabilities */
        json_object *supports;
} Script;

typedef struct Callouts {
        const char *action; /* "start", … */
        const char *state; /* "none", "success", "failure" */
        Device *device;
        char *config; /* of the device as it was before the change: what is told after it as well */
        Script script;
        bool looked; /* for one that says what it is for */
} Callouts;

void callouts_done(Callouts *c);

/* Before a change. Negative, and it has been said, if a callout refuses. */
int callouts_pre(Callouts *c);
/* After it: whatever comes of that changes nothing any more. */
void callouts_post(Callouts *c, bool success);
/* All that want to know. */
void callouts_notify(Callouts *c);

/* What a callout says of an active device's attributes, behind those of the device. 0: none says anything. */
int callouts_get_attributes(Callouts *c);

/* A change of an active device. 0: no callout is for such things. */
int callouts_live(Callouts *c);
