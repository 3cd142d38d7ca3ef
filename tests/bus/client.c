/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <string.h>

#include "client.h"

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES "org.freedesktop.DBus.Properties"

static sd_bus_message *call_va(sd_bus *bus, const char *path, const char *interface, const char *member,
                               sd_bus_error *ret_error, const char *types, va_list ap) {
        sd_bus_message *m, *reply = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, BUS_NAME, path, interface, member), >=, 0);
        if (types)
                g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        (void)sd_bus_call(bus, m, 0, ret_error, &reply);
        sd_bus_message_unref(m);
        return reply;
}

sd_bus_message *try_call(sd_bus *bus, const char *path, const char *interface, const char *member,
                         sd_bus_error *ret_error, const char *types, ...) {
        sd_bus_message *reply;
        va_list ap;

        va_start(ap, types);
        reply = call_va(bus, path, interface, member, ret_error, types, ap);
        va_end(ap);
        return reply;
}

sd_bus_message *manager_call(sd_bus *bus, const char *member, const char *types, ...) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;
        va_list ap;

        va_start(ap, types);
        reply = call_va(bus, BUS_PATH, MANAGER_INTERFACE, member, &error, types, ap);
        va_end(ap);
        if (!reply)
                g_error("%s() failed: %s: %s", member, error.name, error.message);

        return reply;
}

void assert_error(sd_bus_message *reply, sd_bus_error *error, const char *name) {
        g_assert_null(reply);
        g_test_message("%s: %s", error->name, error->message);
        g_assert_cmpstr(error->name, ==, name);
        g_assert_nonnull(error->message);
        g_assert_cmpuint(strlen(error->message), >, 10);
        sd_bus_error_free(error);
}

char *create_vgpu(sd_bus *bus, const char *type, const char *uuid, char **ret_path) {
        const char *made, *path;
        sd_bus_message *reply;
        char *copy;

        reply = manager_call(bus, "CreateVGpu", "sssa{sv}", GPU, type, uuid, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "so", &made, &path), >=, 0);
        copy = g_strdup(made);
        if (ret_path)
                *ret_path = g_strdup(path);
        sd_bus_message_unref(reply);
        return copy;
}

void make_vgpu(sd_bus *bus, const char *type, const char *uuid) {
        g_free(create_vgpu(bus, type, uuid, NULL));
}

void destroy_vgpu(sd_bus *bus, const char *uuid) {
        sd_bus_message_unref(manager_call(bus, "DestroyVGpu", "sa{sv}", uuid, 0));
}

static void dump_basic(sd_bus_message *message, char type, GString *text) {
        union {
                uint8_t y;
                int b;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
        } value;

        g_assert_cmpint(sd_bus_message_read_basic(message, type, &value), >, 0);
        switch (type) {
        case 's':
        case 'o':
        case 'g':
                g_string_append_printf(text, "'%s' ", value.s);
                break;
        case 'b':
                g_string_append(text, value.b ? "true " : "false ");
                break;
        case 'i':
                g_string_append_printf(text, "%" PRIi32 " ", value.i);
                break;
        case 'u':
                g_string_append_printf(text, "%" PRIu32 " ", value.u);
                break;
        case 't':
                g_string_append_printf(text, "%" PRIu64 " ", value.t);
                break;
        case 'd':
                g_string_append_printf(text, "%g ", value.d);
                break;
        default:
                g_error("the daemon sends no type '%c'", type);
        }
}

static void dump(sd_bus_message *message, GString *text) {
        const char *contents;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(message, &type, &contents)) > 0) {
                if (!strchr("aver", type)) {
                        dump_basic(message, type, text);
                        continue;
                }

                g_assert_cmpint(sd_bus_message_enter_container(message, type, contents), >, 0);
                g_string_append(text, "( ");
                dump(message, text);
                g_string_append(text, ") ");
                g_assert_cmpint(sd_bus_message_exit_container(message), >=, 0);
        }
        g_assert_cmpint(r, ==, 0);
}

char *message_dump(sd_bus_message *message) {
        GString *text = g_string_new(NULL);

        dump(message, text);
        return g_strchomp(g_string_free(text, FALSE));
}

char *get_property(sd_bus *bus, const char *path, const char *interface, const char *property) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;
        char *value, *bare;
        size_t n;

        reply = try_call(bus, path, PROPERTIES, "Get", &error, "ss", interface, property);
        if (!reply)
                g_error("%s has no %s: %s", path, property, error.message);

        value = message_dump(reply);
        sd_bus_message_unref(reply);

        /* A variant is a container around the value. */
        n = strlen(value);
        g_assert_cmpuint(n, >=, 4);
        bare = g_strchomp(g_strndup(value + 2, n - 3));
        g_free(value);
        return bare;
}

