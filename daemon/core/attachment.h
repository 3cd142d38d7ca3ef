/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Attachment: how a vGPU is handed to a virtual machine or a container, in the words of whoever runs that.
 */

#include "core/vgpu.h"

typedef enum AttachmentFormat {
        ATTACHMENT_LIBVIRT_XML, /* elements of a domain's <devices> */
        ATTACHMENT_QEMU, /* arguments of QEMU's command line */
        ATTACHMENT_CDI, /* a document of the Container Device Interface */
        ATTACHMENT_FORMAT_MAX,
        ATTACHMENT_FORMAT_INVALID = -EINVAL,
} AttachmentFormat;

typedef struct AttachmentOptions {
        bool display; /* the guest's picture is to be had from the vGPU */
        bool ramfb; /* and from the firmware's start on */
} AttachmentOptions;

/* ATTACHMENT_FORMAT_INVALID: there is no such. */
AttachmentFormat attachment_format_from_string(const char *s);

/* *ret_text ends in a newline and is freed with free(). */
int attachment_write(const VGpu *vgpu, AttachmentFormat format, const AttachmentOptions *options, char **ret_text,
                     Error *error);
