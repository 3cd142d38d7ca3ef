/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA model: a stand-in for the resource manager of NVIDIA's kernel driver, as far as registering vGPU types goes. It was
 * written from what is known of the driver and shares nothing with the code that it tests, tables included. It enforces
 * sizes, handles, privileges and the order of things, answers with the driver's statuses, and misbehaves on request.
 *
 * It knows nothing of files or memory of its callers: an ioctl's struct, and the second buffer that three of them point to,
 * are handed to it. So it stands in a test's process as well as behind a character device.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_GPUS 2U
#define MODEL_FILES 16U
#define MODEL_OBJECTS 64U
#define MODEL_TYPES 256U
#define MODEL_GUESTS 8U
#define MODEL_INFO_SIZE 5424U

#define MODEL_EVENTS 5U
#define MODEL_PENDING 16U

typedef struct ModelGuest {
        uint32_t type, pid, encoder, frame_limit, license_state;
        uint64_t framebuffer;
        bool licensed, prohibited, loaded;
        uint8_t vgpu[16]; /* what the driver calls it */
        uint8_t mdev[16]; /* its mdev, as text has it; zeros: it is none */
        uint8_t vm_id[16];
        bool vm_id_is_uuid;
        char driver[32], vm[64];
} ModelGuest;

typedef struct ModelGpu {
        bool there;
        unsigned domain, bus, slot, minor;
        uint32_t id;
        uint16_t device, subsystem;
        unsigned n_open; /* how often its node is open */

        uint32_t state; /* of its type set: 0, 1, 2 */
        uint32_t lowest; /* that it ever had since it was ready */
        uint32_t fractional;
        bool mixed_size, can_mix;
        unsigned n_created; /* vGPUs, with a machine or without */
        uint32_t list[128];
        unsigned n_list;
        ModelGuest guests[MODEL_GUESTS];
        unsigned n_guests;
} ModelGpu;

typedef struct ModelType {
        uint32_t id;
        uint8_t info[MODEL_INFO_SIZE];
} ModelType;

typedef struct ModelFile {
        bool used, control;
        unsigned gpu;
        bool has_event; /* it is what events are told by */
        uint32_t event_client, event_fd;
        uint32_t pending[MODEL_PENDING]; /* events that nobody has fetched */
        unsigned n_pending;
} ModelFile;

typedef struct ModelObject {
        uint32_t handle, client, parent, class;
        unsigned file, gpu;
        uint32_t index; /* of an event: which; */
        unsigned event_file; /* and where it is told */
        uint32_t notify[MODEL_EVENTS]; /* of the configuration: 0 off, 1 once, 2 always */
} ModelObject;

typedef struct ModelLayout ModelLayout;

typedef struct NvidiaModel {
        char version[32];
        unsigned major, minor, patch;
        const ModelLayout *layout;
        ModelGpu gpus[MODEL_GPUS];

        /* The driver's types, of all GPUs together: what came in first stays until it is loaded anew. */
        ModelType types[MODEL_TYPES];
        unsigned n_types;

        ModelFile files[MODEL_FILES];
        ModelObject objects[MODEL_OBJECTS];
        unsigned n_objects;
        uint32_t next_handle;

        /* What it is, and how it misbehaves. */
        bool is_host; /* a vGPU host driver */
        bool is_stub; /* class 0xA081 is there in name only, as in the open driver before 550 */
        bool admin; /* the caller has CAP_SYS_ADMIN */
        bool limiter_off; /* the frame limiter is off for all types */
        bool lenient; /* takes parameters of any size */
        bool mute_version; /* does not tell it by ioctl */
        bool swaps_uuids; /* hands over mdevs' UUIDs in the order of a GUID in memory */
        bool deaf_encoder; /* says yes to a share of the encoder, and does nothing */
        bool mute_events; /* takes subscriptions, and never has an event to fetch */
        unsigned n_busy; /* so many calls are answered BUSY_RETRY */
        unsigned n_timeout; /* so many SET_INFO are done, and answered TIMEOUT_RETRY all the same */
        uint32_t refuse_id, refuse_status; /* a type that the firmware refuses */
        bool refuse_all; /* refuses every type from now on */
        uint32_t lie_id; /* a type that it says it took, and did not */
        unsigned die_after; /* so many ioctls, then none any more; 0: never */
        unsigned vgpud_after; /* so many SET_INFO, then nvidia-vgpud begins anew; 0: never */
        uint32_t update_status; /* the answer to the end of a registration */
        void (*hook)(struct NvidiaModel *m, uint32_t command, uint8_t *parameters,
                     size_t size); /* sees each good answer */
        void (*updated)(struct NvidiaModel *m, ModelGpu *gpu); /* the set of types was brought into force */
        void (*notified)(struct NvidiaModel *m, unsigned file); /* there is something to fetch */
        void *userdata;

        /* What was done to it. */
        unsigned n_ioctls, n_set_info, n_discards, n_updates, n_set_pgpu, n_set_mixed, n_set_encoder, n_errors;
} NvidiaModel;

/* "580.95.05". A host with no types, as after loading. False if no layout is known. */
bool nvidia_model_init(NvidiaModel *m, const char *version);
ModelGpu *nvidia_model_plug(NvidiaModel *m, unsigned domain, unsigned bus, unsigned slot, unsigned minor);

/* The driver is unloaded and loaded anew. */
void nvidia_model_reload(NvidiaModel *m);
/* NVIDIA's own daemon registers its two types, 100 and 101, and discards what there is on the GPU. */
void nvidia_model_run_vgpud(NvidiaModel *m, ModelGpu *gpu);
/* A virtual machine begins or ends with a vGPU (event 0 or 2 of the driver's): who wants to know is told. */
void nvidia_model_notify(NvidiaModel *m, ModelGpu *gpu, uint32_t event);
/* A type in plain words. */
typedef struct ModelWords {
        char name[64];
        uint32_t max_instances, heads, frame_limit, width, height;
        uint64_t framebuffer, reserved;
} ModelWords;

void nvidia_model_describe(const NvidiaModel *m, const ModelType *type, ModelWords *ret);
bool nvidia_model_lists(const ModelGpu *gpu, uint32_t id);
const ModelType *nvidia_model_find(const NvidiaModel *m, uint32_t id);

/* node: "nvidiactl" or "nvidia0". A file's number, or a negative errno. */
int nvidia_model_open(NvidiaModel *m, const char *node);
void nvidia_model_close(NvidiaModel *m, unsigned file);

/* Where the second buffer of an ioctl lies and how large it is; 0: there is none. */
size_t nvidia_model_second(unsigned long request, const uint8_t *args, uint64_t *ret_pointer);
/* 0 or a negative errno. */
int nvidia_model_ioctl(NvidiaModel *m, unsigned file, unsigned long request, uint8_t *args, uint8_t *second);
