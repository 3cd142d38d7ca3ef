/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes: what is done to vGPUs that there are, each named by its UUID or label; and the end of saved states.
 */

#include "bus.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"

/* Done to one of them. *ret_changed is written on success: false says that all was so already. */
typedef Status (*Change)(Ctl *ctl, const char *name, sd_bus_error *ret_error, bool *ret_changed);

/* What is changed, and what that is in JSON; vGPUs may be named by their labels. */
typedef struct Kind {
        const char *rows, *key;
        Status (*resolve)(Ctl *ctl, const char *name, sd_bus_error *ret_error, char **ret);
} Kind;

static const Kind kind_vgpu = { "vgpus", "uuid", vgpu_resolve }, kind_state = { "states", "name", NULL };

/* An error is set if it was the daemon that refused. */
static Status changed_add(json_object *rows, const char *key, const char *name, bool changed,
                          const sd_bus_error *error) {
        json_object *entry;

        entry = json_object_new_object();
        if (!entry || array_add(rows, entry) < 0 || object_add_string(entry, key, name) < 0 ||
            object_add(entry, "changed", json_object_new_boolean(changed)) < 0)
                return ctl_oom();

        if (sd_bus_error_is_set(error) &&
            (object_add_string(entry, "error", error->name) < 0 ||
             object_add_string(entry, "message", error->message ? error->message : "") < 0))
                return ctl_oom();

        return STATUS_DONE;
}

static Status change_one(Ctl *ctl, const Kind *kind, Change change, const char *name, json_object *rows,
                         bool *changed) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *resolved = NULL;
        Status status = STATUS_DONE;
        bool one = false;

        if (kind->resolve)
                status = kind->resolve(ctl, name, &error, &resolved);
        if (status == STATUS_DONE)
                status = change(ctl, resolved ? resolved : name, &error, &one);
        if (sd_bus_error_is_set(&error))
                (void)bus_error_report(ctl, &error);

        *changed = *changed || one;
        return status_first(status, changed_add(rows, kind->key, resolved ? resolved : name, one, &error));
}

/* Goes on past a failure: one vGPU in use is no reason to leave the others, and the first failure is what is told. */
static Status change_all(Ctl *ctl, const Kind *kind, Change change, char **names) {
        _cleanup_(json_object_putp) json_object *answer = NULL;
        Status status = STATUS_DONE;
        bool changed = false;
        json_object *rows;

        answer = json_object_new_object();
        rows = json_object_new_array();
        if (!answer || !rows || object_add(answer, "changed", NULL) < 0 || object_add(answer, kind->rows, rows) < 0)
                return ctl_oom();

        for (; *names; names++) {
                Status one = change_one(ctl, kind, change, *names, rows, &changed);

                status = status_first(status, one);
                if (one == STATUS_UNREACHABLE)
                        break;
        }

        if (ctl->output == OUTPUT_TEXT)
                return status;

        if (object_add(answer, "changed", json_object_new_boolean(changed)) < 0)
                return ctl_oom();

        return status_first(status, print_json(ctl, answer));
}

static Status name_call(Ctl *ctl, const char *member, const char *name, sd_bus_error *ret_error, bool *ret_changed) {
        Status status;

        status = bus_change(ctl, member, "", ret_error, /* ret_reply= */ NULL, "s", name);
        if (status == STATUS_DONE)
                *ret_changed = true;
        return status;
}

static Status vgpu_destroy(Ctl *ctl, const char *uuid, sd_bus_error *ret_error, bool *ret_changed) {
        return name_call(ctl, "DestroyVGpu", uuid, ret_error, ret_changed);
}

Status verb_destroy(Ctl *ctl, char **arguments) {
        return change_all(ctl, &kind_vgpu, vgpu_destroy, arguments);
}

static Status vgpu_release(Ctl *ctl, const char *uuid, sd_bus_error *ret_error, bool *ret_changed) {
        return name_call(ctl, "ReleaseIncoming", uuid, ret_error, ret_changed);
}

