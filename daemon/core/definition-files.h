/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * DefinitionFiles: what is in /etc/mdevctl.d, or in /etc/mdevgpud/vgpus.d: a folder for each parent device, a file for
 * each definition, written by us, by mdevctl, by libvirt, by hand. Whatever changes there is heard of by inotify and read again.
 *
 * Reading is bounded and never waits: whatever is no regular file is not opened. A file that cannot be understood is
 * kept as such, with its reason, and keeps no other from being read.
 */

#include "core/definition.h"
#include "util/list.h"
#include "util/map.h"

typedef struct Manager Manager;
typedef struct VGpu VGpu;
typedef struct DefinitionFiles DefinitionFiles;

/* One file; owned by DefinitionFiles, and in the list of the vGPU that it speaks of. */
typedef struct DefinitionFile {
        MapNode node; /* keyed by key */
        List folder_link; /* in its parent's folder */
        List link; /* in vgpu->files */
        VGpu *vgpu;
        bool seen; /* in the reading that is going on */
        char key[SYSFS_NAME_SIZE + UUID_STRING_SIZE]; /* "PARENT/UUID" */
        char problem[REASON_SIZE]; /* why it cannot be used; empty: it can */
        Definition definition; /* its parent is always set */
} DefinitionFile;

/* kind: VGPU_MDEV for mdevctl's folder, anything else for ours. */
int definition_files_new(Manager *manager, VGpuKind kind, DefinitionFiles **ret_files);
DefinitionFiles *definition_files_free(DefinitionFiles *files);
DEFINE_CLEANUP(DefinitionFiles *, definition_files_free)

/*
 * Watches and reads everything; the first time, makes the folder if it is not there. Repeating it changes nothing.
 * Negative: not all could be read, and what was known of the rest stays.
 */
int definition_files_read_all(DefinitionFiles *files);

/* Reads one, which has just been written or removed. NULL if there is none. */
DefinitionFile *definition_files_read(DefinitionFiles *files, const char *parent, const char *uuid);

/* Whether a device of this name can have definitions: others' folders are beside the parents'. */
bool definition_files_take(const char *parent);
/* Whether something was left by one that was killed while it wrote a definition, or somebody is at that. */
bool definition_files_has_workshop(const DefinitionFiles *files);

/* How many cannot be used. */
size_t definition_files_count_broken(const DefinitionFiles *files);

/* Adds what is wrong with definitions: with files, and of vGPUs that have several. */
int definition_files_report(const DefinitionFiles *files, ConfigReport *report);
