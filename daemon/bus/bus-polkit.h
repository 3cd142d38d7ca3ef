/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* polkit: asking the authority whether a bus name may do something, and reading what it says. */

#include <systemd/sd-bus.h>

#include "util/error.h"

#define POLKIT_MANAGE_VGPUS "org.mdevgpu1.manage-vgpus"
#define POLKIT_DEFINE_VGPUS "org.mdevgpu1.define-vgpus" /* implies manage-vgpus */
#define POLKIT_RELOAD "org.mdevgpu1.reload"
#define POLKIT_APPLY_TOPOLOGY "org.mdevgpu1.apply-topology"
#define POLKIT_MANAGE_HARDWARE "org.mdevgpu1.manage-hardware" /* virtual functions */
#define POLKIT_MIGRATE_STATE "org.mdevgpu1.migrate-state" /* vGPUs and their state between hosts */
#define POLKIT_CANCEL_JOB "org.mdevgpu1.cancel-job-of-others"

/* What a rule may look at besides the action. An empty one is not there. */
typedef struct PolkitDetails {
        char gpu[256]; /* sysfs name */
        char type[128]; /* id */
        char uuid[37];
        char topology[64];
} PolkitDetails;

bool polkit_details_equal(const PolkitDetails *a, const PolkitDetails *b);

/*
 * Asks without waiting; sender is the unique name in question, cancellation an id of the caller's own for
 * polkit_cancel(). With interactive, the user may be asked for a password, which takes as long as it takes.
 */
int polkit_check(sd_bus *bus, sd_bus_slot **ret_slot, const char *sender, const char *action,
                 const PolkitDetails *details, bool interactive, const char *cancellation,
                 sd_bus_message_handler_t handler, void *userdata);

/* Nobody waits for the answer any more: the password prompt shall go. */
void polkit_cancel(sd_bus *bus, const char *cancellation);

/* 0: authorized; else negative with the error that the caller gets in *ret_error. */
int polkit_read_reply(sd_bus_message *reply, const char *action, sd_bus_error *ret_error);