Status verb_release_incoming(Ctl *ctl, char **arguments) {
        return change_all(ctl, &kind_vgpu, vgpu_release, arguments);
}

static Status vgpu_undefine(Ctl *ctl, const char *uuid, sd_bus_error *ret_error, bool *ret_changed) {
        return name_call(ctl, "UndefineVGpu", uuid, ret_error, ret_changed);
}

Status verb_undefine(Ctl *ctl, char **arguments) {
        return change_all(ctl, &kind_vgpu, vgpu_undefine, arguments);
}

/* A UUID may be taken without the vGPU being there, by one that is on its way out: only one that is active is started. */
static Status vgpu_start(Ctl *ctl, const char *uuid, sd_bus_error *ret_error, bool *ret_changed) {
        _cleanup_(json_object_putp) json_object *vgpu = NULL;
        const char *state;
        Status status;

        status = name_call(ctl, "StartVGpu", uuid, ret_error, ret_changed);
        if (!sd_bus_error_has_name(ret_error, BUS_ERROR_ALREADY_EXISTS) || vgpu_find(ctl, uuid, &vgpu) != STATUS_DONE)
                return status;

        state = vgpu ? object_string(vgpu, "state") : NULL;
        if (!state || (!streq(state, "active") && !streq(state, "incoming")))
                return status;

        sd_bus_error_free(ret_error);
        *ret_changed = false;
        return STATUS_DONE;
}

Status verb_start(Ctl *ctl, char **arguments) {
        return change_all(ctl, &kind_vgpu, vgpu_start, arguments);
}

bool vgpu_is_as_wanted(const Ctl *ctl, json_object *vgpu) {
        const uint64_t told = OPTIONS_OF_AUTOSTART | OPTION_LABEL | OPTION_UNMANAGED;
        const char *label = object_string(vgpu, "label");
        json_object *autostart;

        if (ctl->given & ~told)
                return false;

        if ((ctl->given & OPTION_LABEL) && (!label || !streq(label, ctl->label)))
                return false;

        if (!(ctl->given & OPTIONS_OF_AUTOSTART))
                return true;

        return json_object_object_get_ex(vgpu, "autostart", &autostart) &&
               json_object_is_type(autostart, json_type_boolean) &&
               json_object_get_boolean(autostart) == ((ctl->given & OPTION_AUTOSTART) != 0);
}

/* One that is as wanted is left alone: nobody has to type a password for nothing. */
static Status vgpu_modify(Ctl *ctl, const char *uuid, sd_bus_error *ret_error, bool *ret_changed) {
        _cleanup_(json_object_putp) json_object *vgpu = NULL;
        Status status;

        status = vgpu_find(ctl, uuid, &vgpu);
        if (status != STATUS_DONE)
                return status;

        if (vgpu && vgpu_is_as_wanted(ctl, vgpu)) {
                *ret_changed = false;
                return STATUS_DONE;
        }

        return name_call(ctl, "ModifyVGpu", uuid, ret_error, ret_changed);
}

Status verb_modify(Ctl *ctl, char **arguments) {
        if (!(ctl->given & (OPTIONS_OF_AUTOSTART | OPTION_LABEL | OPTION_TYPE | OPTION_ATTR)))
                return ctl_error(STATUS_USAGE,
                                 "Nothing to change is given; 'mdevgpuctl help modify' lists what can be.");

        return change_all(ctl, &kind_vgpu, vgpu_modify, arguments);
}

Status verb_autostart(Ctl *ctl, char **arguments) {
        if (!(ctl->given & OPTION_OFF))
                ctl->given |= OPTION_AUTOSTART;

        return change_all(ctl, &kind_vgpu, vgpu_modify, arguments);
}

static Status state_delete(Ctl *ctl, const char *name, sd_bus_error *ret_error, bool *ret_changed) {
        return name_call(ctl, "DeleteSavedState", name, ret_error, ret_changed);
}

Status verb_delete_state(Ctl *ctl, char **arguments) {
        return change_all(ctl, &kind_state, state_delete, arguments);
}
