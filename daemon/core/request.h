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

/* Why a job was not taken; gpu NULL: one that writes files. */
int request_submit_error(int code, const Gpu *gpu, Error *error);
