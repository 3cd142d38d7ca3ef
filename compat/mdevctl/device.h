/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Device: a mediated device as mdevctl sees one, active or defined, and its form in JSON: that of the files of
 * /etc/mdevctl.d, of what is listed, and of what callouts read.
 */

#include <json-c/json.h>

#include "manager.h"
#include "util.h"

#define UUID_SIZE 37

typedef struct Device {
        char uuid[UUID_SIZE];
        char *parent;
        char *type;
        bool autostart;
        bool active;
        bool defined;
        ManagerAttribute *attributes; /* in the order in which they are written */
        size_t n_attributes;
} Device;

void device_done(Device *d);

typedef struct Devices {
        Device *items;
        size_t n;
} Devices;

void devices_done(Devices *devices);

/* Takes over what is in *d. -ENOMEM. */
int devices_take(Devices *devices, Device *d);

/* By parent, then by UUID. */
void devices_sort(Devices *devices);

/* Every form that mdevctl takes: with dashes, without, in braces, or behind "urn:uuid:". The copy is in lower case. -EINVAL. */
int device_parse_uuid(const char *text, char ret_uuid[static UUID_SIZE]);

/* Replaces *field by a copy. -ENOMEM. */
int device_set(char **field, const char *value);

/* Behind the last one if index is negative. -ERANGE: there is no such place. */
int device_add_attribute(Device *d, const char *name, const char *value, long index);
int device_remove_attribute(Device *d, long index);

/* Strict JSON in UTF-8, NULL where it is not. */
json_object *device_parse_json(const char *text, size_t size);

/* A definition; *ret_problem says what is wrong with it. -EBADMSG, -ENOMEM. */
int device_load_json(Device *d, json_object *json, const char **ret_problem);

/* An array of objects with one string each, behind those that are there. */
int device_load_attributes(Device *d, json_object *json, const char **ret_problem);
