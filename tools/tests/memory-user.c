// SPDX-License-Identifier: LGPL-2.1-or-later
// What programs do with memory from malloc(), for snap-run --heap: TAP.  The
// argument is a file of 1 MiB or more in a file system that pins what it reads
// into, and a folder there to write to, if it can be written.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { piece_bytes = 128 << 10, file_bytes = 1 << 20 };

static const char *file;
static const char *folder;
static int number;
static int failures;

static void check(const char *what, bool good) {
    printf("%s %d %s\n", good ? "ok" : "not ok", ++number, what);
    failures += !good;
}

static bool has(const void *memory, char value, size_t bytes) {
    const char *const p = memory;

    for (size_t i = 0; i < bytes; i++)
        if (p[i] != value)
            return false;
    return true;
}

static bool child_is_well(pid_t pid) {
    int status = -1;

    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

// ---- Files ------------------------------------------------------------------

// The same bytes by way of ordinary memory, a page at a time.
static bool same_as_file(const char *bytes, size_t length, off_t at) {
    char page[4096];
    const int fd = open(file, O_RDONLY);
    bool same = fd >= 0;

    for (size_t done = 0; same && done < length; done += sizeof(page))
        same = pread(fd, page, sizeof(page), at + (off_t)done) ==
                   sizeof(page) &&
               memcmp(page, bytes + done, sizeof(page)) == 0;
    close(fd);
    return same;
}

static void reads(int flags, const char *how) {
    char name[64];
    char *const piece = aligned_alloc(flags ? 4096 : 16, piece_bytes);
    char *const other = malloc(piece_bytes);
    struct iovec parts[] = {{piece, 4096}, {other, 65536}};
    const int fd = open(file, O_RDONLY | flags);

    snprintf(name, sizeof(name), "read() %s", how);
    check(name, read(fd, piece, piece_bytes) == piece_bytes &&
                    same_as_file(piece, piece_bytes, 0));
    snprintf(name, sizeof(name), "pread() %s", how);
    check(name, pread(fd, piece, 65536, 8192) == 65536 &&
                    same_as_file(piece, 65536, 8192));
    if (!flags) {
        const ssize_t got = preadv(fd, parts, 2, 4096);

        check("preadv()", got == 4096 + 65536 &&
                              same_as_file(piece, 4096, 4096) &&
                              same_as_file(other, 65536, 8192));
    }
    close(fd);
    free(piece);
    free(other);
}

static void reads_streams(void) {
    char *const piece = malloc(piece_bytes);
    FILE *const f = fopen(file, "r");
    const bool good = f && fgetc(f) != EOF && fseek(f, 100, SEEK_SET) == 0 &&
                      fread(piece, 10, piece_bytes / 10, f) ==
                          piece_bytes / 10 &&
                      !ferror(f) && !feof(f) &&
                      ftell(f) == 100 + piece_bytes / 10 * 10 &&
                      same_as_file(piece + 4096 - 100, 65536, 4096);

    check("fread()", good);
    if (f)
        fclose(f);
    free(piece);
}

static void writes(int flags, const char *how) {
    char name[4096];
    char *const piece = malloc(piece_bytes);
    char *const back = malloc(piece_bytes);
    int fd;

    snprintf(name, sizeof(name), "%s/memory-user.%d", folder, getpid());
    fd = open(name, O_RDWR | O_CREAT | O_TRUNC | flags, 0600);
    unlink(name);
    memset(piece, 'w', piece_bytes);
    memset(back, 0, piece_bytes);
    check(how, fd >= 0 && write(fd, piece, piece_bytes) == piece_bytes &&
                   pread(fd, back, piece_bytes, 0) == piece_bytes &&
                   has(back, 'w', piece_bytes));
    close(fd);
    free(piece);
    free(back);
}

static void writes_streams(void) {
    char name[4096];
    char *const piece = malloc(piece_bytes);
    char *const back = malloc(piece_bytes);
    FILE *f;

    snprintf(name, sizeof(name), "%s/memory-user.%d", folder, getpid());
    f = fopen(name, "w+");
    unlink(name);
    memset(piece, 'w', piece_bytes);
    check("fwrite()", f && fputc('x', f) == 'x' &&
                          fwrite(piece, 1, piece_bytes, f) == piece_bytes &&
                          fflush(f) == 0 &&
                          pread(fileno(f), back, piece_bytes, 1) ==
                              piece_bytes &&
                          has(back, 'w', piece_bytes));
    if (f)
        fclose(f);
    free(piece);
    free(back);
}

// EFAULT, or what this kernel's file system makes of it.
static void refuses(void) {
    const int fd = open(file, O_RDONLY);
    bool good;
    int why;

    errno = 0;
    good = syscall(SYS_read, fd, 4096L, 4096L) == -1;
    why = errno;
    errno = 0;
    check("a wrong address is what the kernel says",
          good && read(fd, (void *)4096, 4096) == -1 && errno == why);
    close(fd);
}

// ---- Stacks -----------------------------------------------------------------

static void *thread(void *argument) {
    char local[20000];

    memset(local, 't', sizeof(local));
    return has(local, 't', sizeof(local)) ? argument : NULL;
}

static void *forking_thread(void *argument) {
    const pid_t pid = fork();

    if (pid == 0)
        _exit(thread(argument) == argument ? 0 : 1);
    return child_is_well(pid) ? argument : NULL;
}

static void threads(const char *what, void *(*start)(void *)) {
    char *const stack = malloc(256 << 10);
    pthread_attr_t attributes;
    pthread_t id;
    void *result = NULL;
    bool good = true;

    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, 256 << 10);
    for (int i = 0; good && i < 3; i++)
        good = pthread_create(&id, &attributes, start, stack) == 0 &&
               pthread_join(id, &result) == 0 && result == stack;
    check(what, good);
    free(stack);
}

