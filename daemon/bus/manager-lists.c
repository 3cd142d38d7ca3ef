/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The lists: one row a thing, with what a person wants to see of it. A row ends in a{sv} so that it can grow. */

#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"

typedef struct Filter {
        const char *gpu;
        const char *type; /* id or name */
        const char *state;
        bool managed;
        bool by_managed;
} Filter;

static bool filter_gpu(const Filter *filter, const Gpu *gpu) {
        return gpu->linked && (!filter->gpu || streq(filter->gpu, gpu->identity.address));
}

static bool filter_type(const Filter *filter, const char *id, const char *name) {
        return !filter->type || streq(filter->type, id) || streq(filter->type, name);
}

/* By where it is, or by what it is defined for. */
static bool filter_parent(const Filter *filter, const VGpu *vgpu) {
        return !filter->gpu || streq(filter->gpu, vgpu->gpu ? vgpu->gpu->identity.address : vgpu->parent);
}

static bool filter_type_of(const Filter *filter, const VGpu *vgpu) {
        const Type *type = filter->type ? vgpu_get_type(vgpu) : NULL;

        return filter_type(filter, vgpu->type_id, type ? type->report.name : vgpu->type_id);
}

static bool filter_vgpu(const Filter *filter, const VGpu *vgpu) {
        return vgpu->linked && filter_parent(filter, vgpu) && filter_type_of(filter, vgpu) &&
               (!filter->state || streq(filter->state, strempty(vgpu_state_to_string(vgpu->state)))) &&
               (!filter->by_managed || filter->managed == vgpu->managed);
}

/* A GPU that is not there is an error, as an empty list would be a wrong answer to a misspelt name. */
static int check_gpu(const BusServer *server, const Filter *filter, sd_bus_error *ret_error) {
        if (filter->gpu && !manager_find_gpu(server->manager, filter->gpu))
                return bus_error_setf(ret_error, -ERROR_NO_SUCH_GPU, "There is no GPU '%s'", filter->gpu);

        return 0;
}

/* One that is not there can be what something is defined for. */
static int check_gpu_of_vgpus(const BusServer *server, const Filter *filter, sd_bus_error *ret_error) {
        const VGpu *vgpu;

        if (!filter->gpu)
                return 0;

        LIST_FOREACH(vgpu, &server->manager->all_vgpus, link)
                if (vgpu->linked && filter_parent(filter, vgpu))
                        return 0;

        return check_gpu(server, filter, ret_error);
}

static int check_gpu_state(const char *state, sd_bus_error *ret_error) {
        for (GpuState s = 0; s < GPU_STATE_MAX; s++)
                if (streq(strempty(gpu_state_to_string(s)), state))
                        return 0;

        return bus_error_setf(ret_error, -EINVAL, "'%s' is no state of a GPU", state);
}

static int check_vgpu_state(const char *state, sd_bus_error *ret_error) {
        for (VGpuState s = 0; s < VGPU_STATE_MAX; s++)
                if (streq(strempty(vgpu_state_to_string(s)), state))
                        return 0;

        return bus_error_setf(ret_error, -EINVAL, "'%s' is no state of a vGPU", state);
}

static int append_path(sd_bus_message *reply, char *path) {
        _cleanup_(freep) char *owned = path;

        return owned ? sd_bus_message_append_basic(reply, 'o', owned) : -ENOMEM;
}

