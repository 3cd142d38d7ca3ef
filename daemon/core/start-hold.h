/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * StartHold: a virtual machine is about to be started with vGPUs, and whoever starts it has us keep our own hands off them
 * until that has ended, or for so long: QEMU would find open what one of our workers asks at that moment.
 */

#include "core/vgpu.h"

/* Of a hold, in seconds. */
#define START_HOLD_MAX 600U
#define START_HOLD_DEFAULT 120U

typedef struct StartHold StartHold;

/* The UUID of the vGPU that is this PCI device: a virtual function, or a whole card. NULL: there is none. */
const char *start_hold_find_device(const Manager *manager, const char *address);

/*
 * From now on nothing of ours opens these vGPUs; UUIDs that none of our vGPUs has are passed over. With none of them open
 * for us now *ret_hold is NULL, and all is done; else the callback follows, once, when they are closed. -ERROR_BUSY: the state of
 * one is being copied, which may last and is not waited for; all others are held.
 */
int start_hold_new(Manager *manager, const char *const *uuids, size_t n, uint32_t seconds,
                   void (*callback)(void *userdata), void *userdata, StartHold **ret_hold, Error *error);
/* Nobody waits any more; the vGPUs stay held. */
StartHold *start_hold_free(StartHold *hold);

/* It has started, or failed to. */
void start_hold_end(Manager *manager, const char *const *uuids, size_t n);

/* A vGPU is not open for us any more. */
void start_hold_check(Manager *manager);
void start_hold_end_all(Manager *manager);
