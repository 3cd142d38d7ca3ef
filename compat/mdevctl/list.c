/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "callouts.h"
#include "host.h"
#include "list.h"
#include "writer.h"

static void print_device(const Device *d, const Options *o) {
        printf("%s %s %s %s", d->uuid, d->parent, d->type, d->autostart ? "auto" : "manual");
        if (o->defined ? d->active : d->defined)
                fputs(o->defined ? " (active)" : " (defined)", stdout);
        putchar('\n');
        if (!o->verbose || d->n_attributes == 0)
                return;

        puts("  Attrs:");
        for (size_t i = 0; i < d->n_attributes; i++)
                printf("    @{%zu}: {\"%s\":\"%s\"}\n", i, d->attributes[i].name, d->attributes[i].value);
}

static void print_json(const Devices *devices) {
        Writer w = { .stream = stdout };

        writer_open(&w, '[');
        for (size_t i = 0; i < devices->n; i++) {
                const Device *d = &devices->items[i];

                if (i == 0)
                        writer_open(&w, '{');
                if (i == 0 || strcmp(devices->items[i - 1].parent, d->parent) != 0) {
                        if (i > 0)
                                writer_close(&w, ']');
                        writer_key(&w, d->parent);
                        writer_open(&w, '[');
                }
                writer_open(&w, '{');
                writer_key(&w, d->uuid);
                writer_device(&w, d);
                writer_close(&w, '}');
        }
        if (devices->n > 0) {
                writer_close(&w, ']');
                writer_close(&w, '}');
        }
        writer_close(&w, ']');
}

/* The callouts' words, which of a device that has no callout are none. */
static void add_attributes(Devices *devices) {
        Callouts callouts = { .action = "attributes", .state = "none" };

        for (size_t i = 0; i < devices->n; i++) {
                Device *d = &devices->items[i];

                /* One that says by itself what it is for is asked once for all devices of a type and a parent. */
                if (i > 0 && (strcmp(d[-1].parent, d->parent) != 0 || strcmp(d[-1].type, d->type) != 0)) {
                        callouts_done(&callouts);
                        callouts.looked = false;
                } else if (!callouts.script.versioned)
                        callouts_done(&callouts);
                callouts.device = d;
                (void)callouts_get_attributes(&callouts);
        }
        callouts_done(&callouts);
}

int list_devices(const Options *o) {
        _cleanup_(devices_done) Devices devices = {};
        Writer w = { .stream = stdout };
        int r;

        if (o->defined)
                r = host_list_defined(o->uuid, o->parent, &devices);
        else {
                r = host_list_active(o->uuid, o->parent, &devices);
                if (r >= 0)
                        add_attributes(&devices);
        }
        if (r < 0)
                return r;

        if (!o->dumpjson)
                for (size_t i = 0; i < devices.n; i++) {
                        if (!o->defined || devices.items[i].defined)
                                print_device(&devices.items[i], o);
                }
        else if (o->uuid && devices.n == 1)
                writer_device(&w, &devices.items[0]); /* as a file of it would be */
        else
                print_json(&devices);
        return 0;
}

static void print_type(const HostType *t) {
        printf("  %s\n    Available instances: %d\n    Device API: %s\n", t->id, t->available, t->device_api);
        if (t->name && *t->name)
                printf("    Name: %s\n", t->name);
        if (t->description && *t->description)
                printf("    Description: %s\n", t->description);
}

static void write_type(Writer *w, const HostType *t) {
        writer_open(w, '{');
        writer_key(w, t->id);
        writer_open(w, '{');
        writer_key(w, "available_instances");
        writer_number(w, t->available);
        writer_key(w, "device_api");
        writer_string(w, t->device_api);
        if (t->name && *t->name) {
                writer_key(w, "name");
                writer_string(w, t->name);
        }
        if (t->description && *t->description) {
                writer_key(w, "description");
                writer_string(w, t->description);
        }
        writer_close(w, '}');
        writer_close(w, '}');
}

int list_types(const Options *o) {
        _cleanup_(host_types_done) HostTypes types = {};
        Writer w = { .stream = stdout };
        int r;

        r = host_list_types(o->parent, &types);
        if (r < 0)
                return r;

        if (o->dumpjson)
                writer_open(&w, '[');
        for (size_t p = 0; p < types.n_parents; p++) {
                if (!o->dumpjson)
                        printf("%s\n", types.parents[p]);
                else {
                        if (p == 0)
                                writer_open(&w, '{');
                        writer_key(&w, types.parents[p]);
                        writer_open(&w, '[');
                }
                for (size_t i = 0; i < types.n; i++)
                        if (strcmp(types.items[i].parent, types.parents[p]) == 0) {
                                if (o->dumpjson)
                                        write_type(&w, &types.items[i]);
                                else
                                        print_type(&types.items[i]);
                        }
                if (o->dumpjson)
                        writer_close(&w, ']');
        }
        if (o->dumpjson) {
                if (types.n_parents > 0)
                        writer_close(&w, '}');
                writer_close(&w, ']');
        }
        return 0;
}