static int append_gpu(sd_bus_message *reply, const Gpu *gpu) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ssssoa{sv}");
        if (r < 0)
                return r;

        r = bus_append_text(reply, gpu->identity.address);
        if (r < 0)
                return r;

        r = bus_append_text(reply, gpu_get_name(gpu));
        if (r < 0)
                return r;

        r = bus_append_text(reply, gpu->driver);
        if (r < 0)
                return r;

        r = sd_bus_message_append_basic(reply, 's', strempty(gpu_state_to_string(gpu->state)));
        if (r < 0)
                return r;

        r = append_path(reply, bus_path_of_gpu(gpu));
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r < 0)
                return r;

        r = bus_append_text_entry(reply, "vendor", gpu->vendor_name);
        if (r < 0)
                return r;

        r = bus_append_text_entry(reply, "backend", gpu->backend);
        if (r < 0)
                return r;

        r = bus_append_text_entry(reply, "reason", gpu->reason);
        if (r >= 0 && gpu->max_vfs > 0)
                r = sd_bus_message_append(reply, "{sv}{sv}", "num-vfs", "u", gpu->num_vfs, "max-vfs", "u",
                                          gpu->max_vfs);
        if (r >= 0 && gpu->mixed_size != MIXED_SIZE_NONE)
                r = sd_bus_message_append(reply, "{sv}", "mixed-size", "b", gpu->mixed_size == MIXED_SIZE_ON);
        if (r < 0)
                return r;

        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(reply);
}

static int append_type(sd_bus_message *reply, const Type *type) {
        const TypeReport *report = &type->report;
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ssssuuoa{sv}");
        if (r < 0)
                return r;

        r = bus_append_text(reply, type->gpu->identity.address);
        if (r < 0)
                return r;

        r = bus_append_text(reply, report->id);
        if (r < 0)
                return r;

        r = bus_append_text(reply, report->name);
        if (r < 0)
                return r;

        r = bus_append_text(reply, report->device_api);
        if (r < 0)
                return r;

        r = sd_bus_message_append(reply, "uu", report->max_instances, report->available);
        if (r < 0)
                return r;

        r = append_path(reply, bus_path_of_type(type));
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r < 0)
                return r;

        r = bus_append_text_entry(reply, "class", report->class);
        if (r < 0)
                return r;

        r = bus_append_text_entry(reply, "source", strempty(type_source_to_string(report->source)));
        if (r < 0)
                return r;

        r = bus_append_text_entry(reply, "registration", strempty(registration_to_string(report->registration)));
        if (r < 0)
                return r;

        r = bus_append_text_entry(reply, "reason", report->reason);
        if (r < 0)
                return r;

        r = sd_bus_message_append(reply, "{sv}", "framebuffer", "t", report->framebuffer);
        if (r >= 0 && report->details.keeps_state != TRISTATE_UNKNOWN)
                r = sd_bus_message_append(reply, "{sv}", "keeps-state", "b",
                                          (int)(report->details.keeps_state == TRISTATE_YES));
        if (r < 0)
                return r;

        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(reply);
}

/* In one go, as there may be thousands. */
static int append_vgpu(sd_bus_message *reply, const VGpu *vgpu) {
        char parent[SYSFS_NAME_SIZE], type_id[TYPE_ID_SIZE], label[LABEL_SIZE], last_error[REASON_SIZE * 2];
        char path[BUS_PATH_OF_UUID_SIZE];

        bus_format_path_of_uuid(vgpu->uuid, path);
        return sd_bus_message_append(
                reply, "(sssssoa{sv})", vgpu->uuid,
                bus_clean_text(vgpu->gpu ? vgpu->gpu->identity.address : vgpu->parent, parent, sizeof(parent)),
                bus_clean_text(vgpu->type_id, type_id, sizeof(type_id)), strempty(vgpu_state_to_string(vgpu->state)),
                bus_clean_text(vgpu->label, label, sizeof(label)), path, 5,
                "kind", "s", strempty(vgpu_kind_to_string(vgpu->kind)),
                "managed", "b", (int)vgpu->managed,
                "persistent", "b", (int)vgpu->persistent,
                "autostart", "b", (int)vgpu->autostart,
                "last-error", "s", bus_clean_text(vgpu->last_error, last_error, sizeof(last_error)));
}

/* Thousands of them do not fit into the processor's caches, and are too far apart for it to guess which comes next. */
static void prefetch_next(const VGpu *vgpu) {
        const VGpu *next = LIST_ENTRY(vgpu->link.next, VGpu, link);

        __builtin_prefetch(&next->link);
        __builtin_prefetch(next->type_id);
        __builtin_prefetch(next->label);
        __builtin_prefetch(next->last_error);
}

