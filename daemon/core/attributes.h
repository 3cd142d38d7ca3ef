/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Attributes: what is written to a vGPU's sysfs attributes after it was made, in this order; one attribute can be
 * written more than once. Names are paths below the device's own folder.
 */

#include "util/error.h"

/* A page and a name, as sysfs has them; with their NULs. */
#define ATTRIBUTE_NAME_SIZE 256U
#define ATTRIBUTE_VALUE_SIZE 4096U
#define ATTRIBUTES_MAX 64U

typedef struct Attribute {
        char *name;
        char *value;
} Attribute;

typedef struct Attributes {
        Attribute *items;
        size_t n;
} Attributes;

/* -EINVAL with *error filled: such a name or value cannot be written, or may not; -E2BIG: too many; -ENOMEM. */
int attributes_add(Attributes *attributes, const char *name, const char *value, Error *error);
int attributes_copy(const Attributes *attributes, Attributes *ret);
bool attributes_equal(const Attributes *a, const Attributes *b);
void attributes_done(Attributes *attributes);
