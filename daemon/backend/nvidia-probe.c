/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>

#include "backend/nvidia-probe.h"
#include "util/string-table.h"

static const char *const nvidia_state_table[NVIDIA_STATE_MAX] = {
        [NVIDIA_NO_DRIVER] = "no-driver",
        [NVIDIA_NOT_VGPU_HOST] = "driver-not-vgpu-host",
        [NVIDIA_LAYOUT_UNKNOWN] = "layout-unknown",
        [NVIDIA_HOST_READY] = "host-ready",
};

DEFINE_STRING_TABLE(nvidia_state, NvidiaState)

/* The controls by whose size layouts differ. All of them only read. */
static const NvidiaControl telling[] = {
        NVIDIA_CONTROL_TYPE_INFO,
        NVIDIA_CONTROL_SUPPORTED_TYPES,
        NVIDIA_CONTROL_NAME_STRING,
};

static int judge(NvidiaVerdict *verdict, NvidiaState state, const char *format, ...) _printf_(3, 4);

static int judge(NvidiaVerdict *verdict, NvidiaState state, const char *format, ...) {
        va_list ap;

        verdict->state = state;
        va_start(ap, format);
        (void)vsnprintf(verdict->reason, sizeof(verdict->reason), format, ap);
        va_end(ap);
        return 0;
}

/* Does the driver want parameters of this size? 1, 0, or negative: it did not say. */
static int wants(NvidiaRm *rm, NvidiaControl control, uint8_t *parameters, size_t size) {
        int r;

        /* All zero: of TYPE_INFO it asks for type 0, which cannot exist. */
        memset(parameters, 0, size);
        r = nvidia_rm_probe(rm, control, parameters, size);
        return r < 0 ? r : !nvidia_status_is_size(rm, r);
}

/* The driver must want each control in the size of the dialect and in none that it has in another one. */
static int agrees(NvidiaRm *rm, const NvidiaDialect *dialect, char *why, size_t size) {
        _cleanup_(freep) uint8_t *parameters = NULL;
        int r;

        parameters = malloc(NVIDIA_PARAMETERS_MAX);
        if (!parameters)
                return -ENOMEM;

        for (size_t i = 0; i < ELEMENTSOF(telling); i++) {
                const char *name = nvidia_controls[telling[i]].name;
                uint16_t ours = dialect->controls[telling[i]].size;

                r = wants(rm, telling[i], parameters, ours);
                if (r == 0)
                        (void)snprintf(why, size, "it does not take %u bytes of %s", ours, name);
                if (r <= 0)
                        return r;

                for (size_t k = 0; k < nvidia_n_dialects; k++) {
                        const NvidiaSize *other = &nvidia_dialects[k].controls[telling[i]];

                        if (!other->there || other->size == ours ||
                            (k > 0 && nvidia_dialects[k - 1].controls[telling[i]].size == other->size))
                                continue;
                        r = wants(rm, telling[i], parameters, other->size);
                        if (r > 0)
                                (void)snprintf(why, size, "it takes %u bytes of %s", other->size, name);
                        if (r != 0)
                                return r < 0 ? r : 0;
                }
        }

        return 1;
}

/* The one dialect of the candidates that the driver's answers agree with; 0 if it is not one. */
static int discriminate(NvidiaRm *rm, const NvidiaDialect *const *candidates, size_t n, NvidiaVerdict *verdict) {
        const NvidiaDialect *found = NULL;
        char why[80] = "";

        for (size_t i = 0; i < n; i++) {
                int r = agrees(rm, candidates[i], why, sizeof(why));

                if (r < 0)
                        return r;
                if (r > 0 && found) {
                        (void)judge(verdict, NVIDIA_LAYOUT_UNKNOWN, "driver %s fits layout %s as well as %s",
                                    rm->version_text, found->layout, candidates[i]->layout);
                        return 0;
                }
                if (r > 0)
                        found = candidates[i];
        }

        if (!found) {
                (void)judge(verdict, NVIDIA_LAYOUT_UNKNOWN, "driver %s should have layout %s%s%s, but %s",
                            rm->version_text, candidates[0]->layout, n > 1 ? " or " : "",
                            n > 1 ? candidates[1]->layout : "", why);
                return 0;
        }

        rm->dialect = found;
        return 1;
}

