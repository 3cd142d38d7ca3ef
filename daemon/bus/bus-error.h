/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors on the bus: the one table between the codes of util/error.h and the names that callers see. */

#include <systemd/sd-bus.h>

#include "util/error.h"

#define BUS_ERROR_PREFIX "org.mdevgpu1.Error."

/* Never NULL; code is negative. */
const char *bus_error_name(int code);

/*
 * Makes of a code and the sentence in *error (which may be empty: the code's usual one is taken) the error that a
 * method handler returns: `return bus_error_set(ret_error, r, &error);`. Negative always.
 */
int bus_error_set(sd_bus_error *ret_error, int code, const Error *error);

/* The same with a sentence given here, as printf() takes it. */
#define bus_error_setf(ret_error, errno_code, ...)                                                                     \
        ({                                                                                                             \
                Error bus_error_ = ERROR_NULL;                                                                         \
                int bus_error_code_ = error_set(&bus_error_, errno_code, __VA_ARGS__);                                 \
                bus_error_set(ret_error, bus_error_code_, &bus_error_);                                                \
        })

static inline void bus_error_done(sd_bus_error *error) {
        sd_bus_error_free(error);
}
