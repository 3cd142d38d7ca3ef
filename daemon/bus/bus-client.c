/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-call.h"
#include "bus/bus-client.h"
#include "bus/bus-error.h"
#include "util/log.h"

/* Idle ones make room for new ones. */
#define CLIENTS_MAX 4096U

/* A client is watched by a match rule of its own, of which dbus-daemon gives a connection 512. The others share one, by
 * which we hear of every name on the bus that goes: it is there only while there are such. */
#define MATCHES_MAX 384U

#define MATCH_NAME_GONE                                                                                                \
        "type='signal',sender='" BUS_DRIVER_NAME "',path='" BUS_DRIVER_PATH "',interface='" BUS_DRIVER_NAME            \
        "',member='NameOwnerChanged',arg2=''"

#define CALLS_MAX 64U
#define CALLS_MAX_ROOT 1024U

BusClient *bus_client_free(BusClient *client) {
        if (!client)
                return NULL;

        assert(list_is_empty(&client->calls));

        if (client->match)
                client->server->n_matches--;
        client->match = sd_bus_slot_unref(client->match);
        if (client->in_crowd && --client->server->n_crowd == 0)
                client->server->crowd_match = sd_bus_slot_unref(client->server->crowd_match);
        client->query = sd_bus_slot_unref(client->query);
        map_remove(&client->server->clients, &client->node);
        list_unlink(&client->link);
        free(client->groups);
        free(client);
        return NULL;
}

static void client_vanished(BusClient *client) {
        BusCall *call;

        LIST_FOREACH(call, &client->calls, client_link)
                bus_call_abandon(call);

        bus_client_free(client);
}

static void client_identified(BusClient *client, BusClientState state, uid_t uid) {
        BusCall *call;
        size_t n;

        client->state = state;
        client->uid = uid;

        /* Counted by user from now on: those of other connections were there first. */
        n = bus_client_count_calls(client) - client->n_calls;
        LIST_FOREACH(call, &client->calls, client_link)
                bus_call_client_identified(call, ++n > bus_client_calls_max(client));
}

static int on_name_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusClient *client = userdata;
        const char *name, *old_owner, *new_owner;
        int r;

        r = sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner);
        if (r >= 0 && streq(name, client->name) && *new_owner == '\0')
                client_vanished(client);

        return 0;
}

static int on_name_gone(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = userdata;
        BusClient *client;
        const char *name;

        if (sd_bus_message_read(message, "s", &name) < 0)
                return 0;

        client = MAP_FIND(&server->clients, name, BusClient, node);
        if (client && client->in_crowd)
                client_vanished(client);
        return 0;
}

/* Without a handler of its own, sd-bus would close the connection if the bus refuses the match. */
static int on_match_installed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusClient *client = userdata;

        if (!sd_bus_message_is_method_error(reply, /* name= */ NULL))
                return 1;

        log_warning("Cannot watch the bus name %s: %s", client->name,
                    strempty(sd_bus_message_get_error(reply)->message));
        client->query = sd_bus_slot_unref(client->query);
        client_identified(client, CLIENT_UNKNOWN, CLIENT_UID_UNKNOWN);
        return 1;
}

static int on_crowd_match_installed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = userdata;
        BusClient *client;

        if (!sd_bus_message_is_method_error(reply, /* name= */ NULL))
                return 1;

        log_warning("Cannot watch the names on the bus: %s", strempty(sd_bus_message_get_error(reply)->message));
        LIST_FOREACH(client, &server->clients_by_use, link)
                if (client->in_crowd) {
                        client->query = sd_bus_slot_unref(client->query);
                        client_identified(client, CLIENT_UNKNOWN, CLIENT_UID_UNKNOWN);
                }
        return 1;
}

/* UnixGroupIDs: all of them, the primary one too, as they were when the process connected (D-Bus specification 0.35). */
static int read_groups(sd_bus_message *reply, BusClient *client) {
        const void *groups;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(reply, 'v', "au");
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'u', &groups, &size);
        if (r < 0)
                return r;

        free(client->groups);
        client->groups = malloc(MAX(size, sizeof(gid_t)));
        client->n_groups = client->groups ? size / sizeof(gid_t) : 0;
        client->groups_known = client->groups;
        if (client->groups && size > 0)
                memcpy(client->groups, groups, size);
        return sd_bus_message_exit_container(reply);
}

