/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Agent: polkit's password prompt on this terminal, for who has no graphical one.
 */

#include "ctl.h"

/* Starts it where it can help and exists; nothing happens otherwise, and polkit's refusal then says what is missing. */
void agent_open(const Ctl *ctl);
void agent_close(void);
