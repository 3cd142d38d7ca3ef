/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/autostart.h"
#include "core/definition-files.h"
#include "core/gpu-sync.h"
#include "core/gpu.h"
#include "core/incoming.h"
#include "core/manager.h"
#include "core/notes.h"
#include "core/scan.h"
#include "core/start-hold.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/file.h"
#include "util/log.h"
#include "util/string-table.h"
#include "util/text.h"

static const char *const vgpu_state_table[VGPU_STATE_MAX] = {
        [VGPU_DEFINED] = "defined",   [VGPU_CREATING] = "creating", [VGPU_ACTIVE] = "active",
        [VGPU_REMOVING] = "removing", [VGPU_FAILED] = "failed",     [VGPU_INCOMING] = "incoming",
        [VGPU_SAVING] = "saving",     [VGPU_RESTORING] = "restoring",
};

DEFINE_STRING_TABLE(vgpu_state, VGpuState)

static const char *const vgpu_kind_table[VGPU_KIND_MAX] = {
        [VGPU_MDEV] = "mdev",
        [VGPU_VF] = "vf",
        [VGPU_WHOLE] = "whole",
};

DEFINE_STRING_TABLE(vgpu_kind, VGpuKind)

static const char *const vgpu_use_table[VGPU_USE_MAX] = {
        [VGPU_USE_UNKNOWN] = "unknown",
        [VGPU_USE_NO] = "no",
        [VGPU_USE_YES] = "yes",
};

DEFINE_STRING_TABLE(vgpu_use, VGpuUse)

int vgpu_new(Manager *manager, const char *uuid, VGpu **ret_vgpu) {
        VGpu *vgpu;
        int r;

        vgpu = calloc(1, sizeof(VGpu));
        if (!vgpu)
                return -ENOMEM;

        (void)text_copy(vgpu->uuid, sizeof(vgpu->uuid), uuid);
        r = map_add(&manager->vgpus, &vgpu->node, vgpu->uuid);
        if (r < 0) {
                free(vgpu);
                return r;
        }

        vgpu->manager = manager;
        vgpu->state = VGPU_CREATING;
        vgpu->iommu_group = -1;
        list_init(&vgpu->gpu_link);
        list_init(&vgpu->files);
        list_append(&manager->all_vgpus, &vgpu->link);

        *ret_vgpu = vgpu;
        return 0;
}

VGpu *vgpu_free(VGpu *vgpu) {
        if (!vgpu)
                return NULL;

        assert(!vgpu->linked);
        assert(!vgpu->operation);
        assert(list_is_empty(&vgpu->files));

        incoming_forget(vgpu);
        sd_event_source_disable_unref(vgpu->start_hold);
        sd_event_source_disable_unref(vgpu->start_timer);
        map_remove(&vgpu->manager->vgpus, &vgpu->node);
        list_unlink(&vgpu->gpu_link);
        list_unlink(&vgpu->link);
        free(vgpu->next_type_id);
        free(vgpu);
        return NULL;
}

void vgpu_link(VGpu *vgpu) {
        assert(!vgpu->linked);

        vgpu->linked = true;
        OBSERVE(vgpu->manager, vgpu_added, vgpu);
}

void vgpu_unlink(VGpu *vgpu) {
        if (!vgpu->linked)
                return;

        OBSERVE(vgpu->manager, vgpu_removed, vgpu);
        vgpu->linked = false;
}

static void vgpu_changed(VGpu *vgpu, unsigned mask) {
        if (vgpu->linked && mask != 0)
                OBSERVE(vgpu->manager, vgpu_changed, vgpu, mask);
}

void vgpu_set_gpu(VGpu *vgpu, Gpu *gpu) {
        if (vgpu->gpu == gpu)
                return;

        list_unlink(&vgpu->gpu_link);
        vgpu->gpu = gpu;
        if (gpu)
                list_append(&gpu->vgpus, &vgpu->gpu_link);
        vgpu_changed(vgpu, VGPU_CHANGED_GPU | VGPU_CHANGED_TYPE);
}

bool vgpu_is_as_defined(const VGpu *vgpu) {
        const Definition *d = vgpu->file ? &vgpu->file->definition : NULL;

        return vgpu->owned && d && streq(d->parent, vgpu->parent) && streq(d->type_id, vgpu->type_id);
}

