/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Error: why something that was asked for was not done: one code out of a small documented set, and one sentence for a
 * person that says what was asked, what refused it and what to do.
 *
 * The codes are errno values, so that they pass through functions that return 0 or negative errno; bus/bus-error.c alone
 * knows the names that they have on D-Bus. A code that is not in this table is a failure of ours or of the system
 * (ENOMEM, EIO, …) and passes with its usual meaning.
 */

#include <errno.h>

#include "util/cleanup.h"

enum {
        ERROR_NO_SUCH_GPU = ENODEV,
        ERROR_NO_SUCH_TYPE = ENOENT,
        ERROR_NO_SUCH_VGPU = ESRCH,
        ERROR_NO_INSTANCES = ENOSPC,
        ERROR_BUSY = EBUSY,      /* an operation is pending on it, or its worker is stuck */
        ERROR_IN_USE = ETXTBSY,  /* somebody holds the vGPU open */
        ERROR_NOT_MANAGED = EXDEV, /* made by somebody else */
        ERROR_NOT_SUPPORTED = EOPNOTSUPP,
        ERROR_ALREADY_EXISTS = EEXIST,
        ERROR_DRIVER_REJECTED = EPROTO, /* the vendor driver refused, in its own words where it has any */
        ERROR_TIMEOUT = ETIMEDOUT,
        ERROR_CONFIG_INVALID = EBADMSG,
        ERROR_LIMIT_EXCEEDED = EDQUOT,
        ERROR_INVALID_ARGUMENT = EINVAL,
        ERROR_NO_SUCH_TOPOLOGY = ENOMEDIUM,
        ERROR_CANCELLED = ECANCELED,
        ERROR_NO_SUCH_STATE = ENODATA, /* nothing is saved under this name */
        ERROR_STATE_INVALID = EILSEQ, /* it is no image of a state, or a damaged one */
        ERROR_STATE_INCOMPATIBLE = EMEDIUMTYPE, /* it is one of something else than what is there */
};

typedef struct Error {
        int code; /* negative; 0 while there is no error */
        char message[512];
} Error;

#define ERROR_NULL ((Error){})

/*
 * error_set(error, code, format, …) fills *error unless it is NULL and yields code, which must be negative, so that
 * `return error_set(…)` works. A macro, so that the compiler sees that it is.
 */
#define error_set(error, code, ...)                                                                                    \
        ({                                                                                                             \
                const int error_code_ = (code);                                                                        \
                assert(error_code_ < 0);                                                                               \
                error_fill(error, error_code_, __VA_ARGS__);                                                           \
                error_code_;                                                                                           \
        })

void error_fill(Error *error, int code, const char *format, ...) _printf_(3, 4);

/* Fills *error only if nothing filled it yet, with strerror()'s sentence behind what; returns code. */
int error_set_errno(Error *error, int code, const char *what);
