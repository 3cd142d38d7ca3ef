/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mdevgpud-worker: touches what a vendor driver implements, for one GPU, on behalf of mdevgpud. The daemon starts it
 * with a socket as standard input and nothing else; it ends when that is closed.
 *
 * With --probe it says instead what control channels there are and what they answer, and changes nothing: a person calls
 * that, by mdevgpuctl probe.
 */

#include <sys/stat.h>

#include "backend/nvidia-report.h"
#include "core/platform.h"
#include "util/log.h"
#include "util/text.h"
#include "worker/worker.h"

static int probe(void) {
        Host host;
        int r;

        r = host_open(&host);
        if (r >= 0) {
                r = nvidia_report(&host, stdout);
                host_close(&host);
        }
        if (r < 0)
                fprintf(stderr, "mdevgpud-worker: GPUs cannot be looked for: %s\n", strerror(-r));
        if (fflush(stdout) != 0 || ferror(stdout)) {
                fprintf(stderr, "mdevgpud-worker: cannot write: %s\n", strerror(errno));
                r = -EIO;
        }

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        struct stat st;
        Host host;
        int r;

        if (argc == 2 && streq(argv[1], "--probe"))
                return probe();

        if (argc != 2 || !text_is_name(argv[1]) || fstat(STDIN_FILENO, &st) < 0 || !S_ISSOCK(st.st_mode)) {
                fprintf(stderr, "mdevgpud-worker is started by mdevgpud\n");
                return 2;
        }

        log_setup("mdevgpud-worker", LOG_INFO, NULL);
        r = host_open(&host);
        if (r >= 0) {
                r = worker_serve(STDIN_FILENO, &host, argv[1]);
                host_close(&host);
        }
        if (r < 0)
                log_full(LOG_ERR, LOG_FIELDS("MDEVGPU_GPU", argv[1]), "Worker for %s failed: %s", argv[1],
                         strerror(-r));

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
