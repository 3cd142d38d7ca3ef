/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pager: what is longer than the screen, through less.
 */

#include "ctl.h"

/* Puts stdout through a pager if it is a terminal and one is wanted; without a pager the output is printed as it is. */
void pager_open(const Ctl *ctl);

/* Waits for the reader to be done. */
void pager_close(void);

bool pager_is_open(void);
