/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * IdleWait: somebody who waits until what was set in motion has come to rest. See manager_wait_idle().
 */

#include "core/manager.h"

/* A GPU has been read, or has gone: are those who wait done? */
void idle_wait_check(Manager *manager);

/* Nobody is called back. */
void idle_wait_free_all(Manager *manager);
