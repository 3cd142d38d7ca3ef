/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The calls that make and remove vGPUs, on whichever object they are made. */

#include <inttypes.h>

#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/vgpu-answer.h"
#include "core/gpu.h"
#include "core/incoming.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/message-ids.h"
#include "util/text.h"

/* Numbers that are attributes of the vGPUs of drivers that know places; others refuse them. */
static int add_number(Attributes *attributes, const char *name, uint32_t number, sd_bus_error *ret_error) {
        Error error = ERROR_NULL;
        char text[16];
        int r;

        (void)snprintf(text, sizeof(text), "%" PRIu32, number);
        r = attributes_add(attributes, name, text, &error);
        return r < 0 ? bus_error_set(ret_error, r, &error) : 0;
}

/* What the caller releases, whatever comes of it: ret_request->attributes. */
static int read_create(sd_bus_message *message, CreateRequest *ret_request, char ret_uuid[static UUID_STRING_SIZE],
                       sd_bus_error *ret_error) {
        bool has_placement = false, has_instance = false;
        uint32_t placement, instance;
        const BusOption options[] = {
                { "placement-id", 'u', { .number = &placement }, &has_placement },
                { "gpu-instance-id", 'u', { .number = &instance }, &has_instance },
                { "persistent", 'b', { &ret_request->persistent }, NULL },
                { "autostart", 'b', { &ret_request->autostart }, NULL },
                { "label", 's', { &ret_request->label }, NULL },
                { "attrs", 'a', { &ret_request->attributes }, NULL },
                { "numa-node", 'u', { &ret_request->numa_node }, &ret_request->has_numa_node },
                { "take-display", 'b', { &ret_request->take_display }, NULL },
        };
        int r;

        ret_request->uuid = ret_uuid;
        r = bus_read_name(message, "name of the GPU", &ret_request->gpu, ret_error);
        if (r < 0)
                return r;

        r = bus_read_name(message, "type", &ret_request->type, ret_error);
        if (r < 0)
                return r;

        r = bus_read_uuid(message, /* may_be_empty= */ true, ret_uuid, ret_error);
        if (r < 0)
                return r;

        r = bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
        if (r < 0)
                return r;

        if (ret_request->has_numa_node && *ret_request->gpu != '\0')
                return bus_error_setf(ret_error, -EINVAL,
                                      "The option 'numa-node' is for choosing a GPU, and GPU %s is named",
                                      ret_request->gpu);
        if (*ret_request->type == '\0')
                return bus_error_setf(ret_error, -EINVAL, "No type is named");
        if (has_instance)
                r = add_number(&ret_request->attributes, "gpu_instance_id", instance, ret_error);
        if (r >= 0 && has_placement)
                r = add_number(&ret_request->attributes, "placement_id", placement, ret_error);

        return MIN(r, 0);
}

/* By their real names, so that a rule need not know what else a type can be called. */
static int create_details(BusServer *server, const CreateRequest *request, PolkitDetails *ret_details, Error *error) {
        PolkitDetails details = {};
        Type *type;
        Gpu *gpu;
        int r;

        gpu = manager_find_gpu(server->manager, request->gpu);
        if (!gpu)
                return error_set(error, -ERROR_NO_SUCH_GPU, "There is no GPU '%s'", request->gpu);

        r = gpu_find_type(gpu, request->type, &type, error);
        if (r < 0)
                return r;

        (void)text_copy(details.gpu, sizeof(details.gpu), gpu->identity.address);
        (void)text_copy(details.type, sizeof(details.type), type->report.id);
        (void)text_copy(details.uuid, sizeof(details.uuid), request->uuid);

        *ret_details = details;
        return 0;
}

static int choose_gpu(BusServer *server, CreateRequest *request, Error *error) {
        Gpu *gpu;
        int r;

        r = manager_choose_gpu(server->manager, request, &gpu, error);
        if (r >= 0)
                request->gpu = gpu->identity.address;
        return r;
}

/* What is chosen before polkit is asked is what it is asked about; if another is chosen then, it is asked again. */
static int create(BusServer *server, sd_bus_message *message, const char *action, const BusVerb *verb,
                  CreateRequest *request, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        PolkitDetails details;
        Operation *operation;
        Error error = ERROR_NULL;
        Caller caller;
        int r = 0;

        if (*request->gpu == '\0')
                r = choose_gpu(server, request, &error);
        if (r >= 0)
                r = manager_check_create(server->manager, request, &error);
        if (r >= 0)
                r = create_details(server, request, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = bus_call_authorize(server, message, action, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->verb = verb;
        caller = bus_call_get_caller(call);
        request->by = &caller;
        r = manager_create_vgpu(server->manager, request, vgpu_answer, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), operation);
        return 1;
}

int manager_method_create_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        static const BusVerb verb = { "Created", "Cannot create", .returns_vgpu = true, MESSAGE_VGPU_CREATED };
        char uuid[UUID_STRING_SIZE];
        CreateRequest request = {};
        int r;

        r = read_create(message, &request, uuid, ret_error);
        if (r >= 0)
                r = create(userdata, message,
                           request.persistent || request.autostart ? POLKIT_DEFINE_VGPUS : POLKIT_MANAGE_VGPUS, &verb,
                           &request, ret_error);
        attributes_done(&request.attributes);
        return r;
}

