/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/migration.h"
#include "state/device.h"
#include "state/features.h"

static int ask_more(StateDevice *device, Facts *facts) {
        DeviceState state;
        uint64_t size;
        int r;

        r = facts_add_bool(facts, MIGRATION_DIRTY_TRACKING, state_device_tracks_pages(device));
        if (r >= 0 && state_device_get_size(device, &size) >= 0)
                r = facts_add_u64(facts, MIGRATION_DATA_SIZE, size);
        if (r >= 0 && state_device_get_state(device, &state, NULL) >= 0)
                r = facts_add_text(facts, MIGRATION_DEVICE_STATE, strempty(device_state_to_string(state)));
        return r;
}

static int ask(StateDevice *device, Facts *facts, Error *error) {
        uint64_t flags;
        int r;

        r = state_device_get_flags(device, &flags, error);
        if (r == -ERROR_NOT_SUPPORTED) {
                *error = ERROR_NULL;
                return facts_add_bool(facts, MIGRATION_STOP_COPY, false);
        }
        if (r < 0)
                return r;

        r = facts_add_bool(facts, MIGRATION_STOP_COPY, (flags & DEVICE_CAN_STOP_COPY) != 0);
        if (r >= 0)
                r = facts_add_bool(facts, MIGRATION_P2P, (flags & DEVICE_CAN_P2P) != 0);
        if (r >= 0)
                r = facts_add_bool(facts, MIGRATION_PRE_COPY, (flags & DEVICE_CAN_PRE_COPY) != 0);
        return r < 0 ? r : ask_more(device, facts);
}

int state_features_read(const Host *host, const char *path, Facts *facts, Error *error) {
        StateDevice device = STATE_DEVICE_NULL;
        Error why = ERROR_NULL;
        int r;

        r = state_device_open(host, path, &device, &why);
        if (r == -ERROR_IN_USE)
                return error_set(error, r, "%s", why.message);
        if (r < 0)
                return error_set(error, -ERROR_DRIVER_REJECTED, "The vGPU cannot be opened to be asked: %.300s",
                                 why.message);

        r = ask(&device, facts, &why);
        state_device_close(&device);
        return r < 0 ? error_set(error, r, "The vGPU does not say what it can do: %.300s", why.message) : 0;
}
