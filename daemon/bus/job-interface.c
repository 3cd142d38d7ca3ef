/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs: what the model calls tasks, each an object while it runs and a little longer. */

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"
#include "core/task.h"

static int find_job(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                    sd_bus_error *ret_error) {
        BusServer *server = userdata;
        Task *task;
        int r;

        r = bus_path_find_task(server->manager, path, &task);
        if (r > 0)
                *ret_found = task;
        return r;
}

static int get_operation(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Task *task = userdata;

        return sd_bus_message_append_basic(reply, 's', task->operation);
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *ret_error) {
        const Task *task = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(task_state_to_string(task->state)));
}

static int get_objects(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Task *task = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        if (r >= 0 && task->subject == TASK_GPU) {
                _cleanup_(freep) char *object = bus_path_of_address(task->object);

                r = object ? sd_bus_message_append_basic(reply, 'o', object) : -ENOMEM;
        }
        for (size_t i = 0; i < task->n_uuids && r >= 0; i++) {
                _cleanup_(freep) char *object = bus_path_of_uuid(task->uuids[i]);

                r = object ? sd_bus_message_append_basic(reply, 'o', object) : -ENOMEM;
        }

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_progress(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Task *task = userdata;
        double progress = MAX(task_get_progress(task), 0);

        return sd_bus_message_append_basic(reply, 'd', &progress);
}

static int get_progress_valid(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Task *task = userdata;
        int valid = task_get_progress(task) >= 0;

        return sd_bus_message_append_basic(reply, 'b', &valid);
}

static int get_started_by(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const Task *task = userdata;
        uint32_t uid = task->started_by;

        return sd_bus_message_append_basic(reply, 'u', &uid);
}

static int append_object(sd_bus_message *message, const Task *task) {
        static const char *const keys[] = { [TASK_TOPOLOGY] = "topology", [TASK_GPU] = "gpu", [TASK_STATE] = "name" };

        if (task->subject == TASK_STATE && task->object[0] == '\0') /* on a stream */
                return 0;

        return bus_append_text_entry(message, keys[task->subject], task->object);
}

static int append_transfer(sd_bus_message *message, const Task *task) {
        const TransferProgress *p = &task->transfer;
        int r = 0;

        if (task->n_uuids > 0)
                r = bus_append_text_entry(message, "uuid", task->uuids[0]);
        if (r >= 0)
                r = sd_bus_message_append(message, "{sv}{sv}{sv}{sv}", "phase", "s", transfer_phase_to_string(p->phase),
                                          "bytes", "t", p->n_bytes, "downtime", "t", p->downtime_usec, "reset", "b",
                                          (int)p->was_reset);
        if (r >= 0 && p->dirty != UNKNOWN_U64)
                r = sd_bus_message_append(message, "{sv}", "dirty", "t", p->dirty);
        return r;
}

int bus_append_task_result(sd_bus_message *message, const Task *task) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = append_object(message, task);
        if (r >= 0 && task->subject == TASK_STATE)
                r = append_transfer(message, task);
        if (r >= 0)
                r = sd_bus_message_append(message, "{sv}", "changed", "b", (int)task->changed);

        return r < 0 ? r : sd_bus_message_close_container(message);
}

const char *bus_task_error(const Task *task) {
        return task->error.code < 0 ? bus_error_name(task->error.code) : "";
}

static int get_result(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                      void *userdata, sd_bus_error *ret_error) {
        return bus_append_task_result(reply, userdata);
}

static int get_error(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_append_basic(reply, 's', bus_task_error(userdata));
}

static int append_number(sd_bus_message *reply, const char *key, uint64_t number) {
        return number == UNKNOWN_U64 ? 0 : sd_bus_message_append(reply, "{sv}", key, "t", number);
}

