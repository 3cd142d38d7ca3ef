/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Observer: the only way out of core. Whoever shows the model to the world (the bus, a test) is told here what became
 * visible, what changed and what is about to go.
 *
 * `added` is called when the object is linked, `removed` while it still is, so that both can read it. The change masks
 * name the properties whose values are not what they were.
 */

#include <stdint.h>

typedef struct Gpu Gpu;
typedef struct Type Type;
typedef struct VGpu VGpu;
typedef struct Manager Manager;
typedef struct Task Task;

enum {
        GPU_CHANGED_IDENTITY = 1U << 0, /* name, vendor, framebuffer total */
        GPU_CHANGED_DRIVER = 1U << 1, /* driver, its version, the backend */
        GPU_CHANGED_STATE = 1U << 2, /* state and reason */
        GPU_CHANGED_PENDING = 1U << 3, /* types that wait to be registered */
        GPU_CHANGED_VFS = 1U << 4, /* how many virtual functions it has */
        GPU_CHANGED_MIXED = 1U << 8, /* whether sizes may be mixed */
        GPU_CHANGED_MIXABLE = 1U << 9, /* whether that is a setting */
        GPU_CHANGED_SRIOV = 1U << 5, /* whether it can have any */
};

enum {
        TYPE_CHANGED_DEFINITION = 1U << 0, /* name, description and every limit of it */
        TYPE_CHANGED_AVAILABLE = 1U << 1,
        TYPE_CHANGED_REGISTRATION = 1U << 2, /* source, registration and its reason */
        TYPE_CHANGED_DETAILS = 1U << 3,
};

enum {
        VGPU_CHANGED_STATE = 1U << 0,
        VGPU_CHANGED_ERROR = 1U << 1,
        VGPU_CHANGED_TYPE = 1U << 2, /* the type object that it points to */
        VGPU_CHANGED_DEVICE = 1U << 3, /* sysfs path, IOMMU group, parent */
        VGPU_CHANGED_MANAGED = 1U << 4,
        VGPU_CHANGED_GPU = 1U << 5,
        VGPU_CHANGED_DEFINITION = 1U << 6, /* persistent, autostart */
        VGPU_CHANGED_LABEL = 1U << 7,
        VGPU_CHANGED_USE = 1U << 8,
        VGPU_CHANGED_OWNER = 1U << 9,
        VGPU_CHANGED_NEXT_TYPE = 1U << 10,
        VGPU_CHANGED_MIGRATION = 1U << 11,
};

enum {
        TASK_CHANGED_STATE = 1U << 0,
        TASK_CHANGED_PROGRESS = 1U << 1,
        TASK_CHANGED_CANCELABLE = 1U << 2,
        TASK_CHANGED_RESULT = 1U << 3,
        TASK_CHANGED_OBJECTS = 1U << 4,
};

typedef struct ObserverOps {
        void (*gpu_added)(Gpu *gpu, void *userdata);
        void (*gpu_removed)(Gpu *gpu, void *userdata);
        void (*gpu_changed)(Gpu *gpu, unsigned mask, void *userdata);
        void (*type_added)(Type *type, void *userdata);
        void (*type_removed)(Type *type, void *userdata);
        void (*type_changed)(Type *type, unsigned mask, void *userdata);
        void (*vgpu_added)(VGpu *vgpu, void *userdata);
        void (*vgpu_removed)(VGpu *vgpu, void *userdata);
        void (*vgpu_changed)(VGpu *vgpu, unsigned mask, void *userdata);
        /* Its device reports an error; vgpu is the one that it concerns, or NULL. */
        void (*device_error)(Gpu *gpu, VGpu *vgpu, uint32_t code, const char *text, void *userdata);
        /* What is wrong with definitions is something else than before: definition_files_report(). */
        void (*problems_changed)(Manager *manager, void *userdata);
        /* Another topology is the one that was applied last. */
        void (*topology_changed)(Manager *manager, void *userdata);
        /* One was saved or deleted, or may have been. */
        void (*saved_states_changed)(Manager *manager, void *userdata);
        void (*task_added)(Task *task, void *userdata);
        void (*task_removed)(Task *task, void *userdata);
        void (*task_changed)(Task *task, unsigned mask, void *userdata);
        void (*task_finished)(Task *task, void *userdata); /* after it was told that it changed */
} ObserverOps;

typedef struct Observer {
        const ObserverOps *ops;
        void *userdata;
} Observer;

/* Tells the observer of a manager, if there is one, of an event. */
#define OBSERVE(manager, event, ...)                                                                                   \
        do {                                                                                                           \
                const Observer *observer_ = &(manager)->observer;                                                      \
                if (observer_->ops)                                                                                    \
                        observer_->ops->event(__VA_ARGS__, observer_->userdata);                                       \
        } while (0)
