/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "vgpus.h"

#define VGPU MANAGER_NAME ".VGpu"
#define CREATE "CreateVGpu"
#define INCOMING "PrepareIncoming"

#define CREATE_USEC UINT64_C(25000000) /* the daemon's own answer comes within 20 s */
#define BUSY_USEC UINT64_C(5000000) /* a GPU that has just come is read by then; one that hangs is so for ever */
#define CONNECT_USEC UINT64_C(10000000) /* who is late is waited for, who says nothing is not */
#define RELEASE_USEC UINT64_C(10000000) /* all of it: a shutdown waits for the hook */
#define HOLD_USEC UINT64_C(2000000)
#define AGAIN_USEC 100000U

/* What a vGPU is labelled with that was made for a domain: by that it is found again. */
#define LABEL "libvirt:"
#define LABEL_SIZE (sizeof(LABEL) + 36)

#define cleanup(f) __attribute__((cleanup(f)))

static void error_free(sd_bus_error *e) {
        sd_bus_error_free(e);
}

static void message_unref(sd_bus_message **m) {
        sd_bus_message_unref(*m);
}

static void bus_close(sd_bus **bus) {
        if (*bus)
                sd_bus_close(*bus); /* not flushed: that would wait */
        sd_bus_unref(*bus);
}

static void text_free(char **s) {
        free(*s);
}

static int complain(const char *uuid, int r, const sd_bus_error *e) {
        fprintf(stderr, "mdevgpud: vGPU %s: %s\n", uuid, e->message ? e->message : strerror(-r));
        return r;
}

static void make_label(const Domain *domain, char label[static LABEL_SIZE]) {
        (void)snprintf(label, LABEL_SIZE, LABEL "%s", domain->uuid);
}