static ucontext_t main_context;
static ucontext_t coroutine_context;
static bool coroutine_good;

static void coroutine(void) {
    char local[1000];

    memset(local, 'l', sizeof(local));
    for (int i = 0; i < 3; i++) {
        const pid_t pid = fork();

        if (pid == 0)
            _exit(has(local, 'l', sizeof(local)) ? 0 : 1);
        coroutine_good = child_is_well(pid) && has(local, 'l', sizeof(local));
        if (!coroutine_good)
            return;
    }
}

static void coroutines(void) {
    char *const stack = malloc(piece_bytes);

    getcontext(&coroutine_context);
    coroutine_context.uc_stack.ss_sp = stack;
    coroutine_context.uc_stack.ss_size = piece_bytes;
    coroutine_context.uc_link = &main_context;
    makecontext(&coroutine_context, coroutine, 0);
    swapcontext(&main_context, &coroutine_context);
    check("fork() on the stack of a coroutine", coroutine_good);
    free(stack);
}

static int cloned(void *argument) {
    return thread(argument) == argument ? 0 : 1;
}

static void clones(void) {
    char *const stack = malloc(piece_bytes);
    const int pid = clone(cloned, stack + piece_bytes, SIGCHLD, stack);

    check("clone() with a stack", child_is_well(pid));
    free(stack);
}

// ---- Costs ------------------------------------------------------------------

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double growing(void) {
    const double start = now();
    char *piece = malloc(64 << 10);

    for (size_t bytes = 64 << 10; bytes <= 8 << 20; bytes += 4096) {
        piece = realloc(piece, bytes);
        piece[bytes - 1] = 'g';
    }
    free(piece);
    return now() - start;
}

static double zeroed(void) {
    const double start = now();

    for (int i = 0; i < 10; i++) {
        char *const piece = calloc(1, 12 << 20);

        if (piece[i << 20] || piece[(12 << 20) - 1])
            abort();
        piece[i << 20] = 'z';
        free(piece);
    }
    return now() - start;
}

int main(int argc, char **argv) {
    double grow;
    double zero;

    if (argc < 2)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    file = argv[1];
    folder = argc > 2 ? argv[2] : NULL;
    grow = growing(); // before there is a region
    zero = zeroed();
    close(socket(AF_INET, SOCK_STREAM, 0));
    reads(0, "of a file");
    reads_streams();
    refuses();
    if (folder) {
        writes(0, "write()");
        writes_streams();
    }
    threads("a thread with a stack", thread);
    threads("one that forks", forking_thread);
    coroutines();
    clones();
    printf("# growing by pages to 8 MiB: %.1f ms, ordinary %.1f ms\n",
           growing() * 1e3, grow * 1e3);
    printf("# calloc(12 MiB) 10 times: %.1f ms, ordinary %.1f ms\n",
           zeroed() * 1e3, zero * 1e3);
    printf("1..%d\n", number);
    return failures != 0;
}
