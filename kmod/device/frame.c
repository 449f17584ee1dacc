// SPDX-License-Identifier: GPL-2.0-only
/* Frames as pages; see frame.h. */

#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/page_ref.h>
#include <linux/pagemap.h>
#include <linux/percpu-refcount.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <net/sock.h>

#include "compat/page.h"
#include "compat/workqueue.h"
#include "device/dev.h"
#include "device/deferred.h"
#include "device/frame.h"
#include "device/home.h"
#include "device/pool.h"
#include "device/user.h"

/* As long as frames are out: how often to look who merely forgot them. */
#define SNAP_FORGOTTEN_DELAY	msecs_to_jiffies(500)

/* In the number of frames that are OUT: nobody else will free the pool. */
#define SNAP_OUT_ORPHAN		BIT(30)

static_assert(SNAP_FRAME_SIZE == PAGE_SIZE);

static LIST_HEAD(snap_pools);
static DEFINE_MUTEX(snap_pools_lock);	/* guards snap_pools; innermost */

struct workqueue_struct *snap_frames_wq;
/* Binds devices, which waits for memory: nobody who frees some waits for it. */
static struct workqueue_struct *snap_frames_reap_wq;

/*
 * The core inserts pages without a mapping into memory of whoever receives with
 * TCP_ZEROCOPY_RECEIVE, where no account and no removal would know of them.
 * Frames have one, which has nothing: their bytes are copied.
 */
static const struct address_space_operations snap_frames_aops = {
	.dirty_folio = noop_dirty_folio,
};

/*
 * Its inode is the mapping's: futex(2) asks a mapping for its inode until it gets one.
 * Nobody opens the socket, which has no protocol.
 */
static struct socket *snap_frames_sock;

static int snap_frames_mapping_init(void)
{
	snap_frames_sock = sock_alloc();
	if (!snap_frames_sock)
		return -ENOMEM;
	SOCK_INODE(snap_frames_sock)->i_mapping->a_ops = &snap_frames_aops;
	return 0;
}

/*
 * A page at rest has no reference, and gives none to who finds it by its number.  One
 * that is OUT begins with one, and has one on the page map, which the core drops
 * when it has called snap_frames_free(), and which memunmap_pages() waits for.  The
 * mapping is the page's until then.  To futex(2), frames differ by their index.
 *
 * It also counts as mapped once more than it is: a page that is mapped, and by
 * nobody whom its mapping knows, cannot be moved.  One that is not mapped can: the
 * core would take a reference of ours for the page cache's, and drop it.
 *
 * The caller has that reference on the page map.  False, and the page still rests, if
 * this kernel does not keep to that.
 */
bool snap_frames_wake(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (WARN_ON_ONCE(page_ref_count(page)))
		return false;
	folio->index = page_to_pfn(page);
	folio->mapping = SOCK_INODE(snap_frames_sock)->i_mapping;
	atomic_set(snap_folio_mapcount(folio), 0);
	set_page_count(page, 1);
	return true;
}

u32 snap_frames_count(const struct snap_frames *sf)
{
	return sf->count;
}

bool snap_frames_have_large(const struct snap_frames *sf)
{
	return sf->large.first_pfn;
}

u32 snap_frames_out(struct snap_frames *sf)
{
	return atomic_read(&sf->out) & ~SNAP_OUT_ORPHAN;
}

u32 snap_frames_received(const struct snap_frames *sf)
{
	return atomic_read(&sf->received);
}

bool snap_frames_find(const struct snap_frames *sf, const struct page *page, u64 *offset)
{
	unsigned long pfn = page_to_pfn(page), f = pfn - sf->small.first_pfn;

	if (f >= sf->count) {
		f = pfn - sf->large.first_pfn;
		if (f >= sf->count || !snap_frames_have_large(sf))
			return false;
	}
	*offset = (u64)f << PAGE_SHIFT;
	return true;
}

bool snap_frames_owns(const struct snap_frames *sf, const struct page *page)
{
	u64 offset;

	return snap_frames_find(sf, page, &offset);
}

