/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Import: other tools' files, read into what mdevgpud has of the same meaning.
 *
 * A reader reports what is wrong as an error and what has no equivalent as a warning, each with its place where the format
 * has one. What it could read stands in the sets; with an error they are not to be used.
 */

#include "config.h"

typedef struct Import {
        const char *file; /* what messages call it */
        const char *text; /* whole, with a NUL behind it */
        size_t size;
        ProfileSet *profiles;
        TopologySet *topologies;
        ConfigReport *report;
        char **names; /* only these configurations, or cards, are wanted; all if there are none */
        size_t n_names;
} Import;

/* 0, -EBADMSG if the report holds an error, -ENOMEM. */
typedef int (*ImportReader)(Import *import);

int import_mdev_gpu(Import *import);
int import_vgpu_device_manager(Import *import);
int import_mig_parted(Import *import);
int import_profile_override(Import *import);
#if HAVE_LIBXML2
int import_vgpu_config(Import *import);
#endif

/* How large the file may be: NVIDIA's vgpuConfig.xml has 2 MiB (observed with 535). */
#define IMPORT_SIZE_MAX (16U * 1024U * 1024U)

/*
 * The native form. One document for each profile, as mdevgpud-types.d(5) has it, and one for all topologies. A type that
 * lacks what a type must have stands in it as a comment.
 */
void native_print_profile(FILE *stream, const Profile *profile);
void native_print_topologies(FILE *stream, const TopologySet *set);
