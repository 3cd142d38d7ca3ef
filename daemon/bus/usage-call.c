/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a GPU and its vGPUs use, in the driver's words. */

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "core/gpu.h"
#include "core/usage-query.h"
#include "util/log.h"

static int append_fact(sd_bus_message *message, const Fact *fact) {
        switch (fact->kind) {
        case FACT_BOOL:
                return sd_bus_message_append(message, "{sv}", fact->key, "b", (int)(fact->number != 0));
        case FACT_U32:
                return sd_bus_message_append(message, "{sv}", fact->key, "u", (uint32_t)fact->number);
        case FACT_U64:
                return sd_bus_message_append(message, "{sv}", fact->key, "t", fact->number);
        default:
                return bus_append_text_entry(message, fact->key, fact->text);
        }
}

int bus_append_facts(sd_bus_message *message, const Facts *facts, const char *const *except) {
        for (size_t i = 0; i < facts->n; i++) {
                bool left_out = false;
                int r;

                for (const char *const *key = except; key && *key; key++)
                        left_out = left_out || streq(*key, facts->items[i].key);
                r = left_out ? 0 : append_fact(message, &facts->items[i]);
                if (r < 0)
                        return r;
        }

        return 0;
}

static int append_vgpu(sd_bus_message *reply, const VGpuUsage *vgpu) {
        static const char *const ours[] = { "uuid", "type", "pid", NULL };
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}", "uuid", "s", vgpu->uuid, "pid", "u", (uint32_t)vgpu->pid);
        if (r >= 0)
                r = bus_append_text_entry(reply, "type", vgpu->type_id);
        if (r >= 0)
                r = bus_append_facts(reply, &vgpu->facts, ours);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_vgpus(sd_bus_message *reply, const UsageReport *report) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", "vgpus");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "aa{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < report->n_vgpus; i++)
                r = append_vgpu(reply, &report->vgpus[i]);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(reply);

        return r;
}

static int reply_usage(sd_bus_message *message, const UsageReport *report) {
        static const char *const ours[] = { "framebuffer-total", "framebuffer-used", "vgpus", NULL };
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}", "framebuffer-total", "t", report->framebuffer_total,
                                          "framebuffer-used", "t", report->framebuffer_used);
        if (r >= 0)
                r = bus_append_facts(reply, &report->facts, ours);
        if (r >= 0)
                r = append_vgpus(reply, report);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_send(reply);
}

static void on_usage(const Error *error, const UsageReport *report, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        int r;

        call->usage = NULL;
        if (error) {
                bus_call_reply_error(call, error);
                return;
        }

        r = reply_usage(call->message, report);
        if (r < 0) {
                log_warning("Cannot answer what a GPU uses: %s", strerrordesc_np(-r));
                (void)sd_bus_reply_method_errno(call->message, r, NULL);
        }
}

int manager_method_get_usage(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        BusServer *server = userdata;
        Error error = ERROR_NULL;
        const char *address;
        Gpu *gpu;
        int r;

        r = bus_read_name(message, "name of the GPU", &address, ret_error);
        if (r >= 0)
                r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        gpu = manager_find_gpu(server->manager, address);
        if (!gpu || !gpu->linked)
                return bus_error_setf(ret_error, -ERROR_NO_SUCH_GPU, "There is no GPU '%s'", address);

        r = bus_call_begin(server, message, &call, ret_error);
        if (r < 0)
                return r;

        r = usage_query_new(gpu, on_usage, call, &call->usage, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}
