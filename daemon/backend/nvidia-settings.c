/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/nvidia-mixed.h"
#include "backend/nvidia-settings.h"
#include "backend/nvidia-usage.h"

#define ENCODER "encoder-capacity"

/* What cannot be set of one vGPU, and where it is set instead. */
static const struct {
        const char *name, *why;
} refused[] = {
        { "frame-limit", "NVIDIA's driver has no frame limit of one vGPU: it is its type's (displays: frame-limit); "
                         "'frame_rate_limiter=0' in the attribute nvidia/vgpu_params switches it off for one" },
        { "scheduler",
          "NVIDIA's driver takes its scheduler when it is loaded (its registry key RmPVMRL), and not of one vGPU" },
        { "multi-vgpu", "whether several are in one machine is a setting of the type (multi-vgpu)" },
        { "mixed-size", "whether there are several sizes is a setting of the card (mixed-size of a profile)" },
};

static int failed(int r, const char *what, Error *error) {
        char sentence[NVIDIA_STATUS_SIZE];

        nvidia_rm_describe(r, sentence);
        return error_set(error, r < 0 && r != -EOPNOTSUPP ? r : -ERROR_DRIVER_REJECTED, "%s: %s", what, sentence);
}

static Tristate find_wanted(const NvidiaVerdict *verdict, const TypeSpec *wanted, size_t n_wanted, bool *may_write) {
        Tristate found = TRISTATE_UNKNOWN;

        *may_write = verdict->known;
        for (size_t i = 0; i < n_wanted; i++) {
                if (wanted[i].mixed_size != TRISTATE_UNKNOWN)
                        found = wanted[i].mixed_size;
                *may_write = *may_write || wanted[i].nvidia_newer;
        }

        return found;
}

int nvidia_settings_mixed_size(NvidiaRm *rm, const NvidiaVerdict *verdict, const TypeSpec *wanted, size_t n_wanted,
                               NvidiaUse use, char ret_why[static REASON_SIZE], Error *error) {
        bool may_write, enabled = false, want;
        Tristate found = find_wanted(verdict, wanted, n_wanted, &may_write);
        char sentence[NVIDIA_STATUS_SIZE] = "it is newer than the last one whose layout is known";
        int r;

        ret_why[0] = '\0';
        want = found == TRISTATE_YES;
        if (found == TRISTATE_UNKNOWN)
                return 0;

        r = nvidia_mixed_query(rm, &enabled);
        if (r == 0 && enabled == want)
                return 0;
        if (r == -EOPNOTSUPP && !want) /* an older driver, which has them of one size only */
                return 0;
        if (r == 0 && use.in_use) {
                (void)snprintf(ret_why, REASON_SIZE,
                               "mixed sizes are switched %s when the GPU has no vGPU: the driver refuses it before",
                               want ? "on" : "off");
                return 0;
        }

        if (r == 0 && may_write) {
                r = nvidia_mixed_change(rm, want, &enabled);
                if (r == 0 && enabled == want)
                        return 0;
                (void)snprintf(sentence, sizeof(sentence), "it said yes, and did not do it");
        }
        if (r < 0 && r != -EOPNOTSUPP)
                return failed(r, "mixed sizes cannot be set", error);

        if (r != 0)
                nvidia_rm_describe(r, sentence);
        (void)snprintf(ret_why, REASON_SIZE, "the driver does not switch mixed sizes %s: %s", want ? "on" : "off",
                       sentence);
        return 0;
}

bool nvidia_settings_has(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (streq(name, refused[i].name))
                        return true;

        return streq(name, ENCODER);
}

/* The machine that runs with this mdev. -ERROR_NOT_SUPPORTED: none does. */
static int find_guest(NvidiaRm *rm, const char *uuid, NvidiaGuest *ret_guest, Error *error) {
        _cleanup_(freep) NvidiaGuest *guests = calloc(NVIDIA_GUESTS_MAX, sizeof(NvidiaGuest));
        char found[UUID_STRING_SIZE];
        size_t n = 0;
        int r;

        if (!guests)
                return error_set_errno(error, -ENOMEM, "the driver cannot be asked");
        r = nvidia_query_guests(rm, guests, &n);
        if (r != 0)
                return failed(r, "the driver does not say which machines run", error);

        for (size_t i = 0; i < n; i++) {
                nvidia_guest_find_mdev(rm->host, &guests[i], found);
                if (streq(found, uuid)) {
                        *ret_guest = guests[i];
                        return 0;
                }
        }

        return error_set(error, -ERROR_NOT_SUPPORTED,
                         "vGPU %s: NVIDIA's driver takes '" ENCODER
                         "' only while a virtual machine runs with the vGPU; its type says with how much it begins",
                         uuid);
}

static int set_encoder(NvidiaRm *rm, const char *uuid, uint32_t percent, Error *error) {
        uint8_t parameters[20] = {};
        NvidiaGuest guest;
        int r;

        r = find_guest(rm, uuid, &guest, error);
        if (r < 0)
                return r;

        memcpy(parameters, guest.vgpu, sizeof(guest.vgpu));
        nvidia_set_u32(parameters + 16, percent);
        rm->may_write = true;
        r = nvidia_rm_control(rm, NVIDIA_CONTROL_SET_ENCODER, parameters);
        rm->may_write = false;
        if (r != 0)
                return failed(r, "the driver refused the share of the encoder", error);

        /* Without virtual functions it says yes, and does nothing (observed in the source of 550 to 595). */
        r = find_guest(rm, uuid, &guest, error);
        if (r < 0)
                return r;
        if (guest.encoder != percent)
                return error_set(error, -ERROR_DRIVER_REJECTED,
                                 "the driver took %u percent of the encoder for vGPU %s, but has it at %u", percent,
                                 uuid, guest.encoder);
        return 0;
}

int nvidia_settings_configure(NvidiaRm *rm, bool may_write, const char *uuid, const Attribute *attribute,
                              Error *error) {
        unsigned long percent;
        char *end;

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (streq(attribute->name, refused[i].name))
                        return error_set(error, -ERROR_NOT_SUPPORTED, "vGPU %s: %s", uuid, refused[i].why);

        errno = 0;
        percent = strtoul(attribute->value, &end, 10);
        if (errno != 0 || end == attribute->value || *end != '\0' || *attribute->value == '-' || percent < 1 ||
            percent > 100)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no share of the encoder, 1 to 100 percent",
                                 attribute->value);
        if (!may_write)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "driver %s is newer than the last one whose layout is known: it is not written to",
                                 rm->version_text);

        return set_encoder(rm, uuid, (uint32_t)percent, error);
}
