/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frame: the header that jobs and results have in common, and parts of them. */

#include "worker/protocol.h"

void protocol_begin_frame(WireWriter *w, uint32_t number);
void protocol_end_frame(WireWriter *w);

/* protocol-usage.c: -ENOMEM; what makes no sense is the reader's to remember. */
void protocol_put_usage(WireWriter *w, const UsageReport *usage);
int protocol_get_usage(WireReader *r, UsageReport *usage);
