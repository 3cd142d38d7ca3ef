/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Requests: judging what somebody asks of the manager, and beginning it. Here: making and removing devices.
 */

#include <uuid.h>

#include "core/autostart.h"
#include "core/definition-files.h"
#include "core/gpu.h"
#include "core/incoming.h"
#include "core/manager.h"
#include "core/operation-private.h"
#include "core/permission.h"
#include "core/placement-view.h"
#include "core/request.h"
#include "core/scan.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/text.h"

static int find_gpu(const Manager *manager, const char *address, Gpu **ret_gpu, Error *error) {
        Gpu *gpu = manager_find_gpu(manager, address);

        if (!gpu)
                return error_set(error, -ERROR_NO_SUCH_GPU, "There is no GPU '%.64s'", address);

        *ret_gpu = gpu;
        return 0;
}

static int check_gpu_ready(const Gpu *gpu, Error *error) {
        const char *address = gpu->identity.address;

        if (gpu_makes_vgpus(gpu))
                return 0;

        switch (gpu->state) {
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
                return error_set(error, -ERROR_DRIVER_REJECTED, "Type %s is not registered with GPU %s: %s", report->id,
                                 address, report->reason);
        }
}

int request_check_uuid_free(const Manager *manager, const char *uuid, char ret_uuid[static UUID_STRING_SIZE],
                            Error *error) {
        const VGpu *vgpu;

        if (text_parse_uuid(uuid, ret_uuid) < 0)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no UUID", uuid);

        vgpu = MAP_FIND(&manager->vgpus, ret_uuid, VGpu, node);
        if (!vgpu)
                return 0;

        if (!vgpu->present && !vgpu->operation && !vgpu->doubtful)
                return error_set(error, -ERROR_ALREADY_EXISTS, "UUID %s is taken by a vGPU that is defined for %s",
                                 ret_uuid, vgpu->parent);
        return error_set(error, -ERROR_ALREADY_EXISTS, "UUID %s is taken by a vGPU on %s%s", ret_uuid,
                         vgpu->gpu ? vgpu->gpu->identity.address : vgpu->parent,
                         vgpu->state == VGPU_CREATING   ? " that is being created"
                         : vgpu->state == VGPU_REMOVING ? " that is being removed"
                                                        : "");
}

int request_check_label(const char *label, Error *error) {
        if (label && (strlen(label) >= LABEL_SIZE || !text_is_printable(label)))
                return error_set(error, -ERROR_INVALID_ARGUMENT, "A label is one line of text of at most %u bytes",
                                 LABEL_SIZE - 1);

        return 0;
}

/* Of what no GPU has the error speaks as if it were one GPU: by what the only one says, if there is one. */
static int explain_type(const PlacementView *view, const char *word, Error *error) {
        Type *type;

        if (view->n == 0)
                return error_set(error, -ERROR_NO_SUCH_GPU, "There is no GPU");
        if (view->n == 1)
                return gpu_find_type(view->objects[0], word, &type, error);

        return error_set(error, -ERROR_NO_SUCH_TYPE, "No GPU has just one type '%.64s'", word);
}

static int choose_gpu(const PlacementView *view, const CreateRequest *request, const PlacementRules *rules,
                      Gpu **ret_gpu, Error *error) {
        _cleanup_(freep) int *types = NULL;
        PlacementItem item = { .numa_node =
                                       request->has_numa_node ? (int)MIN(request->numa_node, INT16_MAX + 1U) : -1 };
        bool known = false;
        int r;

        r = placement_view_find(view, request->type, &types);
        if (r < 0)
                return error_set_errno(error, r, "no GPU can be chosen");

        item.types = types;
        for (size_t i = 0; i < view->n; i++)
                known = known || types[i] >= 0;
        if (!known)
                return explain_type(view, request->type, error);

        r = placement_choose(view->gpus, view->n, &item, rules->order);
        if (r < 0)
                return placement_explain(view->gpus, view->n, &item, request->type, error);

        *ret_gpu = view->objects[r];
        return 0;
}

int manager_choose_gpu(const Manager *manager, const CreateRequest *request, Gpu **ret_gpu, Error *error) {
        _cleanup_(placement_view_done) PlacementView view = {};
        int r;

        if (request->has_numa_node && !scan_has_numa_node(manager->host, request->numa_node))
                return error_set(error, -ERROR_INVALID_ARGUMENT, "This machine has no NUMA node %" PRIu32,
                                 request->numa_node);

        r = placement_view_new(manager, &manager->placement, &view);
        if (r < 0)
                return error_set_errno(error, r, "no GPU can be chosen");

        return choose_gpu(&view, request, &manager->placement, ret_gpu, error);
}