/* What the caller releases, whatever comes of it: ret_request->attributes. */
static int read_incoming(sd_bus_message *message, CreateRequest *ret_request, char ret_uuid[static UUID_STRING_SIZE],
                         sd_bus_error *ret_error) {
        const BusOption options[] = {
                { "lease", 'u', { .number = &ret_request->lease }, NULL },
                { "label", 's', { &ret_request->label }, NULL },
                { "attrs", 'a', { &ret_request->attributes }, NULL },
        };
        int r;

        ret_request->uuid = ret_uuid;
        ret_request->lease = INCOMING_LEASE_DEFAULT;
        r = bus_read_name(message, "name of the GPU", &ret_request->gpu, ret_error);
        if (r >= 0)
                r = bus_read_name(message, "type", &ret_request->type, ret_error);
        if (r >= 0)
                r = bus_read_uuid(message, /* may_be_empty= */ true, ret_uuid, ret_error);
        if (r >= 0)
                r = bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
        if (r < 0)
                return r;

        if (*ret_request->type == '\0')
                return bus_error_setf(ret_error, -EINVAL, "No type is named: name one of those that ListTypes() shows");
        if (ret_request->lease < INCOMING_LEASE_MIN || ret_request->lease > INCOMING_LEASE_MAX)
                return bus_error_setf(ret_error, -EINVAL, "The option 'lease' is from %u to %u seconds",
                                      INCOMING_LEASE_MIN, INCOMING_LEASE_MAX);
        return 0;
}

int manager_method_prepare_incoming(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        static const BusVerb verb = { "Prepared", "Cannot prepare", .returns_vgpu = true, MESSAGE_VGPU_CREATED };
        char uuid[UUID_STRING_SIZE];
        CreateRequest request = {};
        int r;

        r = read_incoming(message, &request, uuid, ret_error);
        if (r >= 0)
                r = create(userdata, message, POLKIT_MIGRATE_STATE, &verb, &request, ret_error);
        attributes_done(&request.attributes);
        return r;
}

/* The options are what is left to read of the message. */
static int destroy(BusServer *server, sd_bus_message *message, const char *uuid, sd_bus_error *ret_error) {
        static const BusVerb verb = { "Destroyed", "Cannot destroy", .returns_vgpu = false, MESSAGE_VGPU_DESTROYED };
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        DestroyRequest request = { .uuid = uuid };
        const BusOption options[] = { { "unmanaged", 'b', { &request.unmanaged }, NULL } };
        PolkitDetails details;
        Operation *operation;
        Error error = ERROR_NULL;
        int r;

        r = bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
        if (r < 0)
                return r;

        r = manager_check_destroy(server->manager, &request, &error);
        if (r >= 0)
                r = vgpu_details_of(server, uuid, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = bus_call_authorize(server, message, POLKIT_MANAGE_VGPUS, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->verb = &verb;
        r = manager_destroy_vgpu(server->manager, &request, vgpu_answer, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), operation);
        return 1;
}

int manager_method_release_incoming(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        static const BusVerb verb = { "Released", "Cannot release", .returns_vgpu = false, MESSAGE_VGPU_DESTROYED };
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        char uuid[UUID_STRING_SIZE];
        ReleaseRequest request = { .uuid = uuid };
        const BusOption options[] = { { "keep", 'b', { &request.keep }, NULL } };
        BusServer *server = userdata;
        PolkitDetails details;
        Operation *operation;
        Error error = ERROR_NULL;
        int r;

        r = bus_read_uuid(message, /* may_be_empty= */ false, uuid, ret_error);
        if (r >= 0)
                r = bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
        if (r < 0)
                return r;

        r = manager_check_release(server->manager, &request, &error);
        if (r >= 0)
                r = vgpu_details_of(server, uuid, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = bus_call_authorize(server, message, POLKIT_MIGRATE_STATE, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->verb = &verb;
        r = manager_release_incoming(server->manager, &request, vgpu_answer, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);
        if (!operation)
                return sd_bus_reply_method_return(message, NULL);

        bus_call_run(TAKE(call), operation);
        return 1;
}

static int start(BusServer *server, sd_bus_message *message, const char *uuid, sd_bus_error *ret_error) {
        static const BusVerb verb = { "Started", "Cannot start", .returns_vgpu = false, MESSAGE_VGPU_CREATED };
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        StartRequest request = { .uuid = uuid };
        PolkitDetails details;
        Caller caller;
        Operation *operation;
        Error error = ERROR_NULL;
        int r;

        r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        r = manager_check_start(server->manager, &request, &error);
        if (r >= 0)
                r = vgpu_details_of(server, uuid, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = bus_call_authorize(server, message, POLKIT_MANAGE_VGPUS, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->verb = &verb;
        caller = bus_call_get_caller(call);
        request.by = &caller;
        r = manager_start_vgpu(server->manager, &request, vgpu_answer, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), operation);
        return 1;
}

typedef int (*VGpuCall)(BusServer *server, sd_bus_message *message, const char *uuid, sd_bus_error *ret_error);

/* A method of Manager, whose first argument is the UUID. */
static int call_by_uuid(VGpuCall call, BusServer *server, sd_bus_message *message, sd_bus_error *ret_error) {
        char uuid[UUID_STRING_SIZE];
        int r;

        r = bus_read_uuid(message, /* may_be_empty= */ false, uuid, ret_error);
        return r < 0 ? r : call(server, message, uuid, ret_error);
}

/* A method of the vGPU itself, which may be gone before the call is over. */
static int call_on_object(VGpuCall call, const VGpu *vgpu, sd_bus_message *message, sd_bus_error *ret_error) {
        char uuid[UUID_STRING_SIZE];

        memcpy(uuid, vgpu->uuid, sizeof(uuid));
        return call(bus_server_of(sd_bus_message_get_bus(message)), message, uuid, ret_error);
}

int manager_method_destroy_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return call_by_uuid(destroy, userdata, message, ret_error);
}

int vgpu_method_destroy(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return call_on_object(destroy, userdata, message, ret_error);
}

int manager_method_start_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return call_by_uuid(start, userdata, message, ret_error);
}

int vgpu_method_start(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return call_on_object(start, userdata, message, ret_error);
}
