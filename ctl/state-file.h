/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * State file: where a vGPU's state goes to or comes from that is not the daemon's: a file, a pipe, standard output or input.
 */

#include "ctl.h"

typedef struct StateFile {
        const char *name; /* as it was typed; NULL: standard output or input */
        char *temporary; /* what stands beside it until all is there; NULL: it is written to as it is */
        int fd;
} StateFile;

#define STATE_FILE_NULL ((StateFile){ .fd = -EBADF })

/*
 * One to be written, "-" for standard output, which from here on is what standard error is: whatever this command says
 * must not get among the data. No file is replaced. A file is not there under its name before state_file_publish().
 */
Status state_file_create(const char *name, StateFile *ret);

/* One to be read, "-" for standard input. */
Status state_file_open(const char *name, StateFile *ret);

/* All is there. If it cannot get its name it stays under the temporary one, which is said. */
Status state_file_publish(StateFile *file);

/* Nothing of it stays. */
void state_file_remove(StateFile *file);

/* What there is stays under its temporary name, which is said. */
void state_file_keep(StateFile *file);

void state_file_close(StateFile *file);
