/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/image-header.h"

void image_header_init(ImageHeader *header) {
        *header = (ImageHeader){
                .vendor_id = UNKNOWN_U32,
                .device_id = UNKNOWN_U32,
                .subsystem_id = UNKNOWN_U32,
                .size = UNKNOWN_U64,
        };
        type_report_init(&header->type);
}

void image_header_done(ImageHeader *header) {
        facts_done(&header->facts);
        attributes_done(&header->attributes);
}
