/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The calls that define vGPUs, and that change what is there. */

#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "bus/vgpu-answer.h"
#include "core/gpu.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/text.h"

/* Whatever comes of it, the caller releases ret_request->attributes. */
static int read_define(sd_bus_message *message, DefineRequest *ret_request, char ret_uuid[static UUID_STRING_SIZE],
                       sd_bus_error *ret_error) {
        const BusOption options[] = {
                { "autostart", 'b', { &ret_request->autostart }, NULL },
                { "label", 's', { &ret_request->label }, NULL },
                { "attrs", 'a', { &ret_request->attributes }, NULL },
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

        return bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
}

static void define_details(const BusServer *server, const DefineRequest *request, PolkitDetails *ret_details) {
        const VGpu *vgpu = request->uuid[0] != '\0' ? manager_find_vgpu(server->manager, request->uuid) : NULL;
        Gpu *gpu = manager_find_gpu_of(server->manager, request->gpu);
        Type *type;

        if (vgpu) {
                vgpu_details(vgpu, ret_details);
                return;
        }

        *ret_details = (PolkitDetails){};
        (void)text_copy(ret_details->gpu, sizeof(ret_details->gpu), gpu ? gpu->identity.address : request->gpu);
        (void)text_copy(ret_details->type, sizeof(ret_details->type),
                        gpu && gpu_find_type(gpu, request->type, &type, NULL) >= 0 ? type->report.id : request->type);
        (void)text_copy(ret_details->uuid, sizeof(ret_details->uuid), request->uuid);
}

static int define(BusServer *server, sd_bus_message *message, DefineRequest *request, sd_bus_error *ret_error) {
        static const BusVerb verb = { "Defined", "Cannot define", .returns_vgpu = true };
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        PolkitDetails details;
        Operation *operation;
        Error error = ERROR_NULL;
        Caller caller;
        int r;

        r = manager_check_define(server->manager, request, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        define_details(server, request, &details);
        r = bus_call_authorize(server, message, POLKIT_DEFINE_VGPUS, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->verb = &verb;
        caller = bus_call_get_caller(call);
        request->by = &caller;
        r = manager_define_vgpu(server->manager, request, vgpu_answer, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), operation);
        return 1;
}

int manager_method_define_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        char uuid[UUID_STRING_SIZE];
        DefineRequest request = {};
        int r;

        r = read_define(message, &request, uuid, ret_error);
        if (r >= 0)
                r = define(userdata, message, &request, ret_error);
        attributes_done(&request.attributes);
        return r;
}

int manager_method_undefine_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        static const BusVerb verb = { "Undefined", "Cannot undefine", .returns_vgpu = false };
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        char uuid[UUID_STRING_SIZE];
        UndefineRequest request = { .uuid = uuid };
        const BusOption options[] = { { "unmanaged", 'b', { &request.unmanaged }, NULL } };
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

        r = manager_check_undefine(server->manager, &request, &error);
        if (r >= 0)
                r = vgpu_details_of(server, uuid, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = bus_call_authorize(server, message, POLKIT_DEFINE_VGPUS, &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->verb = &verb;
        r = manager_undefine_vgpu(server->manager, &request, vgpu_answer, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), operation);
        return 1;
}

/* The values that a ModifyRequest points to. */
typedef struct ModifyValues {
        char uuid[UUID_STRING_SIZE];
        bool autostart;
        bool has_autostart;
        Attributes attributes;
        bool has_attributes;
        const char *scope;
} ModifyValues;

static int read_modify(sd_bus_message *message, ModifyValues *values, ModifyRequest *ret_request,
                       sd_bus_error *ret_error) {
        const BusOption options[] = {
                { "autostart", 'b', { &values->autostart }, &values->has_autostart },
                { "label", 's', { &ret_request->label }, NULL },
                { "type", 's', { &ret_request->type }, NULL },
                { "attrs", 'a', { &values->attributes }, &values->has_attributes },
                { "scope", 's', { &values->scope }, NULL },
                { "unmanaged", 'b', { &ret_request->unmanaged }, NULL },
        };
        int r;

        r = bus_read_uuid(message, /* may_be_empty= */ false, values->uuid, ret_error);
        if (r >= 0)
                r = bus_read_options(message, "option", options, ELEMENTSOF(options), ret_error);
        if (r < 0)
                return r;

        ret_request->uuid = values->uuid;
        ret_request->autostart = values->has_autostart ? &values->autostart : NULL;
        ret_request->attributes = values->has_attributes ? &values->attributes : NULL;
        if (values->scope) {
                ret_request->scope = modify_scope_from_string(values->scope);
                if (ret_request->scope < 0)
                        return bus_error_setf(ret_error, -EINVAL, "'%s' is no scope: it is live, config or both",
                                              values->scope);
        }

        return 0;
}

/* What concerns the device alone needs no more than what made it. */
static const char *modify_action(const BusServer *server, const ModifyRequest *request) {
        const VGpu *vgpu = manager_find_vgpu(server->manager, request->uuid);
        bool live = request->scope == MODIFY_LIVE || (request->scope == MODIFY_DEFAULT && vgpu && !vgpu->persistent);

        /* The label of what is defined outlives the device. */
        if (request->label && vgpu && vgpu->persistent)
                live = false;
        return live ? POLKIT_MANAGE_VGPUS : POLKIT_DEFINE_VGPUS;
}

static int modify(BusServer *server, sd_bus_message *message, ModifyRequest *request, sd_bus_error *ret_error) {
        static const BusVerb verb = { "Changed", "Cannot change", .returns_vgpu = false };
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        PolkitDetails details;
        Operation *operation;
        Error error = ERROR_NULL;
        Caller caller;
        int r;

        r = manager_check_modify(server->manager, request, &error);
        if (r >= 0)
                r = vgpu_details_of(server, request->uuid, &details, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = bus_call_authorize(server, message, modify_action(server, request), &details, &call, ret_error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->verb = &verb;
        caller = bus_call_get_caller(call);
        request->by = &caller;
        r = manager_modify_vgpu(server->manager, request, vgpu_answer, call, &operation, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), operation);
        return 1;
}

int manager_method_modify_vgpu(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        ModifyRequest request = {};
        ModifyValues values = {};
        int r;

        r = read_modify(message, &values, &request, ret_error);
        if (r >= 0)
                r = modify(userdata, message, &request, ret_error);
        attributes_done(&values.attributes);
        return r;
}
