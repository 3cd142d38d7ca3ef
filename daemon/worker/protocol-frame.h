/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frame: the header that jobs and results have in common, and parts of them. */

#include "worker/protocol.h"

void protocol_begin_frame(WireWriter *w, uint32_t number);
void protocol_end_frame(WireWriter *w);

/* protocol-usage.c: -ENOMEM; what makes no sense is the reader's to remember. */
void protocol_put_usage(WireWriter *w, const UsageReport *usage);
int protocol_get_usage(WireReader *r, UsageReport *usage);

/* protocol-state.c: those of transfers and of what is saved. -EBADMSG, -ENOMEM. */
void protocol_put_state_job(WireWriter *w, const Job *job);
int protocol_get_state_job(WireReader *r, DecodedJob *d);
void protocol_put_state_result(WireWriter *w, JobKind kind, const JobResult *result);
int protocol_get_state_result(WireReader *r, JobKind kind, JobResult *result);
void protocol_put_progress(WireWriter *w, const TransferProgress *p);
void protocol_get_progress(WireReader *r, TransferProgress *p);