static int check_host(NvidiaRm *rm, NvidiaVerdict *verdict, Error *error) {
        char sentence[NVIDIA_STATUS_SIZE];
        NvidiaTypeList list;
        uint32_t mode;
        int r;

        r = nvidia_query_mode(rm, &mode);
        if (r == 0 && mode != NVIDIA_MODE_HOST_VGPU)
                return judge(verdict, NVIDIA_NOT_VGPU_HOST,
                             "driver %s runs the GPU in virtualization mode %u; that of a vGPU host would be %u: "
                             "NVIDIA's vGPU host software is not installed, or not for this GPU",
                             rm->version_text, mode, NVIDIA_MODE_HOST_VGPU);
        if (r == 0)
                r = nvidia_query_types(rm, NVIDIA_CONTROL_SUPPORTED_TYPES, &list);
        if (r == NVIDIA_NOT_SUPPORTED)
                return judge(verdict, NVIDIA_NOT_VGPU_HOST, "driver %s holds no vGPU types for this GPU",
                             rm->version_text);
        if (r != 0) {
                nvidia_rm_describe(r, sentence);
                return error_set(error, r < 0 ? r : -ERROR_DRIVER_REJECTED,
                                 "the driver does not say whether it is a vGPU host: %s", sentence);
        }

        verdict->state = NVIDIA_HOST_READY;
        return 0;
}

static int open_channel(NvidiaRm *rm, const Host *host, NvidiaVerdict *verdict, Error *error) {
        Error why = ERROR_NULL;
        int r;

        r = nvidia_rm_open(rm, host, &why);
        if (r == -ENOENT || r == -ENODEV || r == -ENXIO) {
                (void)judge(verdict, NVIDIA_NO_DRIVER, "NVIDIA's driver is not loaded: there is no /dev/%s",
                            NVIDIA_CONTROL_NODE);
                return 0;
        }
        if (r == -EPROTO) {
                (void)judge(verdict, NVIDIA_LAYOUT_UNKNOWN, "%.200s", why.message);
                return 0;
        }
        if (r < 0)
                return error_set(error, r, "%s", why.message);

        return 1;
}

static int judge_unknown(const NvidiaRm *rm, bool has_legacy, NvidiaVerdict *verdict) {
        return judge(verdict, NVIDIA_LAYOUT_UNKNOWN,
                     "the layout of driver '%s' is not known: it is spoken to no further%s", rm->version_text,
                     has_legacy ? ", unless an expert says how (mdevgpud.yaml: nvidia: layout)" : "");
}

static int probe(NvidiaRm *rm, const Host *host, const char *gpu, bool legacy, NvidiaVerdict *ret_verdict,
                 Error *error) {
        const NvidiaDialect *candidates[2];
        char sentence[NVIDIA_STATUS_SIZE];
        NvidiaVerdict *verdict = ret_verdict;
        Error why = ERROR_NULL;
        size_t n;
        int r;

        *verdict = (NvidiaVerdict){};
        r = open_channel(rm, host, verdict, error);
        if (r <= 0)
                return r;

        n = rm->version != 0 ? nvidia_dialects_find(rm->version, candidates, &verdict->known) : 0;
        if (n == 0 || (candidates[0]->expert && !legacy))
                return judge_unknown(rm, n > 0, verdict);

        /* What is needed up to here is the same in all dialects of one branch. */
        rm->dialect = candidates[0];
        r = nvidia_rm_attach(rm, gpu, &why);
        if (r == -ERROR_NOT_SUPPORTED)
                return judge(verdict, NVIDIA_LAYOUT_UNKNOWN, "%.200s", why.message);
        if (r < 0)
                return error_set(error, r, "%s", why.message);

        r = nvidia_rm_alloc_config(rm);
        if (r == NVIDIA_NOT_SUPPORTED || r == NVIDIA_INVALID_CLASS)
                return judge(verdict, NVIDIA_NOT_VGPU_HOST, "driver %s has no vGPU configuration for this GPU",
                             rm->version_text);
        if (r == 0 && candidates[0]->expert) {
                /* Nothing can be asked of it that would tell more. */
                verdict->known = false;
                verdict->legacy = true;
                verdict->state = NVIDIA_HOST_READY;
                return 0;
        }
        if (r == 0) {
                r = discriminate(rm, candidates, n, verdict);
                if (r >= 0)
                        return r > 0 ? check_host(rm, verdict, error) : 0;
        }

        nvidia_rm_describe(r, sentence);
        return error_set(error, r < 0 ? r : -ERROR_DRIVER_REJECTED,
                         "the driver does not answer about vGPU configuration: %s", sentence);
}

int nvidia_probe(NvidiaRm *rm, const Host *host, const char *gpu, NvidiaVerdict *ret_verdict, Error *error) {
        return probe(rm, host, gpu, /* legacy= */ false, ret_verdict, error);
}

int nvidia_probe_legacy(NvidiaRm *rm, const Host *host, const char *gpu, NvidiaVerdict *ret_verdict, Error *error) {
        return probe(rm, host, gpu, /* legacy= */ true, ret_verdict, error);
}
