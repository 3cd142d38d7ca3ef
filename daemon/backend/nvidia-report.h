/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * NVIDIA report: what each card of NVIDIA's and its driver say of themselves, as text for a person: which driver, which
 * layout, which control answers with what. Only what reads is called.
 */

#include "core/platform.h"

/* 0, or a negative errno if not even the cards can be looked for. */
int nvidia_report(const Host *host, FILE *out);