static bool snap_frames_exists(const struct snap_frames *sf, u32 f)
{
	u32 first = f & ~SNAP_FRAME_LARGE;

	return first < sf->count &&
	       (first == f || (snap_frames_have_large(sf) && !(first % SNAP_LARGE_FRAMES)));
}

void snap_frames_flush(struct snap_frames *sf)
{
	snap_homes_flush(sf);
}

void snap_frames_reclaim(struct snap_frames *sf)
{
	snap_skbs_free_deferred();
	snap_frames_flush(sf);
}

static void snap_frames_forgotten_work(struct work_struct *work)
{
	struct snap_frames *sf = container_of(to_delayed_work(work),
					      struct snap_frames, forgotten);

	snap_skbs_free_deferred();
	if (snap_frames_out(sf))
		queue_delayed_work(snap_frames_wq, &sf->forgotten,
				   SNAP_FORGOTTEN_DELAY);
}

static void snap_frames_free_memory(struct snap_frames *sf)
{
	cancel_delayed_work_sync(&sf->forgotten);
	if (snap_frames_have_large(sf))
		memunmap_pages(&sf->large.pgmap);
	memunmap_pages(&sf->small.pgmap);
	mutex_lock(&snap_pools_lock);
	list_del(&sf->list);
	mutex_unlock(&snap_pools_lock);
	vfree(sf->viewers);
	vfree(sf->frame);
	snap_homes_free(sf);
	kvfree(sf);
}

static void snap_frames_reap(struct work_struct *work)
{
	struct snap_frames *sf = container_of(work, struct snap_frames, reap);

	pr_info("snap: the last orphaned frame was dropped\n");
	snap_frames_free_memory(sf);
	snap_pci_retry();
}

/* So many more are OUT; false if rmmod has begun: no frame may outlive the module. */
static bool snap_frames_count_out(struct snap_frames *sf, u32 n)
{
	if (atomic_add_unless(&sf->out, n, 0))
		return true;
	if (!try_module_get(THIS_MODULE))
		return false;
	if (atomic_add_return(n, &sf->out) == n)
		queue_delayed_work(snap_frames_wq, &sf->forgotten,
				   SNAP_FORGOTTEN_DELAY);
	else
		module_put(THIS_MODULE);	/* another one was the first */
	return true;
}

void snap_frames_count_home(struct snap_frames *sf, u32 n)
{
	int out = atomic_sub_return(n, &sf->out);

	if (out == SNAP_OUT_ORPHAN)
		queue_work(snap_frames_reap_wq, &sf->reap);
	if (!(out & ~SNAP_OUT_ORPHAN))
		module_put(THIS_MODULE);
}

/* The last reference to a frame was dropped.  Any context. */
static void snap_frames_free(struct folio *folio)
{
	const struct snap_pages *pages = snap_pages_of(&folio->page);
	u32 f = snap_pages_number(pages, &folio->page);
	struct snap_frames *sf = pages->sf;
	struct snap_frame *fr = snap_frame_at(sf, f);
	struct snap_home *home;
	unsigned long flags;

	spin_lock_irqsave(snap_frame_lock_of(sf, f), flags);
	if (fr->state == SNAP_FRAME_PART) {
		snap_frames_rest(folio);
		fr->state = SNAP_FRAME_IDLE;
		spin_unlock_irqrestore(snap_frame_lock_of(sf, f), flags);
		put_page(snap_frames_page(sf, snap_frame_large(f)));
		return;
	}
	if (WARN_ON_ONCE(fr->state != SNAP_FRAME_OUT)) {
		spin_unlock_irqrestore(snap_frame_lock_of(sf, f), flags);
		return;
	}
	home = snap_frames_send_home(sf, f, fr, folio);
	spin_unlock_irqrestore(snap_frame_lock_of(sf, f), flags);

	if (home)
		snap_home_ring(home);
	snap_frames_count_home(sf, snap_frame_weight(f));
}

