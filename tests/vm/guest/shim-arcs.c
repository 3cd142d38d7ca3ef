/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every step of VFIO migration between two states, of any vGPU that can be migrated: whether it is there, where it ends, and
 * whether a data descriptor comes of it, against the table of Linux's UAPI (linux/vfio.h); and what the descriptors answer.
 * Wants the UUID of a vGPU that nobody uses, and its flags, STOP_COPY 1 | P2P 2 | PRE_COPY 4. With --mtty it is one of the
 * kernel's sample of that name, of which two things are known (6.12): nothing leads it into ERROR, and it says that the
 * stream is at its end where the UAPI wants ENOMSG, as the vGPU goes on.
 */

#include <poll.h>

#include "shim-migration.h"

static int flags;
static bool is_mtty;
static struct image image; /* a whole state of this vGPU */

static bool saves(int state) {
        return state == STOP_COPY || state == PRE_COPY || state == PRE_COPY_P2P;
}

static bool supported(int state) {
        if (state == RUNNING_P2P)
                return flags & HAS_P2P;
        if (state == PRE_COPY)
                return flags & HAS_PRE_COPY;
        if (state == PRE_COPY_P2P)
                return (flags & HAS_PRE_COPY) && (flags & HAS_P2P);
        return true;
}

/* As the UAPI says: all but these, some of them by way of others */
static bool permitted(int from, int to) {
        if (from == ERROR || to == ERROR || !supported(to))
                return false;
        return from != STOP_COPY || (to != PRE_COPY && to != PRE_COPY_P2P);
}

static bool begins_session(int from, int to) {
        if (to == RESUMING)
                return from != RESUMING;
        return saves(to) && !saves(from);
}

/* From wherever it is; with the descriptor of the session, if it is in one. */
static bool enter(int device, int state, int *ret_fd) {
        *ret_fd = -1;
        if (ioctl(device, VFIO_DEVICE_RESET) < 0 || state_get(device) != RUNNING)
                return check(false, "a reset leads to RUNNING");
        if (state == ERROR) {
                errno = 0;
                if (image_load((const uint8_t *)"no image", 8, device, 8, STOP) == 0)
                        return check(false, "a bad image leads to ERROR");
        } else if (state_set(device, state, ret_fd) < 0)
                return check(false, "RUNNING to %s: %s", state_names[state], strerror(errno));
        if (state == RESUMING && image_write(image.bytes, image.n, *ret_fd, image.n) < 0)
                return check(false, "an image is taken: %s", strerror(errno));
        return state_get(device) == state || check(false, "%s is entered", state_names[state]);
}

static void test_arc(int device, int from, int to) {
        int fd, session, r, error, now;
        bool good, wants_fd = begins_session(from, to);

        if (!enter(device, from, &session))
                return;
        r = state_set(device, to, &fd);
        error = errno;
        now = state_get(device);
        if (permitted(from, to))
                good = r == 0 && now == to && (fd >= 0) == wants_fd;
        else
                good = r < 0 && error == EINVAL && now == from;
        check(good, "%s to %s: %s, %s%s", state_names[from], state_names[to], r < 0 ? strerror(error) : "done",
              now < 0 ? "?" : state_names[now], fd >= 0 ? ", a descriptor" : "");
        if (fd >= 0)
                close(fd);
        if (session >= 0)
                close(session);
}

static int info(int fd, struct precopy_info *ret) {
        *ret = (struct precopy_info){ .argsz = sizeof(*ret) };
        return ioctl(fd, GET_PRECOPY_INFO, ret);
}

static void test_precopy(int device) {
        struct precopy_info before, after;
        struct image partial = {};
        char byte = 0;
        int fd;

        if (!enter(device, PRE_COPY, &fd))
                return;
        check_errno(0, info(fd, &before), "PRECOPY_INFO in PRE_COPY");
        check(before.initial_bytes > 0, "there is something at first: %llu bytes",
              (unsigned long long)before.initial_bytes);
        check_errno(is_mtty ? 0 : ENOMSG, image_read(&partial, fd, 4000), "the end for now");
        check(partial.n >= before.initial_bytes, "after what there was: %zu", partial.n);
        check(info(fd, &after) == 0 && after.initial_bytes == 0, "of which nothing is left");
        check(write(fd, &byte, 1) < 0, "nothing can be written to it");
        check_errno(0, state_go(device, STOP_COPY), "the same session in STOP_COPY");
        check_errno(EINVAL, info(fd, &after), "PRECOPY_INFO there");
        check_errno(0, image_read(&partial, fd, 4000), "the end for good");
        check(read(fd, &byte, 1) == 0, "again");
        check_errno(0, image_load(partial.bytes, partial.n, device, 777, RUNNING), "what came of it can be loaded");
        check(read(fd, &byte, 1) < 0 && errno != ENOMSG && errno != EAGAIN, "the session is over");
        check(info(fd, &after) < 0, "PRECOPY_INFO after it");
        close(fd);
        image_free(&partial);
}

static void test_descriptors(int device) {
        struct precopy_info unused;
        char byte = 0;
        int fd;

        if (enter(device, STOP_COPY, &fd)) {
                check_errno(EINVAL, flags & HAS_PRE_COPY ? info(fd, &unused) : (errno = EINVAL, -1),
                            "PRECOPY_INFO without PRE_COPY");
                check(pread(fd, &byte, 1, 0) < 0 && lseek(fd, 0, SEEK_CUR) < 0, "it has no positions");
                check_errno(0, state_go(device, STOP), "to STOP");
                check(read(fd, &byte, 1) < 0, "ends its session");
                close(fd);
        }
        if (enter(device, RESUMING, &fd)) {
                check(info(fd, &unused) < 0 && errno == ENOTTY, "PRECOPY_INFO while resuming");
                check(read(fd, &byte, 1) < 0, "nothing can be read there");
                check_errno(0, state_go(device, STOP), "to STOP");
                check(write(fd, &byte, 1) < 0, "ends its session, too");
                close(fd);
        }
}

/* A descriptor that outlives its device is of no use, and no harm. */
static void test_outlived(const char *uuid, struct vgpu *v) {
        char byte;
        int fd;

        if (!enter(v->device, STOP_COPY, &fd))
                return;
        vgpu_close(v);
        check(read(fd, &byte, 1) < 0, "the device is closed, and its descriptor gives an error");
        close(fd);
        check_errno(0, vgpu_open(uuid, v), "the device opens again");
}

int main(int argc, char *argv[]) {
        struct vgpu v;

        is_mtty = argc == 4 && strcmp(argv[3], "--mtty") == 0;
        if (argc != 3 && !is_mtty) {
                fprintf(stderr, "Usage: %s UUID FLAGS [--mtty]\n", argv[0]);
                return 2;
        }
        if (!check_errno(0, vgpu_open(argv[1], &v), "the vGPU opens"))
                return tests_finish();
        flags = migration_flags(v.device);
        if (!check(flags == atoi(argv[2]), "it can be migrated: %d", flags))
                return tests_finish();
        ioctl(v.device, VFIO_DEVICE_RESET);
        check_errno(0, image_save(&image, v.device, 4096), "its state");
        for (int from = is_mtty ? STOP : ERROR; from < N_STATES; from++)
                for (int to = ERROR; to < N_STATES && supported(from); to++)
                        test_arc(v.device, from, to);
        if (flags & HAS_PRE_COPY)
                test_precopy(v.device);
        test_descriptors(v.device);
        test_outlived(argv[1], &v);
        ioctl(v.device, VFIO_DEVICE_RESET);
        vgpu_close(&v);
        return tests_finish();
}
