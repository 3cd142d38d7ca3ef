/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests that concern definitions, and changes of what is there. */

#include "core/definition-files.h"
#include "core/gpu.h"
#include "core/operation-private.h"
#include "core/permission.h"
#include "core/request.h"
#include "core/scan.h"
#include "core/type.h"
#include "util/text.h"

/* Of a GPU that is not there only ids are known to be right: a name, which most often has blanks, is not taken for one. */
static int check_type_id(const char *type, Error *error) {
        if (!text_is_name(type) || strlen(type) >= TYPE_ID_SIZE)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no id of a type", type);
        if (strpbrk(type, " \t"))
                return error_set(error, -ERROR_INVALID_ARGUMENT,
                                 "'%.64s' is no id of a type: it has blanks. By its name a type is only found on a GPU "
                                 "that is there and offers it",
                                 type);

        return 0;
}

/* A device that is not there may be any that comes, but no name of one has more than these. What somebody made up stands in
 * a path, and is read by other programs. */
static bool may_name_device(const char *name) {
        return name[strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._:@,+!=#~")] == '\0';
}

/* Where a vGPU is to be defined; ret_gpu is NULL if that is not there at present. */
typedef struct Place {
        Gpu *gpu;
        const char *parent;
        const char *type_id;
        VGpuKind kind;
} Place;

static int find_place(const Manager *manager, const DefineRequest *request, Place *ret, Error *error) {
        Place place = { .gpu = manager_find_gpu_of(manager, request->gpu), .parent = request->gpu };
        Type *type;
        int r;

        if (!definition_files_take(request->gpu) || (!place.gpu && !may_name_device(request->gpu)))
                return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no name of a device", request->gpu);

        if (place.gpu && !list_is_empty(&place.gpu->types)) {
                r = gpu_find_type(place.gpu, request->type, &type, error);
                if (r < 0)
                        return r;
                place.type_id = type->report.id;
                place.kind = type->report.kind;
        } else {
                r = check_type_id(request->type, error);
                if (r < 0)
                        return r;
                place.type_id = request->type;
                place.kind = type_guess_kind(request->type);
        }

        *ret = place;
        return 0;
}

/* The vGPU with this UUID exists, and is to be defined as it is. */
static int check_existing(const Manager *manager, const DefineRequest *request, VGpu **ret_vgpu, Place *ret_place,
                          Error *error) {
        Place place;
        VGpu *vgpu;
        int r;

        r = request_find_vgpu(manager, request->uuid, &vgpu, error);
        if (r < 0)
                return r;
        if (vgpu->file)
                return error_set(error, -ERROR_ALREADY_EXISTS, "vGPU %s is defined already, for %s", vgpu->uuid,
                                 vgpu->file->definition.parent);

        place = (Place){ .gpu = vgpu->gpu, .parent = vgpu->parent, .type_id = vgpu->type_id, .kind = vgpu->kind };
        if (request->gpu[0] != '\0' || request->type[0] != '\0') {
                Place wanted;

                r = find_place(manager, request, &wanted, error);
                if (r < 0)
                        return r;
                if ((!streq(wanted.parent, place.parent) && !streq(wanted.parent, place.gpu->identity.address)) ||
                    !streq(wanted.type_id, place.type_id))
                        return error_set(error, -ERROR_ALREADY_EXISTS,
                                         "vGPU %s is active on %s, of type %s: it can be defined as that alone",
                                         vgpu->uuid, place.parent, place.type_id);
        }

        *ret_vgpu = vgpu;
        *ret_place = place;
        return 0;
}

/* *ret_vgpu is NULL if it is a new one; then ret_uuid may be empty. */
static int judge_define(const Manager *manager, const DefineRequest *request, VGpu **ret_vgpu, Place *ret_place,
                        char ret_uuid[static UUID_STRING_SIZE], Error *error) {
        VGpu *vgpu;
        int r;

        r = request_check_label(request->label, error);
        if (r < 0)
                return r;

        *ret_vgpu = NULL;
        ret_uuid[0] = '\0';
        if (request->uuid[0] != '\0') {
                r = text_parse_uuid(request->uuid, ret_uuid);
                if (r < 0)
                        return error_set(error, -ERROR_INVALID_ARGUMENT, "'%.64s' is no UUID", request->uuid);
                vgpu = MAP_FIND(&manager->vgpus, ret_uuid, VGpu, node);
                if (vgpu)
                        return check_existing(manager, request, ret_vgpu, ret_place, error);
        }

        if (request->gpu[0] == '\0' || request->type[0] == '\0')
                return error_set(error, request->uuid[0] != '\0' ? -ERROR_NO_SUCH_VGPU : -ERROR_INVALID_ARGUMENT,
                                 "A vGPU that does not exist is defined by naming its GPU and its type");

        return find_place(manager, request, ret_place, error);
}

int manager_check_define(Manager *manager, const DefineRequest *request, Error *error) {
        char uuid[UUID_STRING_SIZE];
        Place place;
        VGpu *vgpu;

        return judge_define(manager, request, &vgpu, &place, uuid, error);
}

/* Takes the plan's definition over in any case. */
static int begin_store(VGpu *vgpu, OperationPlan *plan, OperationCallback callback, void *userdata,
                       Operation **ret_operation, Error *error) {
        int r;

        r = operation_start(vgpu, plan, NULL, callback, userdata, ret_operation);
        definition_done(&plan->definition);
        return r < 0 ? request_submit_error(r, NULL, error) : 0;
}

/* A device that is there already counts, and is whose it is. */
static int check_define(const Manager *manager, const DefineRequest *request, const VGpu *vgpu, const Place *place,
                        Error *error) {
        const PermissionRequest permission = {
                .caller = request->by,
                .counted = vgpu && vgpu->owner.known,
                .vgpu = vgpu,
                .gpu = place->gpu,
                .parent = place->parent,
                .type_id = place->type_id,
        };

        int r;

        r = permission_check_attributes(manager, request->by, vgpu ? &vgpu->owner : NULL, &request->attributes, error);
        return r < 0 ? r : permission_check(manager, &permission, error);
}

int manager_define_vgpu(Manager *manager, const DefineRequest *request, OperationCallback callback, void *userdata,
                        Operation **ret_operation, Error *error) {
        OperationPlan plan = {
                .kind = OPERATION_DEFINE,
                .stores = true,
                .store_action = STORE_DEFINE,
                .definition = { .autostart = request->autostart },
                .owned = true,
                .label = request->label,
        };
        _cleanup_(vgpu_freep) VGpu *new = NULL;
        char uuid[UUID_STRING_SIZE];
        Place place;
        VGpu *vgpu;
        int r;

        r = judge_define(manager, request, &vgpu, &place, uuid, error);
        if (r >= 0)
                r = check_define(manager, request, vgpu, &place, error);
        if (r < 0)
                return r;

        plan.owner =
                vgpu && vgpu->owner.known ? vgpu->owner : permission_get_owner(manager, request->by, request->owner);
        if (!vgpu) {
                if (uuid[0] == '\0')
                        request_generate_uuid(uuid);
                r = vgpu_new(manager, uuid, &new);
                if (r < 0)
                        return error_set_errno(error, r, "the vGPU cannot be set up");
                vgpu = new;
                vgpu_set_gpu(vgpu, place.gpu);
                vgpu->owner = plan.owner; /* it counts from now on */
        } else if (!plan.label)
                plan.label = vgpu->label;

        r = attributes_copy(&request->attributes, &plan.definition.attributes);
        if (r < 0)
                return error_set_errno(error, r, "the vGPU cannot be set up");
        plan.definition.kind = place.kind;
        (void)text_copy(plan.definition.parent, sizeof(plan.definition.parent), place.parent);
        (void)text_copy(plan.definition.type_id, sizeof(plan.definition.type_id), place.type_id);
        r = begin_store(vgpu, &plan, callback, userdata, ret_operation, error);
        if (r >= 0)
                TAKE(new);
        return r;
}

static int check_owned(const VGpu *vgpu, bool unmanaged, Error *error) {
        if (vgpu->owned || unmanaged)
                return 0;

        return error_set(
                error, -ERROR_NOT_MANAGED,
                "vGPU %s was not defined by mdevgpud; its definition is touched only with the option 'unmanaged'",
                vgpu->uuid);
}

static int judge_undefine(const Manager *manager, const UndefineRequest *request, VGpu **ret_vgpu, Error *error) {
        VGpu *vgpu;
        int r;

        r = request_find_vgpu(manager, request->uuid, &vgpu, error);
        if (r < 0)
                return r;
        if (!vgpu->file)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not defined; it is gone when it is destroyed",
                                 vgpu->uuid);
        r = check_owned(vgpu, request->unmanaged, error);
        if (r < 0)
                return r;

        *ret_vgpu = vgpu;
        return 0;
}

