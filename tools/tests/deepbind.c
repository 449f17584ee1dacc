// SPDX-License-Identifier: LGPL-2.1-or-later
// Opens a plug-in with RTLD_DEEPBIND, by a name that only this program's
// RUNPATH knows.  0: it frees memory as this program does; 1: it does not.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    void *const plugin = dlopen("deepbind-plugin.so", RTLD_NOW | RTLD_DEEPBIND);
    void *(*const plugin_free)(void) =
        plugin ? (void *(*)(void))dlsym(plugin, "plugin_free") : NULL;

    if (!plugin_free) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    return plugin_free() != (void *)free;
}
