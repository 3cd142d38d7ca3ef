/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <time.h>

#include "backend/nvidia-types.h"
#include "util/text.h"

/* How long nvidia-vgpud, which registers NVIDIA's own types when the driver is loaded, is waited for. */
#define IN_PROGRESS_TRIES 20U
#define IN_PROGRESS_NSEC 100000000L

/* How many of the driver's own types are tried when its set has to be brought into its final state again. */
#define RESTORE_TRIES 3U

void nvidia_types_done(NvidiaTypes *t) {
        free(t->outcomes);
        t->outcomes = NULL;
        t->n_outcomes = 0;
}

static int lost(int r, const char *what, Error *error) {
        char sentence[NVIDIA_STATUS_SIZE];

        nvidia_rm_describe(r, sentence);
        return error_set(error, r < 0 ? r : -ERROR_DRIVER_REJECTED, "%s: %s", what, sentence);
}

int nvidia_types_read(NvidiaTypes *t, NvidiaRm *rm, Error *error) {
        NvidiaTypeList before = t->held;
        int r;

        r = nvidia_query_types(rm, NVIDIA_CONTROL_SUPPORTED_TYPES, &t->held);
        if (r != 0)
                return lost(r, "the driver does not tell its types", error);

        for (size_t i = 0; i < t->held.n; i++) {
                r = nvidia_query_type(rm, t->held.ids[i], &t->types[i]);
                if (r < 0 && r != -EBADMSG)
                        return lost(r, "the driver does not describe its types", error);
                if (r != 0)
                        t->types[i] = (NvidiaType){};
        }

        /* Somebody discarded the set, or the driver was loaded anew: what it refused before may be taken now. */
        if (t->held.n_held < before.n_held)
                nvidia_types_done(t);
        return 0;
}

int nvidia_types_read_more(NvidiaTypes *t, NvidiaRm *rm, Error *error) {
        NvidiaTypeList creatable;
        int r, listed;

        r = listed = nvidia_query_types(rm, NVIDIA_CONTROL_CREATABLE_TYPES, &creatable);
        for (size_t i = 0; i < t->held.n && (r >= 0 || r == -EBADMSG || r == -EOPNOTSUPP); i++) {
                NvidiaType *type = &t->types[i];

                if (type->id == 0)
                        continue;
                if (listed == 0)
                        type->creatable = tristate(nvidia_types_hold(&creatable, type->id));
                r = nvidia_query_host_reservation(rm, type->id, &type->host_reserved);
                if (r >= 0 || r == -EOPNOTSUPP)
                        r = nvidia_query_placements(rm, type->id, &type->placements);
        }

        if (r < 0 && r != -EBADMSG && r != -EOPNOTSUPP)
                return lost(r, "the driver does not say what is left for its types", error);
        return 0;
}

const NvidiaType *nvidia_types_find(const NvidiaTypes *t, uint32_t id) {
        for (size_t i = 0; i < t->held.n; i++)
                if (t->held.ids[i] == id)
                        return &t->types[i];

        return NULL;
}

static const NvidiaOutcome *find_outcome(const NvidiaTypes *t, uint32_t id) {
        for (size_t i = 0; i < t->n_outcomes; i++)
                if (t->outcomes[i].spec.id == id)
                        return &t->outcomes[i];

        return NULL;
}

static void decide(NvidiaOutcome *o, Registration registration, const char *format, ...) _printf_(3, 4);

static void decide(NvidiaOutcome *o, Registration registration, const char *format, ...) {
        va_list ap;

        o->registration = registration;
        va_start(ap, format);
        (void)vsnprintf(o->reason, sizeof(o->reason), format, ap);
        va_end(ap);
}

static void judge_held(const NvidiaTypes *t, const NvidiaType *type, NvidiaOutcome *o) {
        o->registration = REGISTRATION_REGISTERED;
        o->reason[0] = '\0';
        if (type->id == 0)
                decide(o, REGISTRATION_DIFFERS, "the driver holds a type under this id, but does not say what it is");
        else if (!nvidia_info_matches(type, &o->spec, &t->card, o->reason))
                o->registration = REGISTRATION_DIFFERS;
}

/* FNV-1a: tells what was sent from what would be sent. */
static uint64_t print_of(const uint8_t *parameters, size_t size) {
        uint64_t print = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < size; i++)
                print = (print ^ parameters[i]) * UINT64_C(0x100000001b3);
        return print;
}

/* A layout that is only believed to be the driver's is written to on request. */
static bool may_write(const NvidiaVerdict *verdict, const NvidiaOutcome *o) {
        return verdict->known || o->spec.nvidia_newer;
}

