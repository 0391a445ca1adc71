/* A disk that loses every write that was not synced.
 *
 * Preloaded into the service. Whenever a file in POWER_CUT_OF is synced, its whole content is kept in
 * POWER_CUT_TO: that is what such a disk would hold. Names follow their file (rename, unlink), as a
 * journalled file system keeps them; a truncation is only there once the file is synced again, and a
 * file that never was synced is not there at all.
 *
 * The content is read through the descriptor that is being synced. Opening and closing the file here
 * would let go of every POSIX lock that SQLite holds on it in this process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static __thread char block[1 << 16];

/* The place of a file of the data directory on the disk that loses; 0 where it is no such file. */
static int place(const char *path, char *kept)
{
    const char *of = getenv("POWER_CUT_OF"), *to = getenv("POWER_CUT_TO");
    if (!of || !to || strncmp(path, of, strlen(of)) || path[strlen(of)] != '/')
        return 0;
    const char *name = path + strlen(of) + 1;
    if (strchr(name, '/') || strstr(name, " (deleted)"))
        return 0;
    return snprintf(kept, PATH_MAX, "%s/%s", to, name) < PATH_MAX;
}

static int copy(int from, int to)
{
    off_t at = 0;
    ssize_t got;
    while ((got = pread(from, block, sizeof block, at)) > 0) {
        if (write(to, block, got) != got)
            return -1;
        at += got;
    }
    return got < 0 ? -1 : 0;
}

static void keep(int fd)
{
    char link[64], path[PATH_MAX], kept[PATH_MAX], fresh[PATH_MAX + 8];
    struct stat about;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fstat(fd, &about) || !S_ISREG(about.st_mode))
        return;
    path[length] = 0;
    if (!place(path, kept))
        return;
    snprintf(fresh, sizeof fresh, "%s.fresh", kept);
    pthread_mutex_lock(&one_at_a_time);
    int to = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int from = fd, own = -1;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY) /* never so for a database */
        from = own = open(path, O_RDONLY);
    if (to < 0 || copy(from, to)) {
        static const char word[] = "power cut: a synced file could not be kept\n";
        if (write(2, word, sizeof word - 1) < 0)
            _exit(71);
        _exit(70);
    }
    close(to);
    if (own >= 0)
        close(own);
    rename(fresh, kept); /* whole or not at all, also where the process is killed right here */
    pthread_mutex_unlock(&one_at_a_time);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd)
{
    int answer = REAL(fsync)(fd);
    if (answer == 0)
        keep(fd);
    return answer;
}

int fdatasync(int fd)
{
    int answer = REAL(fdatasync)(fd);
    if (answer == 0)
        keep(fd);
    return answer;
}

int unlink(const char *path)
{
    char kept[PATH_MAX];
    int answer = REAL(unlink)(path);
    if (answer == 0 && place(path, kept))
        REAL(unlink)(kept);
    return answer;
}

int rename(const char *before, const char *after)
{
    char kept[PATH_MAX], moved[PATH_MAX];
    int answer = REAL(rename)(before, after);
    if (answer == 0 && place(before, kept) && place(after, moved))
        REAL(rename)(kept, moved);
    return answer;
}
