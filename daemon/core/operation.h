/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Operation: one thing that somebody asked for and that takes time. It ends by calling back exactly once, whatever
 * becomes of the worker, and knows nothing of who asked or how the answer travels.
 *
 * It does one job after the other: what the driver has to do, then what has to be written down; and if that fails, takes
 * back what the driver did.
 */

#include <systemd/sd-event.h>

#include "core/definition.h"
#include "core/record.h"
#include "core/rules.h"
#include "util/list.h"

/* From authorization to an answer: below the 25 s after which D-Bus clients give up. */
#define OPERATION_TIMEOUT_USEC (20U * 1000U * 1000U)

typedef struct Manager Manager;
typedef struct VGpu VGpu;
typedef struct Operation Operation;

typedef enum OperationKind {
        OPERATION_CREATE, /* a new vGPU */
        OPERATION_START, /* the device of a defined one */
        OPERATION_DESTROY,
        OPERATION_DEFINE,
        OPERATION_UNDEFINE,
        OPERATION_MODIFY,
        OPERATION_KIND_MAX,
        OPERATION_KIND_INVALID = -EINVAL,
} OperationKind;

typedef enum OperationStep {
        STEP_DEVICE, /* the GPU's driver is at it */
        STEP_STORE, /* the definition is being written or removed */
        STEP_UNDO, /* the device is being removed again */
} OperationStep;

/* error is NULL on success; vgpu is the one that it was about, visible now, or NULL. Called once, never from within start. */
typedef void (*OperationCallback)(const Error *error, VGpu *vgpu, void *userdata);

struct Operation {
        Manager *manager;
        List link; /* in manager->operations */
        OperationKind kind;
        OperationStep step;
        VGpu *vgpu;
        PlatformJob *job;
        sd_event_source *deadline;
        OperationCallback callback; /* NULL once it was called */
        void *userdata;
        uint64_t start_usec; /* CLOCK_MONOTONIC */
        bool counted; /* among the statistics */
        bool retried; /* its removal is asked for a second time, as the first worker died */
        bool begun; /* a step is behind it: it cannot be as if nothing had been */
        bool expired; /* the caller was told that it timed out, or that the vGPU is stuck; the job goes on */
        bool stuck; /* its GPU's worker is stuck in it */
        bool overlaps; /* ran beside a removal on its GPU: what both counted may be told in the other order */
        bool automatic; /* nobody asked for it: a vGPU that starts by itself, or one that is taken back */
        bool was_autostart;
        bool stores; /* the definition is part of it */
        StoreAction store_action;
        bool note_stays; /* what was removed was one definition of several, or nobody knows how far that came */
        Definition definition; /* as it shall be */
        bool owned; /* and whether it is ours */
        char label[LABEL_SIZE];
        Owner owner; /* whose it is, as its note shall say */
        Error undone; /* why the device is being removed again */
};

/*
 * In all requests: `by` is who asks; his is what comes of it, and rules are judged. NULL: nobody does, and then it is
 * `owner`'s, or NULL: it is not known whose.
 */

/* gpu: sysfs name of a GPU, empty: placed; type: id or name; uuid: empty: generated. The strings live for the call. */
typedef struct CreateRequest {
        const char *gpu;
        const char *type;
        const char *uuid;
        bool persistent; /* defined as well; so is what is to start by itself */
        bool autostart;
        const char *label; /* NULL: none */
        bool take_display; /* also a card that shows the console or a picture */
        Attributes attributes;
        uint32_t numa_node; /* preferred where the GPU is chosen */
        bool has_numa_node;
        uint32_t lease; /* seconds after which it goes if nobody has it open: see incoming.h; 0: it stays */
        const Caller *by;
        const Owner *owner;
} CreateRequest;

typedef struct DestroyRequest {
        const char *uuid;
        bool unmanaged; /* also one that we did not make */
        bool automatic; /* nobody asked: it is not to be taken for stopped */
} DestroyRequest;

/* gpu and type empty: as the vGPU is that exists with this UUID. */
typedef struct DefineRequest {
        const char *gpu; /* a GPU or a virtual function; one that is not there has to be told by its exact name */
        const char *type;
        const char *uuid;
        bool autostart;
        const char *label;
        Attributes attributes;
        const Caller *by;
        const Owner *owner;
} DefineRequest;

typedef struct UndefineRequest {
        const char *uuid;
        bool unmanaged; /* also a definition that we did not make */
} UndefineRequest;

typedef struct StartRequest {
        const char *uuid;
        bool automatic;
        uint32_t lease; /* as of a request to create */
        const Caller *by;
        const Owner *owner; /* of what is nobody's */
} StartRequest;

typedef enum ModifyScope {
        MODIFY_DEFAULT, /* the definition if there is one, else the device */
        MODIFY_LIVE,
        MODIFY_CONFIG,
        MODIFY_BOTH,
        MODIFY_SCOPE_MAX,
        MODIFY_SCOPE_INVALID = -EINVAL,
} ModifyScope;

ModifyScope modify_scope_from_string(const char *s);

/* What is NULL stays as it is. */
typedef struct ModifyRequest {
        const char *uuid;
        ModifyScope scope;
        const bool *autostart;
        const char *label;
        const char *type;
        const Attributes *attributes;
        bool unmanaged;
        const Caller *by; /* it stays whose it is */
} ModifyRequest;
