/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-error.h"
#include "bus/bus-hold.h"
#include "bus/bus-message.h"
#include "bus/bus-unread.h"

#define STATS_INTERFACE "org.freedesktop.DBus.Debug.Stats"

#define MIB (1024U * 1024U)

/* From here on it is looked at who does not read, then more closely; and half of what dbus-daemon allows, where we leave. */
#define UNREAD_MUCH (16U * MIB)
#define UNREAD_VERY_MUCH (32U * MIB)
#define UNREAD_HOPELESS (64U * MIB)

/* Not again and again: systemd starts nothing for the sixth time in 10 s (DefaultStartLimitBurst=). */
#define STAY_USEC UINT64_C(3000000)

/* What may be unread of one client when it is answered while there is much. */
#define UNREAD_CLIENT_MAX (256U * 1024U)
#define UNREAD_CLIENT_LEAST (16U * 1024U)
#define RETRY_USEC UINT64_C(200000)

/* The size of an answer is not known when it is sent. What tells of everything is a megabyte where there are a thousand
 * vGPUs, anything else some kilobytes at most. */
#define WEIGHT_OF_ALL 16U
#define WEIGHT_TO_ASK 64U
#define WEIGHT_TO_WAIT 256U

/* dbus-daemon lets one connection wait for 128 replies (max_replies_per_connection, by default). */
#define CALLS_MAX 128U
#define READERS_MAX 1024U

/* A client whose calls wait until it has read. */
typedef struct BusReader {
        BusServer *server;
        MapNode node; /* in server->readers, by name */
        List link; /* in server->readers_in_order */
        sd_bus_slot *query;
        bool passing; /* the first call was handed on and not been looked at yet */
        size_t n_calls;
        sd_bus_message *calls[CALLS_MAX];
        char name[];
} BusReader;

static BusReader *reader_free(BusReader *reader) {
        while (reader->n_calls > 0)
                sd_bus_message_unref(reader->calls[--reader->n_calls]);

        sd_bus_slot_unref(reader->query);
        map_remove(&reader->server->readers, &reader->node);
        list_unlink(&reader->link);
        free(reader);
        return NULL;
}

/* The named one of the numbers in an answer of GetConnectionStats(). */
static int read_number(sd_bus_message *reply, const char *name, uint32_t *ret_number) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(reply, 's', &key);
                if (r < 0)
                        return r;
                if (streq(key, name))
                        return sd_bus_message_read(reply, "v", "u", ret_number);

                r = sd_bus_message_skip(reply, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
                if (r < 0)
                        return r;
        }

        return r < 0 ? r : -ENODATA;
}

static int ask(BusServer *server, sd_bus_slot **ret_slot, const char *name, sd_bus_message_handler_t callback,
               void *userdata) {
        return sd_bus_call_method_async(server->bus, ret_slot, BUS_DRIVER_NAME, BUS_DRIVER_PATH, STATS_INTERFACE,
                                        "GetConnectionStats", callback, userdata, "s", name);
}

static void retry_later(BusServer *server) {
        int enabled, r;

        if (sd_event_source_get_enabled(server->unread_timer, &enabled) >= 0 && enabled != SD_EVENT_OFF)
                return;

        r = sd_event_source_set_time_relative(server->unread_timer, RETRY_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->unread_timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning("Cannot set a timer for callers that wait: %s", strerrordesc_np(-r));
}

/* It goes to the end of what has been read already; calls of the same client that are in between wait behind it. */
static void reader_release(BusReader *reader) {
        reader->passing = sd_bus_enqueue_for_read(reader->server->bus, reader->calls[0]) >= 0;
        if (!reader->passing)
                retry_later(reader->server);
}

static int on_reader_stats(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusReader *reader = userdata;
        bool very_much = reader->server->unread > UNREAD_VERY_MUCH;
        uint32_t bytes;

        reader->query = sd_bus_slot_unref(reader->query);
        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
                reader_free(reader);
                return 1;
        }

        if (!sd_bus_message_is_method_error(reply, /* name= */ NULL) &&
            read_number(reply, "OutgoingBytes", &bytes) >= 0 &&
            bytes > (very_much ? UNREAD_CLIENT_LEAST : UNREAD_CLIENT_MAX))
                retry_later(reader->server);
        else
                reader_release(reader);
        return 1;
}

static void reader_ask(BusReader *reader) {
        if (ask(reader->server, &reader->query, reader->name, on_reader_stats, reader) < 0)
                retry_later(reader->server);
}

static void leave(BusServer *server) {
        log_error("The bus will take no more messages, as clients do not read them; leaving, to start anew");
        /* As in bus_queue_check(). */
        sd_bus_close(server->bus);
        (void)sd_event_exit(server->event, -ENOBUFS);
}

/* Nothing is told any more and calls wait, so that it does not become more; who follows us is asked for everything anyway. */
static void leave_soon(BusServer *server) {
        int r;

        server->tells = false;
        server->unread_leaves = true;
        r = sd_event_source_set_time(server->unread_timer, server->unread_since + STAY_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->unread_timer, SD_EVENT_ONESHOT);
        if (r < 0)
                leave(server);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        BusServer *server = userdata;
        BusReader *reader;

        if (server->unread_leaves) {
                leave(server);
                return 0;
        }

        LIST_FOREACH(reader, &server->readers_in_order, link)
                if (!reader->query && !reader->passing)
                        reader_ask(reader);
        return 0;
}

