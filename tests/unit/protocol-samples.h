/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What goes across the wire: each of it as large as it may be. */

#include "core/image-header.h"
#include "worker/protocol.h"

#include <glib.h>

#define UUID "1b4e28ba-2fa1-4d2e-883f-0016d3cca427"

/* A text that fills a field of this size. */
void sample_fill(char *text, size_t size);

TypeSpec sample_spec(uint32_t id);
void sample_vgpu(VGpuReport *v);
void sample_report(GpuReport *report, size_t n_types, size_t n_vgpus);
void sample_lists(JobResult *result, size_t n_counts, size_t n_users);
void sample_saved(JobResult *result); /* one more */

/* The caller's. */
HostFacts *sample_facts(void);
ImageHeader *sample_header(void);

/* The body of a frame, once its header was found right. */
const uint8_t *sample_frame_body(const WireWriter *w, uint32_t number, size_t *ret_size);