/* Ours is a device that we made, and one that is an instance of a definition of ours, whoever started that. */
static unsigned update_managed(VGpu *vgpu) {
        bool managed = vgpu->present ? vgpu->made || vgpu_is_as_defined(vgpu) : vgpu->owned;

        if (managed == vgpu->managed)
                return 0;

        vgpu->managed = managed;
        return VGPU_CHANGED_MANAGED;
}

/* Takes over where and of what type its device is. */
static unsigned replace_device(VGpu *vgpu, const VGpuReport *report) {
        unsigned mask = 0;

        if (!streq(vgpu->type_id, report->type_id))
                mask |= VGPU_CHANGED_TYPE;
        if (!streq(vgpu->parent, report->parent) || !streq(vgpu->sysfs_path, report->sysfs_path) ||
            vgpu->iommu_group != report->iommu_group || vgpu->kind != report->kind)
                mask |= VGPU_CHANGED_DEVICE;
        if (vgpu->use != report->use)
                mask |= VGPU_CHANGED_USE;

        (void)text_copy(vgpu->type_id, sizeof(vgpu->type_id), report->type_id);
        (void)text_copy(vgpu->parent, sizeof(vgpu->parent), report->parent);
        (void)text_copy(vgpu->sysfs_path, sizeof(vgpu->sysfs_path), report->sysfs_path);
        vgpu->iommu_group = report->iommu_group;
        vgpu->kind = report->kind;
        vgpu->use = report->use;
        return mask;
}

/* A card may have hundreds of them, all on one parent: while its report is applied that is looked at once. */
static uint64_t read_registration(const VGpu *vgpu) {
        Manager *manager = vgpu->manager;
        uint64_t registration;

        if (manager->scanned_parent[0] != '\0' && streq(manager->scanned_parent, vgpu->parent))
                return manager->scanned_registration;

        registration = scan_registration(manager->host, vgpu->parent);
        if (vgpu->gpu && vgpu->gpu->applying) {
                (void)text_copy(manager->scanned_parent, sizeof(manager->scanned_parent), vgpu->parent);
                manager->scanned_registration = registration;
        }
        return registration;
}

void vgpu_update(VGpu *vgpu, const VGpuReport *report) {
        bool appeared = !vgpu->present;
        unsigned mask;

        vgpu->present = true;
        vgpu->lingers = false;
        mask = replace_device(vgpu, report);
        if (appeared || vgpu->registration == 0)
                vgpu->registration = read_registration(vgpu);
        mask |= update_managed(vgpu);
        vgpu_changed(vgpu, mask);
}

void vgpu_set_state(VGpu *vgpu, VGpuState state, const char *last_error) {
        unsigned mask = 0;

        if (vgpu->state != state)
                mask |= VGPU_CHANGED_STATE;
        if (!streq(vgpu->last_error, strempty(last_error)))
                mask |= VGPU_CHANGED_ERROR;

        vgpu->state = state;
        if (vgpu->last_error != last_error)
                (void)text_copy(vgpu->last_error, sizeof(vgpu->last_error), strempty(last_error));
        vgpu_changed(vgpu, mask);
}

void vgpu_set_made(VGpu *vgpu, bool made) {
        vgpu->made = made;
        vgpu_changed(vgpu, update_managed(vgpu));
}

void vgpu_set_use(VGpu *vgpu, VGpuUse use) {
        if (vgpu->use == use)
                return;

        vgpu->use = use;
        vgpu_changed(vgpu, VGPU_CHANGED_USE);
}

void vgpu_set_label(VGpu *vgpu, const char *label) {
        if (streq(vgpu->label, label))
                return;

        (void)text_copy(vgpu->label, sizeof(vgpu->label), label);
        vgpu_changed(vgpu, VGPU_CHANGED_LABEL);
}

static unsigned replace_owner(VGpu *vgpu, const Owner *owner) {
        if (owner_equal(&vgpu->owner, owner))
                return 0;

        vgpu->owner = *owner;
        return VGPU_CHANGED_OWNER;
}

void vgpu_set_owner(VGpu *vgpu, const Owner *owner) {
        vgpu_changed(vgpu, replace_owner(vgpu, owner));
}

const char *vgpu_get_migration_state(const VGpu *vgpu) {
        switch (vgpu->claim) {
        case VGPU_CLAIM_PROBE:
                return "probing";
        case VGPU_CLAIM_SAVE:
                return "saving";
        case VGPU_CLAIM_RESTORE:
                return "restoring";
        default:
                break;
        }
        if (vgpu->start_hold)
                return "starting";

        return vgpu->lease != 0 ? "incoming" : "none";
}