/* With no UUID asked for, ret_uuid is empty. */
static int judge_create(const Manager *manager, const CreateRequest *request, Gpu **ret_gpu, Type **ret_type,
                        char ret_uuid[static UUID_STRING_SIZE], Error *error) {
        int r;

        if (request->gpu[0] == '\0')
                r = manager_choose_gpu(manager, request, ret_gpu, error);
        else
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
        if (r >= 0)
                r = request_check_label(request->label, error);
        if (r < 0)
                return r;

        ret_uuid[0] = '\0';
        return request->uuid[0] != '\0' ? request_check_uuid_free(manager, request->uuid, ret_uuid, error) : 0;
}

int manager_check_create(Manager *manager, const CreateRequest *request, Error *error) {
        char uuid[UUID_STRING_SIZE];
        Type *type;
        Gpu *gpu;

        return judge_create(manager, request, &gpu, &type, uuid, error);
}

void request_generate_uuid(char ret_uuid[static UUID_STRING_SIZE]) {
        uuid_t uuid;

        uuid_generate_random(uuid);
        uuid_unparse_lower(uuid, ret_uuid);
}

int request_submit_error(int code, const Gpu *gpu, Error *error) {
        if (!gpu && code == -EBUSY)
                return error_set(error, -ERROR_BUSY,
                                 "The process that writes definitions is stuck, or has not ended yet");
        if (!gpu && code == -EDQUOT)
                return error_set(error, -ERROR_LIMIT_EXCEEDED, "Too many definitions wait to be written");
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

/* The note that the device is ours, before there is one. */
static int record_create(const VGpu *vgpu, RecordPhase phase, const char *type_id, const Owner *owner, Error *error) {
        const Gpu *gpu = vgpu->gpu;
        const char *label = vgpu->label;
        Record record = { .phase = phase, .iommu_group = -1, .lease = vgpu->lease };
        int r;

        (void)text_copy(record.gpu, sizeof(record.gpu), gpu->identity.address);
        (void)text_copy(record.type_id, sizeof(record.type_id), type_id);
        (void)text_copy(record.label, sizeof(record.label), label);
        record.owner = *owner;
        r = record_write(vgpu->manager->state_fd, vgpu->uuid, &record);
        if (r < 0) /* what the disk says would mean something else as a code of ours */
                return error_set(error, -EIO, "The record that the vGPU is ours cannot be written: %s",
                                 strerrordesc_np(-r) ?: "unknown error");

        return 0;
}

int manager_create_vgpu(Manager *manager, const CreateRequest *request, OperationCallback callback, void *userdata,
                        Operation **ret_operation, Error *error) {
        OperationPlan plan = {
                .kind = OPERATION_CREATE,
                .stores = request->persistent || request->autostart,
                .store_action = STORE_DEFINE,
                .definition = { .autostart = request->autostart },
                .owned = true,
                .label = request->label,
        };
        _cleanup_(vgpu_freep) VGpu *vgpu = NULL;
        char uuid[UUID_STRING_SIZE];
        Type *type;
        Gpu *gpu;
        Job job;
        int r;

        r = judge_create(manager, request, &gpu, &type, uuid, error);
        if (r >= 0)
                r = permission_check_attributes(manager, request->by, NULL, &request->attributes, error);
        if (r >= 0)
                r = permission_check(
                        manager, &(PermissionRequest){ .caller = request->by, .gpu = gpu, .type_id = type->report.id },
                        error);
        if (r < 0)
                return r;
        if (uuid[0] == '\0')
                request_generate_uuid(uuid);

        r = vgpu_new(manager, uuid, &vgpu);
        if (r >= 0)
                r = attributes_copy(&request->attributes, &plan.definition.attributes);
        if (r < 0)
                return error_set_errno(error, r, "the vGPU cannot be set up");

        if (request->lease > 0)
                incoming_watch(vgpu, incoming_now() + request->lease * UINT64_C(1000000));
        vgpu_set_gpu(vgpu, gpu);
        (void)text_copy(vgpu->type_id, sizeof(vgpu->type_id), type->report.id);
        (void)text_copy(vgpu->label, sizeof(vgpu->label), strempty(request->label));
        (void)text_copy(plan.definition.type_id, sizeof(plan.definition.type_id), type->report.id);
        plan.owner = vgpu->owner = permission_get_owner(manager, request->by, request->owner);
        r = record_create(vgpu, plan.stores || request->attributes.n > 0 ? RECORD_BUILDING : RECORD_CREATING,
                          vgpu->type_id, &vgpu->owner, error);
        if (r >= 0) {
                job = (Job){
                        .kind = JOB_CREATE,
                        .uuid = vgpu->uuid,
                        .type_id = vgpu->type_id,
                        .attributes = &request->attributes,
                        .take_display = request->take_display,
                        .iommu_group = -1,
                };
                r = operation_start(vgpu, &plan, &job, callback, userdata, ret_operation);
                if (r < 0) {
                        record_remove(manager->state_fd, uuid);
                        r = request_submit_error(r, gpu, error);
                }
        }
        definition_done(&plan.definition);
        if (r < 0)
                return r;

        TAKE(vgpu);
        return 0;
}

int request_probe_error(const VGpu *vgpu, Error *error) {
        if (vgpu->claim_pid > 0)
                return error_set(error, -ERROR_BUSY,
                                 "vGPU %s was being asked what it can do: worker process %i is stuck in the kernel or "
                                 "its driver",
                                 vgpu->uuid, (int)vgpu->claim_pid);

        return error_set(error, -ERROR_BUSY, "vGPU %s is being asked what it can do; try again in a moment",
                         vgpu->uuid);
}

int request_find_vgpu(const Manager *manager, const char *word, VGpu **ret_vgpu, Error *error) {
        char uuid[UUID_STRING_SIZE];
        VGpu *vgpu;

        if (text_parse_uuid(word, uuid) < 0)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no UUID", word);

        vgpu = MAP_FIND(&manager->vgpus, uuid, VGpu, node);
        if (!vgpu)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "There is no vGPU %s", uuid);
        if (vgpu->state == VGPU_CREATING)
                return error_set(error, -ERROR_BUSY, "vGPU %s is still being created", uuid);
        if (vgpu->state == VGPU_REMOVING)
                return error_set(error, -ERROR_BUSY, "vGPU %s is being removed already%s%s", uuid,
                                 vgpu->last_error[0] != '\0' ? ": " : "", vgpu->last_error);
        if (vgpu->claim == VGPU_CLAIM_PROBE)
                return request_probe_error(vgpu, error);
        if (vgpu->claim != VGPU_CLAIM_NONE)
                return error_set(error, -ERROR_BUSY, "The state of vGPU %s is being %s: wait for that, or cancel it",
                                 uuid, vgpu->claim == VGPU_CLAIM_SAVE ? "saved" : "restored");
        if (vgpu->operation)
                return error_set(error, -ERROR_BUSY, "vGPU %s is being changed; try again in a moment", uuid);

        *ret_vgpu = vgpu;
        return 0;
}

