/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The calls about topologies. */

#include "bus/bus-call.h"
#include "bus/bus-change.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"
#include "core/topology-apply.h"
#include "util/log.h"
#include "util/text.h"

static int append_topology(sd_bus_message *reply, const BusServer *server, const Topology *topology) {
        const TopologySet *set = server->manager->topologies;
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ssba{sv}");
        if (r >= 0)
                r = bus_append_text(reply, topology->name);
        if (r >= 0)
                r = bus_append_text(reply, topology->file);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", (int)streq(server->manager->active_topology, topology->name));
        if (r >= 0)
                r = sd_bus_message_append(reply, "a{sv}", 2, "default", "b",
                                          (int)streq(set->default_name, topology->name), "vgpus", "u",
                                          (uint32_t)topology_count_vgpus(topology));

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int manager_method_list_topologies(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        BusServer *server = userdata;
        const TopologySet *set = server->manager->topologies;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssba{sv})");
        for (size_t i = 0; set && i < set->n_topologies && r >= 0; i++)
                r = append_topology(reply, server, set->topologies[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_send(reply);
}

/* Of a vGPU that is a virtual function, or on one, both are told. */
static int append_step(sd_bus_message *reply, const BusServer *server, const TopologyStep *step) {
        const Gpu *gpu = manager_find_gpu_of(server->manager, step->gpu);
        const char *address = gpu ? gpu->identity.address : step->gpu;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_text_entry(reply, "action", strempty(topology_action_to_string(step->action)));
        if (r >= 0)
                r = bus_append_text_entry(reply, "uuid", step->uuid);
        if (r >= 0)
                r = bus_append_text_entry(reply, "gpu", address);
        if (r >= 0 && !streq(address, step->gpu))
                r = bus_append_text_entry(reply, "parent", step->gpu);
        if (r >= 0)
                r = bus_append_text_entry(reply, "type", step->type_id);
        if (r >= 0)
                r = bus_append_text_entry(reply, "label", step->label);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "autostart", "b", (int)step->autostart);
        if (r >= 0)
                r = bus_append_text_entry(reply, "reason", step->reason);
        if (r >= 0 && step->action == TOPOLOGY_ENABLE_VFS)
                r = sd_bus_message_append(reply, "{sv}", "virtual-functions", "u", step->n_vfs);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_problem(sd_bus_message *reply, const Error *problem) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_text_entry(reply, "action", "refuse");
        if (r >= 0)
                r = bus_append_text_entry(reply, "error", bus_error_name(problem->code));
        if (r >= 0)
                r = bus_append_text_entry(reply, "reason", problem->message);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_plan(sd_bus_message *message, const BusServer *server, const TopologyPlan *plan) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (size_t i = 0; i < plan->n_steps && r >= 0; i++)
                r = append_step(reply, server, &plan->steps[i]);
        for (size_t i = 0; i < plan->n_problems && r >= 0; i++)
                r = append_problem(reply, &plan->problems[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_send(reply);
}

int manager_method_plan_topology(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(topology_plan_done) TopologyPlan plan = {};
        BusServer *server = userdata;
        const Topology *topology;
        Error error = ERROR_NULL;
        const char *name;
        int r;

        r = bus_read_name(message, "name of the topology", &name, ret_error);
        if (r >= 0)
                r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        r = topology_find(server->manager, name, &topology, &error);
        if (r >= 0)
                r = topology_plan_new(server->manager, topology, &server->manager->topologies->policy, NULL, &plan);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        return reply_plan(message, server, &plan);
}

int manager_method_apply_topology(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        _cleanup_(freep) char *path = NULL;
        BusServer *server = userdata;
        PolkitDetails details = {};
        const Topology *topology;
        Error error = ERROR_NULL;
        const char *name;
        Caller caller;
        Task *task;
        int r;

        r = bus_read_name(message, "name of the topology", &name, ret_error);
        if (r >= 0)
                r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        r = topology_find(server->manager, name, &topology, &error);
        if (r >= 0)
                r = topology_check_apply(server->manager, topology->name, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        (void)text_copy(details.topology, sizeof(details.topology), topology->name);
        r = bus_call_authorize(server, message, POLKIT_APPLY_TOPOLOGY, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        caller = bus_call_get_caller(call);
        r = topology_apply(server->manager, topology->name, &caller, &task, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        log_full(LOG_INFO, LOG_FIELDS("MDEVGPU_SENDER", sd_bus_message_get_sender(message)),
                 "Applying topology '%s' for user %u, job %u", topology->name, bus_call_uid(call), task->id);
        bus_changes_flush(server);
        path = bus_path_of_task(task);
        return path ? sd_bus_reply_method_return(message, "o", path) : -ENOMEM;
}
