/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shim types: the calls of the open shim's control channel (shim/mdevgpu-shim.h) and what they say of a GPU's types.
 * Every reply is checked: a vendor implements the other end.
 */

#include "core/backend.h"
#include "shim/mdevgpu-shim.h"

/* Besides the kernel's verdicts: its profile is strict, and the card cannot hold all its instances together. */
#define SHIM_VERDICT_STRICT UINT32_MAX

typedef struct ShimTypes {
        struct mdevgpu_identify identity;
        struct mdevgpu_type *current; /* what the driver holds, as last read */
        size_t n_current;
        uint64_t generation; /* of these */
        struct mdevgpu_type *sent; /* what was wanted last, with verdicts; else NULL */
        size_t n_sent;
        uint64_t sent_generation; /* of the set that came of it; 0: it has to be sent again */
        bool waiting; /* some of these wait until no vGPU lives: their verdict is LIVE */
        bool waiting_whole; /* all of the set does */
        Error refusal; /* of the last set as a whole */
} ShimTypes;

void shim_types_done(ShimTypes *t);

/* Reads who is at the other end. -EPROTO if the answer makes no sense. */
int shim_types_identify(ShimTypes *t, const Host *host, int fd);
int shim_types_read(ShimTypes *t, const Host *host, int fd, Error *error);

void shim_type_from_spec(const TypeSpec *spec, struct mdevgpu_type *type);
/* What was stated, compared with what is held: the output members of the record mean nothing here. */
bool shim_type_is(const struct mdevgpu_type *held, const TypeSpec *spec);
const struct mdevgpu_type *shim_type_find(const struct mdevgpu_type *types, size_t n, uint32_t id);
/* The card cannot hold all its instances together. */
bool shim_type_exceeds(const ShimTypes *t, const TypeSpec *spec);

/*
 * Makes the set what is wanted, unless it is already; t->identity must be fresh. A refusal or a wait is kept for the report,
 * and no error. What the driver can change under vGPUs it is sent at once, only the types that it cannot wait; and with a
 * profile that wants that, until apply_pending says so. Of a driver that can change nothing the set waits as a whole.
 */
int shim_types_set(ShimTypes *t, const Host *host, int fd, const TypeSpec *wanted, size_t n_wanted, bool apply_pending,
                   Error *error);

/* What a type is called in sysfs. */
void shim_type_folder(const ShimTypes *t, uint32_t id, char *buffer, size_t size);
/* -ERROR_NO_INSTANCES if one more vGPU cannot fit the framebuffer that is left. The driver need not be asked then. */
int shim_check_room(ShimTypes *t, const Host *host, int fd, const char *gpu, const char *type_id, Error *error);

/* Completes the rows that sysfs gave, and adds those of types that are wanted and not there. */
int shim_types_report(const ShimTypes *t, const TypeSpec *wanted, size_t n_wanted, GpuReport *report, Error *error);

/* Has events told from here on: a descriptor to poll, or -EBADF where the driver tells none. */
int shim_subscribe(const ShimTypes *t, const Host *host, int fd);
/* 1 and *ret_event, 0: of no concern; -EAGAIN: there is none; else negative: there will be no more. */
int shim_read_event(const Host *host, int watch_fd, WorkerEvent *ret_event);
/* Who is open at present. */
int shim_read_use(const Host *host, int fd, GpuReport *report, Error *error);
/* The same, and what they take of the GPU. */
int shim_read_usage(const Host *host, int fd, UsageReport *report, Error *error);

/* The process that holds the node open for writing: 1 and *ret_owner, 0 if none is seen. */
int shim_find_owner(const Host *host, const char *node, User *ret_owner);
/* True if it is a worker whose daemon has gone: neither this worker's nor another one that runs. */
bool shim_owner_is_orphan(const Host *host, const User *owner);
int shim_take_over(const Host *host, const char *node, int *ret_fd, Error *error);
