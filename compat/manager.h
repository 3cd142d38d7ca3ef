/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Manager: the words of org.mdevgpu1 that the commands of this folder have in common, and their deadlines.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define MANAGER_NAME "org.mdevgpu1"
#define MANAGER_PATH "/org/mdevgpu1"
#define MANAGER_INTERFACE MANAGER_NAME ".Manager"

/* An attribute of a vGPU in sysfs. */
typedef struct ManagerAttribute {
        char *name;
        char *value;
} ManagerAttribute;

/* CLOCK_MONOTONIC, in microseconds; and what is left until then, at least a moment: 0 means a default, which is long. */
uint64_t manager_now(void);
uint64_t manager_left(uint64_t deadline);

/* The system bus. One that takes a connection and then says nothing is none: -ETIMEDOUT. */
int manager_connect(uint64_t deadline, sd_bus **ret_bus);

/* A call of a method of the manager's. */
int manager_begin(sd_bus *bus, const char *member, sd_bus_message **ret);

/* Into a dictionary of options. */
int manager_append_flag(sd_bus_message *m, const char *key, int value);
int manager_append_attributes(sd_bus_message *m, const ManagerAttribute *attributes, size_t n);