void vgpu_migration_changed(VGpu *vgpu) {
        vgpu_changed(vgpu, VGPU_CHANGED_MIGRATION);
}

void vgpu_set_claim(VGpu *vgpu, VGpuClaim claim) {
        vgpu->claim = claim;
        vgpu->claim_pid = 0;
        vgpu_migration_changed(vgpu);
        start_hold_check(vgpu->manager);
}

Type *vgpu_get_type(const VGpu *vgpu) {
        return vgpu->gpu ? gpu_find_type_by_id(vgpu->gpu, vgpu->type_id) : NULL;
}

Record vgpu_get_record(const VGpu *vgpu, RecordPhase phase) {
        Record record = {
                .phase = phase,
                .iommu_group = vgpu->iommu_group,
                .registration = vgpu->registration,
                .lease = vgpu->lease,
                .saving = vgpu->claim == VGPU_CLAIM_SAVE || vgpu->unsettled,
                .half = vgpu->half,
                .owner = vgpu->owner,
        };

        (void)text_copy(record.gpu, sizeof(record.gpu), vgpu->gpu ? vgpu->gpu->identity.address : vgpu->parent);
        (void)text_copy(record.type_id, sizeof(record.type_id), vgpu->type_id);
        (void)text_copy(record.label, sizeof(record.label), vgpu->label);
        return record;
}

void vgpu_write_record(const VGpu *vgpu, RecordPhase phase) {
        const Record record = vgpu_get_record(vgpu, phase);

        if (record_write(vgpu->manager->state_fd, vgpu->uuid, &record) < 0)
                log_debug("vGPU %s: its record cannot be written", vgpu->uuid);
}

void vgpu_write_transfer_record(const VGpu *vgpu) {
        /* Also somebody else's may have a label, and be whose had it started. */
        if (vgpu->made || vgpu->autostart || vgpu->claim == VGPU_CLAIM_SAVE || vgpu->unsettled || vgpu->label[0] != '\0' ||
            vgpu->owner.known)
                vgpu_write_record(vgpu, vgpu->made ? RECORD_MADE : RECORD_SEEN);
        else
                record_remove(vgpu->manager->state_fd, vgpu->uuid);
}

/* The VFIO core keeps the device in its group until the last file is closed, while the mdev bus lists it no more from the
 * moment its removal begins (vfio_unregister_group_dev(), seen with kernels 6.1 and 6.12). */
bool vgpu_uuid_lingers(const Host *host, const char *uuid, int32_t iommu_group) {
        char path[128];

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", uuid);
        if (path_exists(host->sys_fd, path))
                return false;

        (void)snprintf(path, sizeof(path), "kernel/iommu_groups/%i/devices/%s", (int)iommu_group, uuid);
        return path_exists(host->sys_fd, path);
}

bool vgpu_is_listed(const VGpu *vgpu) {
        char path[SYSFS_NAME_SIZE + 128], target[4096];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "bus/mdev/devices/%s", vgpu->uuid);
        n = readlinkat(vgpu->manager->host->sys_fd, path, target, sizeof(target) - 1);
        if (vgpu->kind != VGPU_MDEV || n < 0)
                return false;

        /* On its own parent: there may be another by now with this UUID. */
        target[n] = '\0';
        (void)snprintf(path, sizeof(path), "/%s/%s", vgpu->parent, vgpu->uuid);
        return (size_t)n > strlen(path) && streq(target + n - strlen(path), path);
}

bool vgpu_lingers(const VGpu *vgpu) {
        return vgpu->kind == VGPU_MDEV && vgpu->iommu_group >= 0 &&
               vgpu_uuid_lingers(vgpu->manager->host, vgpu->uuid, vgpu->iommu_group);
}

/* What was to be put back is not there any more. */
static void forget_saving(VGpu *vgpu) {
        Record record;

        vgpu->unsettled = false;
        if (record_read(vgpu->manager->state_fd, vgpu->uuid, &record) < 0 || !record.saving)
                return;

        record.saving = false;
        (void)record_write(vgpu->manager->state_fd, vgpu->uuid, &record);
}

