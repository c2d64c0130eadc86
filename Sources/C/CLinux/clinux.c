#define _GNU_SOURCE
#include "clinux.h"
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int clinux_accept(int listener) { return accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC); }

long clinux_copy_range(int from, int to, unsigned long count) { return copy_file_range(from, 0, to, 0, count, 0); }

int clinux_rename_new(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

void clinux_wall_clock(int64_t *seconds, int32_t *nanoseconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *seconds = now.tv_sec;
    *nanoseconds = (int32_t)now.tv_nsec;
}