unsigned count_rows(sd_bus *bus, const char *member, const char *filter, const char *type, ...) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m, *reply = NULL;
        const char *contents;
        unsigned n = 0;
        va_list ap;
        char t;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, MANAGER_INTERFACE, member), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        if (filter) {
                g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "s", filter), >=, 0);
                g_assert_cmpint(sd_bus_message_open_container(m, 'v', type), >=, 0);
                va_start(ap, type);
                g_assert_cmpint(sd_bus_message_appendv(m, type, ap), >=, 0);
                va_end(ap);
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);

        if (sd_bus_call(bus, m, 0, &error, &reply) < 0)
                g_error("%s() failed: %s", member, error.message);

        g_assert_cmpint(sd_bus_message_peek_type(reply, &t, &contents), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', contents), >, 0);
        for (; sd_bus_message_at_end(reply, false) == 0; n++)
                g_assert_cmpint(sd_bus_message_skip(reply, contents), >=, 0);

        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        return n;
}

/* "PropertiesChanged PATH INTERFACE NAME…" */
static char *describe_change(sd_bus_message *message) {
        GString *text = g_string_new(NULL);
        const char *interface, *name;

        g_assert_cmpint(sd_bus_message_read(message, "s", &interface), >, 0);
        g_string_printf(text, "PropertiesChanged %s %s", sd_bus_message_get_path(message), interface);
        g_assert_cmpint(sd_bus_message_enter_container(message, 'a', "{sv}"), >, 0);
        while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
                g_assert_cmpint(sd_bus_message_read(message, "s", &name), >, 0);
                g_string_append_printf(text, " %s", name);
                g_assert_cmpint(sd_bus_message_skip(message, "v"), >, 0);
                g_assert_cmpint(sd_bus_message_exit_container(message), >=, 0);
        }

        return g_string_free(text, FALSE);
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *member = sd_bus_message_get_member(message), *first;
        Recorder *recorder = userdata;
        char *line;
        uint32_t u;
        int b;

        if (g_str_equal(member, "PropertiesChanged"))
                line = describe_change(message);
        else if (g_str_equal(member, "Reloading")) {
                g_assert_cmpint(sd_bus_message_read(message, "b", &b), >, 0);
                line = g_strdup_printf("Reloading %s", b ? "true" : "false");
        } else if (*sd_bus_message_get_signature(message, true) == 'u') {
                g_assert_cmpint(sd_bus_message_read(message, "u", &u), >, 0);
                line = g_strdup_printf("%s %u", member, u);
        } else {
                g_assert_cmpint(sd_bus_message_read(message, *sd_bus_message_get_signature(message, true) == 's'
                                                            ? "s" : "o", &first), >, 0);
                line = g_strdup_printf("%s %s", member, first);
        }

        g_ptr_array_add(recorder->lines, line);
        return 0;
}

Recorder *recorder_new(Harness *h) {
        Recorder *recorder = g_new0(Recorder, 1);

        recorder->bus = harness_connect(h, 0);
        recorder->lines = g_ptr_array_new_with_free_func(g_free);
        g_assert_cmpint(sd_bus_add_match(recorder->bus, NULL, "type='signal',sender='" BUS_NAME "'", on_signal,
                                         recorder), >=, 0);
        return recorder;
}

void recorder_free(Recorder *recorder) {
        sd_bus_flush_close_unref(recorder->bus);
        g_ptr_array_unref(recorder->lines);
        g_free(recorder);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Recorder *recorder = userdata;

        g_ptr_array_add(recorder->lines, error ? g_strdup_printf("Error %s", error->name) : g_strdup("Reply"));
        return 0;
}

void recorder_call(Recorder *recorder, const char *path, const char *interface, const char *member, const char *types,
                   ...) {
        sd_bus_message *m;
        va_list ap;

        g_assert_cmpint(sd_bus_message_new_method_call(recorder->bus, &m, BUS_NAME, path, interface, member), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_call_async(recorder->bus, NULL, m, on_reply, recorder, 0), >=, 0);
        sd_bus_message_unref(m);
}

int recorder_find(const Recorder *recorder, int start, const char *prefix) {
        for (unsigned i = (unsigned)start; i < recorder->lines->len; i++)
                if (g_str_has_prefix(recorder->lines->pdata[i], prefix))
                        return (int)i;

        return -1;
}

typedef struct Expectation {
        Recorder *recorder;
        int start;
        const char *prefix;
} Expectation;

static bool is_met(void *userdata) {
        const Expectation *e = userdata;

        return recorder_find(e->recorder, e->start, e->prefix) >= 0;
}

int recorder_expect(Recorder *recorder, int start, const char *prefix) {
        harness_wait(recorder->bus, is_met, &(Expectation){ recorder, start, prefix });
        return recorder_find(recorder, start, prefix);
}

/* But for what is not signalled, as the interface says. */
static void cache_set(Cache *cache, const char *path, const char *interface, const char *property, char *value) {
        if (g_str_equal(property, "FramebufferUsed"))
                g_free(value);
        else
                g_hash_table_replace(cache->values, g_strdup_printf("%s %s %s", path, interface, property), value);
}

