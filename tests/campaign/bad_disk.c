/* A disk that fails while a file is there, for processes that are started with LD_PRELOAD.

   CAMPAIGN_DISK/fsync   every fsync fails with EIO
   CAMPAIGN_DISK/full    no file below CAMPAIGN_UNDER can be made or grow: ENOSPC */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_bad(const char *how)
{
    char path[PATH_MAX];
    const char *folder = getenv("CAMPAIGN_DISK");
    int before = errno;
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, how);
    int found = access(path, F_OK) == 0;
    errno = before;
    return found;
}

static int is_under(const char *path)
{
    const char *under = getenv("CAMPAIGN_UNDER");
    return under && !strncmp(path, under, strlen(under));
}

static int has_no_room(int fd, off_t end)
{
    char link[64], path[PATH_MAX];
    struct stat about;
    if (!is_bad("full")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    if (!is_under(path) || fstat(fd, &about) || !S_ISREG(about.st_mode)) return 0;
    return end > about.st_size;
}

static off_t place_of(int fd)
{
    struct stat about;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &about) ? 0 : about.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

#define REAL(name) __typeof__(&name) real = dlsym(RTLD_NEXT, #name)
#define FAIL(code) do { errno = code; return -1; } while (0)

int fsync(int fd) { REAL(fsync); if (is_bad("fsync")) FAIL(EIO); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); if (is_bad("fsync")) FAIL(EIO); return real(fd); }

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    if (has_no_room(fd, place_of(fd) + size)) FAIL(ENOSPC);
    return real(fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    REAL(pwrite64);
    if (has_no_room(fd, at + size)) FAIL(ENOSPC);
    return real(fd, data, size, at);
}

#define OPEN(name)                                                                     \
    int name(const char *path, int flags, ...)                                         \
    {                                                                                  \
        va_list rest;                                                                  \
        va_start(rest, flags);                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                      \
        va_end(rest);                                                                  \
        REAL(name);                                                                    \
        if (flags & O_CREAT && is_under(path) && access(path, F_OK) && is_bad("full")) \
            FAIL(ENOSPC);                                                              \
        return real(path, flags, mode);                                                \
    }

OPEN(open)
OPEN(open64)