void vgpu_device_gone(VGpu *vgpu, VGpuEnd end) {
        Manager *manager = vgpu->manager;
        bool elsewhere = vgpu->elsewhere, saving = vgpu->claim == VGPU_CLAIM_SAVE || vgpu->unsettled;

        vgpu->present = vgpu->lingers = vgpu->made = vgpu->elsewhere = vgpu->doubtful = vgpu->overlooked = false;
        incoming_forget(vgpu);
        /* Whoever was at it sees by this that the next one of this UUID is none of his. */
        if (vgpu->claim != VGPU_CLAIM_NONE)
                vgpu_set_claim(vgpu, VGPU_CLAIM_NONE);
        if (saving)
                forget_saving(vgpu);
        autostart_device_gone(vgpu, end);
        (void)vgpu_rest(vgpu, NULL);
        if (elsewhere)
                gpu_mark_all_dirty(manager);
}

/* The active one's, then a good one, then the first by its parent's name. */
static bool file_is_better(const VGpu *vgpu, const DefinitionFile *a, const DefinitionFile *b) {
        bool a_active = vgpu->present && streq(a->definition.parent, vgpu->parent);
        bool b_active = vgpu->present && streq(b->definition.parent, vgpu->parent);

        if (a_active != b_active)
                return a_active;
        if ((a->problem[0] == '\0') != (b->problem[0] == '\0'))
                return a->problem[0] == '\0';

        return strcmp(a->definition.parent, b->definition.parent) < 0;
}

static const DefinitionFile *choose_file(const VGpu *vgpu) {
        const DefinitionFile *best = NULL;
        DefinitionFile *file;

        LIST_FOREACH(file, &vgpu->files, link)
                if (!best || file_is_better(vgpu, file, best))
                        best = file;

        return best;
}

void vgpu_keep_label(const VGpu *vgpu) {
        Record record;
        int r;

        if (!vgpu->present)
                return;

        r = record_read(vgpu->manager->state_fd, vgpu->uuid, &record);
        if (r >= 0 && streq(record.label, vgpu->label))
                return;
        if (r < 0 && vgpu->label[0] == '\0')
                return;
        if (r < 0)
                record = vgpu_get_record(vgpu, vgpu->made ? RECORD_MADE : RECORD_SEEN);
        (void)text_copy(record.label, sizeof(record.label), vgpu->label);
        if (record_write(vgpu->manager->state_fd, vgpu->uuid, &record) < 0)
                log_debug("vGPU %s: its label cannot be recorded", vgpu->uuid);
}

/* It was defined, or is no more: what goes with a definition comes and goes with it, whoever wrote or deleted that. */
static unsigned update_note(VGpu *vgpu, bool was_defined) {
        const char *label = vgpu->label;
        unsigned mask = 0;
        Note note = {};

        if (vgpu->file) {
                int r = notes_read(vgpu->manager, vgpu->uuid, &note);

                vgpu->noted = r != -ENOENT;
                if (r < 0 && r != -ENOENT) /* what is known of it stays */
                        return 0;
        } else if (was_defined) {
                if (vgpu->noted)
                        notes_forget(vgpu->manager, vgpu->uuid);
                vgpu->noted = false;
                vgpu_keep_label(vgpu);
        }
        vgpu->owned = note.managed;

        /* Of a vGPU that is not defined the record holds the label. */
        if (vgpu->file || (was_defined && !vgpu->present))
                label = note.label;
        if (!streq(label, vgpu->label)) {
                (void)text_copy(vgpu->label, sizeof(vgpu->label), label);
                mask |= VGPU_CHANGED_LABEL;
        }

        /* Where the definition is nobody's that is known, the device is whose had it started. */
        if (note.owner.known || (!vgpu->present && !vgpu->operation))
                mask |= replace_owner(vgpu, &note.owner);
        return mask;
}

/* A definition may be changed while its vGPU is active, and takes effect when that is started the next time. */
static unsigned update_next_type(VGpu *vgpu) {
        const char *next = vgpu->present && vgpu->file && vgpu->file->problem[0] == '\0' &&
                                           !streq(vgpu->file->definition.type_id, vgpu->type_id)
                                   ? vgpu->file->definition.type_id
                                   : NULL;

        if (streq(strempty(next), strempty(vgpu->next_type_id)))
                return 0;

        free(vgpu->next_type_id);
        vgpu->next_type_id = next ? strdup(next) : NULL; /* without memory it is not told */
        return VGPU_CHANGED_NEXT_TYPE;
}

