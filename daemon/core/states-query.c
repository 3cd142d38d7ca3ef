/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/states-query.h"

/* What the worker is called instead of a GPU's name. */
#define WORKER_NAME "host"

struct StatesQuery {
        List link; /* in its work's */
        StatesCallback callback;
        void *userdata;
};

/*
 * One job, and all who wait for it. Anybody may ask for a list, and the workers who list are others' as well: so only one is
 * begun at a time, and those who ask meanwhile share the next one. (Not this one: it may have passed what they know of.)
 */
typedef struct StatesWork {
        Manager *manager;
        List link; /* in manager->states_work */
        PlatformJob *job; /* NULL: a list that waits for another one's end */
        bool lists; /* otherwise it deletes one */
        bool stuck;
        List queries; /* StatesQuery.link */
} StatesWork;

static StatesWork *work_free(StatesWork *work) {
        list_unlink(&work->link);
        free(work);
        return NULL;
}

static void answer(StatesWork *work, const Error *error, const JobResult *result) {
        while (!list_is_empty(&work->queries)) {
                StatesQuery *query = LIST_FIRST(&work->queries, StatesQuery, link);
                StatesCallback callback = query->callback;
                void *userdata = query->userdata;

                states_query_free(query);
                callback(error, result, userdata);
        }
}

static StatesWork *find_list(const Manager *manager, bool begun) {
        StatesWork *work;

        LIST_FOREACH(work, &manager->states_work, link)
                if (work->lists && !work->job == !begun)
                        return work;

        return NULL;
}

static int begin(StatesWork *work, const Job *job, Error *error);

/* Nobody may wait for it any more. */
static void begin_next(Manager *manager) {
        const Job job = { .kind = JOB_LIST_STATES };
        StatesWork *work = find_list(manager, /* begun= */ false);
        Error error = ERROR_NULL;

        if (!work)
                return;
        if (!list_is_empty(&work->queries) && begin(work, &job, &error) >= 0)
                return;

        list_unlink(&work->link); /* who asks from within has another one */
        answer(work, &error, NULL);
        work_free(work);
}

static void on_done(JobResult *result, void *userdata) {
        StatesWork *work = userdata;
        Manager *manager = work->manager;
        bool lists = work->lists;

        /* Also if whoever asked has left, or was told that it takes too long; and of a worker that is gone nobody knows. */
        if (!lists && (result->error.code == 0 || result->error.code == -EPIPE))
                OBSERVE(manager, saved_states_changed, manager);

        /* Who asks from within has the next list. */
        list_unlink(&work->link);
        if (lists)
                begin_next(manager);
        answer(work, result->error.code < 0 ? &result->error : NULL, result);
        work_free(work);
}

/* It goes on, and another list would only wait as well. */
static void on_timeout(pid_t pid, void *userdata) {
        StatesWork *work = userdata, *next = work->lists ? find_list(work->manager, /* begun= */ false) : NULL;
        Error error = ERROR_NULL;

        work->stuck = true;
        (void)error_set(&error, -ERROR_TIMEOUT, "Process %i does not come to an end with the saved states: the disk may hang",
                        (int)pid);
        if (next)
                answer(next, &error, NULL);
        answer(work, &error, NULL);
}

static int submit_error(int code, bool lists, Error *error) {
        if (code == -EBUSY)
                return error_set(error, -ERROR_BUSY,
                                 "The process that %s saved states is stuck, or has not ended yet: the disk may hang",
                                 lists ? "lists" : "deletes");
        if (code == -EDQUOT)
                return error_set(error, -ERROR_LIMIT_EXCEEDED,
                                 "Too much waits to be done before saved states can be %s",
                                 lists ? "listed" : "deleted");

        return error_set_errno(error, code, "the saved states cannot be looked at");
}

static int begin(StatesWork *work, const Job *job, Error *error) {
        const JobListener listener = { .timeout = on_timeout, .done = on_done, .userdata = work };
        Platform *platform = work->manager->platform;
        int r;

        r = platform->ops->submit(platform, WORKER_NAME, job, &listener, &work->job);
        return r < 0 ? submit_error(r, work->lists, error) : 0;
}

/* job NULL: it waits for another. */
static int work_new(Manager *manager, const Job *job, bool lists, StatesWork **ret_work, Error *error) {
        StatesWork *work;
        int r;

        work = calloc(1, sizeof(StatesWork));
        if (!work)
                return submit_error(-ENOMEM, lists, error);

        *work = (StatesWork){ .manager = manager, .lists = lists };
        list_init(&work->queries);
        list_append(&manager->states_work, &work->link);
        r = job ? begin(work, job, error) : 0;
        if (r < 0) {
                work_free(work);
                return r;
        }

        *ret_work = work;
        return 0;
}

static int need_list(Manager *manager, StatesWork **ret_work, Error *error) {
        const Job job = { .kind = JOB_LIST_STATES };
        const StatesWork *begun = find_list(manager, /* begun= */ true);

        if (begun && begun->stuck)
                return submit_error(-EBUSY, /* lists= */ true, error);

        *ret_work = find_list(manager, /* begun= */ false);
        return *ret_work ? 0 : work_new(manager, begun ? NULL : &job, /* lists= */ true, ret_work, error);
}

/* job NULL: a list. */
static int ask(Manager *manager, const Job *job, StatesCallback callback, void *userdata, StatesQuery **ret_query,
               Error *error) {
        StatesQuery *query;
        StatesWork *work;
        int r;

        query = calloc(1, sizeof(StatesQuery));
        if (!query)
                return submit_error(-ENOMEM, !job, error);

        r = job ? work_new(manager, job, /* lists= */ false, &work, error) : need_list(manager, &work, error);
        if (r < 0) {
                free(query);
                return r;
        }

        *query = (StatesQuery){ .callback = callback, .userdata = userdata };
        list_append(&work->queries, &query->link);
        *ret_query = query;
        return 0;
}

int states_query_new(Manager *manager, StatesCallback callback, void *userdata, StatesQuery **ret_query, Error *error) {
        return ask(manager, NULL, callback, userdata, ret_query, error);
}

int states_query_new_delete(Manager *manager, const char *name, StatesCallback callback, void *userdata,
                            StatesQuery **ret_query, Error *error) {
        const Job job = { .kind = JOB_DELETE_STATE, .state_name = name };

        return ask(manager, &job, callback, userdata, ret_query, error);
}

StatesQuery *states_query_free(StatesQuery *query) {
        if (!query)
                return NULL;

        list_unlink(&query->link);
        free(query);
        return NULL;
}

void states_queries_end(Manager *manager) {
        StatesWork *work;

        LIST_FOREACH(work, &manager->states_work, link) {
                if (work->job)
                        manager->platform->ops->forget(manager->platform, work->job);
                while (!list_is_empty(&work->queries))
                        states_query_free(LIST_FIRST(&work->queries, StatesQuery, link));
                work_free(work);
        }
}
