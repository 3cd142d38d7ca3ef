/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-error.h"
#include "util/text.h"

static const struct {
        int code;
        const char *name;
} names[] = {
        { ERROR_NO_SUCH_GPU, BUS_ERROR_PREFIX "NoSuchGpu" },
        { ERROR_NO_SUCH_TYPE, BUS_ERROR_PREFIX "NoSuchType" },
        { ERROR_NO_SUCH_VGPU, BUS_ERROR_PREFIX "NoSuchVGpu" },
        { ERROR_NO_INSTANCES, BUS_ERROR_PREFIX "NoInstances" },
        { ERROR_BUSY, BUS_ERROR_PREFIX "Busy" },
        { ERROR_IN_USE, BUS_ERROR_PREFIX "InUse" },
        { ERROR_NOT_MANAGED, BUS_ERROR_PREFIX "NotManaged" },
        { ERROR_NOT_SUPPORTED, BUS_ERROR_PREFIX "NotSupported" },
        { ERROR_ALREADY_EXISTS, BUS_ERROR_PREFIX "AlreadyExists" },
        { ERROR_DRIVER_REJECTED, BUS_ERROR_PREFIX "DriverRejected" },
        { ERROR_TIMEOUT, BUS_ERROR_PREFIX "Timeout" },
        { ERROR_CONFIG_INVALID, BUS_ERROR_PREFIX "ConfigInvalid" },
        { ERROR_LIMIT_EXCEEDED, BUS_ERROR_PREFIX "LimitExceeded" },
        { ERROR_NO_SUCH_TOPOLOGY, BUS_ERROR_PREFIX "NoSuchTopology" },
        { ERROR_CANCELLED, BUS_ERROR_PREFIX "Cancelled" },
        { ERROR_NO_SUCH_STATE, BUS_ERROR_PREFIX "NoSuchState" },
        { ERROR_STATE_INVALID, BUS_ERROR_PREFIX "StateInvalid" },
        { ERROR_STATE_INCOMPATIBLE, BUS_ERROR_PREFIX "StateIncompatible" },
        { ERROR_INVALID_ARGUMENT, SD_BUS_ERROR_INVALID_ARGS },
        { EACCES, SD_BUS_ERROR_ACCESS_DENIED },
        { EPERM, SD_BUS_ERROR_ACCESS_DENIED },
        { ENOMEM, SD_BUS_ERROR_NO_MEMORY },
};

const char *bus_error_name(int code) {
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (names[i].code == -code)
                        return names[i].name;

        return SD_BUS_ERROR_FAILED;
}

static int set_error(sd_bus_error *ret_error, int code, const char *sentence) {
        char message[sizeof(((Error *)NULL)->message)];

        /* A sentence that was cut may end in half a character, and one that quotes a driver may hold anything. */
        (void)text_copy(message, sizeof(message), sentence);
        text_sanitize(message);

        (void)sd_bus_error_set(ret_error, bus_error_name(code), message);

        /* Not what sd_bus_error_set() returns: that may be a number which means something else to us. */
        return code;
}

int bus_error_set(sd_bus_error *ret_error, int code, const Error *error) {
        assert(code < 0);

        if (error && error->message[0] != '\0')
                return set_error(ret_error, code, error->message);

        return set_error(ret_error, code, strerrordesc_np(-code) ?: "Unknown error");
}
