/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fake: what the parts of the stand-in daemon have in common.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <systemd/sd-bus.h>

#define ROOT "/org/mdevgpu1"
#define GPU_PATH ROOT "/gpu/_30000_3a41_3a00_2e0"
#define TYPE_PATH GPU_PATH "/type/nvidia_2d530"
#define VGPU_PATH ROOT "/vgpu/_c0ffee00_0000_4000_8000_000000000001"
#define DEFINED_PATH ROOT "/vgpu/_c0ffee00_0000_4000_8000_000000000003"

/* One that is active and defined, one that somebody else made and that failed, one that is only defined. */
#define UUID "c0ffee00-0000-4000-8000-000000000001"
#define UUID_FAILED "00000000-0000-4000-8000-000000000002"
#define UUID_DEFINED "c0ffee00-0000-4000-8000-000000000003"

/* A change of this one is answered with an error that tells the call. */
#define UUID_ECHO "c0ffee00-0000-4000-8000-00000000ec40"

/* Colours, a title, C1's CSI, a line of its own, reversed text, an invisible tag. */
#define HOSTILE "\x1b[31mred\x1b]0;title\x07|\xc2\x9b" "2J|\nmdevgpuctl: forged|\xe2\x80\xae" "abc|\xf3\xa0\x81\xa1|\x7f"

#define ERROR_PREFIX "org.mdevgpu1.Error."

static inline void check(int r, const char *what) {
        if (r >= 0)
                return;

        fprintf(stderr, "fake-daemon: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

#define APPEND(m, ...) check(sd_bus_message_append((m), __VA_ARGS__), "append")
#define OPEN(m, type, contents) check(sd_bus_message_open_container((m), (type), (contents)), "open")
#define CLOSE(m) check(sd_bus_message_close_container(m), "close")

/* Whether the daemon was told to behave so. */
int is(const char *name);

/* 1 if the name was an order and has been followed. */
int obey(sd_bus_message *m, const char *name);

/* Answers with an error that tells the call; 1. */
int echo(sd_bus_message *m);

/* Answers to what changes something; 1: has answered by itself. */
int answer_create(sd_bus_message *m, sd_bus_message *reply); /* and DefineVGpu */
int answer_change(sd_bus_message *m, sd_bus_message *reply); /* of a vGPU that there is */

/* Saved states, and the job that makes one. */
int answer_save(sd_bus_message *m, sd_bus_message *reply); /* and RestoreState */
int answer_export(sd_bus_message *m, sd_bus_message *reply);
int answer_import(sd_bus_message *m, sd_bus_message *reply);
int answer_states(sd_bus_message *m, sd_bus_message *reply);
int answer_job(sd_bus_message *m, sd_bus_message *reply);
int answer_cancel(sd_bus_message *m, sd_bus_message *reply);
