/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/nvidia-mixed.h"
#include "backend/nvidia-query.h"
#include "util/file.h"

/* NVA081_CTRL_VGPU_CAPABILITY: sizes may be mixed; the numbers are named from 570 on. */
#define CAPABILITY_MIXED_SIZES 6U
#define CAPABILITIES_NAMED "570.86.15"

#define PARAMETERS_SIZE 8U

/* known: the driver lies within those of which headers are known. */
static int open_channel(const Host *host, const char *gpu, NvidiaRm *rm, bool *ret_known, Error *error) {
        const NvidiaDialect *dialects[2];
        int r;

        r = nvidia_rm_open(rm, host, error);
        if (r < 0)
                return r;
        if (nvidia_dialects_find(rm->version, dialects, ret_known) == 0)
                return error_set(error, -ERROR_NOT_SUPPORTED, "NVIDIA's driver %s is of no known branch",
                                 rm->version_text);

        rm->dialect = dialects[0];
        if (!rm->dialect->controls[NVIDIA_CONTROL_MIXED_SIZE].there)
                return error_set(error, -ERROR_NOT_SUPPORTED, "NVIDIA's driver %s mixes no sizes", rm->version_text);

        return nvidia_rm_attach(rm, gpu, error);
}

/* Drivers from 575 on ask for a GPU instance (MIG): any, or none. */
static int call(NvidiaRm *rm, NvidiaControl control, bool on, uint8_t parameters[static PARAMETERS_SIZE]) {
        const NvidiaDialect *d = rm->dialect;

        assert(d->controls[control].size <= PARAMETERS_SIZE);
        memset(parameters, 0, PARAMETERS_SIZE);
        if (d->places[NVIDIA_AT_MIXED_SIZE_INSTANCE].there)
                (void)nvidia_put(d, parameters, 0, NVIDIA_AT_MIXED_SIZE_INSTANCE, NVIDIA_ANY_INSTANCE);
        (void)nvidia_put(d, parameters, 0, NVIDIA_AT_MIXED_SIZE_ENABLED, on);
        return nvidia_rm_control(rm, control, parameters);
}

int nvidia_mixed_query(NvidiaRm *rm, bool *ret_on) {
        uint8_t parameters[PARAMETERS_SIZE];
        int r;

        r = call(rm, NVIDIA_CONTROL_MIXED_SIZE, false, parameters);
        if (r == 0)
                *ret_on = nvidia_get(rm->dialect, parameters, 0, NVIDIA_AT_MIXED_SIZE_ENABLED) != 0;
        return r;
}

int nvidia_mixed_change(NvidiaRm *rm, bool on, bool *ret_on) {
        uint8_t parameters[PARAMETERS_SIZE];
        int r;

        rm->may_write = true;
        r = call(rm, NVIDIA_CONTROL_SET_MIXED_SIZE, on, parameters);
        rm->may_write = false;
        return r != 0 ? r : nvidia_mixed_query(rm, ret_on);
}

/* From where on the driver says so; before, that it answers is all there is. */
static bool card_can(NvidiaRm *rm) {
        uint8_t parameters[PARAMETERS_SIZE] = {};

        if (rm->version < nvidia_version_parse(CAPABILITIES_NAMED))
                return true;

        nvidia_set_u32(parameters, CAPABILITY_MIXED_SIZES);
        return nvidia_rm_alloc_config(rm) == 0 && nvidia_rm_control(rm, NVIDIA_CONTROL_CAPABILITY, parameters) == 0 &&
               nvidia_u32(parameters + 4) != 0;
}

MixedSize nvidia_mixed_read(const Host *host, const char *gpu) {
        NvidiaRm rm = NVIDIA_RM_NULL;
        bool known, on = false;
        MixedSize mixed = MIXED_SIZE_NONE;

        if (!path_exists(host->dev_fd, NVIDIA_CONTROL_NODE))
                return MIXED_SIZE_NONE;

        if (open_channel(host, gpu, &rm, &known, NULL) >= 0 && nvidia_mixed_query(&rm, &on) == 0 && card_can(&rm))
                mixed = on ? MIXED_SIZE_ON : MIXED_SIZE_OFF;
        nvidia_rm_close(&rm);
        return mixed;
}

static int change(NvidiaRm *rm, const char *gpu, bool on, Error *error) {
        char sentence[NVIDIA_STATUS_SIZE];
        bool is_on = !on;
        int r;

        r = nvidia_mixed_change(rm, on, &is_on);
        if (r != 0) {
                nvidia_rm_describe(r, sentence);
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "NVIDIA's driver refused to %s mixed sizes on GPU %s: %s", on ? "allow" : "forbid",
                                 gpu, sentence);
        }
        if (is_on != on)
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "NVIDIA's driver accepted to %s mixed sizes on GPU %s, but it is not so",
                                 on ? "allow" : "forbid", gpu);
        return 0;
}

int nvidia_mixed_set(const Host *host, const char *gpu, bool on, Error *error) {
        NvidiaRm rm = NVIDIA_RM_NULL;
        bool known = false;
        int r;

        r = open_channel(host, gpu, &rm, &known, error);
        if (r >= 0 && !known)
                r = error_set(error, -ERROR_NOT_SUPPORTED,
                              "NVIDIA's driver %s is newer than any whose interface is known, and not written to",
                              rm.version_text);
        if (r >= 0)
                r = change(&rm, gpu, on, error);
        nvidia_rm_close(&rm);
        return r;
}
