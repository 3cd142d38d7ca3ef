/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-change.h"
#include "bus/bus-path.h"
#include "bus/vgpu-answer.h"
#include "core/gpu.h"
#include "core/vgpu.h"
#include "util/log.h"
#include "util/message-ids.h"
#include "util/text.h"

static void log_call(const BusCall *call, const Error *error) {
        const PolkitDetails *details = &call->details;

        log_full(error ? LOG_NOTICE : LOG_INFO,
                 LOG_FIELDS("MESSAGE_ID", error ? MESSAGE_VGPU_FAILED : call->verb->message_id, "MDEVGPU_GPU",
                            details->gpu, "MDEVGPU_TYPE", details->type, "MDEVGPU_VGPU", details->uuid,
                            "MDEVGPU_SENDER", sd_bus_message_get_sender(call->message)),
                 "%s vGPU%s%s of type %s on GPU %s for user %u%s%s", error ? call->verb->failed : call->verb->done,
                 *details->uuid ? " " : "", details->uuid, details->type, details->gpu, bus_call_uid(call),
                 error ? ": " : "", error ? error->message : "");
}

static int reply(const BusCall *call, const VGpu *vgpu) {
        _cleanup_(freep) char *path = NULL;

        if (!call->verb->returns_vgpu)
                return sd_bus_reply_method_return(call->message, NULL);

        path = bus_path_of_vgpu(vgpu);
        return path ? sd_bus_reply_method_return(call->message, "so", vgpu->uuid, path) : -ENOMEM;
}

void vgpu_answer(const Error *error, VGpu *vgpu, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;
        int r;

        /* Before the answer, so that what the caller looks at next is what it was told. */
        bus_changes_flush(call->server);

        if (vgpu)
                (void)text_copy(call->details.uuid, sizeof(call->details.uuid), vgpu->uuid);
        if (error)
                bus_call_reply_error(call, error);
        else {
                r = reply(call, vgpu);
                if (r < 0)
                        log_warning("Cannot answer a call about vGPU %s: %s", call->details.uuid, strerrordesc_np(-r));
        }

        /* The caller does not wait for the journal. */
        log_call(call, error);
}

void vgpu_details(const VGpu *vgpu, PolkitDetails *ret_details) {
        *ret_details = (PolkitDetails){};
        (void)text_copy(ret_details->gpu, sizeof(ret_details->gpu),
                        vgpu->gpu ? vgpu->gpu->identity.address : vgpu->parent);
        (void)text_copy(ret_details->type, sizeof(ret_details->type), vgpu->type_id);
        (void)text_copy(ret_details->uuid, sizeof(ret_details->uuid), vgpu->uuid);
}

int vgpu_details_of(const BusServer *server, const char *uuid, PolkitDetails *ret_details, Error *error) {
        const VGpu *vgpu;

        vgpu = manager_find_vgpu(server->manager, uuid);
        if (!vgpu)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "There is no vGPU %s", uuid);

        vgpu_details(vgpu, ret_details);
        return 0;
}
