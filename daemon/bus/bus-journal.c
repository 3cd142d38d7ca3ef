/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-journal.h"
#include "bus/bus-interface.h"
#include "util/log.h"
#include "util/message-ids.h"

void bus_journal_gpu_added(const Gpu *gpu) {
        log_full(LOG_INFO, LOG_FIELDS("MESSAGE_ID", MESSAGE_GPU_ADDED, "MDEVGPU_GPU", gpu->identity.address),
                 "GPU %s has come", gpu->identity.address);
}

void bus_journal_gpu_removed(const Gpu *gpu) {
        log_full(LOG_INFO, LOG_FIELDS("MESSAGE_ID", MESSAGE_GPU_REMOVED, "MDEVGPU_GPU", gpu->identity.address),
                 "GPU %s has gone", gpu->identity.address);
}

void bus_journal_gpu_state(const Gpu *gpu) {
        if (gpu->state != GPU_FAILED && gpu->state != GPU_BUSY && gpu->state != GPU_DEGRADED)
                return;

        log_full(LOG_WARNING, LOG_FIELDS("MESSAGE_ID", MESSAGE_GPU_FAILED, "MDEVGPU_GPU", gpu->identity.address),
                 "GPU %s is %s: %s", gpu->identity.address, gpu_state_to_string(gpu->state), gpu->reason);
}

void bus_journal_type(const Type *type) {
        if (type->report.registration != REGISTRATION_REFUSED)
                return;

        log_full(LOG_WARNING,
                 LOG_FIELDS("MESSAGE_ID", MESSAGE_TYPE_REFUSED, "MDEVGPU_GPU", type->gpu->identity.address,
                            "MDEVGPU_TYPE", type->report.id),
                 "The driver of GPU %s has refused type %s: %s", type->gpu->identity.address, type->report.id,
                 type->report.reason);
}

void bus_journal_task(const Task *task) {
        bool done = task->state == TASK_DONE;
        char id[16];

        (void)snprintf(id, sizeof(id), "%u", task->id);
        log_full(done ? LOG_INFO : LOG_WARNING,
                 LOG_FIELDS("MESSAGE_ID", done ? MESSAGE_JOB_DONE : MESSAGE_JOB_FAILED, "MDEVGPU_JOB", id,
                            "MDEVGPU_ERROR", done ? NULL : bus_task_error(task)),
                 "Job %u, %s of '%s', is %s%s%s", task->id, task->operation, task->object,
                 strempty(task_state_to_string(task->state)), done ? "" : ": ", done ? "" : task->error.message);
}

void bus_journal_degraded(bool degraded) {
        log_full(degraded ? LOG_WARNING : LOG_INFO,
                 LOG_FIELDS("MESSAGE_ID", degraded ? MESSAGE_DEGRADED : MESSAGE_RECOVERED),
                 degraded ? "Something needs attention; 'mdevgpuctl doctor' says what"
                          : "Nothing needs attention any more");
}
