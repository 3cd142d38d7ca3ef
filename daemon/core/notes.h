/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Notes: which of them are to go. A note is removed by the worker that writes them, as that may wait for the disk, and in
 * the order in which it was asked to: who defines the UUID anew writes his note after that. Until it has gone it counts as
 * gone: a definition that somebody else writes meanwhile is not said to be ours.
 */

#include "core/record.h"

typedef struct Manager Manager;

/* Of a vGPU that is defined no more. While an operation stores for it the note is that operation's. */
void notes_forget(Manager *manager, const char *uuid);

/* Its note has just been written, or removed, by an operation's job: what was to be forgotten has been. */
void notes_settle(Manager *manager, const char *uuid);

/* Has what was left by one that was killed while he wrote removed. */
void notes_clean(Manager *manager);

/* At the start: has notes removed whose definition was never written, or was removed while no daemon ran. */
void notes_prune(Manager *manager);

/* Tries again what could not be submitted, or failed. */
void notes_submit(Manager *manager);

/* As note_read(). */
int notes_read(const Manager *manager, const char *uuid, Note *ret_note);

/* What has not begun stays, and is a successor's to remove. */
void notes_free(Manager *manager);
