/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <uuid.h>

#include "callouts.h"
#include "change.h"
#include "daemon.h"
#include "host.h"

/* One change, between the callouts; before is the definition as it stands, where there is one. */
typedef struct Change {
        sd_bus *bus;
        Device *device;
        const Device *before;
        Callouts *callouts;
        int (*run)(struct Change *change);
} Change;

static int invoke(Change *change, const char *action, bool force) {
        _cleanup_(callouts_done) Callouts callouts = { .action = action, .state = "none", .device = change->device };
        int r;

        change->callouts = &callouts;
        r = callouts_pre(&callouts);
        if (r < 0 && force) {
                warn("that is done nevertheless");
                r = 0;
        }
        if (r >= 0) {
                r = change->run(change);
                callouts_post(&callouts, r >= 0);
        }

        callouts_notify(&callouts);
        change->callouts = NULL;
        return r;
}

static int load_file(const char *file, Device *d) {
        _cleanup_(freep) char *text = NULL;
        const char *problem = "it is no JSON";
        json_object *json;
        ssize_t n;
        int r;

        n = host_read(file, &text);
        if (n < 0)
                return fail((int)n, "%s cannot be read: %s", file, strerrordesc_np((int)-n));

        json = device_parse_json(text, (size_t)n);
        r = json ? device_load_json(d, json, &problem) : -EBADMSG;
        json_object_put(json);
        return r < 0 ? fail(r, "%s is no definition: %s", file, problem) : 0;
}

static void set_uuid(Device *d, const Options *o) {
        uuid_t uuid;

        if (o->uuid)
                memcpy(d->uuid, o->uuid, UUID_SIZE);
        else {
                uuid_generate_random(uuid);
                uuid_unparse_lower(uuid, d->uuid);
        }
}

static int set_words(Device *d, const Options *o) {
        int r = 0;

        if (o->parent)
                r = device_set(&d->parent, o->parent);
        if (r >= 0 && o->type)
                r = device_set(&d->type, o->type);
        return r < 0 ? fail(r, "there is no memory for it") : 0;
}

static int count_definitions(const char *uuid) {
        Devices devices = {};
        int r, n;

        r = host_list_defined(uuid, NULL, &devices);
        n = devices.n > INT32_MAX ? INT32_MAX : (int)devices.n;
        devices_done(&devices);
        return r < 0 ? r : n;
}

/* A UUID is one vGPU for the daemon; which of several definitions is meant it cannot be told. */
static int check_single(const char *uuid) {
        int n = count_definitions(uuid);

        return n <= 1 ? n : fail(-EEXIST, "%s is defined for several devices: undefine it first", uuid);
}

/*
 * The daemon finds types by their names as well, and has types of virtual functions and of whole cards: none of them are
 * mdevctl's, whose files they would not come into.
 */
static int check_type(const Device *d, bool now) {
        if (host_is_parent(d->parent))
                return host_has_type(d->parent, d->type)
                               ? 0
                               : fail(-ENOENT, "%s has no type with the id '%s'", d->parent, d->type);
        if (now || host_has_functions(d->parent))
                return fail(-ENODEV, "'%s' is no parent of mediated devices", d->parent);
        if (strpbrk(d->type, " \t") || strcmp(d->type, "vfio-pci") == 0 || strcmp(d->type, "vfio-pci-vf") == 0)
                return fail(-EINVAL, "'%s' is no id of a type of mediated devices", d->type);
        return 0;
}

static int define(Change *change) {
        int r = check_type(change->device, /* now= */ false);

        return r < 0 ? r : daemon_define(change->bus, change->device);
}

static int run_define(Change *change) {
        if (change->device->active) {
                int r = callouts_get_attributes(change->callouts);

                if (r < 0)
                        return fail(r, "a callout's attributes cannot be used");
        }

        return define(change);
}

static int prepare_define(Device *d, const Options *o) {
        int r;

        set_uuid(d, o);
        if (o->jsonfile) {
                if (!o->parent)
                        return fail(-EINVAL, "a file does not say for which parent it is: name it with --parent");
                r = load_file(o->jsonfile, d);
                if (r < 0)
                        return r;
                r = device_set(&d->parent, o->parent);
                return r < 0 ? fail(r, "there is no memory for it") : 0;
        }

        r = o->uuid ? host_load_active(o->uuid, d) : 0;
        if (r < 0)
                return fail(r, "%s cannot be looked at: %s", d->uuid, strerrordesc_np(-r));
        if (!o->parent && (!d->active || o->type))
                return fail(-EINVAL, "no parent was given");
        r = set_words(d, o);
        if (r < 0)
                return r;
        if (!d->type)
                return fail(-EINVAL, "no type was given");

        d->autostart = o->autostart;
        return 0;
}

