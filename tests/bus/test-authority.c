/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A polkit that does as the test says: what it is asked, and what happens while it thinks, in every order that the real
 * one would show only by chance.
 */

#include <inttypes.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "client.h"

#define UUID "6b2f6c5e-1111-4222-8333-444455556666"
#define VGPU_PATH "/org/mdevgpu1/vgpu/_6b2f6c5e_1111_4222_8333_444455556666"
#define AUTHORITY_PATH "/org/freedesktop/PolicyKit1/Authority"
#define AUTHORITY_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define CALLS_MAX 64U

/* A question that waits for its answer. */
typedef struct Question {
        sd_bus_message *message;
        char *subject;
        char *action;
        char *details; /* "gpu=… type=… " */
        uint32_t flags;
        char *cancellation;
} Question;

typedef struct Rig {
        Harness *h;
        sd_event *event;
        sd_bus *authority;
        sd_bus *nobody;
        GQueue *questions;
        GPtrArray *cancelled; /* ids */
        GPtrArray *answers;   /* "Reply" or an error's name, in the order of their arrival at nobody */
} Rig;

static void question_free(Question *q) {
        sd_bus_message_unref(q->message);
        g_free(q->subject);
        g_free(q->action);
        g_free(q->details);
        g_free(q->cancellation);
        g_free(q);
}

static int on_check(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *kind, *key, *value, *action, *cancellation;
        Question *q = g_new0(Question, 1);
        GString *details = g_string_new(NULL);
        Rig *rig = userdata;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'r', "sa{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "s", &kind), >, 0);
        g_assert_cmpstr(kind, ==, "system-bus-name");
        g_assert_cmpint(sd_bus_message_read(m, "a{sv}", 1, &key, "s", &value), >, 0);
        g_assert_cmpstr(key, ==, "name");
        q->subject = g_strdup(value);
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);

        g_assert_cmpint(sd_bus_message_read(m, "s", &action), >, 0);
        q->action = g_strdup(action);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{ss}"), >, 0);
        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0)
                g_string_append_printf(details, "%s=%s ", key, value);
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        q->details = g_string_free(details, FALSE);
        g_assert_cmpint(sd_bus_message_read(m, "us", &q->flags, &cancellation), >, 0);
        q->cancellation = g_strdup(cancellation);

        q->message = sd_bus_message_ref(m);
        g_queue_push_tail(rig->questions, q);
        return 1;
}

static int on_cancel(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *cancellation;
        Rig *rig = userdata;

        g_assert_cmpint(sd_bus_message_read(m, "s", &cancellation), >, 0);
        g_ptr_array_add(rig->cancelled, g_strdup(cancellation));
        return 1;
}

/* By hand, as a vtable would not let a reply be wrong. */
static int on_authority(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_call(m, AUTHORITY_INTERFACE, "CheckAuthorization"))
                return on_check(m, userdata, ret_error);
        if (sd_bus_message_is_method_call(m, AUTHORITY_INTERFACE, "CancelCheckAuthorization"))
                return on_cancel(m, userdata, ret_error);
        return 0;
}

static Rig *rig_new(void) {
        Rig *rig = g_new0(Rig, 1);

        rig->h = harness_new();
        rig->questions = g_queue_new();
        rig->cancelled = g_ptr_array_new_with_free_func(g_free);
        rig->answers = g_ptr_array_new_with_free_func(g_free);
        g_assert_cmpint(sd_event_new(&rig->event), >=, 0);

        rig->authority = harness_connect(rig->h, 0);
        g_assert_cmpint(sd_bus_add_object(rig->authority, NULL, AUTHORITY_PATH, on_authority, rig), >=, 0);
        g_assert_cmpint(sd_bus_request_name(rig->authority, "org.freedesktop.PolicyKit1", 0), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(rig->authority, rig->event, 0), >=, 0);

        harness_start_daemon(rig->h, /* without_polkit= */ false);
        g_assert_cmpuint(count_rows(rig->h->bus, "ListTypes", "gpu", "s", GPU), ==, 2);
        rig->nobody = harness_connect(rig->h, NOBODY_UID);
        g_assert_cmpint(sd_bus_attach_event(rig->nobody, rig->event, 0), >=, 0);
        return rig;
}

static void rig_free(Rig *rig) {
        (void)sd_bus_detach_event(rig->authority);
        sd_bus_flush_close_unref(rig->authority);
        if (rig->nobody) {
                (void)sd_bus_detach_event(rig->nobody);
                sd_bus_flush_close_unref(rig->nobody);
        }
        sd_event_unref(rig->event);
        g_queue_free_full(rig->questions, (GDestroyNotify)question_free);
        g_ptr_array_unref(rig->cancelled);
        g_ptr_array_unref(rig->answers);
        harness_free(rig->h);
        g_free(rig);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)

