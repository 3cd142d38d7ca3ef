/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Description: the free text by which mdev drivers tell what a type is. What is understood fills the report; the rest
 * stays text.
 */

#include "core/backend.h"

/*
 * "num_heads=4, frl_config=60, framebuffer=1024M, max_resolution=5120x2880, max_instance=16": NVIDIA's form (observed,
 * vGPU software up to 17), which the open shim's reference module uses as well. Unknown keys are passed over.
 */
void description_parse(const char *text, TypeReport *type);