/* CLIENT_UID_UNKNOWN if the bus did not say. */
static uid_t read_credentials(sd_bus_message *reply, BusClient *client) {
        uint32_t uid = CLIENT_UID_UNKNOWN;
        const char *key;
        int r;

        if (sd_bus_message_enter_container(reply, 'a', "{sv}") < 0)
                return CLIENT_UID_UNKNOWN;

        while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
                r = sd_bus_message_read_basic(reply, 's', &key);
                if (r >= 0 && streq(key, "UnixUserID"))
                        r = sd_bus_message_read(reply, "v", "u", &uid);
                else if (r >= 0 && streq(key, "UnixGroupIDs"))
                        r = read_groups(reply, client);
                else if (r >= 0)
                        r = sd_bus_message_skip(reply, "v");
                if (r < 0 || sd_bus_message_exit_container(reply) < 0)
                        return CLIENT_UID_UNKNOWN;
        }

        return uid;
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusClient *client = userdata;
        uid_t uid = CLIENT_UID_UNKNOWN;

        client->query = sd_bus_slot_unref(client->query);

        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
                client_vanished(client);
                return 1;
        }

        if (!sd_bus_message_is_method_error(reply, /* name= */ NULL))
                uid = read_credentials(reply, client);

        client_identified(client, uid == CLIENT_UID_UNKNOWN ? CLIENT_UNKNOWN : CLIENT_KNOWN, uid);
        return 1;
}

static int client_watch_alone(BusClient *client) {
        char match[512];
        int r;

        (void)snprintf(match, sizeof(match), MATCH_NAME_GONE ",arg0='%s'", client->name);
        r = sd_bus_add_match_async(client->server->bus, &client->match, match, on_name_owner_changed,
                                   on_match_installed, client);
        if (r >= 0)
                client->server->n_matches++;
        return r;
}

static int client_watch_in_crowd(BusClient *client) {
        BusServer *server = client->server;
        int r;

        if (!server->crowd_match) {
                r = sd_bus_add_match_async(server->bus, &server->crowd_match, MATCH_NAME_GONE, on_name_gone,
                                           on_crowd_match_installed, server);
                if (r < 0)
                        return r;
        }

        client->in_crowd = true;
        server->n_crowd++;
        return 0;
}

/* First the watch, then the question: if the name goes between, the answer says so. */
static int client_identify(BusClient *client) {
        int r;

        r = client->server->n_matches < MATCHES_MAX ? client_watch_alone(client) : client_watch_in_crowd(client);
        if (r < 0)
                return r;

        return sd_bus_call_method_async(client->server->bus, &client->query, BUS_DRIVER_NAME, BUS_DRIVER_PATH,
                                        BUS_DRIVER_NAME, "GetConnectionCredentials", on_credentials, client, "s",
                                        client->name);
}

/* Drops the client that was idle longest; false if every one waits for something. */
static bool make_room(BusServer *server) {
        BusClient *client;

        LIST_FOREACH(client, &server->clients_by_use, link)
                if (list_is_empty(&client->calls)) {
                        bus_client_free(client);
                        return true;
                }

        return false;
}

static int client_new(BusServer *server, const char *name, BusClient **ret_client) {
        size_t size = strlen(name) + 1;
        BusClient *client;
        int r;

        if (server->clients.n >= CLIENTS_MAX && !make_room(server))
                return -EDQUOT;

        client = calloc(1, sizeof(BusClient) + size);
        if (!client)
                return -ENOMEM;

        memcpy(client->name, name, size);
        client->server = server;
        client->uid = CLIENT_UID_UNKNOWN;
        list_init(&client->calls);
        list_init(&client->link);
        r = map_add(&server->clients, &client->node, client->name);
        if (r < 0) {
                free(client);
                return r;
        }

        list_append(&server->clients_by_use, &client->link);
        r = client_identify(client);
        if (r < 0) {
                bus_client_free(client);
                return r;
        }

        *ret_client = client;
        return 0;
}

int bus_client_get(BusServer *server, const char *name, BusClient **ret_client) {
        BusClient *client;

        client = MAP_FIND(&server->clients, name, BusClient, node);
        if (client && client->state == CLIENT_UNKNOWN && list_is_empty(&client->calls))
                client = bus_client_free(client); /* ask once more */
        if (!client)
                return client_new(server, name, ret_client);

        list_unlink(&client->link);
        list_append(&server->clients_by_use, &client->link);
        *ret_client = client;
        return 0;
}

size_t bus_client_count_calls(const BusClient *client) {
        BusClient *other;
        size_t n = 0;

        if (client->state != CLIENT_KNOWN)
                return client->n_calls;

        LIST_FOREACH(other, &client->server->clients_by_use, link)
                if (other->state == CLIENT_KNOWN && other->uid == client->uid)
                        n += other->n_calls;

        return n;
}

size_t bus_client_calls_max(const BusClient *client) {
        return client->state == CLIENT_KNOWN && client->uid != 0 ? CALLS_MAX : CALLS_MAX_ROOT;
}
