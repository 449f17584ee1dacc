/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshot memory NIC: the link, and a backend that goes away and returns.
 *
 * set_link and netdev_del tell the NIC.  A backend that loses its connection
 * (stream, socket) only marks itself, and nobody flushes the queue when it
 * has another: so we look at the mark, once in each turn of the main loop.
 * It cannot lose one connection and get the next within one turn.  Filters that
 * come and go tell nobody either, and end or allow a thread (snap-path.c).
 */
#include "qemu/osdep.h"
#include "snap.h"
#include "trace.h"

typedef struct SnapLinkSource {
    GSource source;
    SnapState *s;
} SnapLinkSource;

/* QEMU cuts all queues of a backend at once. */
bool snap_link_up(SnapState *s)
{
    NetClientState *nc = qemu_get_queue(s->nic);

    return nc->peer && !nc->link_down && !nc->peer->link_down;
}

static void snap_link_announce(SnapState *s)
{
    s->link_announced = snap_link_up(s);
    trace_snap_link(s, s->link_announced);
    snap_publish(s);
    snap_interrupt(s, SNAP_VECTOR_CONTROL);
}

void snap_link_status_changed(NetClientState *nc)
{
    SnapState *s = qemu_get_nic_opaque(nc);

    /* Before the backend goes, if it does. */
    snap_path_update(s);
    snap_link_announce(s);
}

static SnapState *snap_link_owner(GSource *source)
{
    return container_of(source, SnapLinkSource, source)->s;
}

static gboolean snap_link_check(GSource *source)
{
    SnapState *s = snap_link_owner(source);

    return snap_link_up(s) != s->link_announced || snap_path_changes(s);
}

static gboolean snap_link_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return snap_link_check(source);
}

static gboolean snap_link_dispatch(GSource *source, GSourceFunc callback,
                                   gpointer data)
{
    SnapState *s = snap_link_owner(source);

    snap_path_update(s);
    if (snap_link_up(s) == s->link_announced) {
        return G_SOURCE_CONTINUE;
    }
    if (!snap_link_up(s)) {
        SNAP_FOREACH_QUEUE(q, s) {
            snap_tx_cut_off(q);
        }
    }
    snap_link_announce(s);
    return G_SOURCE_CONTINUE;
}

void snap_link_watch(SnapState *s)
{
    static GSourceFuncs funcs = {
        .prepare = snap_link_prepare,
        .check = snap_link_check,
        .dispatch = snap_link_dispatch,
    };

    s->link_announced = snap_link_up(s);
    s->link_source = g_source_new(&funcs, sizeof(SnapLinkSource));
    container_of(s->link_source, SnapLinkSource, source)->s = s;
    /* Sources below the first that is ready are not asked. */
    g_source_set_priority(s->link_source, G_PRIORITY_HIGH);
    g_source_attach(s->link_source, NULL);
}

void snap_link_unwatch(SnapState *s)
{
    g_source_destroy(s->link_source);
    g_source_unref(s->link_source);
}
