/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Job: what the daemon does by itself after it has answered, followed to its end.
 */

#include "ctl.h"

/*
 * From here on the first Ctrl-C cancels the job, and the second one ends the command and leaves the job to itself. With
 * `transfer`, where a job that nobody waits for is of no use, whatever else asks the command to end does the same.
 */
void interrupts_catch(bool transfer);

/* A file that goes if the command is ended so; the text has to live as long. NULL: none. */
void interrupts_unlink(const char *path);

/*
 * Waits until the job has ended that `reply`, the answer of the method that began it, names, and leaves its properties
 * behind, also if it has failed; its error is said. *ret is NULL where nobody can tell what came of it.
 */
Status job_follow(Ctl *ctl, sd_bus_message *reply, json_object **ret);

/* The path of the job that the answer names. */
Status job_path(sd_bus_message *reply, const char **ret);