static int judge_start(const Manager *manager, const StartRequest *request, VGpu **ret_vgpu, Error *error) {
        VGpu *vgpu;
        Type *type;
        int r;

        r = request_find_vgpu(manager, request->uuid, &vgpu, error);
        if (r < 0)
                return r;
        if (vgpu->present)
                return error_set(error, -ERROR_ALREADY_EXISTS, "vGPU %s is active already", vgpu->uuid);
        if (vgpu->file->problem[0] != '\0')
                return error_set(error, -ERROR_CONFIG_INVALID, "The definition of vGPU %s cannot be used: %s",
                                 vgpu->uuid, vgpu->file->problem);
        if (!vgpu->gpu)
                return error_set(error, -ERROR_NO_SUCH_GPU, "vGPU %s is defined for %s, which is not there", vgpu->uuid,
                                 vgpu->parent);
        r = check_gpu_ready(vgpu->gpu, error);
        if (r < 0)
                return r;
        type = vgpu_get_type(vgpu);
        if (!type)
                return error_set(error, -ERROR_NO_SUCH_TYPE,
                                 "vGPU %s is defined with type %s, which GPU %s does not have", vgpu->uuid,
                                 vgpu->type_id, vgpu->gpu->identity.address);
        r = check_type(type, error);
        if (r < 0)
                return r;

        *ret_vgpu = vgpu;
        return 0;
}

int manager_check_start(Manager *manager, const StartRequest *request, Error *error) {
        VGpu *vgpu;

        return judge_start(manager, request, &vgpu, error);
}