int manager_check_undefine(Manager *manager, const UndefineRequest *request, Error *error) {
        VGpu *vgpu;

        return judge_undefine(manager, request, &vgpu, error);
}

int manager_undefine_vgpu(Manager *manager, const UndefineRequest *request, OperationCallback callback, void *userdata,
                          Operation **ret_operation, Error *error) {
        OperationPlan plan = { .kind = OPERATION_UNDEFINE, .stores = true, .store_action = STORE_UNDEFINE };
        VGpu *vgpu;
        int r;

        r = judge_undefine(manager, request, &vgpu, error);
        if (r < 0)
                return r;

        plan.definition.kind = vgpu->file->definition.kind;
        /* Before, so that it is not lost if the daemon ends in the middle of this. */
        vgpu_keep_label(vgpu);
        (void)text_copy(plan.definition.parent, sizeof(plan.definition.parent), vgpu->file->definition.parent);
        return begin_store(vgpu, &plan, callback, userdata, ret_operation, error);
}

/* What a request comes to. */
typedef struct Change {
        bool live;
        bool config;
        bool note; /* the label of what is defined, which has one, whatever the scope */
        const char *type_id;
} Change;

static int check_scope(const VGpu *vgpu, const ModifyRequest *request, Change *change, Error *error) {
        switch (request->scope) {
        case MODIFY_DEFAULT:
                change->config = vgpu->file;
                change->live = !vgpu->file;
                break;
        case MODIFY_LIVE:
                change->live = true;
                break;
        case MODIFY_CONFIG:
                change->config = true;
                break;
        default:
                change->live = change->config = true;
                break;
        }

        if (change->live && !vgpu->present)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not active: there is nothing live to change",
                                 vgpu->uuid);
        if (change->config && !vgpu->file)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not defined: define it first", vgpu->uuid);
        if (change->config && vgpu->file->problem[0] != '\0')
                return error_set(error, -ERROR_CONFIG_INVALID, "The definition of vGPU %s cannot be used: %s",
                                 vgpu->uuid, vgpu->file->problem);
        if (!change->config && request->autostart)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "vGPU %s is not defined, and only what is defined starts by itself: define it first",
                                 vgpu->uuid);
        if (change->live && request->type)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "The type of a vGPU that is active cannot be changed; change that of its definition "
                                 "alone, and start it anew");

        return 0;
}

