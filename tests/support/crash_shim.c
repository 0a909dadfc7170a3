/* Preloaded into a process: counts the system calls that change files below one folder, can kill the process
 * at any of them, and writes down their order.
 *
 * With a torn write, half of the bytes reach the file before the process dies, as when power fails.
 * Linux only.  The process is single-threaded where this is used.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[512];
static long counted, deadly, torn;
static int log_fd = -1;

/* fd of the log, or -1; die at call number `at` (0: never); `half`: write half of the bytes first. */
void shim_arm(const char *below, long at, long half, int to) {
    snprintf(folder, sizeof folder, "%s", below);
    counted = 0;
    deadly = at;
    torn = half;
    log_fd = to;
}

long shim_count(void) { return counted; }

static const char *name_below(const char *path) {
    size_t n = strlen(folder);
    return n && strncmp(path, folder, n) == 0 ? path + n : NULL;
}

static ssize_t (*real_write)(int, const void *, size_t);

static void note(const char *what, const char *name) {
    char line[600];
    if (log_fd >= 0 && real_write) {
        int n = snprintf(line, sizeof line, "%s %s\n", what, name);
        if (real_write(log_fd, line, (size_t)n) != n) _exit(99);
    }
}

/* 1 if this is the call to die at. */
static int step(const char *what, const char *path) {
    const char *name = name_below(path);
    if (!name) return 0;
    note(what, name);
    return ++counted == deadly;
}

static int step_fd(const char *what, int fd) {
    char link[64], path[600];
    if (!folder[0] || fd == log_fd) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return step(what, path);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void find_write(void) {
    real_write = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
}

ssize_t write(int fd, const void *data, size_t n) {
    if (step_fd("write", fd)) {
        if (torn) real_write(fd, data, n / 2);
        die();
    }
    return real_write(fd, data, n);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    if (step_fd("write", fd)) {
        if (torn) real(fd, data, n / 2, at);
        die();
    }
    return real(fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

int fsync(int fd) {
    REAL(int, "fsync", int);
    if (step_fd("sync", fd)) die();
    return real(fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    if (step_fd("sync", fd)) die();
    return real(fd);
}

int ftruncate64(int fd, off_t n) {
    REAL(int, "ftruncate64", int, off_t);
    if (step_fd("truncate", fd)) die();
    return real(fd, n);
}

int ftruncate(int fd, off_t n) { return ftruncate64(fd, n); }

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (step("unlink", path)) die();
    return real(path);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (step("rename", to)) die();
    return real(from, to);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    if (step("mkdir", path)) die();
    return real(path, mode);
}

int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    if (step("rmdir", path)) die();
    return real(path);
}

/* Names a file that had none: CPython's os.link with descriptors. */
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    if (step("link", to)) die();
    return real(from_at, from, to_at, to, flags);
}
