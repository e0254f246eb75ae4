/* A disk that fails while a file is there, for processes that are started with LD_PRELOAD.

   CAMPAIGN_DISK/fsync    every fsync fails with EIO
   CAMPAIGN_DISK/hang     no fsync of an image file returns
   CAMPAIGN_DISK/full     no file below CAMPAIGN_UNDER can be made or grow: ENOSPC
   CAMPAIGN_DISK/switch   no packed image file can be renamed: ENOSPC */
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

static int ends_with(const char *path, const char *end)
{
    size_t size = strlen(path), rest = strlen(end);
    return size >= rest && !strcmp(path + size - rest, end);
}

static const char *path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = 0;
    return path;
}

static int has_no_room(int fd, off_t end)
{
    char path[PATH_MAX];
    struct stat about;
    if (!is_bad("full") || !is_under(path_of(fd, path))) return 0;
    if (fstat(fd, &about) || !S_ISREG(about.st_mode)) return 0;
    return end > about.st_size;
}

static void hang(int fd)
{
    char path[PATH_MAX];
    if (ends_with(path_of(fd, path), ".fs"))
        while (is_bad("hang")) usleep(20000);
}

static off_t place_of(int fd)
{
    struct stat about;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &about) ? 0 : about.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

#define REAL(name) __typeof__(&name) real = dlsym(RTLD_NEXT, #name)
#define FAIL(code) do { errno = code; return -1; } while (0)

#define SYNC(name)                                                                     \
    int name(int fd)                                                                   \
    {                                                                                  \
        REAL(name);                                                                    \
        hang(fd);                                                                      \
        if (is_bad("fsync")) FAIL(EIO);                                                \
        return real(fd);                                                               \
    }

SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to)
{
    REAL(rename);
    if (ends_with(from, ".pack") && is_bad("switch")) FAIL(ENOSPC);
    return real(from, to);
}

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