int change_define(sd_bus *bus, const Options *o) {
        _cleanup_(device_done) Device d = {};
        Change change = { .bus = bus, .device = &d, .run = run_define };
        int r;

        r = prepare_define(&d, o);
        if (r < 0)
                return r;
        if (host_is_defined(d.uuid, d.parent))
                return fail(-EEXIST, "%s is defined for %s already", d.uuid, d.parent);

        r = invoke(&change, "define", o->force);
        if (r >= 0 && !o->uuid)
                puts(d.uuid);
        return r;
}

/* One call removes all of several. */
static int run_undefine(Change *change) {
        const Device *d = change->device;

        return host_is_defined(d->uuid, d->parent) ? daemon_undefine(change->bus, d->uuid) : 0;
}

int change_undefine(sd_bus *bus, const Options *o) {
        _cleanup_(devices_done) Devices devices = {};
        int r, result = 0;

        r = host_list_defined(o->uuid, o->parent, &devices);
        if (r < 0)
                return r;
        if (devices.n == 0)
                return fail(-ENOENT, "no definition has the UUID %s", o->uuid);
        if (o->parent && (r = check_single(o->uuid)) < 0)
                return r;

        for (size_t i = 0; i < devices.n; i++) {
                Change change = { .bus = bus, .device = &devices.items[i], .run = run_undefine };

                r = invoke(&change, "undefine", o->force);
                if (r < 0)
                        result = r;
        }
        return result;
}

static int run_modify(Change *change) {
        const Device *before = change->before, *d = change->device;
        int r;

        if (!before)
                return define(change);

        r = strcmp(before->type, d->type) == 0 ? 0 : check_type(d, /* now= */ false);
        return r < 0 ? r : daemon_modify(change->bus, before, d);
}

static int edit(Device *d, const Options *o) {
        int r = 0;

        if (o->type)
                r = device_set(&d->type, o->type);
        if (o->autostart || o->manual)
                d->autostart = o->autostart;
        if (r >= 0 && o->addattr)
                r = device_add_attribute(d, o->addattr, o->value, o->index_number);
        if (r >= 0 && o->delattr)
                r = device_remove_attribute(d, o->index_number);
        if (r == -ERANGE)
                return fail(r, "%s has %zu attributes: none with the index %ld", d->uuid, d->n_attributes,
                            o->index_number);
        return r < 0 ? fail(r, "there is no memory for it") : 0;
}

static int modify_definition(sd_bus *bus, const Options *o) {
        _cleanup_(device_done) Device before = {}, d = {};
        Change change = { .bus = bus, .device = &d, .run = run_modify };
        int r;

        if (o->jsonfile) {
                set_uuid(&d, o);
                r = o->parent ? load_file(o->jsonfile, &d)
                              : fail(-EINVAL, "a file does not say for which parent it is: name it with --parent");
                if (r >= 0)
                        r = set_words(&d, o);
        } else {
                r = host_get_defined(o->uuid, o->parent, &d);
                if (r >= 0)
                        r = edit(&d, o);
        }
        if (r >= 0 && host_is_defined(d.uuid, d.parent)) {
                r = check_single(d.uuid);
                if (r >= 0)
                        r = host_get_defined(d.uuid, d.parent, &before);
                change.before = &before;
        }

        return r < 0 ? r : invoke(&change, "modify", o->force);
}

/* The callout that is for it, or else the daemon, which writes the attributes. */
static int apply_live(sd_bus *bus, Device *d) {
        _cleanup_(callouts_done) Callouts callouts = { .action = "modify", .state = "none", .device = d };
        int r;

        r = callouts_live(&callouts);
        if (r == 0 && !callouts.script.path)
                r = daemon_modify_live(bus, d);
        if (r != -EOPNOTSUPP)
                callouts_notify(&callouts); /* else nothing was tried */
        return r;
}

