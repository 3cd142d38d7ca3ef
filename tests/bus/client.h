/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Clients: calls with their answers judged, signals written down in their order, and a cache kept by signals alone. */

#include "harness.h"

/* Calls a method of the manager with the arguments of sd_bus_message_append(); fails the test unless it succeeds. */
sd_bus_message *manager_call(sd_bus *bus, const char *member, const char *types, ...);

/* The same on any object; NULL: it failed, and *ret_error says why. */
sd_bus_message *try_call(sd_bus *bus, const char *path, const char *interface, const char *member,
                         sd_bus_error *ret_error, const char *types, ...);

/* Fails the test unless the call failed with this error and a message that says something. */
void assert_error(sd_bus_message *reply, sd_bus_error *error, const char *name);

/* On GPU and without options. The UUID of what was made; ret_path may be NULL. */
char *create_vgpu(sd_bus *bus, const char *type, const char *uuid, char **ret_path);
/* The same where nobody cares what comes of it. */
void make_vgpu(sd_bus *bus, const char *type, const char *uuid);
void destroy_vgpu(sd_bus *bus, const char *uuid);

/* What comes next in the message, all of it, as text. */
char *message_dump(sd_bus_message *message);

char *get_property(sd_bus *bus, const char *path, const char *interface, const char *property);

/* How many rows ListGpus and its like answer; filter: sd_bus_message_append() of one entry, NULL for none. */
unsigned count_rows(sd_bus *bus, const char *member, const char *filter, const char *type, ...);

/*
 * Everything that the daemon signals to this client, one line a message: "InterfacesAdded PATH", "VGpuAdded UUID",
 * "PropertiesChanged PATH INTERFACE NAME…", "Reloading true".
 */
typedef struct Recorder {
        sd_bus *bus;
        GPtrArray *lines;
} Recorder;

Recorder *recorder_new(Harness *h);
void recorder_free(Recorder *recorder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Recorder, recorder_free)

/* Calls from the recorder's connection; the answer stands among the lines as "Reply" or "Error NAME". */
void recorder_call(Recorder *recorder, const char *path, const char *interface, const char *member, const char *types,
                   ...);

/* Where the first line that begins so stands, from start on; -1 if there is none. */
int recorder_find(const Recorder *recorder, int start, const char *prefix);
/* Waits for it. */
int recorder_expect(Recorder *recorder, int start, const char *prefix);

/* A cache of all properties, loaded once and then kept by signals, as Cockpit or a proxy does. */
typedef struct Cache {
        sd_bus *bus;
        bool loaded;
        GHashTable *values; /* "PATH INTERFACE PROPERTY" → dump */
} Cache;

Cache *cache_new(Harness *h);
void cache_free(Cache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cache, cache_free)

/* Fails the test unless it equals what GetManagedObjects says when everything was signalled. */
void cache_check(Harness *h, Cache *cache);
