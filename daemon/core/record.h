/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Record: what we remember of a vGPU's device, one small file for each UUID in a directory that survives a restart of
 * the daemon but no reboot, as the device itself.
 *
 * It is written before the device is made and removed after it has gone, so that at no instant a device of ours is
 * without one. It names GPU and type: a UUID can be used again by somebody else. Of a vGPU that is started by itself it
 * stays when the device goes, and says that it was stopped.
 */

#include "core/backend.h"
#include "core/owner.h"

/* A person's word for a vGPU, with its NUL. */
#define LABEL_SIZE 128U

typedef enum RecordPhase {
        RECORD_CREATING, /* the create is on its way, and one write to the driver is all of it */
        RECORD_BUILDING, /* the same, and it is not whole before more is done: attributes, a definition */
        RECORD_DEFINING, /* whole but for its definition, which is being written */
        RECORD_STARTING, /* the device of a definition is on its way, which somebody else may make just as well */
        RECORD_MADE, /* by us */
        RECORD_SEEN, /* made by somebody else; kept for what is defined to start by itself */
        RECORD_STOPPED, /* by a person: not to be started by itself any more */
        RECORD_WAITING, /* defined while its type was there: to be started by itself when that comes anew */
        RECORD_PHASE_MAX,
        RECORD_PHASE_INVALID = -EINVAL,
} RecordPhase;

typedef struct Record {
        RecordPhase phase;
        char gpu[SYSFS_NAME_SIZE];
        char type_id[TYPE_ID_SIZE];
        char label[LABEL_SIZE];
        int32_t iommu_group; /* -1: none, or not known */
        uint64_t lease; /* as of a vGPU; 0: none */
        bool saving; /* its state was being copied: its device may stand still */
        bool half; /* as of a vGPU */
        uint64_t registration; /* which registration of its parent it was made on; 0: not known */
        Owner owner;
} Record;

const char *record_phase_to_string(RecordPhase p);

int record_write(int state_fd, const char *uuid, const Record *record);
/* -ENOENT if there is none, -EBADMSG if it is none of ours. */
int record_read(int state_fd, const char *uuid, Record *ret_record);
void record_remove(int state_fd, const char *uuid);

/* Removes the records for which keep() says no. */
void record_prune(int state_fd, bool (*keep)(const char *uuid, void *userdata), void *userdata);

/*
 * Note: what mdevctl's format cannot hold of a definition. It is in a directory that survives a reboot, is written
 * before the definition and goes with it, whoever deletes that. A definition without a note is somebody else's.
 */
typedef struct Note {
        bool managed; /* the definition is ours */
        char label[LABEL_SIZE];
        Owner owner;
} Note;

/* Below /var/lib/mdevgpud. */
#define NOTES_FOLDER "vgpus"

/* Room for a note as text. */
#define NOTE_TEXT_SIZE (LABEL_SIZE + OWNER_TEXT_SIZE + 64U)

void note_format(const Note *note, char ret_text[static NOTE_TEXT_SIZE]);
/* Below /var/lib/mdevgpud. -ENOENT: there is none; another error: it cannot be told now. What makes no sense is no note. */
int note_read(int var_fd, const char *uuid, Note *ret_note);
/* Waits for the disk, as the next: for a worker. -ENOENT: there is none. */
int note_remove(int var_fd, const char *uuid);
/* Removes what was left by one that was killed while it wrote a note. */
void note_clean(int var_fd);
/* Calls back for every note, and once or more with NULL if there is something that is none. */
void note_list(int var_fd, void (*found)(const char *uuid, void *userdata), void *userdata);
