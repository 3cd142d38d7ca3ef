/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What there is to say of moving one vGPU. */

#include <time.h>

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/vgpu-answer.h"
#include "core/incoming.h"
#include "core/migration-query.h"
#include "core/migration.h"
#include "util/log.h"

static int append_reasons(sd_bus_message *reply, const MigrationReasons *reasons) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", "reasons");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; r >= 0 && i < reasons->n; i++)
                r = bus_append_text(reply, reasons->items[i]);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int append_users(sd_bus_message *reply, const JobResult *result) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", "users");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "aa{sv}");
        if (r >= 0)
                r = bus_append_users(reply, result->users, result->n_users,
                                     result->usage.n_vgpus > 0 ? &result->usage.vgpus[0] : NULL);
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

/* When an incoming one goes, on the clock of who reads it. */
static int append_lease(sd_bus_message *reply, const VGpu *vgpu) {
        uint64_t now = incoming_now(), left = vgpu->lease > now ? vgpu->lease - now : 0;
        struct timespec ts;

        if (vgpu->lease == 0)
                return 0;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        return sd_bus_message_append(reply, "{sv}", "lease-end", "t",
                                     (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U + left);
}

static int append_answer(sd_bus_message *reply, const VGpu *vgpu, const JobResult *result, bool probed) {
        static const char *const ours[] = {
                "state", "migration-state", "probed", "migratable", "reasons", "users", NULL
        };
        _cleanup_(freep) MigrationReasons *reasons = calloc(1, sizeof(MigrationReasons));
        const VGpuUsage *told = result->usage.n_vgpus > 0 ? &result->usage.vgpus[0] : NULL;
        const Fact *prohibited = told ? facts_find(&told->facts, "migration-prohibited") : NULL;
        const char *migratable;
        int r;

        if (!reasons)
                return -ENOMEM;
        migratable = migration_judge_vgpu(vgpu, result, probed, reasons);
        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "state", "s", vgpu_state_to_string(vgpu->state),
                                          "migration-state", "s", vgpu_get_migration_state(vgpu), "probed", "b",
                                          (int)probed, "migratable", "s", migratable);
        if (r >= 0)
                r = append_reasons(reply, reasons);
        if (r >= 0)
                r = append_users(reply, result);
        if (r >= 0)
                r = append_lease(reply, vgpu);
        if (r >= 0)
                r = bus_append_facts(reply, &result->usage.facts, ours);
        if (r >= 0 && prohibited && prohibited->kind == FACT_BOOL)
                r = sd_bus_message_append(reply, "{sv}", prohibited->key, "b", (int)(prohibited->number != 0));

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_migration(sd_bus_message *message, const VGpu *vgpu, const JobResult *result, bool probed) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = append_answer(reply, vgpu, result, probed);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int read_query(sd_bus_message *message, char ret_uuid[static UUID_STRING_SIZE], bool *ret_probe,
                      sd_bus_error *ret_error) {
        const BusOption options[] = { { "probe", 'b', { ret_probe }, NULL } };
        int r;

        *ret_probe = false;
        r = bus_read_uuid(message, /* may_be_empty= */ false, ret_uuid, ret_error);
        return r < 0 ? r : bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
}

/* The vGPU may have gone while the answer was on its way. */
static int answer(BusServer *server, sd_bus_message *message, const JobResult *result, sd_bus_error *ret_error) {
        char uuid[UUID_STRING_SIZE];
        const VGpu *vgpu;
        bool probe;
        int r;

        r = sd_bus_message_rewind(message, /* complete= */ true);
        if (r >= 0)
                r = read_query(message, uuid, &probe, ret_error);
        if (r < 0)
                return r;

        vgpu = manager_find_vgpu(server->manager, uuid);
        if (!vgpu)
                return bus_error_setf(ret_error, -ERROR_NO_SUCH_VGPU, "vGPU %s has gone", uuid);
        return reply_migration(message, vgpu, result, probe);
}

static void on_migration(const Error *error, const JobResult *result, void *userdata) {
        _cleanup_(bus_error_done) sd_bus_error bus_error = SD_BUS_ERROR_NULL;
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        int r;

        call->migration = NULL;
        if (error) {
                bus_call_reply_error(call, error);
                return;
        }

        r = answer(call->server, call->message, result, &bus_error);
        if (r >= 0)
                return;
        if (sd_bus_error_is_set(&bus_error))
                (void)sd_bus_reply_method_error(call->message, &bus_error);
        else {
                log_warning("Cannot answer how a vGPU can be moved: %s", strerrordesc_np(-r));
                (void)sd_bus_reply_method_errno(call->message, r, NULL);
        }
}

static int begin(VGpu *vgpu, bool probe, BusCall *call, sd_bus_error *ret_error) {
        Error error = ERROR_NULL;
        int r;

        r = migration_query_new(vgpu, probe, on_migration, call, &call->migration, &error);
        return r < 0 ? bus_error_set(ret_error, r, &error) : 0;
}

/* Opening a vGPU is more than looking. */
static int authorize_probe(BusServer *server, sd_bus_message *message, const VGpu *vgpu, BusCall **ret_call,
                           sd_bus_error *ret_error) {
        Error error = ERROR_NULL;
        PolkitDetails details;
        int r;

        r = migration_query_check(vgpu, &error);
        if (r >= 0)
                r = vgpu_details_of(server, vgpu->uuid, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        return bus_call_authorize(server, message, POLKIT_MIGRATE_STATE, &details, ret_call, ret_error);
}

int manager_method_query_migration(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        static const JobResult nothing;
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        char uuid[UUID_STRING_SIZE];
        BusServer *server = userdata;
        VGpu *vgpu;
        bool probe;
        int r;

        r = read_query(message, uuid, &probe, ret_error);
        if (r < 0)
                return r;

        vgpu = manager_find_vgpu(server->manager, uuid);
        if (!vgpu)
                return bus_error_setf(ret_error, -ERROR_NO_SUCH_VGPU, "There is no vGPU %s", uuid);
        if (!probe && (!vgpu->present || !vgpu->gpu))
                return reply_migration(message, vgpu, &nothing, false);

        if (probe)
                r = authorize_probe(server, message, vgpu, &call, ret_error);
        else {
                r = bus_call_begin(server, message, &call, ret_error);
                r = r < 0 ? r : 1;
        }
        if (r <= 0)
                return r < 0 ? r : 1;

        r = begin(vgpu, probe, call, ret_error);
        if (r < 0)
                return r;
        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}