static int begin_list(sd_bus_message *message, const char *row, sd_bus_message **ret_reply) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(reply, 'a', row);
        if (r < 0)
                return r;

        *ret_reply = TAKE(reply);
        return 0;
}

static int end_list(sd_bus_message *reply) {
        int r;

        r = sd_bus_message_close_container(reply);
        if (r < 0)
                return r;

        return sd_bus_message_send(reply);
}

int manager_method_list_gpus(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        BusServer *server = userdata;
        Filter filter = {};
        const BusOption options[] = {
                { "gpu", 's', { &filter.gpu }, NULL },
                { "state", 's', { &filter.state }, NULL },
        };
        Gpu *gpu;
        int r;

        r = bus_read_options(message, "filter", options, ELEMENTSOF(options), ret_error);
        if (r >= 0)
                r = check_gpu(server, &filter, ret_error);
        if (r >= 0 && filter.state)
                r = check_gpu_state(filter.state, ret_error);
        if (r < 0)
                return r;

        r = begin_list(message, "(ssssoa{sv})", &reply);
        if (r < 0)
                return r;

        LIST_FOREACH(gpu, &server->manager->gpus, link) {
                if (!filter_gpu(&filter, gpu))
                        continue;
                if (filter.state && !streq(filter.state, strempty(gpu_state_to_string(gpu->state))))
                        continue;

                r = append_gpu(reply, gpu);
                if (r < 0)
                        return r;
        }

        return end_list(reply);
}

static int append_types_of(sd_bus_message *reply, const Gpu *gpu, const Filter *filter) {
        Type *type;
        int r;

        LIST_FOREACH(type, &gpu->types, link) {
                if (!filter_type(filter, type->report.id, type->report.name))
                        continue;

                r = append_type(reply, type);
                if (r < 0)
                        return r;
        }

        return 0;
}

int manager_method_list_types(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        BusServer *server = userdata;
        Filter filter = {};
        Gpu *gpu;
        const BusOption options[] = {
                { "gpu", 's', { &filter.gpu }, NULL },
                { "type", 's', { &filter.type }, NULL },
        };
        int r;

        r = bus_read_options(message, "filter", options, ELEMENTSOF(options), ret_error);
        if (r >= 0)
                r = check_gpu(server, &filter, ret_error);
        if (r < 0)
                return r;

        r = begin_list(message, "(ssssuuoa{sv})", &reply);
        if (r < 0)
                return r;

        LIST_FOREACH(gpu, &server->manager->gpus, link) {
                if (!filter_gpu(&filter, gpu))
                        continue;

                r = append_types_of(reply, gpu, &filter);
                if (r < 0)
                        return r;
        }

        return end_list(reply);
}

int manager_method_list_vgpus(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        BusServer *server = userdata;
        Filter filter = {};
        VGpu *vgpu;
        const BusOption options[] = {
                { "gpu", 's', { &filter.gpu }, NULL },
                { "type", 's', { &filter.type }, NULL },
                { "state", 's', { &filter.state }, NULL },
                { "managed", 'b', { &filter.managed }, &filter.by_managed },
        };
        int r;

        r = bus_read_options(message, "filter", options, ELEMENTSOF(options), ret_error);
        if (r >= 0)
                r = check_gpu_of_vgpus(server, &filter, ret_error);
        if (r >= 0 && filter.state)
                r = check_vgpu_state(filter.state, ret_error);
        if (r < 0)
                return r;

        r = begin_list(message, "(sssssoa{sv})", &reply);
        if (r < 0)
                return r;

        LIST_FOREACH(vgpu, &server->manager->all_vgpus, link) {
                prefetch_next(vgpu);
                if (!filter_vgpu(&filter, vgpu))
                        continue;

                r = append_vgpu(reply, vgpu);
                if (r < 0)
                        return r;
        }

        return end_list(reply);
}