/* Everything is checked before anything is sent. How many are to be sent. */
static size_t plan(NvidiaTypes *t, const NvidiaRm *rm, const NvidiaVerdict *verdict, const NvidiaOutcome *before,
                   size_t n_before, uint8_t *parameters) {
        size_t n = 0;

        for (size_t i = 0; i < t->n_outcomes; i++) {
                NvidiaOutcome *o = &t->outcomes[i];
                const NvidiaType *held = nvidia_types_find(t, o->spec.id);

                if (held) {
                        judge_held(t, held, o);
                        continue;
                }

                memset(parameters, 0, NVIDIA_PARAMETERS_MAX);
                if (!nvidia_info_encode(rm->dialect, &o->spec, &t->card, 0, parameters, o->reason)) {
                        o->registration = REGISTRATION_REFUSED;
                        continue;
                }

                if (!may_write(verdict, o)) {
                        decide(o, REGISTRATION_REFUSED,
                               "this driver is newer than the last one whose layout is known: it is read, but not "
                               "written to; the profile or mdevgpud.yaml can ask for it (nvidia: newer-drivers)");
                        continue;
                }

                o->print = print_of(parameters, rm->dialect->controls[NVIDIA_CONTROL_SET_INFO].size);
                for (size_t k = 0; k < n_before; k++)
                        if (before[k].sent && before[k].print == o->print) {
                                decide(o, before[k].registration, "%s", before[k].reason);
                                o->sent = true;
                        }
                if (!o->sent) {
                        decide(o, REGISTRATION_PENDING, "not yet registered");
                        n++;
                }
        }

        return n;
}

static bool is_planned(const NvidiaOutcome *o) {
        return o->registration == REGISTRATION_PENDING;
}

static void postpone(NvidiaTypes *t, Registration registration, const char *why) {
        for (size_t i = 0; i < t->n_outcomes; i++)
                if (is_planned(&t->outcomes[i]))
                        decide(&t->outcomes[i], registration, "%s", why);
}

/* Waits as long as another program is at it. 1: the set can be changed now; 0: not yet. */
static int await_quiet(NvidiaTypes *t, NvidiaRm *rm, Error *error) {
        const struct timespec ts = { .tv_nsec = IN_PROGRESS_NSEC };

        for (unsigned i = 0; t->held.state == NVIDIA_CONFIG_IN_PROGRESS; i++) {
                int r;

                if (i == IN_PROGRESS_TRIES)
                        return 0;

                (void)nanosleep(&ts, NULL);
                r = nvidia_types_read(t, rm, error);
                if (r < 0)
                        return r;
        }

        return 1;
}

/* Several vGPUs in one VM that are parts of a card: the driver strikes that off a type unless the card is set so before. */
static int allow_multi_vgpu(const NvidiaTypes *t, NvidiaRm *rm) {
        uint8_t support[12] = {}, parameters[4] = {};
        bool wanted = false;
        int r;

        for (size_t i = 0; i < t->n_outcomes; i++)
                wanted = wanted || (is_planned(&t->outcomes[i]) && t->outcomes[i].spec.multi_vgpu &&
                                    t->outcomes[i].spec.max_instances != 1);
        if (!wanted)
                return 0;

        r = nvidia_rm_control(rm, NVIDIA_CONTROL_MULTI_VGPU, support);
        if (r != 0 || nvidia_u32(support) != 0)
                return r < 0 ? r : 0;

        /* Where the driver refuses it, the types come back without: that is said of each. */
        nvidia_set_u32(parameters, 1);
        r = nvidia_rm_control(rm, NVIDIA_CONTROL_SET_PGPU_INFO, parameters);
        return r < 0 ? r : 0;
}

static int send_one(NvidiaTypes *t, NvidiaRm *rm, NvidiaOutcome *o, uint8_t *parameters) {
        char sentence[NVIDIA_STATUS_SIZE];
        int r;

        memset(parameters, 0, NVIDIA_PARAMETERS_MAX);
        if (!nvidia_info_encode(rm->dialect, &o->spec, &t->card, NVIDIA_CONFIG_READY, parameters, o->reason)) {
                o->registration = REGISTRATION_REFUSED;
                return 0;
        }

        r = nvidia_rm_control(rm, NVIDIA_CONTROL_SET_INFO, parameters);
        if (r < 0)
                return r;
        if (r == 0) {
                o->registration = REGISTRATION_REGISTERED;
                return 1;
        }

        nvidia_rm_describe(r, sentence);
        decide(o, REGISTRATION_REFUSED, "the driver refused it: %s", sentence);
        o->sent = true;
        return 0;
}

/*
 * How many the driver took. The set is said to be ready with each: what is in it can be used meanwhile, and should this
 * process end in the midst of it, nothing looks as if somebody were still at it.
 */
