/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What two hosts compare before a vGPU goes from one to the other. */

#include "bus/bus-call.h"
#include "bus/bus-error.h"
#include "bus/bus-interface.h"
#include "bus/bus-message.h"
#include "core/gpu.h"
#include "core/migration.h"
#include "core/usage-query.h"
#include "util/log.h"

static void facts_donep(Facts *facts) {
        facts_done(facts);
}

/* One value of what another host is said to have answered. What has a type that no fact has is left out. */
static int read_fact(sd_bus_message *message, const char *key, Facts *facts) {
        const char *contents, *text;
        uint64_t number;
        int r, b;

        r = sd_bus_message_peek_type(message, NULL, &contents);
        if (r < 0)
                return r;
        if (!streq(contents, "b") && !streq(contents, "u") && !streq(contents, "t") && !streq(contents, "s"))
                return sd_bus_message_skip(message, "v");

        r = sd_bus_message_enter_container(message, 'v', contents);
        if (r < 0)
                return r;
        if (contents[0] == 's') {
                r = sd_bus_message_read_basic(message, 's', &text);
                if (r >= 0)
                        r = strlen(text) < FACT_TEXT_SIZE ? facts_add_text(facts, key, text) : -EINVAL;
        } else if (contents[0] == 'b') {
                r = sd_bus_message_read_basic(message, 'b', &b);
                if (r >= 0)
                        r = facts_add_bool(facts, key, b);
        } else if (contents[0] == 'u') {
                uint32_t v;

                r = sd_bus_message_read_basic(message, 'u', &v);
                if (r >= 0)
                        r = facts_add_u32(facts, key, v);
        } else {
                r = sd_bus_message_read_basic(message, 't', &number);
                if (r >= 0)
                        r = facts_add_u64(facts, key, number);
        }

        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_remote(sd_bus_message *message, Facts *facts, sd_bus_error *ret_error) {
        const char *key;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(message, 's', &key);
                if (r >= 0 && facts_find(facts, key))
                        r = -EINVAL;
                if (r >= 0)
                        r = read_fact(message, key, facts);
                if (r == -EINVAL || r == -E2BIG)
                        return bus_error_setf(ret_error, -EINVAL,
                                              "What the other host is said to have answered makes no sense: an entry "
                                              "that is none, is there twice or is one too many");
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }

        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int find_gpu(BusServer *server, sd_bus_message *message, Gpu **ret_gpu, sd_bus_error *ret_error) {
        const char *address;
        Gpu *gpu;
        int r;

        r = bus_read_name(message, "name of the GPU", &address, ret_error);
        if (r < 0)
                return r;

        gpu = manager_find_gpu(server->manager, address);
        if (!gpu || !gpu->linked)
                return bus_error_setf(ret_error, -ERROR_NO_SUCH_GPU, "There is no GPU '%s'", address);

        *ret_gpu = gpu;
        return 0;
}

/* What the driver says of the GPU has been read, or it says nothing (NULL). */
typedef int (*Answer)(BusServer *server, sd_bus_message *message, const UsageReport *usage, sd_bus_error *ret_error);

static int find_type(BusServer *server, sd_bus_message *message, Gpu **ret_gpu, Type **ret_type,
                     sd_bus_error *ret_error) {
        Error error = ERROR_NULL;
        const char *word;
        int r;

        r = find_gpu(server, message, ret_gpu, ret_error);
        if (r >= 0)
                r = bus_read_name(message, "type", &word, ret_error);
        if (r >= 0)
                r = bus_read_no_options(message, ret_error);
        if (r < 0)
                return r;

        r = gpu_find_type(*ret_gpu, word, ret_type, &error);
        return r < 0 ? bus_error_set(ret_error, r, &error) : 0;
}

static int answer_info(BusServer *server, sd_bus_message *message, const UsageReport *usage, sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(facts_donep) Facts facts = {};
        Type *type;
        Gpu *gpu;
        int r;

        r = find_type(server, message, &gpu, &type, ret_error);
        if (r >= 0)
                r = migration_describe(type, usage, &facts);
        if (r >= 0)
                r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_facts(reply, &facts, NULL);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_send(reply);
}

/* There is no such type here: that is a verdict, and no error of the call. */
static int judge(const Gpu *gpu, const UsageReport *usage, const Facts *there, MigrationVerdict *ret_verdict,
                 MigrationReasons *ret_reasons, Error *error) {
        _cleanup_(facts_donep) Facts here = {};
        const Fact *id = facts_find(there, "type"), *format = facts_find(there, "format");
        const Type *type = id && id->kind == FACT_TEXT ? gpu_find_type_by_id(gpu, id->text) : NULL;
        int r;

        if (type) {
                r = migration_describe(type, usage, &here);
                return r < 0 ? error_set_errno(error, r, "the hosts cannot be compared")
                             : migration_judge(&here, there, ret_verdict, ret_reasons, error);
        }

        r = migration_judge(&here, there, ret_verdict, ret_reasons, error);
        /* What a newer host means by a type is not known. */
        if (r < 0 || (format && format->number > MIGRATION_FORMAT))
                return r;

        *ret_verdict = MIGRATION_INCOMPATIBLE;
        ret_reasons->n = 1;
        (void)snprintf(ret_reasons->items[0], sizeof(ret_reasons->items[0]), "GPU %s has no type %s",
                       gpu->identity.address, id->text);
        return 0;
}

static int answer_verdict(BusServer *server, sd_bus_message *message, const UsageReport *usage,
                          sd_bus_error *ret_error) {
        _cleanup_(bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) MigrationReasons *reasons = calloc(1, sizeof(MigrationReasons));
        _cleanup_(facts_donep) Facts there = {};
        MigrationVerdict verdict;
        Error error = ERROR_NULL;
        Gpu *gpu;
        int r;

        if (!reasons)
                return -ENOMEM;
        r = find_gpu(server, message, &gpu, ret_error);
        if (r >= 0)
                r = read_remote(message, &there, ret_error);
        if (r < 0)
                return r;

        r = judge(gpu, usage, &there, &verdict, reasons, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", migration_verdict_to_string(verdict));
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; r >= 0 && i < reasons->n; i++)
                r = bus_append_text(reply, reasons->items[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_send(reply);
}

/* The message is read again: what its words mean may have changed while the driver was asked. */
static void finish(BusCall *call, const Error *error, const UsageReport *usage, Answer answer) {
        _cleanup_(bus_error_done) sd_bus_error bus_error = SD_BUS_ERROR_NULL;
        int r;

        if (error && error->code != -ERROR_NOT_SUPPORTED) {
                bus_call_reply_error(call, error);
                return;
        }

        r = sd_bus_message_rewind(call->message, /* complete= */ true);
        if (r >= 0)
                r = answer(call->server, call->message, error ? NULL : usage, &bus_error);
        if (r >= 0)
                return;

        if (sd_bus_error_is_set(&bus_error))
                (void)sd_bus_reply_method_error(call->message, &bus_error);
        else {
                log_warning("Cannot answer how vGPUs can be moved: %s", strerrordesc_np(-r));
                (void)sd_bus_reply_method_errno(call->message, r, NULL);
        }
}

static void on_info(const Error *error, const UsageReport *usage, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;

        call->usage = NULL;
        finish(call, error, usage, answer_info);
}

static void on_verdict(const Error *error, const UsageReport *usage, void *userdata) {
        _cleanup_(bus_call_freep) BusCall *call = userdata;

        call->usage = NULL;
        finish(call, error, usage, answer_verdict);
}

static int ask(BusServer *server, sd_bus_message *message, Gpu *gpu, UsageCallback callback, sd_bus_error *ret_error) {
        _cleanup_(bus_call_freep) BusCall *call = NULL;
        Error error = ERROR_NULL;
        int r;

        r = bus_call_begin(server, message, &call, ret_error);
        if (r < 0)
                return r;

        r = usage_query_new(gpu, callback, call, &call->usage, &error);
        if (r < 0)
                return bus_error_set(ret_error, r, &error);

        bus_call_run(TAKE(call), /* operation= */ NULL);
        return 1;
}

int manager_method_get_migration_info(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Type *type;
        Gpu *gpu;
        int r;

        r = find_type(userdata, message, &gpu, &type, ret_error);
        return r < 0 ? r : ask(userdata, message, gpu, on_info, ret_error);
}

int manager_method_check_compatibility(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        _cleanup_(facts_donep) Facts there = {};
        Gpu *gpu;
        int r;

        r = find_gpu(userdata, message, &gpu, ret_error);
        if (r >= 0)
                r = read_remote(message, &there, ret_error);
        return r < 0 ? r : ask(userdata, message, gpu, on_verdict, ret_error);
}
