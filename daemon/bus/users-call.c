/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who uses a vGPU. */

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "core/users-query.h"
#include "core/vgpu.h"
#include "util/log.h"

/* told: what the driver says of this process, or NULL; its words never replace ours. */
static int append_user(sd_bus_message *reply, const User *user, const VGpuUsage *told) {
        static const char *const ours[] = { "pid", "uid", "comm", "unit", "vm", NULL };
        const Fact *vm = told ? facts_find(&told->facts, "vm") : NULL;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}", "pid", "u", (uint32_t)user->pid, "uid", "u", user->uid);
        if (r >= 0)
                r = bus_append_text_entry(reply, "comm", user->comm);
        if (r >= 0)
                r = bus_append_text_entry(reply, "unit", user->unit);
        if (r >= 0)
                r = bus_append_text_entry(reply, "vm", user->vm[0] == '\0' && vm ? vm->text : user->vm);
        if (r >= 0 && told)
                r = bus_append_facts(reply, &told->facts, ours);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_append_users(sd_bus_message *reply, const User *users, size_t n_users, const VGpuUsage *told) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < n_users; i++)
                r = append_user(reply, &users[i], users[i].told ? told : NULL);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_users(sd_bus_message *message, const User *users, size_t n_users, const VGpuUsage *told) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = bus_append_users(reply, users, n_users, told);

        return r < 0 ? r : sd_bus_message_send(reply);
}

static void on_users(const Error *error, const User *users, size_t n_users, const VGpuUsage *told, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        int r;

        call->users = NULL;
        if (error) {
                bus_call_reply_error(call, error);
                return;
        }

        r = reply_users(call->message, users, n_users, told);
        if (r < 0) {
                log_warning("Cannot answer who uses a vGPU: %s", strerrordesc_np(-r));
                (void)sd_bus_reply_method_errno(call->message, r, NULL);
        }
}

int manager_method_get_users(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        char uuid[UUID_STRING_SIZE];
        BusServer *server = userdata;
        Error error = ERROR_NULL;
        const VGpu *vgpu;
        int r;

        r = bus_read_uuid(message, /* may_be_empty= */ false, uuid, ret_error);
        if (r >= 0)
                r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        vgpu = manager_find_vgpu(server->manager, uuid);
        if (!vgpu)
                return bus_error_setf(ret_error, -ERROR_NO_SUCH_VGPU, "There is no vGPU %s", uuid);
        if (!vgpu->present)
                return reply_users(message, NULL, 0, NULL);

        r = bus_call_begin(server, message, &call, ret_error);
        if (r < 0)
                return r;

        r = users_query_new(server->manager, vgpu, on_users, call, &call->users, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}