SNAP_PAGEMAP_OPS(snap_frames_pgmap_ops, snap_frames_free);

void snap_frames_free_untold(struct snap_frames *sf, struct page *page)
{
	snap_frames_free(page_folio(page));
	percpu_ref_put(&sf->small.pgmap.ref);
}

/**
 * struct snap_adoption - frames that are being taken, or a large one, counted before the
 *	first one is: each counter is changed once for all
 * @sf: the pool
 * @pages: of its pages, those that are taken
 * @user: whom to charge, or NULL
 * @weight: how many frames a page is
 * @received: they came in a packet
 * @out: of the pages that are counted as OUT, in the pool and in the page map, how many
 *	are not yet
 * @held: of references on @user, one for each page, how many nobody has yet
 * @charged: of the pages charged to @user, or counted as received, how many are not yet
 */
struct snap_adoption {
	struct snap_frames *sf;
	struct snap_pages *pages;
	struct snap_user *user;
	u32 weight;
	bool received;
	u32 out;
	u32 held;
	u32 charged;
};

static void snap_adoption_begin(struct snap_adoption *a, u32 n)
{
	struct snap_frames *sf = a->sf;

	if (a->user) {
		snap_user_hold(a->user, n);
		snap_user_add(a->user, n * a->weight);
		a->held = n;
		a->charged = n;
	} else if (a->received) {
		atomic_add(n * a->weight, &sf->received);
		a->charged = n;
	}
	if (WARN_ON_ONCE(!percpu_ref_tryget_live(&a->pages->pgmap.ref)))
		return;
	if (!snap_frames_count_out(sf, n * a->weight)) {
		percpu_ref_put(&a->pages->pgmap.ref);
		return;
	}
	percpu_ref_get_many(&a->pages->pgmap.ref,
			    n * snap_pgmap_refs(a->weight) - 1);
	a->out = n;
}

/* What was counted for frames that were OUT before, or cannot be. */
static void snap_adoption_end(struct snap_adoption *a)
{
	struct snap_frames *sf = a->sf;

	if (a->charged && a->user)
		snap_user_uncharge(a->user, a->charged * a->weight);
	else if (a->charged)
		atomic_sub(a->charged * a->weight, &sf->received);
	if (a->held)
		snap_user_put(a->user, a->held);
	if (a->out) {
		percpu_ref_put_many(&a->pages->pgmap.ref,
				    a->out * snap_pgmap_refs(a->weight));
		snap_frames_count_home(sf, a->out * a->weight);
	}
}

/* The frame, whose lock is held and which is nobody's, is on the account. */
static void snap_adoption_assign(struct snap_adoption *a, struct snap_frame *fr)
{
	if (a->user)
		a->held--;
	fr->user = a->user;
	if (!fr->views && (fr->user || fr->received))
		a->charged--;
}

/*
 * Take one frame with the hold it came with; NULL if it is on its way back,
 * the module on its way out, or its page not at rest.  The hold then goes back
 * as well.
 */
static struct page *snap_adoption_take(struct snap_adoption *a, u32 f)
{
	struct snap_frames *sf = a->sf;
	struct page *page = snap_frames_page(sf, f);
	struct snap_frame *fr = snap_frame_at(sf, f);

	lockdep_assert_held(snap_frame_lock_of(sf, f));
	fr->holds++;
	if (fr->state == SNAP_FRAME_OUT) {
		/* one hold is enough: the others must not pile up */
		snap_home_list(sf, f);
		if (!get_page_unless_zero(page))
			return NULL;
		/* so far somebody looked at it only */
		if (!fr->user && !fr->received)
			snap_adoption_assign(a, fr);
		return page;
	}
	if (fr->state == SNAP_FRAME_PART) {
		/* the device gave it twice: views have it, by the large one's hold */
		snap_home_list(sf, f);
		return NULL;
	}
	if (!a->out || !snap_frames_wake(page)) {
		fr->state = SNAP_FRAME_FREE;
		snap_home_list(sf, f);
		return NULL;
	}
	a->out--;
	fr->state = SNAP_FRAME_OUT;
	fr->received = a->received;
	snap_adoption_assign(a, fr);
	return page;
}