static int send_planned(NvidiaTypes *t, NvidiaRm *rm, uint8_t *parameters, bool *is_new) {
        size_t n_taken = 0;

        for (size_t i = 0; i < t->n_outcomes; i++) {
                NvidiaOutcome *o = &t->outcomes[i];
                int r;

                if (!is_planned(o))
                        continue;

                r = send_one(t, rm, o, parameters);
                if (r < 0)
                        return r;
                is_new[i] = r > 0;
                n_taken += (size_t)r;
        }

        return (int)n_taken;
}

/* Sends one again that the driver has: the only way to tell it a state. 1: the set is ready, by the driver's own word. */
static int restore_by(NvidiaTypes *t, NvidiaRm *rm, uint32_t id, uint8_t *parameters) {
        const NvidiaDialect *d = rm->dialect;
        const NvidiaOutcome *o = find_outcome(t, id);
        NvidiaTypeList list;
        char reason[REASON_SIZE];
        int r;

        memset(parameters, 0, NVIDIA_PARAMETERS_MAX);
        if (!o || !nvidia_types_hold(&t->ours, id) ||
            !nvidia_info_encode(d, &o->spec, &t->card, NVIDIA_CONFIG_READY, parameters, reason)) {
                /* Not ours: as the driver describes it. Both structs begin with eight bytes, then the type. */
                memset(parameters, 0, NVIDIA_PARAMETERS_MAX);
                nvidia_set_u32(parameters, id);
                r = nvidia_rm_control(rm, NVIDIA_CONTROL_TYPE_INFO, parameters);
                if (r != 0)
                        return r < 0 ? r : 0;
                memset(parameters, 0, d->set_info_at);
                (void)nvidia_put(d, parameters, 0, NVIDIA_AT_SET_INFO_STATE, NVIDIA_CONFIG_READY);
        }

        r = nvidia_rm_control(rm, NVIDIA_CONTROL_SET_INFO, parameters);
        if (r == 0)
                r = nvidia_query_types(rm, NVIDIA_CONTROL_SUPPORTED_TYPES, &list);
        if (r != 0)
                return r < 0 ? r : 0;

        return list.state == NVIDIA_CONFIG_READY;
}

/* A refusal makes the driver forget that its set is ready (observed in the source of 550 to 595). */
static int restore_state(NvidiaTypes *t, NvidiaRm *rm, uint8_t *parameters) {
        NvidiaTypeList list;
        unsigned tries = 0;
        int r;

        r = nvidia_query_types(rm, NVIDIA_CONTROL_SUPPORTED_TYPES, &list);
        if (r < 0)
                return r;
        if (r == 0 && (list.state == NVIDIA_CONFIG_READY || list.n == 0))
                return 0;

        /* The latest first: those are ours, if any. */
        for (size_t i = r == 0 ? list.n : 0;
             i > 0 && tries < RESTORE_TRIES && list.n_held + tries < rm->dialect->types_max; i--, tries++) {
                r = restore_by(t, rm, list.ids[i - 1], parameters);
                if (r != 0)
                        return r < 0 ? r : 0;
        }

        (void)text_copy(t->degraded, sizeof(t->degraded),
                        "since the driver refused a type it does not hold its set of types for ready, "
                        "and vGPUs may not be made; reload the driver");
        return 0;
}

/* The driver's yes is not believed. */
static int prove(NvidiaTypes *t, NvidiaRm *rm, const bool *is_new, Error *error) {
        int r;

        r = nvidia_types_read(t, rm, error);
        if (r < 0)
                return r;

        for (size_t i = 0; i < t->n_outcomes; i++) {
                NvidiaOutcome *o = &t->outcomes[i];
                /* Also one that was refused: what timed out may have been done all the same. */
                const NvidiaType *held = is_new[i] || o->sent ? nvidia_types_find(t, o->spec.id) : NULL;

                if (held) {
                        judge_held(t, held, o);
                        o->sent = false;
                        if (!nvidia_types_hold(&t->ours, o->spec.id) && t->ours.n < NVIDIA_TYPES_MAX)
                                t->ours.ids[t->ours.n++] = o->spec.id;
                } else if (is_new[i]) {
                        decide(o, REGISTRATION_REFUSED, "the driver said that it took it, but does not hold it");
                        o->sent = true;
                }
        }

        return 0;
}

/* Brings the set into force: the kernel's side shows it from then on. */
static int finish(NvidiaTypes *t, NvidiaRm *rm) {
        char sentence[NVIDIA_STATUS_SIZE];
        int r;

        r = nvidia_rm_control(rm, NVIDIA_CONTROL_UPDATE_PGPU, NULL);
        if (r > 0) {
                nvidia_rm_describe(r, sentence);
                (void)snprintf(t->degraded, sizeof(t->degraded),
                               "the driver took types, but did not bring the change to its end: %s", sentence);
        }

        return r;
}

