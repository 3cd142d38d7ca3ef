/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The calls that make and remove vGPUs, on whichever object they are made. */

#include "bus/bus-call.h"
#include "bus/bus-change.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/bus-path.h"
#include "util/log.h"
#include "util/text.h"

static void log_call(const BusCall *call, int level, const char *what, const Error *error) {
        const PolkitDetails *details = &call->details;

        log_full(level,
                 LOG_FIELDS("GPU", details->gpu, "TYPE", details->type, "VGPU_UUID", details->uuid, "SENDER",
                            sd_bus_message_get_sender(call->message)),
                 "%s vGPU%s%s of type %s on GPU %s for user %u%s%s", what, *details->uuid ? " " : "", details->uuid,
                 details->type, details->gpu, bus_call_uid(call), error ? ": " : "", error ? error->message : "");
}

static void on_created(const Error *error, VGpu *vgpu, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        _cleanup_(freep) char *path = NULL;
        int r;

        /* Before the answer, so that what the caller looks at next is what it was told. */
        bus_changes_flush(call->server);

        if (error) {
                log_call(call, LOG_NOTICE, "Cannot create", error);
                bus_call_reply_error(call, error);
                return;
        }

        (void)text_copy(call->details.uuid, sizeof(call->details.uuid), vgpu->uuid);
        log_call(call, LOG_INFO, "Created", NULL);

        path = bus_path_of_vgpu(vgpu);
        r = path ? sd_bus_reply_method_return(call->message, "so", vgpu->uuid, path) : -ENOMEM;
        if (r < 0)
                log_warning("Cannot answer that vGPU %s was created: %s", vgpu->uuid, strerrordesc_np(-r));
}

static int read_create(sd_bus_message *message, CreateRequest *ret_request, char ret_uuid[static UUID_STRING_SIZE],
                       sd_bus_error *ret_error) {
        CreateRequest request = { .uuid = ret_uuid };
        int r;

        r = bus_read_name(message, "name of the GPU", &request.gpu, ret_error);
        if (r < 0)
                return r;

        r = bus_read_name(message, "type", &request.type, ret_error);
        if (r < 0)
                return r;

        r = bus_read_uuid(message, /* may_be_empty= */ true, ret_uuid, ret_error);
        if (r < 0)
                return r;

        r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        if (*request.gpu == '\0')
                return bus_error_setf(ret_error, -EINVAL, "No GPU is named, and this version does not choose one "
                                      "itself: name one of those that ListGpus() shows");
        if (*request.type == '\0')
                return bus_error_setf(ret_error, -EINVAL, "No type is named: name one of those that ListTypes() shows");

        *ret_request = request;
        return 0;
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

int manager_method_create_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        char uuid[UUID_STRING_SIZE];
        BusServer *server = userdata;
        CreateRequest request;
        PolkitDetails details;
        Operation *operation;
        Error error = ERROR_NULL;
        int r;

        r = read_create(message, &request, uuid, ret_error);
        if (r < 0)
                return r;

        r = manager_check_create(server->manager, &request, &error);
        if (r >= 0)
                r = create_details(server, &request, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = bus_call_authorize(server, message, POLKIT_MANAGE_VGPUS, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = manager_create_vgpu(server->manager, &request, on_created, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), operation);
        return 1;
}

static void on_destroyed(const Error *error, VGpu *vgpu, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        int r;

        bus_changes_flush(call->server);

        if (error) {
                log_call(call, LOG_NOTICE, "Cannot destroy", error);
                bus_call_reply_error(call, error);
                return;
        }

        log_call(call, LOG_INFO, "Destroyed", NULL);
        r = sd_bus_reply_method_return(call->message, NULL);
        if (r < 0)
                log_warning("Cannot answer that vGPU %s was destroyed: %s", call->details.uuid, strerrordesc_np(-r));
}

static int destroy_details(BusServer *server, const DestroyRequest *request, PolkitDetails *ret_details, Error *error) {
        PolkitDetails details = {};
        VGpu *vgpu;

        vgpu = manager_find_vgpu(server->manager, request->uuid);
        if (!vgpu)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "There is no vGPU %s", request->uuid);

        (void)text_copy(details.gpu, sizeof(details.gpu), vgpu->gpu->identity.address);
        (void)text_copy(details.type, sizeof(details.type), vgpu->type_id);
        (void)text_copy(details.uuid, sizeof(details.uuid), vgpu->uuid);

        *ret_details = details;
        return 0;
}

/* The options are what is left to read of the message. */
static int destroy(BusServer *server, sd_bus_message *message, const char *uuid, sd_bus_error *ret_error) {
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
                r = destroy_details(server, &request, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = bus_call_authorize(server, message, POLKIT_MANAGE_VGPUS, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = manager_destroy_vgpu(server->manager, &request, on_destroyed, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), operation);
        return 1;
}

int manager_method_destroy_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        char uuid[UUID_STRING_SIZE];
        int r;

        r = bus_read_uuid(message, /* may_be_empty= */ false, uuid, ret_error);
        if (r < 0)
                return r;

        return destroy(userdata, message, uuid, ret_error);
}

int vgpu_method_destroy(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = bus_server_of(sd_bus_message_get_bus(message));
        char uuid[UUID_STRING_SIZE];
        const VGpu *vgpu = userdata;

        memcpy(uuid, vgpu->uuid, sizeof(uuid));
        return destroy(server, message, uuid, ret_error);
}
