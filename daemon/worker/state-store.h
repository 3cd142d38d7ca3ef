/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * State store: saved states as files below /var/lib/mdevgpud, readable for root alone. Each is there as a whole or not at all,
 * also after a power cut, and all of them together take no more than they may. In a worker process, as it waits for the disk.
 */

#include "core/backend.h"
#include "state/stream.h"

/* One that is being written. */
typedef struct StateFile {
        int folder_fd;
        int fd;
        char temporary[32];
        char name[SAVED_STATE_NAME_SIZE + sizeof(SAVED_STATE_SUFFIX)];
        bool replace;
        uint64_t quota; /* bytes of all files; UNKNOWN_U64: no bound */
        uint64_t others; /* bytes of all others, when they were last counted */
        uint64_t counted; /* bytes of this one then */
        bool early; /* the disk is told to write before the end, which takes the writer's time */
        uint64_t flushed; /* bytes of this one that it has been told to write */
} StateFile;

#define STATE_FILE_NULL ((StateFile){ .folder_fd = -EBADF, .fd = -EBADF })

/* -ERROR_ALREADY_EXISTS, unless one of this name is to be replaced; -ERROR_LIMIT_EXCEEDED: there is no room at all. */
int state_file_create(const Host *host, const Job *job, StateFile *ret_file, Error *error);
/* A Stream's moved(): keeps to the quota, and may have the disk write what is there. userdata: the StateFile. */
int state_file_moved(Stream *stream, void *userdata);
/* It is whole: it gets its name, for good. */
int state_file_commit(StateFile *file, Error *error);
/* Without a commit before, nothing of it stays. */
void state_file_done(StateFile *file);

/* -ERROR_NO_SUCH_STATE. */
int state_store_open(const Host *host, const char *name, int *ret_fd, Error *error);
int state_store_list(const Host *host, JobResult *result, Error *error);
int state_store_delete(const Host *host, const char *name, Error *error);
/* Removes what was left by one that was killed while it wrote. */
void state_store_clean(const Host *host);
