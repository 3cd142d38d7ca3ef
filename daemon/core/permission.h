/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Permission: the model as rules see it, at this moment: whose vGPUs there are, and what is asked for besides.
 */

#include "core/manager.h"
#include "core/rules.h"

/* How much framebuffer vGPUs of a type take, by what any GPU says that has it; UNKNOWN_U64. */
uint64_t permission_type_framebuffer(const Manager *manager, const Gpu *gpu, const char *type_id);

/* Every vGPU, active, being made, defined, or still to be made by the topology that is being applied, whose maker is known,
 * but for those that leaves() names (NULL: none of them);
 * freed by the caller. -ENOMEM. */
int permission_get_holdings(const Manager *manager, bool (*leaves)(const VGpu *vgpu, void *userdata), void *userdata,
                            RuleHolding **ret_holdings, size_t *ret_n);

typedef struct PermissionRequest {
        const Caller *caller; /* NULL: nobody asks, and everything may be */
        const VGpu *vgpu; /* that is to be what is asked for, and counts as that alone; NULL: a new one */
        bool counted; /* it is the same as before: whether it may be used is all that is asked */
        const Owner *owner; /* whose limits have to be kept besides, as it is and stays his; or NULL */
        const Gpu *gpu; /* NULL: it is not there */
        const char *parent; /* then this is its name */
        const char *type_id;
} PermissionRequest;

/*
 * -ERROR_CONFIG_INVALID: mdevgpud.yaml was never right, so that it is not known what anybody but root may have. Of no
 * caller (NULL) and of root nothing is asked.
 */
int permission_check_settings(const Manager *manager, const Caller *caller, Error *error);

/* The same; -EACCES, -ERROR_LIMIT_EXCEEDED. */
int permission_check(const Manager *manager, const PermissionRequest *request, Error *error);

/*
 * Whether he may set these (NULL: none): what a vGPU has of framebuffer is what its type says to whom a limit of it applies,
 * and the owner, NULL if it is the caller's or nobody's. -ERROR_LIMIT_EXCEEDED, -ERROR_CONFIG_INVALID.
 */
int permission_check_attributes(const Manager *manager, const Caller *caller, const Owner *owner,
                                const Attributes *attributes, Error *error);

/* Whose a vGPU is that is made now: the caller's, or that of whoever else is said; or it is not known. */
Owner permission_get_owner(const Manager *manager, const Caller *caller, const Owner *owner);
