/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the judgements of requests have in common. Each fills *error when it returns a negative code.
 */

#include "core/manager.h"
#include "core/vgpu.h"

/* A vGPU by its UUID on which nothing works at present. */
int request_find_vgpu(const Manager *manager, const char *word, VGpu **ret_vgpu, Error *error);

int request_check_uuid_free(const Manager *manager, const char *uuid, char ret_uuid[static UUID_STRING_SIZE],
                            Error *error);
int request_check_label(const char *label, Error *error);
void request_generate_uuid(char ret_uuid[static UUID_STRING_SIZE]);

/* Why nothing else is done with a vGPU that a worker asks what it can do. */
int request_probe_error(const VGpu *vgpu, Error *error);
/* Why a job was not taken; gpu NULL: one that writes files. */
int request_submit_error(int code, const Gpu *gpu, Error *error);