/* Numbers of frames, or where that may be one of a large one. */
static int snap_adopt(struct snap_adoption *a, const u32 *frame, u32 n, bool large,
		      struct page **page)
{
	struct snap_frames *sf = a->sf;
	unsigned long flags;
	int err = 0;
	u32 i;

	for (i = 0; i < n; i++)
		if (!snap_frames_exists(sf, frame[i]) ||
		    (frame[i] & SNAP_FRAME_LARGE && (n > 1 || !large)))
			return -EIO;
	if (!n)
		return 0;
	a->pages = snap_frames_pages(sf, frame[0]);
	a->weight = snap_frame_weight(frame[0]);
	snap_adoption_begin(a, n);
	for (i = 0; i < n;) {
		u32 row = snap_frame_row(frame[i]);
		spinlock_t *lock = snap_frame_lock_of(sf, frame[i]);

		/* those in a row that follow each other, as most do */
		spin_lock_irqsave(lock, flags);
		do {
			page[i] = snap_adoption_take(a, frame[i]);
			if (!page[i])
				err = -EAGAIN;
		} while (++i < n && snap_frame_row(frame[i]) == row);
		spin_unlock_irqrestore(lock, flags);
	}
	snap_adoption_end(a);
	return err;
}

int snap_frames_adopt(struct snap_frames *sf, const u32 *frame, u32 n,
		      struct snap_user *user, struct page **page)
{
	struct snap_adoption a = { .sf = sf, .user = user };

	return snap_adopt(&a, frame, n, false, page);
}

int snap_frames_adopt_large(struct snap_frames *sf, u32 frame, struct snap_user *user,
			    struct page **page)
{
	struct snap_adoption a = { .sf = sf, .user = user };

	return snap_adopt(&a, &frame, 1, true, page);
}

int snap_frames_adopt_received(struct snap_frames *sf, const u32 *frame, u32 n,
			       struct page **page)
{
	struct snap_adoption a = { .sf = sf, .received = true };

	return snap_adopt(&a, frame, n, true, page);
}

bool snap_frame_is(const struct page *page)
{
	return is_zone_device_page(page) &&
	       page_pgmap(page)->ops == &snap_frames_pgmap_ops;
}

static bool snap_pages_in(const struct snap_pages *pages, phys_addr_t start, u64 length)
{
	const struct range *range = &pages->pgmap.range;

	return pages->first_pfn && range->start < start + length && range->end >= start;
}

/* Our own list: the core denies pages from when it begins to take them away. */
bool snap_frames_orphaned_in(phys_addr_t start, u64 length)
{
	struct snap_frames *sf;
	bool found = false;

	mutex_lock(&snap_pools_lock);
	list_for_each_entry(sf, &snap_pools, list)
		found |= snap_pages_in(&sf->small, start, length) ||
			 snap_pages_in(&sf->large, start, length);
	mutex_unlock(&snap_pools_lock);
	return found;
}

/* Pages of 2^@order frames each. */
static int snap_pages_map(struct snap_pages *pages, struct snap_frames *sf,
			  phys_addr_t start, unsigned int order)
{
	struct dev_pagemap *pgmap = &pages->pgmap;
	void *va;

	/*
	 * The only type that processors can read, cached, and whose owner every
	 * kernel tells of each page that comes back.
	 */
	pgmap->type = MEMORY_DEVICE_COHERENT;
	pgmap->owner = THIS_MODULE;
	pgmap->ops = &snap_frames_pgmap_ops;
	pgmap->vmemmap_shift = order;
	pgmap->nr_range = 1;
	pgmap->range.start = start;
	pgmap->range.end = start + ((u64)sf->count << PAGE_SHIFT) - 1;
	pages->sf = sf;
	va = memremap_pages(pgmap, dev_to_node(&sf->sd->pdev->dev));
	if (IS_ERR(va))
		return PTR_ERR(va);
	pages->first_pfn = PHYS_PFN(start);
	return 0;
}

