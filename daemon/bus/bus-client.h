/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Client: a unique name on the bus that asks for changes, and the user behind it with his groups. These are asked of the
 * bus once, never of /proc or a name service, and forgotten when the name goes; a name is never given out twice.
 */

#include "bus/bus-server.h"

#define CLIENT_UID_UNKNOWN ((uid_t)-1)

typedef enum BusClientState {
        CLIENT_ASKING,  /* the bus was asked who it is */
        CLIENT_KNOWN,
        CLIENT_UNKNOWN, /* the bus could not say: never taken for anybody */
} BusClientState;

typedef struct BusClient {
        BusServer *server;
        MapNode node; /* in server->clients, by name */
        List link;    /* in server->clients_by_use */
        BusClientState state;
        uid_t uid;
        gid_t *groups; /* that the process was in when it connected */
        size_t n_groups;
        bool groups_known; /* else the bus did not say */
        sd_bus_slot *match;
        bool in_crowd; /* watched by the server's crowd_match instead */
        sd_bus_slot *query;
        List calls; /* BusCall.client_link */
        size_t n_calls;
        char name[];
} BusClient;

/* The client of that name, old or new; -EDQUOT if there are too many that wait for something. */
int bus_client_get(BusServer *server, const char *name, BusClient **ret_client);
BusClient *bus_client_free(BusClient *client);

/* Calls on their way (from authorization to reply) of the same user; of this client if the user is not known (yet). */
size_t bus_client_count_calls(const BusClient *client);

/* How many these may be; a client that is not known yet gets the benefit of the doubt until it is. */
size_t bus_client_calls_max(const BusClient *client);
