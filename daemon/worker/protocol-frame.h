/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frame: the header that jobs and results have in common. */

#include "worker/protocol.h"

void protocol_begin_frame(WireWriter *w, uint32_t number);
void protocol_end_frame(WireWriter *w);