static unsigned update_definition(VGpu *vgpu) {
        bool was_defined = vgpu->persistent, was_autostart = vgpu->autostart;
        const DefinitionFile *before = vgpu->file;
        unsigned mask;

        vgpu->file = choose_file(vgpu);
        /* Of several one counts, and the others are said to be wrong. */
        if (vgpu->file != before && vgpu->files.next != vgpu->files.prev)
                OBSERVE(vgpu->manager, problems_changed, vgpu->manager);
        vgpu->persistent = vgpu->file;
        vgpu->autostart = vgpu->file && vgpu->file->definition.autostart;

        mask = update_note(vgpu, was_defined) | update_next_type(vgpu);
        if (vgpu->persistent != was_defined || vgpu->autostart != was_autostart)
                mask |= VGPU_CHANGED_DEFINITION;
        return mask | update_managed(vgpu);
}

void vgpu_files_changed(VGpu *vgpu) {
        bool was_autostart = vgpu->autostart;
        /* What was wrong with the definition before it was changed says nothing of it now. */
        const char *last_error = vgpu->state == VGPU_FAILED ? NULL : vgpu->last_error;

        if (vgpu->operation) /* which comes to rest when it ends */
                vgpu_changed(vgpu, update_definition(vgpu));
        else if (vgpu_rest(vgpu, last_error))
                autostart_definition_changed(vgpu, was_autostart);
}

/* As its definition says it would be. */
static void show_definition(VGpu *vgpu, const char *last_error) {
        const Definition *d = &vgpu->file->definition;
        VGpuReport report = { .iommu_group = -1, .kind = d->kind, .use = VGPU_USE_NO };
        bool good = vgpu->file->problem[0] == '\0';
        unsigned mask;

        (void)text_copy(report.type_id, sizeof(report.type_id), d->type_id);
        (void)text_copy(report.parent, sizeof(report.parent), d->parent);
        mask = replace_device(vgpu, &report) | update_managed(vgpu);
        vgpu_set_gpu(vgpu, manager_find_gpu_of(vgpu->manager, d->parent));
        vgpu_changed(vgpu, mask);

        if (!good)
                vgpu_set_state(vgpu, VGPU_FAILED, vgpu->file->problem);
        else if (autostart_gave_up(vgpu))
                vgpu_set_state(vgpu, VGPU_FAILED, last_error ?: vgpu->last_error);
        else
                vgpu_set_state(vgpu, VGPU_DEFINED, last_error);
}

/* What somebody else did with its device while its definition was being written was not for then. */
static void look_again(VGpu *vgpu) {
        if (!vgpu->overlooked)
                return;

        vgpu->overlooked = false;
        if (!vgpu->gpu)
                gpu_mark_all_dirty(vgpu->manager);
        else if (vgpu->present)
                gpu_mark_dirty(vgpu->gpu, /* may_register= */ false);
        else
                gpu_expect(vgpu->gpu, vgpu->uuid);
}

bool vgpu_rest(VGpu *vgpu, const char *last_error) {
        assert(!vgpu->operation);

        if (vgpu->doubtful) /* until it has been read whether its device exists */
                return true;
        look_again(vgpu);

        if (vgpu->present) {
                /* Which file counts depends on where the device is. */
                vgpu_changed(vgpu, update_definition(vgpu));
                vgpu_set_state(vgpu,
                               vgpu->lingers                        ? VGPU_REMOVING
                               : vgpu->unfinished                   ? VGPU_CREATING
                               : vgpu->claim == VGPU_CLAIM_SAVE     ? VGPU_SAVING
                               : vgpu->claim == VGPU_CLAIM_RESTORE  ? VGPU_RESTORING
                               : vgpu->lease != 0                   ? VGPU_INCOMING
                                                                    : VGPU_ACTIVE,
                               last_error);
        } else if (!list_is_empty(&vgpu->files)) {
                vgpu_changed(vgpu, update_definition(vgpu));
                show_definition(vgpu, last_error);
        } else {
                /* Its note goes with its definition, and that it was stopped: who uses the UUID next is not us. */
                (void)update_definition(vgpu);
                record_remove(vgpu->manager->state_fd, vgpu->uuid);
                vgpu_unlink(vgpu);
                vgpu_free(vgpu);
                return false;
        }

        if (!vgpu->linked)
                vgpu_link(vgpu);
        return true;
}
