/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/image-header.h"

void image_header_init(ImageHeader *header) {
        *header = (ImageHeader){
                .vendor_id = UNKNOWN_U32,
                .device_id = UNKNOWN_U32,
                .subsystem_id = UNKNOWN_U32,
                .size = UNKNOWN_U64,
                .type = {
                        .vendor_id = UNKNOWN_U32,
                        .max_instances = UNKNOWN_U32,
                        .available = UNKNOWN_U32,
                        .framebuffer = UNKNOWN_U64,
                        .heads = UNKNOWN_U32,
                        .max_width = UNKNOWN_U32,
                        .max_height = UNKNOWN_U32,
                        .frame_limit = UNKNOWN_U32,
                },
        };
}

void image_header_done(ImageHeader *header) {
        facts_done(&header->facts);
        attributes_done(&header->attributes);
}
