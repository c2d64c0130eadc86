// System calls and constants that the Glibc module does not show to Swift, or shows with awkward types.
#pragma once
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <stdint.h>

// epoll's union and flags, with types that Swift can use without casts.
static inline int clinux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data = {.u64 = token}};
    return epoll_ctl(epoll, operation, fd, &event);
}
static inline uint64_t clinux_event_token(const struct epoll_event *event) { return event->data.u64; }
static const uint32_t CLINUX_READABLE = EPOLLIN | EPOLLRDHUP;
static const uint32_t CLINUX_WRITABLE = EPOLLOUT;
static const uint32_t CLINUX_PEER_CLOSED = EPOLLRDHUP;
static const uint32_t CLINUX_CLOSED = EPOLLERR | EPOLLHUP;
static const uint32_t CLINUX_EDGE = EPOLLET;
static const uint32_t CLINUX_ONESHOT = EPOLLONESHOT;
static const int CLINUX_ADD = EPOLL_CTL_ADD;
static const int CLINUX_MODIFY = EPOLL_CTL_MOD;
static const int CLINUX_REMOVE = EPOLL_CTL_DEL;
static const int CLINUX_EPOLL_CLOEXEC = EPOLL_CLOEXEC;
static const int CLINUX_INOTIFY_FLAGS = IN_CLOEXEC | IN_NONBLOCK;
static const int CLINUX_EVENTFD_FLAGS = EFD_CLOEXEC | EFD_NONBLOCK;

// GNU extensions that the Glibc module hides; in the C file, since _GNU_SOURCE here would clash with it.
int clinux_accept(int listener);
long clinux_copy_range(int from, int to, unsigned long count);
int clinux_rename_new(const char *from, const char *to);
// The wall clock; timespec itself has two owners in an optimised build.
void clinux_wall_clock(int64_t *seconds, int32_t *nanoseconds);