struct snap_frames *snap_frames_create(struct snap_dev *sd, phys_addr_t start,
				       phys_addr_t large, u32 count)
{
	struct snap_frames *sf;
	int err;
	u32 i;

	if (count >= SNAP_OUT_ORPHAN)
		return ERR_PTR(-EFBIG);
	sf = kvzalloc(sizeof(*sf), GFP_KERNEL);
	if (!sf)
		return ERR_PTR(-ENOMEM);
	sf->sd = sd;
	sf->count = count;
	for (i = 0; i < SNAP_FRAME_LOCKS; i++)
		spin_lock_init(&sf->lock[i].lock);
	INIT_DELAYED_WORK(&sf->forgotten, snap_frames_forgotten_work);
	INIT_WORK(&sf->reap, snap_frames_reap);
	err = snap_homes_create(sf, sd->nqueues);
	if (err)
		goto free_sf;
	sf->frame = vcalloc(count + count / SNAP_LARGE_FRAMES, sizeof(*sf->frame));
	sf->viewers = vcalloc(count / SNAP_LARGE_FRAMES, sizeof(*sf->viewers));
	if (!sf->frame || !sf->viewers) {
		err = -ENOMEM;
		goto free_frame;
	}
	err = snap_pages_map(&sf->small, sf, start, 0);
	if (err)
		goto free_frame;
	/* without them there are those of a frame each */
	if (large)
		snap_pages_map(&sf->large, sf, large, ilog2(SNAP_LARGE_FRAMES));
	mutex_lock(&snap_pools_lock);
	list_add(&sf->list, &snap_pools);
	mutex_unlock(&snap_pools_lock);
	return sf;

free_frame:
	vfree(sf->viewers);
	vfree(sf->frame);
	snap_homes_free(sf);
free_sf:
	kvfree(sf);
	return ERR_PTR(err);
}

/* After this nobody lists a frame, nor rings for one, nor is doing so. */
static void snap_frames_leave_device(struct snap_frames *sf)
{
	u32 i;

	WRITE_ONCE(sf->sd, NULL);
	snap_homes_close(sf);
	for (i = 0; i < SNAP_FRAME_LOCKS; i++) {
		spin_lock_irq(&sf->lock[i].lock);
		spin_unlock_irq(&sf->lock[i].lock);
	}
	snap_homes_stop(sf);
}

u32 snap_frames_destroy(struct snap_frames *sf)
{
	u32 out;

	if (!sf)
		return 0;
	/*
	 * The device has been given up and hears of nothing: what is let go of
	 * here, the reset that follows without orphans gives back.
	 */
	snap_frames_flush(sf);
	snap_frames_leave_device(sf);
	out = atomic_fetch_or(SNAP_OUT_ORPHAN, &sf->out);
	if (!out)
		snap_frames_free_memory(sf);
	return out;
}

int snap_frames_init(void)
{
	int err = snap_frames_mapping_init();

	if (err)
		return err;
	snap_frames_wq = alloc_workqueue("snap_frames",
					 WQ_MEM_RECLAIM | WQ_PERCPU, 0);
	if (!snap_frames_wq)
		goto release_sock;
	snap_frames_reap_wq = alloc_workqueue("snap_frames_reap", WQ_UNBOUND, 0);
	if (!snap_frames_reap_wq)
		goto destroy_wq;
	return 0;

destroy_wq:
	destroy_workqueue(snap_frames_wq);
release_sock:
	sock_release(snap_frames_sock);
	return -ENOMEM;
}

void snap_frames_exit(void)
{
	destroy_workqueue(snap_frames_reap_wq);	/* may wait for works of the other */
	destroy_workqueue(snap_frames_wq);
	sock_release(snap_frames_sock);	/* no page has its mapping any more */
}