static void run(Rig *rig, unsigned msec) {
        gint64 end = g_get_monotonic_time() + msec * 1000;

        while (g_get_monotonic_time() < end)
                g_assert_cmpint(sd_event_run(rig->event, 5000), >=, 0);
}

#define RUN_UNTIL(rig, condition)                                                                                      \
        do {                                                                                                           \
                gint64 deadline_ = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;                                       \
                while (!(condition)) {                                                                                 \
                        g_assert_cmpint(sd_event_run((rig)->event, 20000), >=, 0);                                     \
                        g_assert_cmpint(g_get_monotonic_time(), <, deadline_);                                         \
                }                                                                                                      \
        } while (0)

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Rig *rig = userdata;

        g_ptr_array_add(rig->answers, g_strdup(error ? error->name : "Reply"));
        return 0;
}

static void ask_on(Rig *rig, sd_bus *bus, bool interactive, const char *path, const char *interface,
                   const char *member, const char *types, ...) {
        sd_bus_message *m;
        va_list ap;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, BUS_NAME, path, interface, member), >=, 0);
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(m, interactive), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_call_async(bus, NULL, m, on_answer, rig, 0), >=, 0);
        sd_bus_message_unref(m);
}

static void ask_create(Rig *rig, const char *type, const char *uuid) {
        ask_on(rig, rig->nobody, false, BUS_PATH, MANAGER_INTERFACE, "CreateVGpu", "sssa{sv}", GPU, type, uuid, 0);
}

/* The question that has waited longest. */
static Question *next_question(Rig *rig) {
        RUN_UNTIL(rig, !g_queue_is_empty(rig->questions));
        return g_queue_pop_head(rig->questions);
}

static void answer(Question *q, bool authorized, bool challenge) {
        g_assert_cmpint(sd_bus_reply_method_return(q->message, "(bba{ss})", (int)authorized, (int)challenge, 0), >=, 0);
        question_free(q);
}

static void expect_answer(Rig *rig, unsigned n, const char *text) {
        RUN_UNTIL(rig, rig->answers->len >= n);
        g_assert_cmpuint(rig->answers->len, ==, n);
        g_assert_cmpstr(rig->answers->pdata[n - 1], ==, text);
}

static unsigned count_vgpus(Rig *rig) {
        return count_rows(rig->h->bus, "ListVGpus", NULL, NULL);
}

static void test_question(void) {
        g_autoptr(Rig) rig = rig_new();
        const char *name;
        Question *q;

        g_assert_cmpint(sd_bus_get_unique_name(rig->nobody, &name), >=, 0);

        ask_create(rig, TYPE_NAME, "6B2F6C5E-1111-4222-8333-444455556666");
        q = next_question(rig);
        g_assert_cmpstr(q->subject, ==, name);
        g_assert_cmpstr(q->action, ==, "org.mdevgpu1.manage-vgpus");
        g_assert_cmpstr(q->details, ==, "gpu=" GPU " type=" TYPE " uuid=" UUID " ");
        g_assert_cmpuint(q->flags, ==, 0);
        g_assert_cmpstr(q->cancellation, !=, "");
        g_assert_cmpuint(count_vgpus(rig), ==, 0);
        answer(q, true, false);
        expect_answer(rig, 1, "Reply");
        g_assert_cmpuint(count_vgpus(rig), ==, 1);

        /* Each call is asked about: nothing is remembered from the last. */
        ask_on(rig, rig->nobody, true, VGPU_PATH, VGPU_INTERFACE, "Destroy", "a{sv}", 0);
        q = next_question(rig);
        g_assert_cmpstr(q->details, ==, "gpu=" GPU " type=" TYPE " uuid=" UUID " ");
        g_assert_cmpuint(q->flags, ==, 1);
        answer(q, false, false);
        expect_answer(rig, 2, ERROR_ACCESS_DENIED);
        g_assert_cmpuint(count_vgpus(rig), ==, 1);

        ask_on(rig, rig->nobody, false, BUS_PATH, MANAGER_INTERFACE, "Reload", "a{sv}", 0);
        q = next_question(rig);
        g_assert_cmpstr(q->action, ==, "org.mdevgpu1.reload");
        g_assert_cmpstr(q->details, ==, "");
        answer(q, false, true);
        expect_answer(rig, 3, ERROR_CHALLENGE);
}

