/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/nvidia-status.h"

static const struct {
        uint32_t status;
        const char *name;
        const char *meaning;
} table[] = {
        { 0x00000, "OK", "done" },
        { 0x00003, "BUSY_RETRY", "the driver is busy" },
        { 0x00005, "CARD_NOT_PRESENT", "the card has gone" },
        { 0x0000f, "GPU_IS_LOST", "the GPU has fallen off the bus" },
        { 0x00010, "GPU_IN_FULLCHIP_RESET", "the GPU is being reset" },
        { 0x00016, "ILLEGAL_ACTION", "not allowed now" },
        { 0x00017, "IN_USE", "in use" },
        { 0x00019, "INSERT_DUPLICATE_NAME", "the handle exists already" },
        { 0x0001a, "INSUFFICIENT_RESOURCES", "out of resources" },
        { 0x0001b, "INSUFFICIENT_PERMISSIONS", "CAP_SYS_ADMIN is missing" },
        { 0x0001f, "INVALID_ARGUMENT", "an argument, or its size, is not what the driver wants" },
        { 0x00022, "INVALID_CLASS", "the driver does not know this class of object" },
        { 0x00023, "INVALID_CLIENT", "the connection is not known" },
        { 0x00024, "INVALID_COMMAND", "the driver does not know this control" },
        { 0x00026, "INVALID_DEVICE", "the device is not known" },
        { 0x00031, "INVALID_OBJECT", "the object is not known" },
        { 0x00033, "INVALID_OBJECT_HANDLE", "the object's handle is wrong" },
        { 0x00034, "INVALID_OBJECT_NEW", "the new object's handle is wrong" },
        { 0x00036, "INVALID_OBJECT_PARENT", "the object's parent is wrong" },
        { 0x00038, "INVALID_OPERATION", "not possible in this mode" },
        { 0x0003a, "INVALID_PARAM_STRUCT", "the parameters' size is not what the driver wants" },
        { 0x0003f, "INVALID_REQUEST", "not possible here" },
        { 0x00040, "INVALID_STATE", "not possible in this state" },
        { 0x00051, "NO_MEMORY", "out of memory" },
        { 0x00054, "NOT_COMPATIBLE", "not compatible" },
        { 0x00055, "NOT_READY", "not ready" },
        { 0x00056, "NOT_SUPPORTED", "the driver or the GPU cannot do it" },
        { 0x00057, "OBJECT_NOT_FOUND", "there is no such thing" },
        { 0x00059, "OPERATING_SYSTEM", "the operating system refused" },
        { 0x0005b, "OUT_OF_RANGE", "a value is out of range" },
        { 0x00062, "RESET_REQUIRED", "the GPU has to be reset" },
        { 0x00063, "STATE_IN_USE", "in use" },
        { 0x00065, "TIMEOUT", "the GPU did not answer in time" },
        { 0x00066, "TIMEOUT_RETRY", "the GPU did not answer in time" },
        { 0x0006a, "LIB_RM_VERSION_MISMATCH", "versions differ" },
        { 0x0006b, "PRIV_SEC_VIOLATION", "the GPU's firmware refused" },
        { 0x0006d, "FEATURE_NOT_ENABLED", "not enabled" },
        { 0x00073, "INVALID_LICENSE", "the licence is not valid" },
        { 0x0ffff, "GENERIC", "no reason was given" },
};

void nvidia_status_describe(uint32_t status, char buffer[static NVIDIA_STATUS_SIZE]) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].status == status) {
                        (void)snprintf(buffer, NVIDIA_STATUS_SIZE, "%s (0x%x): %s", table[i].name, status,
                                       table[i].meaning);
                        return;
                }

        (void)snprintf(buffer, NVIDIA_STATUS_SIZE, "status 0x%x", status);
}