/* What is defined counts for whoever had it defined, and what is nobody's for who starts it. */
static int check_start(const Manager *manager, const StartRequest *request, const VGpu *vgpu, Error *error) {
        const PermissionRequest permission = {
                .caller = request->by,
                .vgpu = vgpu,
                .counted = vgpu->owner.known && request->by && vgpu->owner.uid != request->by->uid,
                .gpu = vgpu->gpu,
                .type_id = vgpu->type_id,
        };
        int r;

        /* The limit may have come after the definition. */
        r = permission_check_attributes(manager, request->by, &vgpu->owner, &vgpu->file->definition.attributes, error);
        return r < 0 ? r : permission_check(manager, &permission, error);
}

/* mdevctl and others start what is defined, too, and an mdev does not say who made it; a claim does. */
static RecordPhase start_phase(const Definition *d) {
        if (d->kind == VGPU_MDEV)
                return RECORD_STARTING;

        return d->attributes.n > 0 ? RECORD_BUILDING : RECORD_CREATING;
}

int manager_start_vgpu(Manager *manager, const StartRequest *request, OperationCallback callback, void *userdata,
                       Operation **ret_operation, Error *error) {
        OperationPlan plan = { .kind = OPERATION_START, .automatic = request->automatic };
        const Definition *d;
        Owner owner;
        VGpu *vgpu;
        Job job;
        int r;

        r = judge_start(manager, request, &vgpu, error);
        if (r >= 0)
                r = check_start(manager, request, vgpu, error);
        if (r < 0)
                return r;

        if (request->lease > 0)
                incoming_watch(vgpu, incoming_now() + request->lease * UINT64_C(1000000));
        d = &vgpu->file->definition;
        owner = vgpu->owner.known ? vgpu->owner : permission_get_owner(manager, request->by, request->owner);
        r = record_create(vgpu, start_phase(d), d->type_id, &owner, error);
        if (r < 0) {
                incoming_forget(vgpu);
                return r;
        }

        job = (Job){
                .kind = JOB_CREATE,
                .uuid = vgpu->uuid,
                .type_id = d->type_id,
                .parent = d->parent,
                .adopt = true,
                .attributes = &d->attributes,
                .iommu_group = -1,
        };
        r = operation_start(vgpu, &plan, &job, callback, userdata, ret_operation);
        if (r < 0) {
                incoming_forget(vgpu);
                autostart_write_record(vgpu);
                return request_submit_error(r, vgpu->gpu, error);
        }

        vgpu_set_owner(vgpu, &owner);
        vgpu_set_state(vgpu, VGPU_CREATING, NULL);
        return 0;
}

static int judge_destroy(const Manager *manager, const DestroyRequest *request, VGpu **ret_vgpu, Error *error) {
        VGpu *vgpu;
        int r;

        r = request_find_vgpu(manager, request->uuid, &vgpu, error);
        if (r < 0)
                return r;
        if (!vgpu->present)
                return error_set(error, -ERROR_NO_SUCH_VGPU,
                                 "vGPU %s is not active, only defined; what deletes that is to undefine it",
                                 vgpu->uuid);
        if (!vgpu->managed && !request->unmanaged)
                return error_set(error, -ERROR_NOT_MANAGED,
                                 "vGPU %s was not made by mdevgpud; it is removed only with the option 'unmanaged'",
                                 vgpu->uuid);

        *ret_vgpu = vgpu;
        return 0;
}

int manager_check_destroy(Manager *manager, const DestroyRequest *request, Error *error) {
        VGpu *vgpu;

        return judge_destroy(manager, request, &vgpu, error);
}

int manager_destroy_vgpu(Manager *manager, const DestroyRequest *request, OperationCallback callback, void *userdata,
                         Operation **ret_operation, Error *error) {
        OperationPlan plan = { .kind = OPERATION_DESTROY, .automatic = request->automatic };
        VGpu *vgpu;
        Job job;
        int r;

        r = judge_destroy(manager, request, &vgpu, error);
        if (r < 0)
                return r;

        job = (Job){ .kind = JOB_REMOVE, .uuid = vgpu->uuid, .iommu_group = vgpu->iommu_group };
        r = operation_start(vgpu, &plan, &job, callback, userdata, ret_operation);
        if (r < 0)
                return request_submit_error(r, vgpu->gpu, error);

        vgpu_set_state(vgpu, VGPU_REMOVING, NULL);
        return 0;
}
