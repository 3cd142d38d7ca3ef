/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/definition-files.h"
#include "core/gpu.h"
#include "core/topology-undo.h"
#include "core/vgpu.h"

/* What a step comes to: a device and a definition, each made and removed. */
#define TRIES_MAX 3U

static int create(Manager *manager, const TopologyStep *step, bool autostart, const char *label, const Owner *owner,
                  OperationCallback callback, void *userdata, Error *error) {
        const Gpu *gpu = manager_find_gpu_of(manager, step->gpu);
        const CreateRequest request = {
                .gpu = gpu ? gpu->identity.address : step->gpu,
                .type = step->type_id,
                .uuid = step->uuid,
                .autostart = autostart,
                .label = label[0] != '\0' ? label : NULL,
                .owner = owner,
        };

        return manager_create_vgpu(manager, &request, callback, userdata, NULL, error);
}

static int start(Manager *manager, const char *uuid, const Owner *owner, OperationCallback callback, void *userdata,
                 Error *error) {
        const StartRequest request = { .uuid = uuid, .owner = owner };

        return manager_start_vgpu(manager, &request, callback, userdata, NULL, error);
}

static int destroy(Manager *manager, const TopologyStep *step, OperationCallback callback, void *userdata,
                   Error *error) {
        const DestroyRequest request = { .uuid = step->uuid, .unmanaged = step->unmanaged };

        return manager_destroy_vgpu(manager, &request, callback, userdata, NULL, error);
}

static int undefine(Manager *manager, const TopologyStep *step, OperationCallback callback, void *userdata,
                    Error *error) {
        const UndefineRequest request = { .uuid = step->uuid, .unmanaged = step->unmanaged };

        return manager_undefine_vgpu(manager, &request, callback, userdata, NULL, error);
}

static int modify(Manager *manager, const TopologyStep *step, bool back, OperationCallback callback, void *userdata,
                  Error *error) {
        const bool *autostart = back ? &step->old_autostart : &step->autostart;
        ModifyRequest request = {
                .uuid = step->uuid,
                .autostart = step->autostart != step->old_autostart ? autostart : NULL,
                .unmanaged = step->unmanaged,
        };

        if (!streq(step->label, step->old_label))
                request.label = back ? step->old_label : step->label;
        return manager_modify_vgpu(manager, &request, callback, userdata, NULL, error);
}

/* It went with the definition. */
static int label_again(Manager *manager, const TopologyStep *step, OperationCallback callback, void *userdata,
                       Error *error) {
        const ModifyRequest request = { .uuid = step->uuid, .label = step->old_label, .unmanaged = step->unmanaged };

        return manager_modify_vgpu(manager, &request, callback, userdata, NULL, error);
}

/* As it is: where it is and of what type is known. */
static int define_active(Manager *manager, const TopologyStep *step, const Owner *owner, OperationCallback callback,
                         void *userdata, Error *error) {
        const DefineRequest request = {
                .gpu = "",
                .type = "",
                .uuid = step->uuid,
                .autostart = step->autostart,
                .label = step->label,
                .owner = owner,
        };

        return manager_define_vgpu(manager, &request, callback, userdata, NULL, error);
}

/* As it was. */
static int define_again(Manager *manager, const TopologyStep *step, OperationCallback callback, void *userdata,
                        Error *error) {
        const DefineRequest request = {
                .gpu = step->gpu,
                .type = step->type_id,
                .uuid = step->uuid,
                .autostart = step->old_autostart,
                .label = step->old_label,
                .attributes = step->attributes,
                .owner = &step->old_owner,
        };

        return manager_define_vgpu(manager, &request, callback, userdata, NULL, error);
}

int topology_step_begin(Manager *manager, const TopologyStep *step, const Owner *owner, OperationCallback callback,
                        void *userdata, Error *error) {
        switch (step->action) {
        case TOPOLOGY_DESTROY:
                return destroy(manager, step, callback, userdata, error);
        case TOPOLOGY_UNDEFINE:
                return undefine(manager, step, callback, userdata, error);
        case TOPOLOGY_MODIFY:
                return modify(manager, step, /* back= */ false, callback, userdata, error);
        case TOPOLOGY_DEFINE:
                return define_active(manager, step, owner, callback, userdata, error);
        case TOPOLOGY_START:
                return start(manager, step->uuid, owner, callback, userdata, error);
        default:
                return create(manager, step, step->autostart, step->label, owner, callback, userdata, error);
        }
}

bool topology_step_is_done(const Manager *manager, const TopologyStep *step, int code) {
        const VGpu *vgpu = manager_find_vgpu(manager, step->uuid);

        switch (step->action) {
        case TOPOLOGY_DESTROY:
                return code == -ERROR_NO_SUCH_VGPU && (!vgpu || !vgpu->present);
        case TOPOLOGY_UNDEFINE:
                return code == -ERROR_NO_SUCH_VGPU && (!vgpu || !vgpu->file);
        case TOPOLOGY_START:
                return code == -ERROR_ALREADY_EXISTS && vgpu && vgpu->state == VGPU_ACTIVE;
        default:
                return false;
        }
}

static bool differs(const TopologyStep *step, const VGpu *vgpu) {
        return vgpu->autostart != step->old_autostart || !streq(vgpu->label, step->old_label);
}

int topology_step_take_back(Manager *manager, const TopologyStep *step, unsigned n_tries, OperationCallback callback,
                            void *userdata, Error *error) {
        const VGpu *vgpu = manager_find_vgpu(manager, step->uuid);
        bool present = vgpu && vgpu->present, defined = vgpu && vgpu->file;
        int r = -ENOTRECOVERABLE;

        if (n_tries >= TRIES_MAX)
                return error_set(error, -EIO, "it did not become what it was");

        switch (step->action) {
        case TOPOLOGY_CREATE:
                if (!present && !defined)
                        return 0;
                r = present ? destroy(manager, step, callback, userdata, error)
                            : undefine(manager, step, callback, userdata, error);
                break;
        case TOPOLOGY_START:
                if (!present)
                        return 0;
                r = destroy(manager, step, callback, userdata, error);
                break;
        case TOPOLOGY_DEFINE:
                if (!defined && (!present || streq(vgpu->label, step->old_label)))
                        return 0;
                r = defined ? undefine(manager, step, callback, userdata, error)
                            : label_again(manager, step, callback, userdata, error);
                break;
        case TOPOLOGY_MODIFY:
                if (!vgpu || !differs(step, vgpu))
                        return 0;
                r = modify(manager, step, /* back= */ true, callback, userdata, error);
                break;
        case TOPOLOGY_UNDEFINE:
                if (defined)
                        return 0;
                r = define_again(manager, step, callback, userdata, error);
                break;
        case TOPOLOGY_DESTROY:
                if (present && vgpu->state == VGPU_REMOVING)
                        return error_set(error, -ERROR_BUSY, "its removal goes on");
                if (present)
                        return 0;
                r = defined ? start(manager, step->uuid, &step->old_owner, callback, userdata, error)
                            : create(manager, step, /* autostart= */ false, step->old_label, &step->old_owner, callback,
                                     userdata, error);
                break;
        default:
                return 0;
        }

        return r < 0 ? r : 1;
}
