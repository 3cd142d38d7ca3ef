/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA query: what the resource manager says of types and vGPUs, read into plain values. All of it is checked: -EBADMSG
 * if an answer makes no sense. Results are those of nvidia-rm.h.
 */

#include "backend/nvidia-rm.h"
#include "core/backend.h"

/* How far the driver's type set is (vgpuConfigState in ctrla081.h). */
enum {
        NVIDIA_CONFIG_UNINITIALIZED,
        NVIDIA_CONFIG_IN_PROGRESS,
        NVIDIA_CONFIG_READY,
};

/* GET_VIRTUALIZATION_MODE's answer on a vGPU host (ctrl0080gpu.h). */
#define NVIDIA_MODE_HOST_VGPU 3U

typedef struct NvidiaTypeList {
        uint32_t state;
        uint32_t ids[NVIDIA_TYPES_MAX]; /* each once, though the driver may hold one several times */
        size_t n;
        size_t n_held; /* with repetitions: what counts against the driver's limit */
} NvidiaTypeList;

/* A type as the driver holds it. Sizes are in bytes. */
typedef struct NvidiaType {
        uint32_t id;
        char name[TYPE_NAME_SIZE];
        char class[TYPE_NAME_SIZE];
        uint32_t max_instances;
        uint32_t heads;
        uint32_t max_width, max_height;
        uint32_t frame_limit;
        bool limiter, ecc, multi_vgpu;
        uint32_t instance_size; /* MIG; 0: none */
        uint64_t vdev_id, pdev_id;
        uint64_t framebuffer, reserved, mappable_video;
        uint64_t bar1; /* MiB */
        uint32_t encoder;
        /* As nvidia_types_read_more() has filled them; unknown before. */
        uint64_t host_reserved;
        uint32_t placements;
        Tristate creatable;
} NvidiaType;

#define NVIDIA_UUID_SIZE 16U

/* Any GPU instance (MIG), or none. */
#define NVIDIA_ANY_INSTANCE UINT32_MAX

/* A vGPU that a virtual machine runs with. */
typedef struct NvidiaGuest {
        uint32_t pid; /* of the virtual machine */
        uint32_t type;
        uint8_t vgpu[NVIDIA_UUID_SIZE]; /* what the driver calls it, as long as the machine runs */
        uint8_t mdev[NVIDIA_UUID_SIZE]; /* whose order is the driver's; zeros with vendor-specific VFIO */
        uint8_t vm_id[NVIDIA_UUID_SIZE];
        uint32_t vm_id_type; /* of ctrla081.h: 0 a number, 1 a UUID */
        uint32_t frame_limit;
        uint32_t license_state; /* NVIDIA's number for it */
        bool loaded; /* the guest's driver runs */
        bool migration_prohibited;
        bool licensed;
        char driver[64]; /* the guest's */
        char vm_name[128];
        uint32_t encoder;
        uint64_t framebuffer_used;
} NvidiaGuest;

/* control: NVIDIA_CONTROL_SUPPORTED_TYPES or _CREATABLE_TYPES */
int nvidia_query_types(NvidiaRm *rm, NvidiaControl control, NvidiaTypeList *ret_list);
int nvidia_query_type(NvidiaRm *rm, uint32_t id, NvidiaType *ret_type);
int nvidia_query_guests(NvidiaRm *rm, NvidiaGuest ret_guests[static NVIDIA_GUESTS_MAX], size_t *ret_n);
int nvidia_query_mode(NvidiaRm *rm, uint32_t *ret_mode);
/* What the host keeps of the card for instances of a type; bytes. */
int nvidia_query_host_reservation(NvidiaRm *rm, uint32_t type, uint64_t *ret_bytes);
int nvidia_query_name(NvidiaRm *rm, char *buffer, size_t size);

/* How many places are left for a type, where the card knows places (mixed sizes, or equal sizes at fixed places). */
int nvidia_query_placements(NvidiaRm *rm, uint32_t type, uint32_t *ret_n);

bool nvidia_types_hold(const NvidiaTypeList *list, uint32_t id);
