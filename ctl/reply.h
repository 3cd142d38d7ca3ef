/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reply: what came over the bus, read once into JSON values, which tables, pages and --json are all printed from.
 *
 * On the bus an unknown number is its type's maximum and an absent object is "/"; both become null here (a NULL
 * json_object), so nothing later can take them for values. Names of properties become keys: "DriverVersion" is
 * "driver_version".
 */

#include <systemd/sd-bus.h>

#include "util.h"

/* Reads the one value at the message's cursor. */
int reply_read_value(sd_bus_message *m, json_object **ret);

/*
 * Turns an array of structs (arrays, as read) into an array of objects with these keys (a NULL ends them). A dictionary
 * as the last member of the struct adds its entries, but never replaces one of the keys.
 * -EBADMSG if a row has another shape.
 */
int rows_name(json_object *rows, const char *const *keys, json_object **ret);

/* The rows by GPU and UUID; types, which have no UUID, stay in the daemon's order. */
int rows_sort(json_object *rows, json_object **ret);

/* Adds the members of `extras` that the object does not have yet. */
int object_merge(json_object *object, json_object *extras);

/* The member if it is a string, else NULL. */
const char *object_string(json_object *object, const char *key);

/* The member is there, a boolean, and true. */
bool object_is_true(json_object *object, const char *key);

/* Adds value, whose reference it takes, also if it fails. */
int object_add(json_object *object, const char *key, json_object *value);
int object_add_string(json_object *object, const char *key, const char *value);
int array_add(json_object *array, json_object *value);
