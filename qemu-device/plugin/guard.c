/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snap-qemu.so, preloaded into QEMU: the first half of the plug-in.
 *
 * It refers to nothing of QEMU by name, so that it can be loaded anywhere and
 * say what is wrong: a plug-in fits the one build of QEMU whose headers it was
 * compiled with.  In that one it loads snap-device.so, which lies beside it
 * and registers the device as QEMU's own devices do, before main().
 */
#include "qemu/osdep.h"
#include "qapi/qapi-types-control.h"
#include <dlfcn.h>

static G_NORETURN G_GNUC_PRINTF(1, 2) void refuse(const char *format, ...)
{
    va_list args;

    fputs("snap-qemu.so: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    /* Nothing of the program has run yet, and nothing of it shall. */
    _exit(1);
}

/*
 * The programs that QEMU starts are not QEMU: they are not to load this, by
 * whatever path it was found.
 */
static void leave_environment(const char *path)
{
    g_autofree char *self = g_path_get_basename(path);
    const char *preload = g_getenv("LD_PRELOAD");
    g_auto(GStrv) words = g_strsplit_set(preload ? preload : "", " :", -1);
    g_autoptr(GString) others = g_string_new(NULL);

    for (char **word = words; *word; word++) {
        g_autofree char *name = g_path_get_basename(*word);

        if (**word && !g_str_equal(name, self)) {
            g_string_append_printf(others, "%s%s", others->len ? ":" : "",
                                   *word);
        }
    }
    if (others->len) {
        g_setenv("LD_PRELOAD", others->str, true);
    } else {
        g_unsetenv("LD_PRELOAD");
    }
}

/* As "qemu-system-x86_64 --version" prints it. */
static char *version_of(VersionInfo *(*query)(Error **))
{
    VersionInfo *info = query(NULL);

    return g_strdup_printf("%" PRId64 ".%" PRId64 ".%" PRId64 "%s%s%s",
                           info->qemu->major, info->qemu->minor,
                           info->qemu->micro, *info->package ? " (" : "",
                           info->package, *info->package ? ")" : "");
}

static void __attribute__((constructor)) snap_qemu_load(void)
{
    VersionInfo *(*query)(Error **) = dlsym(RTLD_DEFAULT, "qmp_query_version");
    g_autofree char *version = NULL, *folder = NULL, *device = NULL;
    Dl_info self;

    if (!query) {
        refuse("%s is not a QEMU that emulates a machine",
               program_invocation_name);
    }
    version = version_of(query);
    if (!g_str_equal(version, SNAP_QEMU_VERSION)) {
        refuse("built for QEMU %s, but this is %s: build it for this one",
               SNAP_QEMU_VERSION, version);
    }
    if (!dladdr(&refuse, &self)) {
        refuse("cannot find itself");
    }
    leave_environment(self.dli_fname);
    folder = g_path_get_dirname(self.dli_fname);
    device = g_build_filename(folder, "snap-device.so", NULL);
    if (!dlopen(device, RTLD_NOW | RTLD_LOCAL)) {
        refuse("%s", dlerror());
    }
}