/* What can be refused without asking is. */
static void test_judged_first(void) {
        g_autoptr(Rig) rig = rig_new();

        ask_create(rig, "none", "");
        ask_create(rig, TYPE, "x");
        ask_on(rig, rig->nobody, false, BUS_PATH, MANAGER_INTERFACE, "DestroyVGpu", "sa{sv}", UUID, 0);
        ask_on(rig, rig->nobody, false, BUS_PATH, MANAGER_INTERFACE, "Reload", "a{sv}", 1, "x", "b", 1);
        RUN_UNTIL(rig, rig->answers->len == 4);
        g_assert_cmpstr(rig->answers->pdata[0], ==, ERROR_PREFIX "NoSuchType");
        g_assert_cmpstr(rig->answers->pdata[1], ==, ERROR_INVALID_ARGS);
        g_assert_cmpstr(rig->answers->pdata[2], ==, ERROR_PREFIX "NoSuchVGpu");
        g_assert_cmpstr(rig->answers->pdata[3], ==, ERROR_INVALID_ARGS);
        g_assert_true(g_queue_is_empty(rig->questions));
}

/* Nobody else waits while polkit, or a person at a password prompt, thinks. */
static void test_others_are_served(void) {
        g_autoptr(Rig) rig = rig_new();
        gint64 start;
        Question *q;

        ask_create(rig, TYPE, UUID);
        q = next_question(rig);

        start = g_get_monotonic_time();
        g_assert_cmpuint(count_vgpus(rig), ==, 0);
        make_vgpu(rig->h->bus, TYPE, "");
        g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
        g_assert_cmpuint(rig->answers->len, ==, 0);

        answer(q, true, false);
        expect_answer(rig, 1, "Reply");
        g_assert_cmpuint(count_vgpus(rig), ==, 2);
}

/* Nothing is made for somebody who has left before it was allowed, and polkit is told to forget it. */
static void test_caller_leaves(void) {
        g_autoptr(Rig) rig = rig_new();
        Question *q;

        ask_create(rig, TYPE, UUID);
        q = next_question(rig);
        (void)sd_bus_detach_event(rig->nobody);
        rig->nobody = sd_bus_flush_close_unref(rig->nobody);

        RUN_UNTIL(rig, rig->cancelled->len > 0);
        g_assert_cmpstr(rig->cancelled->pdata[0], ==, q->cancellation);
        answer(q, true, false);
        run(rig, 500);
        g_assert_cmpuint(count_vgpus(rig), ==, 0);
}

/* The thing goes while polkit thinks: the second look finds that, and nothing is left of the call. */
static void test_target_goes(void) {
        g_autoptr(Rig) rig = rig_new();
        unsigned n = 0;

        /* More than may wait at a time, so that one which was not forgotten would show. */
        for (unsigned i = 0; i < CALLS_MAX / 8 + 4; i++) {
                Question *q[8];

                make_vgpu(rig->h->bus, TYPE, UUID);
                for (unsigned k = 0; k < G_N_ELEMENTS(q); k++)
                        ask_on(rig, rig->nobody, false, VGPU_PATH, VGPU_INTERFACE, "Destroy", "a{sv}", 0);
                for (unsigned k = 0; k < G_N_ELEMENTS(q); k++)
                        q[k] = next_question(rig);
                destroy_vgpu(rig->h->bus, UUID);
                for (unsigned k = 0; k < G_N_ELEMENTS(q); k++)
                        answer(q[k], true, false);
                n += G_N_ELEMENTS(q);
                expect_answer(rig, n, "org.freedesktop.DBus.Error.UnknownObject");
        }
}

/* What was allowed is what is done: if a name has come to mean something else, polkit is asked of that. */
static void test_meaning_changes(void) {
        g_autoptr(Rig) rig = rig_new();
        Question *q;

        ask_create(rig, TYPE_NAME, UUID);
        q = next_question(rig);
        g_assert_nonnull(strstr(q->details, "type=" TYPE " "));

        harness_write(rig->h, "host/etc/mdevgpud/types.d/test.yaml",
                      "version: 1\nmatch: {address: \"0000:*\"}\ntypes:\n"
                      "  - {id: 3, name: \"" TYPE_NAME "\", max-instances: 16, framebuffer: 1GiB}\n");
        sd_bus_message_unref(manager_call(rig->h->bus, "Reload", "a{sv}", 0));
        RUN_UNTIL(rig, count_rows(rig->h->bus, "ListTypes", "type", "s", "mdevgpu_ref-3") == 1 &&
                                count_rows(rig->h->bus, "ListTypes", "type", "s", TYPE) == 0);

        answer(q, true, false);
        q = next_question(rig);
        g_assert_nonnull(strstr(q->details, "type=mdevgpu_ref-3 "));
        g_assert_cmpuint(count_vgpus(rig), ==, 0);
        answer(q, false, false);
        expect_answer(rig, 1, ERROR_ACCESS_DENIED);
        g_assert_cmpuint(count_vgpus(rig), ==, 0);
}