/* Of one that moves data, and what only one that runs still has. */
static int append_amounts(sd_bus_message *reply, const Task *task) {
        bool running = task->state == TASK_QUEUED || task->state == TASK_RUNNING;
        double progress = task_get_progress(task);
        int r = 0;

        if (task->subject == TASK_STATE && task->n_uuids > 0)
                r = bus_append_text_entry(reply, "uuid", task->uuids[0]);
        if (r >= 0 && task->subject == TASK_STATE && running)
                r = bus_append_text_entry(reply, "phase", transfer_phase_to_string(task->transfer.phase));
        if (r >= 0 && progress >= 0)
                r = sd_bus_message_append(reply, "{sv}", "progress", "d", progress);
        if (r >= 0)
                r = append_number(reply, "bytes", task->bytes);
        if (r >= 0)
                r = append_number(reply, "total-bytes", task->total_bytes);
        if (r >= 0 && running)
                r = append_number(reply, "rate", task->rate);
        return r < 0 ? r : append_number(reply, "expected-end-time", task->end_usec);
}

static int append_job(sd_bus_message *reply, const Task *task) {
        _cleanup_(freep) char *path = bus_path_of_task(task);
        int r;

        if (!path)
                return -ENOMEM;

        r = sd_bus_message_open_container(reply, 'r', "ussoa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "usso", task->id, task->operation,
                                          strempty(task_state_to_string(task->state)), path);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_object(reply, task);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "steps", "u", (uint32_t)task->n_steps, "done", "u",
                                          (uint32_t)task->n_done, "uid", "u", (uint32_t)task->started_by);
        if (r >= 0)
                r = append_amounts(reply, task);
        if (r >= 0)
                r = bus_append_text_entry(reply, "error", task->error.message);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int manager_method_list_jobs(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        BusServer *server = userdata;
        Task *task;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ussoa{sv})");
        if (r < 0)
                return r;

        LIST_FOREACH(task, &server->manager->tasks, link) {
                r = append_job(reply, task);
                if (r < 0)
                        return r;
        }

        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int method_cancel(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = bus_server_of(sd_bus_message_get_bus(message));
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        Task *task = userdata;
        Error error = ERROR_NULL;
        int r;

        r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        r = bus_call_authorize_owner(server, message, POLKIT_CANCEL_JOB, &(PolkitDetails){}, task->started_by, &call,
                                     ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = task_cancel(task, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        return sd_bus_reply_method_return(message, NULL);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Id", "u", NULL, offsetof(Task, id), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Operation", "s", get_operation, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Objects", "ao", get_objects, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Progress", "d", get_progress, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ProgressValid", "b", get_progress_valid, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Bytes", "t", NULL, offsetof(Task, bytes), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("TotalBytes", "t", NULL, offsetof(Task, total_bytes), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Rate", "t", NULL, offsetof(Task, rate), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Cancelable", "b", bus_get_bool, offsetof(Task, cancelable),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StartTime", "t", NULL, offsetof(Task, start_usec), SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ExpectedEndTime", "t", NULL, offsetof(Task, end_usec), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("StartedByUID", "u", get_started_by, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Result", "a{sv}", get_result, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Error", "s", get_error, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ErrorMessage", "s", bus_get_text, offsetof(Task, error.message),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("Cancel", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT, method_cancel,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("Finished", SD_BUS_ARGS("s", result, "a{sv}", values, "s", error, "s", message), 0),
        SD_BUS_VTABLE_END,
};

static const BusMask masks[] = {
        { TASK_CHANGED_STATE, "State" },           { TASK_CHANGED_PROGRESS, "Progress" },
        { TASK_CHANGED_CANCELABLE, "Cancelable" }, { TASK_CHANGED_OBJECTS, "Objects" },
        { TASK_CHANGED_RESULT | TASK_CHANGED_PROGRESS, "Result" },         { TASK_CHANGED_RESULT, "Error" },
        { TASK_CHANGED_RESULT, "ErrorMessage" },   { TASK_CHANGED_PROGRESS, "ProgressValid" },
        { TASK_CHANGED_PROGRESS, "Bytes" },        { TASK_CHANGED_PROGRESS, "TotalBytes" },
        { TASK_CHANGED_PROGRESS, "Rate" },         { TASK_CHANGED_PROGRESS, "ExpectedEndTime" },
        {},
};

const BusInterface job_interface = {
        .name = "org.mdevgpu1.Job",
        .prefix = JOB_PREFIX,
        .vtable = vtable,
        .find = find_job,
        .masks = masks,
};