/* a{sv} */
static void cache_read_properties(Cache *cache, sd_bus_message *m, const char *path, const char *interface) {
        const char *property, *contents;
        char type;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >, 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                GString *value = g_string_new(NULL);

                g_assert_cmpint(sd_bus_message_read(m, "s", &property), >, 0);
                g_assert_cmpint(sd_bus_message_peek_type(m, &type, &contents), >, 0);
                g_assert_cmpint(sd_bus_message_enter_container(m, type, contents), >, 0);
                dump(m, value);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                cache_set(cache, path, interface, property, g_string_free(value, FALSE));
        }
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
}

/* oa{sa{sv}}, as InterfacesAdded and the rows of GetManagedObjects have it */
static void cache_read_object(Cache *cache, sd_bus_message *m) {
        const char *path, *interface;

        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sa{sv}}"), >, 0);
        while (sd_bus_message_enter_container(m, 'e', "sa{sv}") > 0) {
                g_assert_cmpint(sd_bus_message_read(m, "s", &interface), >, 0);
                cache_read_properties(cache, m, path, interface);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
}

static gboolean is_of(gpointer key, gpointer value, gpointer prefix) {
        return g_str_has_prefix(key, prefix);
}

static void cache_remove(Cache *cache, sd_bus_message *m) {
        const char *path, *interface;

        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "s"), >, 0);
        while (sd_bus_message_read(m, "s", &interface) > 0) {
                g_autofree char *prefix = g_strdup_printf("%s %s ", path, interface);

                (void)g_hash_table_foreach_remove(cache->values, is_of, prefix);
        }
}

static int on_cache_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *member = sd_bus_message_get_member(m), *interface;
        Cache *cache = userdata;

        /* What comes before the first answers is overwritten by them, as they are newer. */
        if (g_str_equal(member, "InterfacesAdded"))
                cache_read_object(cache, m);
        else if (g_str_equal(member, "InterfacesRemoved"))
                cache_remove(cache, m);
        else if (g_str_equal(member, "PropertiesChanged")) {
                g_assert_cmpint(sd_bus_message_read(m, "s", &interface), >, 0);
                cache_read_properties(cache, m, sd_bus_message_get_path(m), interface);
                /* Nothing may be invalidated without its value. */
                g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "s"), >, 0);
                g_assert_cmpint(sd_bus_message_at_end(m, false), >, 0);
        }

        return 0;
}

static int on_managed_objects(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Cache *cache = userdata;

        g_assert_false(sd_bus_message_is_method_error(reply, NULL));
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}"), >, 0);
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                cache_read_object(cache, reply);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
        }

        cache->loaded = true;
        return 0;
}

/* The manager is no managed object of its own. */
static int on_manager_properties(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        g_assert_false(sd_bus_message_is_method_error(reply, NULL));
        cache_read_properties(userdata, reply, BUS_PATH, MANAGER_INTERFACE);
        return 0;
}

static bool is_loaded(void *userdata) {
        return ((Cache *)userdata)->loaded;
}

Cache *cache_new(Harness *h) {
        Cache *cache = g_new0(Cache, 1);

        cache->bus = harness_connect(h, 0);
        cache->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_assert_cmpint(sd_bus_add_match(cache->bus, NULL, "type='signal',sender='" BUS_NAME "'", on_cache_signal,
                                         cache), >=, 0);
        g_assert_cmpint(sd_bus_call_method_async(cache->bus, NULL, BUS_NAME, BUS_PATH, PROPERTIES, "GetAll",
                                                 on_manager_properties, cache, "s", MANAGER_INTERFACE), >=, 0);
        g_assert_cmpint(sd_bus_call_method_async(cache->bus, NULL, BUS_NAME, BUS_PATH, OBJECT_MANAGER,
                                                 "GetManagedObjects", on_managed_objects, cache, NULL), >=, 0);
        harness_wait(cache->bus, is_loaded, cache);
        return cache;
}

void cache_free(Cache *cache) {
        sd_bus_flush_close_unref(cache->bus);
        g_hash_table_unref(cache->values);
        g_free(cache);
}

static unsigned count_differences(GHashTable *a, GHashTable *b, const char *what) {
        GHashTableIter i;
        gpointer key, value;
        unsigned n = 0;

        g_hash_table_iter_init(&i, a);
        while (g_hash_table_iter_next(&i, &key, &value)) {
                const char *other = g_hash_table_lookup(b, key);

                if (!other || !g_str_equal(other, value)) {
                        g_test_message("%s: %s is %s, not %s", what, (char *)key, (char *)value, other ?: "there");
                        n++;
                }
        }

        return n;
}

void cache_check(Harness *h, Cache *cache) {
        g_autoptr(Cache) fresh = NULL;

        /* A signal for what happened last may be on its way. */
        harness_pump(cache->bus, 200);
        fresh = cache_new(h);
        g_assert_cmpuint(g_hash_table_size(fresh->values), >, 10);
        g_assert_cmpuint(count_differences(cache->values, fresh->values, "kept by signals"), ==, 0);
        g_assert_cmpuint(count_differences(fresh->values, cache->values, "read anew"), ==, 0);
}