static int change(NvidiaTypes *t, NvidiaRm *rm, uint8_t *parameters, Error *error) {
        bool is_new[PROFILE_TYPES_MAX] = {};
        int n_taken, r;

        rm->may_write = true;
        r = allow_multi_vgpu(t, rm);
        n_taken = r = r < 0 ? r : send_planned(t, rm, parameters, is_new);
        if (r >= 0) {
                t->degraded[0] = '\0';
                r = restore_state(t, rm, parameters);
        }
        if (r >= 0 && n_taken > 0)
                r = finish(t, rm);
        rm->may_write = false;
        if (r < 0)
                return lost(r, "the control channel was lost", error);

        return prove(t, rm, is_new, error);
}

static int begin(NvidiaTypes *t, const TypeSpec *wanted, size_t n_wanted) {
        t->waiting = false;
        t->n_outcomes = 0;
        t->outcomes = calloc(MAX(n_wanted, 1U), sizeof(NvidiaOutcome));
        if (!t->outcomes)
                return -ENOMEM;

        for (size_t i = 0; i < n_wanted; i++)
                t->outcomes[i].spec = wanted[i];
        t->n_outcomes = n_wanted;
        return 0;
}

/*
 * The driver holds all that is wanted and can be: but its set may not be ready, as one who registered was interrupted, or
 * the kernel's side may show nothing, as the GPU was unbound and bound again.
 */
static int repair(NvidiaTypes *t, NvidiaRm *rm, const NvidiaVerdict *verdict, NvidiaUse use, uint8_t *parameters,
                  Error *error) {
        bool ready = t->held.state == NVIDIA_CONFIG_READY, may = false;
        int r = 0;

        for (size_t i = 0; i < t->n_outcomes; i++)
                may = may || may_write(verdict, &t->outcomes[i]);
        if (!may || t->held.n == 0 || t->held.state == NVIDIA_CONFIG_IN_PROGRESS || use.in_use ||
            (ready && use.offered))
                return 0;

        t->degraded[0] = '\0';
        rm->may_write = true;
        if (!ready)
                r = restore_state(t, rm, parameters);
        if (r >= 0)
                r = finish(t, rm);
        rm->may_write = false;
        return r < 0 ? lost(r, "the control channel was lost", error) : 0;
}

int nvidia_types_register(NvidiaTypes *t, NvidiaRm *rm, const NvidiaVerdict *verdict, const TypeSpec *wanted,
                          size_t n_wanted, NvidiaUse use, Error *error) {
        _cleanup_(freep) uint8_t *parameters = NULL;
        _cleanup_(freep) NvidiaOutcome *before = NULL;
        size_t n, n_before;
        int r;

        r = nvidia_types_read(t, rm, error);
        if (r < 0)
                return r;
        r = await_quiet(t, rm, error);
        if (r < 0)
                return r;

        before = TAKE(t->outcomes);
        n_before = t->n_outcomes;
        n_wanted = MIN(n_wanted, PROFILE_TYPES_MAX);
        parameters = calloc(1, NVIDIA_PARAMETERS_MAX);
        if (!parameters || begin(t, wanted, n_wanted) < 0) {
                t->n_outcomes = 0;
                return error_set_errno(error, -ENOMEM, "the types cannot be registered");
        }

        n = plan(t, rm, verdict, before, n_before, parameters);
        if (n == 0)
                return repair(t, rm, verdict, use, parameters, error);

        if (t->held.n_held + n >= rm->dialect->types_max)
                postpone(t, REGISTRATION_REFUSED, "the driver holds as many types for this GPU as it can");
        else if (r == 0) {
                t->waiting = true;
                postpone(t, REGISTRATION_PENDING, "another program (nvidia-vgpud) is registering types");
        } else if (use.in_use) {
                t->waiting = true;
                postpone(t, REGISTRATION_PENDING, "types are registered only while the GPU has no vGPU");
        } else
                return change(t, rm, parameters, error);

        return 0;
}

void nvidia_types_judge(const NvidiaTypes *t, const TypeSpec *spec, NvidiaOutcome *ret_now) {
        const NvidiaType *held = nvidia_types_find(t, spec->id);
        const NvidiaOutcome *o = find_outcome(t, spec->id);

        *ret_now = (NvidiaOutcome){ .spec = *spec };
        if (held)
                judge_held(t, held, ret_now);
        else if (o && o->registration != REGISTRATION_REGISTERED)
                *ret_now = *o;
        else
                decide(ret_now, REGISTRATION_PENDING, "not yet registered");
}