static int judge_modify(const Manager *manager, const ModifyRequest *request, VGpu **ret_vgpu, Change *ret_change,
                        Error *error) {
        Change change = {};
        VGpu *vgpu;
        Type *type;
        int r;

        r = request_find_vgpu(manager, request->uuid, &vgpu, error);
        if (r >= 0)
                r = request_check_label(request->label, error);
        if (r >= 0)
                r = check_scope(vgpu, request, &change, error);
        change.note = r >= 0 && vgpu->file && request->label;
        if (r >= 0 && (change.config || change.note))
                r = check_owned(vgpu, request->unmanaged, error);
        if (r < 0)
                return r;
        if (change.live && !vgpu->managed && !request->unmanaged)
                return error_set(error, -ERROR_NOT_MANAGED,
                                 "vGPU %s was not made by mdevgpud; it is changed only with the option 'unmanaged'",
                                 vgpu->uuid);

        change.type_id = request->type;
        if (request->type && vgpu->gpu && !list_is_empty(&vgpu->gpu->types)) {
                r = gpu_find_type(vgpu->gpu, request->type, &type, error);
                if (r < 0)
                        return r;
                change.type_id = type->report.id;
        } else if (request->type) {
                r = check_type_id(request->type, error);
                if (r < 0)
                        return r;
        }

        *ret_vgpu = vgpu;
        *ret_change = change;
        return 0;
}