/* One user's calls fill that user's share, over all connections, and nobody else's. */
static void test_limit(void) {
        g_autoptr(Rig) rig = rig_new();
        sd_bus *same = harness_connect(rig->h, NOBODY_UID), *other = harness_connect(rig->h, DAEMON_UID);
        unsigned n_questions;

        g_assert_cmpint(sd_bus_attach_event(same, rig->event, 0), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(other, rig->event, 0), >=, 0);

        for (unsigned i = 0; i < CALLS_MAX + 10; i++)
                ask_create(rig, TYPE, "");
        RUN_UNTIL(rig, rig->answers->len == 10 && rig->questions->length == CALLS_MAX);
        g_assert_cmpstr(rig->answers->pdata[9], ==, ERROR_PREFIX "LimitExceeded");

        ask_on(rig, same, false, BUS_PATH, MANAGER_INTERFACE, "Reload", "a{sv}", 0);
        expect_answer(rig, 11, ERROR_PREFIX "LimitExceeded");
        ask_on(rig, other, false, BUS_PATH, MANAGER_INTERFACE, "Reload", "a{sv}", 0);
        RUN_UNTIL(rig, rig->questions->length == CALLS_MAX + 1);
        /* Root has a share of its own. */
        make_vgpu(rig->h->bus, TYPE, "");

        n_questions = rig->questions->length;
        while (!g_queue_is_empty(rig->questions))
                answer(g_queue_pop_head(rig->questions), false, false);
        RUN_UNTIL(rig, rig->answers->len == 11 + n_questions);

        /* And it is free again. */
        ask_on(rig, same, false, BUS_PATH, MANAGER_INTERFACE, "Reload", "a{sv}", 0);
        answer(next_question(rig), false, false);
        expect_answer(rig, 12 + n_questions, ERROR_ACCESS_DENIED);

        (void)sd_bus_detach_event(same);
        (void)sd_bus_detach_event(other);
        sd_bus_flush_close_unref(same);
        sd_bus_flush_close_unref(other);
}

/* Whatever else it answers, it is no yes. */
static void test_odd_answers(void) {
        g_autoptr(Rig) rig = rig_new();
        Question *q;

        ask_create(rig, TYPE, "");
        q = next_question(rig);
        g_assert_cmpint(sd_bus_reply_method_return(q->message, "b", 1), >=, 0);
        question_free(q);
        expect_answer(rig, 1, ERROR_ACCESS_DENIED);

        ask_create(rig, TYPE, "");
        q = next_question(rig);
        g_assert_cmpint(sd_bus_reply_method_errorf(q->message, "org.freedesktop.PolicyKit1.Error.Failed",
                                                   "no\nsuch \x1b[31maction"), >=, 0);
        question_free(q);
        expect_answer(rig, 2, ERROR_ACCESS_DENIED);

        ask_create(rig, TYPE, "");
        q = next_question(rig);
        (void)sd_bus_detach_event(rig->authority);
        rig->authority = sd_bus_flush_close_unref(rig->authority);
        question_free(q);
        expect_answer(rig, 3, ERROR_ACCESS_DENIED);
        g_assert_cmpuint(count_vgpus(rig), ==, 0);
}

/* The daemon ends while polkit thinks. */
static void test_end_while_pending(void) {
        g_autoptr(Rig) rig = rig_new();
        Question *q;

        ask_create(rig, TYPE, UUID);
        q = next_question(rig);
        g_assert_cmpint(harness_stop_daemon(rig->h, 15), ==, 0);
        question_free(q);
        expect_answer(rig, 1, "org.freedesktop.DBus.Error.NoReply");
}

int main(int argc, char **argv) {
        harness_init(&argc, &argv);

        g_test_add_func("/authority/question", test_question);
        g_test_add_func("/authority/judged-first", test_judged_first);
        g_test_add_func("/authority/others-are-served", test_others_are_served);
        g_test_add_func("/authority/caller-leaves", test_caller_leaves);
        g_test_add_func("/authority/target-goes", test_target_goes);
        g_test_add_func("/authority/meaning-changes", test_meaning_changes);
        g_test_add_func("/authority/limit", test_limit);
        g_test_add_func("/authority/odd-answers", test_odd_answers);
        g_test_add_func("/authority/end-while-pending", test_end_while_pending);

        return g_test_run();
}