static int reader_new(BusServer *server, const char *name, BusReader **ret_reader) {
        size_t size = strlen(name) + 1;
        BusReader *reader;
        int r;

        if (server->readers.n >= READERS_MAX)
                return -EDQUOT;

        reader = calloc(1, sizeof(BusReader) + size);
        if (!reader)
                return -ENOMEM;

        memcpy(reader->name, name, size);
        reader->server = server;
        r = map_add(&server->readers, &reader->node, reader->name);
        if (r < 0) {
                free(reader);
                return r;
        }

        list_append(&server->readers_in_order, &reader->link);
        reader_ask(reader);
        *ret_reader = reader;
        return 0;
}

static void judge(BusServer *server, uint32_t bytes) {
        if ((bytes > UNREAD_MUCH) != (server->unread > UNREAD_MUCH))
                log_info("%" PRIu32 " MiB of what was sent wait in the bus for clients that do not read%s", bytes / MIB,
                         bytes > UNREAD_MUCH ? "; those are not answered meanwhile" : "");
        server->unread = bytes;

        if (bytes > UNREAD_HOPELESS)
                leave_soon(server);
}

static int on_own_stats(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BusServer *server = userdata;
        uint32_t bytes;

        server->unread_query = sd_bus_slot_unref(server->unread_query);
        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NO_REPLY) ||
            sd_bus_message_is_method_error(reply, SD_BUS_ERROR_TIMEOUT))
                log_debug("The bus does not say how much waits in it");
        else if (sd_bus_message_is_method_error(reply, /* name= */ NULL) ||
                 read_number(reply, "IncomingBytes", &bytes) < 0) {
                /* Another bus, which may count otherwise, or one that does not let us ask. */
                server->unread_unknown = true;
                server->unread = 0;
        } else
                judge(server, bytes);

        bus_hold_release(server);
        return 1;
}

static void count(BusServer *server, unsigned weight) {
        const char *name;

        if (server->unread_unknown || server->unread_leaves)
                return;

        server->sent_weight += weight;
        if (server->sent_weight < WEIGHT_TO_ASK || server->unread_query)
                return;

        if (sd_bus_get_unique_name(server->bus, &name) >= 0 &&
            ask(server, &server->unread_query, name, on_own_stats, server) >= 0)
                server->sent_weight = 0;
}

void bus_unread_count_signal(BusServer *server) {
        count(server, 1);
}

static void count_call(BusServer *server, sd_bus_message *call) {
        const char *member = sd_bus_message_get_member(call);

        if (member && (streq(member, "GetManagedObjects") || strncmp(member, "List", strlen("List")) == 0))
                count(server, WEIGHT_OF_ALL);
        else
                count(server, 1);
}

static BusReader *find_passing(BusServer *server, sd_bus_message *call) {
        const char *sender = sd_bus_message_get_sender(call);
        BusReader *reader = sender ? MAP_FIND(&server->readers, sender, BusReader, node) : NULL;

        return reader && reader->passing && call == reader->calls[0] ? reader : NULL;
}

bool bus_unread_is_passing(BusServer *server, sd_bus_message *call) {
        return find_passing(server, call);
}

int bus_unread_pass(BusServer *server, sd_bus_message *call, bool has_to_wait) {
        BusReader *reader = find_passing(server, call);

        reader->passing = false;
        if (has_to_wait) {
                retry_later(server);
                return 1;
        }

        count_call(server, call);
        reader->n_calls--;
        sd_bus_message_unref(reader->calls[0]);
        memmove(reader->calls, reader->calls + 1, reader->n_calls * sizeof(sd_bus_message *));
        if (reader->n_calls == 0)
                reader_free(reader);
        else
                reader_ask(reader);
        return 0;
}

int bus_unread_filter(BusServer *server, sd_bus_message *call, sd_bus_error *ret_error) {
        const char *sender = sd_bus_message_get_sender(call);
        BusReader *reader = sender ? MAP_FIND(&server->readers, sender, BusReader, node) : NULL;
        int r;

        if (!reader && (!sender || server->unread <= UNREAD_MUCH)) {
                count_call(server, call);
                return 0;
        }

        if (!reader) {
                r = reader_new(server, sender, &reader);
                if (r == -ENOMEM)
                        return r;
        }
        if (!reader || reader->n_calls >= CALLS_MAX)
                return bus_error_setf(ret_error, -ERROR_LIMIT_EXCEEDED,
                                      "Too much of what was answered has not been read yet");

        reader->calls[reader->n_calls++] = sd_bus_message_ref(call);
        return 1;
}

bool bus_unread_has_to_wait(const BusServer *server) {
        return server->unread_query && server->sent_weight >= WEIGHT_TO_WAIT;
}

int bus_unread_init(BusServer *server) {
        int r;

        r = sd_event_now(server->event, CLOCK_MONOTONIC, &server->unread_since);
        if (r < 0)
                return r;

        r = sd_event_add_time_relative(server->event, &server->unread_timer, CLOCK_MONOTONIC, 0, 0, on_timer, server);
        if (r < 0)
                return r;

        return sd_event_source_set_enabled(server->unread_timer, SD_EVENT_OFF);
}

void bus_unread_done(BusServer *server) {
        BusReader *reader;

        LIST_FOREACH(reader, &server->readers_in_order, link)
                reader_free(reader);

        map_done(&server->readers);
        server->unread_query = sd_bus_slot_unref(server->unread_query);
        server->unread_timer = sd_event_source_disable_unref(server->unread_timer);
}
