/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Type: what a GPU can be divided into. A row of the last report; owned by its GPU and visible as long as it exists.
 */

#include "core/backend.h"
#include "core/observer.h"
#include "util/list.h"

struct Type {
        Gpu *gpu;
        List link; /* in gpu->types */
        bool seen; /* in the report that is being applied */
        TypeReport report; /* report.id is the object's name and never changes */
};

const char *type_source_to_string(TypeSource s);
const char *registration_to_string(Registration r);

/* Linked at once; tells the observer. */
int type_new(Gpu *gpu, const TypeReport *report, Type **ret_type);
/* Tells the observer, then releases. */
Type *type_free(Type *type);

/* What instances of a type of a GPU that is not there are most likely: an mdev, unless it is the one that no driver has. */
VGpuKind type_guess_kind(const char *type_id);

void type_update(Type *type, const TypeReport *report);
void type_set_available(Type *type, uint32_t available);
