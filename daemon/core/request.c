/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Requests: judging what somebody asks of the manager, and beginning it.
 */

#include <uuid.h>

#include "core/gpu.h"
#include "core/manager.h"
#include "core/operation-private.h"
#include "core/record.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/text.h"

static int find_gpu(const Manager *manager, const char *address, Gpu **ret_gpu, Error *error) {
        Gpu *gpu = manager_find_gpu(manager, address);

        if (!gpu)
                return error_set(error, -ERROR_NO_SUCH_GPU, "There is no GPU '%.64s'; ListGpus names those there are",
                                 address);

        *ret_gpu = gpu;
        return 0;
}

static int check_gpu_ready(const Gpu *gpu, Error *error) {
        const char *address = gpu->identity.address;

        switch (gpu->state) {
        case GPU_READY:
                return 0;
        case GPU_PROBING:
                return error_set(error, -ERROR_BUSY, "GPU %s is still being read; try again in a moment", address);
        case GPU_BUSY:
                return error_set(error, -ERROR_BUSY, "GPU %s: %s", address, gpu->reason);
        case GPU_FAILED:
                return error_set(error, -ERROR_DRIVER_REJECTED, "GPU %s cannot be used: %s", address, gpu->reason);
        default:
                return error_set(error, -ERROR_NOT_SUPPORTED, "GPU %s makes no vGPUs: %s", address, gpu->reason);
        }
}

static int check_type(const Type *type, Error *error) {
        const TypeReport *report = &type->report;
        const char *address = type->gpu->identity.address;

        switch (report->registration) {
        case REGISTRATION_REGISTERED:
        case REGISTRATION_DIFFERS:
                return 0;
        case REGISTRATION_PENDING:
                return error_set(error, -ERROR_BUSY, "Type %s waits to be registered with GPU %s: %s", report->id,
                                 address, report->reason);
        case REGISTRATION_RETIRED:
                return error_set(error, -ERROR_NO_INSTANCES, "Type %s of GPU %s is retired: %s", report->id, address,
                                 report->reason);
        default:
                return error_set(error, -ERROR_DRIVER_REJECTED, "Type %s is not registered with GPU %s: %s",
                                 report->id, address, report->reason);
        }
}

static int check_uuid(const Manager *manager, const char *uuid, char ret_uuid[static UUID_STRING_SIZE], Error *error) {
        VGpu *vgpu;

        if (text_parse_uuid(uuid, ret_uuid) < 0)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no UUID", uuid);

        vgpu = MAP_FIND(&manager->vgpus, ret_uuid, VGpu, node);
        if (!vgpu)
                return 0;

        return error_set(error, -ERROR_ALREADY_EXISTS, "UUID %s is taken by a vGPU on GPU %s%s", ret_uuid,
                         vgpu->gpu->identity.address,
                         vgpu->state == VGPU_CREATING   ? " that is being created"
                         : vgpu->state == VGPU_REMOVING ? " that is being removed"
                                                        : "");
}

/* With no UUID asked for, ret_uuid is empty. */
static int judge_create(const Manager *manager, const CreateRequest *request, Gpu **ret_gpu, Type **ret_type,
                        char ret_uuid[static UUID_STRING_SIZE], Error *error) {
        int r;

        r = find_gpu(manager, request->gpu, ret_gpu, error);
        if (r < 0)
                return r;
        r = check_gpu_ready(*ret_gpu, error);
        if (r < 0)
                return r;
        r = gpu_find_type(*ret_gpu, request->type, ret_type, error);
        if (r < 0)
                return r;
        r = check_type(*ret_type, error);
        if (r < 0)
                return r;

        ret_uuid[0] = '\0';
        return request->uuid[0] != '\0' ? check_uuid(manager, request->uuid, ret_uuid, error) : 0;
}

int manager_check_create(Manager *manager, const CreateRequest *request, Error *error) {
        char uuid[UUID_STRING_SIZE];
        Type *type;
        Gpu *gpu;

        return judge_create(manager, request, &gpu, &type, uuid, error);
}

static void generate_uuid(char ret_uuid[static UUID_STRING_SIZE]) {
        uuid_t uuid;

        uuid_generate_random(uuid);
        uuid_unparse_lower(uuid, ret_uuid);
}

