/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Definition: how a vGPU is to be made whenever it is started. Of an mdev it is what /etc/mdevctl.d/PARENT/UUID says, in
 * the format that mdevctl 1.2 to 1.4 and libvirt share with us; they would take anything else there for an mdev, so that
 * of virtual functions and whole cards it is in /etc/mdevgpud/vgpus.d/PARENT/UUID, in a format that differs from
 * mdevctl's in its first keys:
 *
 *     { "kind": "whole" or "vf", "type": type's id, "start": "auto" or "manual", "attrs": [ { NAME: VALUE }, … ] }
 */

#include "core/attributes.h"
#include "core/backend.h"

/* Twice what the largest definition comes to, every byte of it escaped. */
#define DEFINITION_TEXT_MAX ((size_t)1024 * 1024)

/*
 * Files are written in here and renamed into their place. mdevctl takes every folder beside it for a parent device and
 * looks in it for names that are UUIDs, of which there is none; libvirt watches the parents' folders and would read a
 * file that is half written. It is gone again when the file has its name.
 */
#define DEFINITIONS_WORKSHOP ".mdevgpud"

typedef struct Definition {
        char parent[SYSFS_NAME_SIZE]; /* sysfs name of the GPU, or of one of its virtual functions */
        char type_id[TYPE_ID_SIZE];
        VGpuKind kind; /* of an mdev it is in mdevctl's folder and format, of anything else in ours */
        bool autostart;
        Attributes attributes;
} Definition;

/* Below /etc: the folder in which definitions of this kind are. */
const char *definition_folder(VGpuKind kind);

int definition_copy(const Definition *definition, Definition *ret);
bool definition_equal(const Definition *a, const Definition *b);
void definition_done(Definition *definition);

/*
 * Reads everything but the parent, in mdevctl's format if ret->kind is VGPU_MDEV, else in ours, which says the kind.
 * Negative with *error filled if it is none; *ret is untouched then.
 */
int definition_parse(const char *text, size_t size, Definition *ret, Error *error);

/* Of an mdev, to the byte what mdevctl writes; freed with free(). */
int definition_format(const Definition *definition, char **ret_text);