static int modify_live(sd_bus *bus, const Options *o) {
        _cleanup_(device_done) Device active = {}, before = {}, d = {};
        Change change = { .bus = bus, .device = &d, .before = &before, .run = run_modify };
        int r;

        /* No matter of usage for mdevctl: of its status. */
        if (!o->jsonfile)
                return fail(-EINVAL, "what an active device is changed to is said by --jsonfile");

        set_uuid(&d, o);
        r = host_load_active(o->uuid, &active);
        if (r <= 0 || (o->parent && strcmp(active.parent, o->parent) != 0))
                return fail(-ENOENT, "%s is not active", o->uuid);
        r = load_file(o->jsonfile, &d);
        if (r < 0)
                return r;
        if (device_set(&d.parent, active.parent) < 0)
                return fail(-ENOMEM, "there is no memory for it");
        if (strcmp(active.type, d.type) != 0)
                return fail(-EINVAL, "the type of an active device cannot be changed");

        if (o->defined) {
                r = check_single(o->uuid);
                if (r >= 0)
                        r = host_get_defined(o->uuid, d.parent, &before);
                if (r >= 0 && strcmp(before.type, d.type) != 0)
                        r = fail(-EINVAL, "%s is defined with another type than it has", o->uuid);
        }
        if (r >= 0)
                r = apply_live(bus, &d);
        return r < 0 || !o->defined ? r : invoke(&change, "modify", o->force);
}

int change_modify(sd_bus *bus, const Options *o) {
        return o->live ? modify_live(bus, o) : modify_definition(bus, o);
}

static int run_start(Change *change) {
        int r;

        if (change->before)
                return daemon_start(change->bus, change->device->uuid);

        r = check_type(change->device, /* now= */ true);
        return r < 0 ? r : daemon_create(change->bus, change->device);
}

/* 1: a definition is meant. */
static int find_definition(Device *d, const Options *o) {
        _cleanup_(devices_done) Devices devices = {};
        int r;

        r = host_list_defined(o->uuid, o->parent, &devices);
        if (r < 0 || devices.n == 0)
                return r;
        if (devices.n > 1)
                return fail(-EEXIST, "%s is defined several times: name the parent", o->uuid);
        if (o->type && strcmp(o->type, devices.items[0].type) != 0)
                return fail(-EEXIST, "%s is defined for %s with the type %s", o->uuid, devices.items[0].parent,
                            devices.items[0].type);

        device_done(d);
        *d = devices.items[0];
        devices.items[0] = (Device){};
        return 1;
}

/* 1: a definition is meant. */
static int prepare_start(Device *d, const Options *o) {
        int r;

        set_uuid(d, o);
        if (o->jsonfile) {
                if (!o->parent)
                        return fail(-EINVAL, "a file does not say for which parent it is: name it with --parent");
                r = load_file(o->jsonfile, d);
                return r < 0 ? r : set_words(d, o);
        }

        r = o->uuid ? find_definition(d, o) : 0;
        if (r != 0)
                return r;
        if (!o->type || !o->parent)
                return fail(-EINVAL, "what is not defined is started by naming its parent and its type");
        return set_words(d, o);
}

int change_start(sd_bus *bus, const Options *o) {
        _cleanup_(device_done) Device d = {};
        Change change = { .bus = bus, .device = &d, .run = run_start };
        int r;

        r = prepare_start(&d, o);
        if (r > 0) {
                change.before = &d;
                r = check_single(d.uuid);
        }
        if (r >= 0)
                r = invoke(&change, "start", o->force);
        if (r >= 0 && !o->uuid)
                puts(d.uuid);
        return r;
}

/* One that does not start keeps none of the others from it, and is no failure. */
int change_start_parent(sd_bus *bus, const Options *o) {
        _cleanup_(devices_done) Devices devices = {};
        int r;

        r = host_list_defined(NULL, o->parent, &devices);
        for (size_t i = 0; i < devices.n; i++) {
                Device *d = &devices.items[i];
                Change change = { .bus = bus, .device = d, .before = d, .run = run_start };

                if (d->autostart && !d->active)
                        (void)invoke(&change, "start", false);
        }
        return r;
}

static int run_stop(Change *change) {
        return daemon_destroy(change->bus, change->device->uuid);
}

int change_stop(sd_bus *bus, const Options *o) {
        _cleanup_(device_done) Device d = {};
        Change change = { .bus = bus, .device = &d, .run = run_stop };

        set_uuid(&d, o);
        if (host_load_active(o->uuid, &d) <= 0)
                return fail(-ENOENT, "%s is not active", o->uuid);

        return invoke(&change, "stop", o->force);
}
