/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Protocol: jobs and their results as frames between the daemon and a worker. A frame is its length (u32, without
 * itself), the job's number (u32) and the fields in the order in which the functions here put them. Both ends are of one
 * build; a frame that does not decode to the last byte is an error of the peer.
 */

#include "core/backend.h"
#include "core/record.h"
#include "util/wire.h"

#define PROTOCOL_HEADER_SIZE (2 * sizeof(uint32_t))

/* The number of a frame that answers no job; jobs count from 1. */
#define PROTOCOL_EVENT 0U

/* A job whose strings and types belong to itself. */
typedef struct DecodedJob {
        Job job;
        char uuid[UUID_STRING_SIZE];
        char type_id[TYPE_ID_SIZE];
        char parent[SYSFS_NAME_SIZE];
        char label[LABEL_SIZE];
        char owner[OWNER_TEXT_SIZE];
        char program[SETTINGS_PATH_SIZE];
        char state_name[SAVED_STATE_NAME_SIZE];
        Attributes attributes;
        TypeSpec *types;
        ImageHeader *header; /* save state */
} DecodedJob;

void decoded_job_done(DecodedJob *d);

/* A whole frame, header included; check w->error afterwards. A job's descriptors are counted in it, and travel beside it. */
void protocol_put_job(WireWriter *w, uint32_t number, const Job *job);
void protocol_put_result(WireWriter *w, uint32_t number, JobKind kind, const JobResult *result);

void protocol_put_event(WireWriter *w, const WorkerEvent *event);

/* The body of a frame, behind the header. -EBADMSG, -ENOMEM. */
int protocol_get_event(const uint8_t *data, size_t size, WorkerEvent *ret_event);
int protocol_get_job(const uint8_t *data, size_t size, DecodedJob *ret_job);
int protocol_get_result(const uint8_t *data, size_t size, JobKind kind, JobResult *ret_result);
