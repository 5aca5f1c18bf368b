/* Counts what is allocated and not given back, in bytes, of a program as it is shipped: preloaded (LD_PRELOAD), it keeps the count
 * in the file named by LIVE_HEAP, where the benchmark reads it. glibc only. An allocation counts with its usable size, which is up
 * to 15 bytes more than what was asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static atomic_long before_main;
static atomic_long *_Atomic live = &before_main;

static void *counted(void *memory) {
    if (memory)
        atomic_fetch_add(live, (long)malloc_usable_size(memory));
    return memory;
}

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("LIVE_HEAP");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (page == MAP_FAILED)
        return;
    atomic_store((atomic_long *)page, atomic_load(&before_main));
    live = page;
}

void *malloc(size_t size) {
    return counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return counted(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size) {
    long was = (long)malloc_usable_size(old);
    void *memory = __libc_realloc(old, size);
    if (memory || size == 0)
        atomic_fetch_sub(live, was);
    return counted(memory);
}

void *memalign(size_t alignment, size_t size) {
    return counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    *memory = memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}

void free(void *memory) {
    if (memory)
        atomic_fetch_sub(live, (long)malloc_usable_size(memory));
    __libc_free(memory);
}