static int submit_error(int code, const Gpu *gpu, Error *error) {
        if (code == -EBUSY && gpu->stuck_pid == 0)
                return error_set(error, -ERROR_BUSY, "GPU %s: its last worker process has not ended yet",
                                 gpu->identity.address);
        if (code == -EBUSY)
                return error_set(error, -ERROR_BUSY, "GPU %s: worker process %i is stuck in the kernel or its driver",
                                 gpu->identity.address, (int)gpu->stuck_pid);
        if (code == -EDQUOT)
                return error_set(error, -ERROR_LIMIT_EXCEEDED, "Too many operations wait for GPU %s",
                                 gpu->identity.address);

        return error_set_errno(error, code, "the operation cannot be started");
}

int manager_create_vgpu(Manager *manager, const CreateRequest *request, OperationCallback callback, void *userdata,
                        Operation **ret_operation, Error *error) {
        _cleanup_(vgpu_freep) VGpu *vgpu = NULL;
        char uuid[UUID_STRING_SIZE];
        Type *type;
        Gpu *gpu;
        Job job;
        int r;

        r = judge_create(manager, request, &gpu, &type, uuid, error);
        if (r < 0)
                return r;
        if (uuid[0] == '\0')
                generate_uuid(uuid);

        r = vgpu_new(gpu, uuid, &vgpu);
        if (r < 0)
                return error_set_errno(error, r, "the vGPU cannot be set up");

        r = record_write(manager->state_fd, uuid, gpu->identity.address, type->report.id);
        if (r < 0)
                return error_set_errno(error, r, "the record that the vGPU is ours cannot be written");

        (void)text_copy(vgpu->type_id, sizeof(vgpu->type_id), type->report.id);
        job = (Job){ .kind = JOB_CREATE, .uuid = vgpu->uuid, .type_id = vgpu->type_id };
        r = operation_start(vgpu, OPERATION_CREATE, &job, callback, userdata, ret_operation);
        if (r < 0) {
                record_remove(manager->state_fd, uuid);
                return submit_error(r, gpu, error);
        }

        TAKE(vgpu);
        return 0;
}

static int judge_destroy(const Manager *manager, const DestroyRequest *request, VGpu **ret_vgpu, Error *error) {
        char uuid[UUID_STRING_SIZE];
        VGpu *vgpu;

        if (text_parse_uuid(request->uuid, uuid) < 0)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no UUID", request->uuid);

        vgpu = MAP_FIND(&manager->vgpus, uuid, VGpu, node);
        if (!vgpu)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "There is no vGPU %s", uuid);
        if (vgpu->state == VGPU_CREATING)
                return error_set(error, -ERROR_BUSY, "vGPU %s is still being created", uuid);
        if (vgpu->state == VGPU_REMOVING)
                return error_set(error, -ERROR_BUSY, "vGPU %s is being removed already%s%s", uuid,
                                 vgpu->last_error[0] != '\0' ? ": " : "", vgpu->last_error);
        if (!vgpu->managed && !request->unmanaged)
                return error_set(error, -ERROR_NOT_MANAGED,
                                 "vGPU %s was not made by mdevgpud; it is removed only with the option 'unmanaged'",
                                 uuid);

        *ret_vgpu = vgpu;
        return 0;
}

int manager_check_destroy(Manager *manager, const DestroyRequest *request, Error *error) {
        VGpu *vgpu;

        return judge_destroy(manager, request, &vgpu, error);
}

int manager_destroy_vgpu(Manager *manager, const DestroyRequest *request, OperationCallback callback, void *userdata,
                         Operation **ret_operation, Error *error) {
        VGpu *vgpu;
        Job job;
        int r;

        r = judge_destroy(manager, request, &vgpu, error);
        if (r < 0)
                return r;

        job = (Job){ .kind = JOB_REMOVE, .uuid = vgpu->uuid };
        r = operation_start(vgpu, OPERATION_DESTROY, &job, callback, userdata, ret_operation);
        if (r < 0)
                return submit_error(r, vgpu->gpu, error);

        vgpu_set_state(vgpu, VGPU_REMOVING, NULL);
        return 0;
}