/* 0: there is none. */
static int find(sd_bus *bus, const char *uuid, uint64_t usec, char **ret_path, sd_bus_error *e) {
        sd_bus_message *m cleanup(message_unref) = NULL, *reply cleanup(message_unref) = NULL;
        const char *path;
        int r;

        r = manager_begin(bus, "GetVGpu", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", uuid);
        if (r >= 0)
                r = sd_bus_call(bus, m, usec, e, &reply);
        if (r < 0 && sd_bus_error_has_name(e, MANAGER_NAME ".Error.NoSuchVGpu")) {
                sd_bus_error_free(e);
                return 0;
        }
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;

        *ret_path = strdup(path);
        return *ret_path ? 1 : -ENOMEM;
}

/* Makes it by this method, CREATE or INCOMING, which take the same, but for the preference of a NUMA node. */
static int create(sd_bus *bus, const char *method, const Domain *domain, const Wish *wish, sd_bus_error *e) {
        sd_bus_message *m cleanup(message_unref) = NULL;
        char label[LABEL_SIZE];
        int r;

        make_label(domain, label);
        r = manager_begin(bus, method, &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sss", wish->gpu, wish->type, wish->uuid);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "label", "s", label);
        if (r >= 0 && wish->has_numa_node && strcmp(method, CREATE) == 0)
                r = sd_bus_message_append(m, "{sv}", "numa-node", "u", wish->numa_node);
        if (r >= 0 && wish->n_attributes > 0)
                r = manager_append_attributes(m, wish->attributes, wish->n_attributes);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_call(bus, m, CREATE_USEC, e, NULL);
        return r;
}

static int read_type_name(sd_bus *bus, const char *path, char **ret_name, sd_bus_error *e) {
        sd_bus_message *reply cleanup(message_unref) = NULL;
        const char *type;
        int r;

        r = sd_bus_get_property(bus, MANAGER_NAME, path, VGPU, "Type", e, &reply, "o");
        if (r >= 0)
                r = sd_bus_message_read(reply, "o", &type);
        if (r < 0 || strcmp(type, "/") == 0)
                return r;
        return sd_bus_get_property_string(bus, MANAGER_NAME, type, MANAGER_NAME ".Type", "Name", e, ret_name);
}

/* Its type's id, or the name of its type, is what was asked for. */
static int check_type(sd_bus *bus, const char *path, const Wish *wish, sd_bus_error *e) {
        char *id cleanup(text_free) = NULL, *name cleanup(text_free) = NULL;
        int r;

        r = sd_bus_get_property_string(bus, MANAGER_NAME, path, VGPU, "TypeId", e, &id);
        if (r < 0 || strcmp(id, wish->type) == 0)
                return r;
        r = read_type_name(bus, path, &name, e);
        if (r < 0 || (name && strcmp(name, wish->type) == 0))
                return r;

        (void)sd_bus_error_setf(e, MANAGER_NAME ".Error.AlreadyExists",
                                "it is there, but of the type %s, where the domain asks for %s", id, wish->type);
        return -EEXIST;
}

/* 1: it is being made or removed, or else, and will be in another state soon. */
static int start(sd_bus *bus, const char *path, const Wish *wish, sd_bus_error *e) {
        sd_bus_message *m cleanup(message_unref) = NULL;
        char *state cleanup(text_free) = NULL;
        int r;

        r = sd_bus_get_property_string(bus, MANAGER_NAME, path, VGPU, "State", e, &state);
        if (r < 0 || strcmp(state, "active") == 0 || strcmp(state, "incoming") == 0)
                return r;
        if (strcmp(state, "defined") != 0 && strcmp(state, "failed") != 0) {
                (void)sd_bus_error_setf(e, MANAGER_NAME ".Error.Busy", "it is %s, and was so for too long", state);
                return 1;
        }

        r = manager_begin(bus, "StartVGpu", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sa{sv}", wish->uuid, 0);
        r = r < 0 ? r : sd_bus_call(bus, m, CREATE_USEC, e, NULL);
        return r < 0 ? r : 0;
}

/* Somebody else is making it at this moment, or its GPU has just come. */
static bool is_passing(const sd_bus_error *e, uint64_t begun) {
        if (sd_bus_error_has_name(e, MANAGER_NAME ".Error.AlreadyExists"))
                return manager_now() < begun + CREATE_USEC;

        return sd_bus_error_has_name(e, MANAGER_NAME ".Error.Busy") && manager_now() < begun + BUSY_USEC;
}

/* 1: it was made now. */
static int try(sd_bus *bus, const char *method, const Domain *domain, const Wish *wish, uint64_t begun,
               bool *ret_again) {
        sd_bus_error e cleanup(error_free) = SD_BUS_ERROR_NULL;
        bool last = manager_now() >= begun + CREATE_USEC;
        char *path cleanup(text_free) = NULL;
        int r;

        *ret_again = false;
        r = find(bus, wish->uuid, CREATE_USEC, &path, &e);
        if (r == 0) {
                r = create(bus, method, domain, wish, &e);
                *ret_again = r < 0 && is_passing(&e, begun);
                return r >= 0 ? 1 : *ret_again ? 0 : complain(wish->uuid, r, &e);
        }
        if (r > 0)
                r = check_type(bus, path, wish, &e);
        if (r >= 0)
                r = start(bus, path, wish, &e);
        /* It may have gone between two questions, or be at something that ends. */
        if (!last && (r > 0 || (r < 0 && (sd_bus_error_has_name(&e, SD_BUS_ERROR_UNKNOWN_OBJECT) ||
                                          sd_bus_error_has_name(&e, MANAGER_NAME ".Error.Busy"))))) {
                *ret_again = true;
                return 0;
        }
        return r == 0 ? 0 : complain(wish->uuid, r > 0 ? -EBUSY : r, &e);
}

/* 1: it was made now. One that is going, as the domain has just ended, is waited for: it is there in another state or not. */
static int ensure(sd_bus *bus, const char *method, const Domain *domain, const Wish *wish) {
        uint64_t begun = manager_now();

        for (;;) {
                bool again;
                int r;

                r = try(bus, method, domain, wish, begun, &again);
                if (!again)
                        return r;
                (void)usleep(AGAIN_USEC);
        }
}

static int destroy(sd_bus *bus, const char *uuid, uint64_t deadline, sd_bus_error *e) {
        sd_bus_message *m cleanup(message_unref) = NULL;
        int r;

        r = manager_begin(bus, "DestroyVGpu", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sa{sv}", uuid, 0);
        return r < 0 ? r : sd_bus_call(bus, m, manager_left(deadline), e, NULL);
}

/* What was made for a domain that cannot start after all. */
static void take_back(sd_bus *bus, const Domain *domain, const bool *made, size_t n) {
        uint64_t deadline = manager_now() + RELEASE_USEC;

        while (n-- > 0) {
                sd_bus_error e cleanup(error_free) = SD_BUS_ERROR_NULL;
                int r = made[n] ? destroy(bus, domain->wishes[n].uuid, deadline, &e) : 0;

                if (r < 0)
                        (void)complain(domain->wishes[n].uuid, r, &e);
        }
}

static int prepare(const char *method, const Domain *domain) {
        bool made[VGPUS_MAX] = {};
        sd_bus *bus cleanup(bus_close) = NULL;
        int r;

        if (domain->n_wishes == 0)
                return 0;

        r = manager_connect(manager_now() + CONNECT_USEC, &bus);
        if (r < 0) {
                fprintf(stderr, "mdevgpud: there is no system bus: %s\n", strerror(-r));
                return r;
        }
        for (size_t i = 0; i < domain->n_wishes; i++) {
                r = ensure(bus, method, domain, &domain->wishes[i]);
                if (r < 0) {
                        take_back(bus, domain, made, i);
                        return r;
                }
                made[i] = r > 0;
        }

        return 0;
}

int vgpus_prepare(const Domain *domain) {
        return prepare(CREATE, domain);
}

/* The vGPU waits for the migration, and goes if that does not come. */
int vgpus_prepare_incoming(const Domain *domain) {
        return prepare(INCOMING, domain);
}

/* It bears the domain's label, and nobody has defined it meanwhile. */
static bool is_ours(sd_bus *bus, const char *path, const Domain *domain, uint64_t deadline) {
        sd_bus_error e cleanup(error_free) = SD_BUS_ERROR_NULL;
        char *label cleanup(text_free) = NULL;
        char wanted[LABEL_SIZE];
        int r, persistent = true;

        make_label(domain, wanted);
        (void)sd_bus_set_method_call_timeout(bus, manager_left(deadline));
        r = sd_bus_get_property_string(bus, MANAGER_NAME, path, VGPU, "Label", &e, &label);
        (void)sd_bus_set_method_call_timeout(bus, manager_left(deadline));
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, MANAGER_NAME, path, VGPU, "Persistent", &e, 'b', &persistent);
        return r >= 0 && !persistent && strcmp(label, wanted) == 0;
}

/* False: something is being done with it, as when it is still being made for a domain whose start was given up. */
static bool release(sd_bus *bus, const Domain *domain, const Wish *wish, uint64_t deadline) {
        sd_bus_error e cleanup(error_free) = SD_BUS_ERROR_NULL;
        char *path cleanup(text_free) = NULL;
        int r;

        if (find(bus, wish->uuid, manager_left(deadline), &path, &e) <= 0 || !is_ours(bus, path, domain, deadline))
                return true;

        r = destroy(bus, wish->uuid, deadline, &e);
        if (r < 0 && sd_bus_error_has_name(&e, MANAGER_NAME ".Error.Busy") && manager_now() + AGAIN_USEC < deadline)
                return false;
        if (r < 0)
                (void)complain(wish->uuid, r, &e);
        return true;
}

void vgpus_release(const Domain *domain) {
        uint64_t deadline = manager_now() + RELEASE_USEC;
        sd_bus *bus cleanup(bus_close) = NULL;
        bool done[VGPUS_MAX] = {}, all = false;

        if (domain->n_wishes == 0 || manager_connect(deadline, &bus) < 0)
                return;

        /* By rounds: one that is busy holds up no other. */
        while (!all && manager_now() < deadline) {
                all = true;
                for (size_t i = 0; i < domain->n_wishes && manager_now() < deadline; i++) {
                        done[i] = done[i] || release(bus, domain, &domain->wishes[i], deadline);
                        all = all && done[i];
                }
                if (!all)
                        (void)usleep(AGAIN_USEC);
        }
        for (size_t i = 0; i < domain->n_wishes; i++)
                if (!done[i])
                        fprintf(stderr, "mdevgpud: vGPU %s: it is busy, and stays\n", domain->wishes[i].uuid);
}

/* A daemon that does not run has nothing open. */
static void hold(const Domain *domain, const char *method) {
        uint64_t deadline = manager_now() + HOLD_USEC;
        sd_bus_message *m cleanup(message_unref) = NULL;
        sd_bus *bus cleanup(bus_close) = NULL;
        int r;

        if (domain->n_devices == 0 || manager_connect(deadline, &bus) < 0)
                return;

        r = manager_begin(bus, method, &m);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; r >= 0 && i < domain->n_devices; i++)
                r = sd_bus_message_append(m, "s", domain->devices[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a{sv}", 0);
        if (r >= 0)
                (void)sd_bus_call(bus, m, manager_left(deadline), NULL, NULL);
}

void vgpus_hold(const Domain *domain) {
        hold(domain, "HoldForStart");
}

void vgpus_end_hold(const Domain *domain) {
        hold(domain, "EndHold");
}