int manager_check_modify(Manager *manager, const ModifyRequest *request, Error *error) {
        Change change;
        VGpu *vgpu;

        return judge_modify(manager, request, &vgpu, &change, error);
}

/* The definition as it shall be, and what has to be written for it. */
static int plan_config(const VGpu *vgpu, const ModifyRequest *request, const Change *change, OperationPlan *plan) {
        Definition *d = &plan->definition;
        int r;

        r = definition_copy(&vgpu->file->definition, d);
        if (r < 0)
                return r;

        plan->stores = true;
        plan->store_action = STORE_NOTE;
        plan->owned = vgpu->owned;
        if (!change->config)
                return 0;

        if (request->autostart)
                d->autostart = *request->autostart;
        if (change->type_id)
                (void)text_copy(d->type_id, sizeof(d->type_id), change->type_id);
        if (request->attributes) {
                attributes_done(&d->attributes);
                r = attributes_copy(request->attributes, &d->attributes);
                if (r < 0)
                        return r;
        }

        if (!definition_equal(d, &vgpu->file->definition))
                plan->store_action = STORE_UPDATE;
        return 0;
}

/* Of another type it may be another that may be used, and takes more, of what its owner may have; root may give him more. */
static int check_modify(const Manager *manager, const ModifyRequest *request, const VGpu *vgpu, const Change *change,
                        Error *error) {
        bool others = vgpu->owner.known && request->by && vgpu->owner.uid != request->by->uid;
        const PermissionRequest permission = {
                .caller = request->by,
                .vgpu = vgpu,
                .counted = !vgpu->owner.known || others,
                .owner = others && request->by->uid != 0 ? &vgpu->owner : NULL,
                .gpu = vgpu->gpu,
                .parent = vgpu->parent,
                .type_id = change->type_id,
        };

        int r;

        r = permission_check_attributes(manager, request->by, &vgpu->owner, request->attributes, error);
        return r >= 0 && change->type_id ? permission_check(manager, &permission, error) : r;
}

int manager_modify_vgpu(Manager *manager, const ModifyRequest *request, OperationCallback callback, void *userdata,
                        Operation **ret_operation, Error *error) {
        OperationPlan plan = { .kind = OPERATION_MODIFY };
        Change change;
        VGpu *vgpu;
        Job job;
        int r;

        r = judge_modify(manager, request, &vgpu, &change, error);
        if (r >= 0)
                r = check_modify(manager, request, vgpu, &change, error);
        if (r < 0)
                return r;

        plan.owner = vgpu->owner;
        plan.label = request->label ?: vgpu->label;
        r = change.config || change.note ? plan_config(vgpu, request, &change, &plan) : 0;
        if (r < 0) {
                definition_done(&plan.definition);
                return error_set_errno(error, r, "the change cannot be prepared");
        }

        if (plan.stores && !(change.live && request->attributes))
                return begin_store(vgpu, &plan, callback, userdata, ret_operation, error);

        job = (Job){
                .kind = JOB_CONFIGURE,
                .uuid = vgpu->uuid,
                .attributes = change.live ? request->attributes : NULL,
                .iommu_group = -1,
        };
        r = operation_start(vgpu, &plan, &job, callback, userdata, ret_operation);
        definition_done(&plan.definition);
        return r < 0 ? request_submit_error(r, vgpu->gpu, error) : 0;
}
