// SPDX-License-Identifier: GPL-2.0-only
/* Frames as pages and their way home; see frame.h. */

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
#include "device/cmd.h"
#include "device/dev.h"
#include "device/deferred.h"
#include "device/frame.h"
#include "device/queue.h"
#include "device/user.h"
#include "observe/trace.h"

/* One doorbell for that many frames; an exit each would cost more than all else. */
#define SNAP_RELEASE_BATCH	128
/* Doorbells in one go; what is left waits for the next one. */
#define SNAP_RELEASE_RINGS	8
/* Frames never wait longer than this for their batch to fill. */
#define SNAP_RELEASE_DELAY	msecs_to_jiffies(10)
/* As long as frames are out: how often to look who merely forgot them. */
#define SNAP_FORGOTTEN_DELAY	msecs_to_jiffies(500)

#define SNAP_FRAME_NONE		U32_MAX

/* In the number of frames that are OUT: nobody else will free the pool. */
#define SNAP_OUT_ORPHAN		BIT(30)

/* Frames in a row that have a lock together, and how many locks there are. */
#define SNAP_FRAME_ROW		16
#define SNAP_FRAME_LOCKS	64

enum snap_frame_state {
	SNAP_FRAME_IDLE,
	SNAP_FRAME_OUT,
	SNAP_FRAME_FREE,
};

/**
 * struct snap_frame - what is known of one frame
 * @user: whose capture it is while OUT, or NULL; holds a reference
 * @views: how many pages of views it is
 * @next: while @listed: in the list of frames to return, whose it is
 * @holds: how often the guest holds it
 * @state: enum snap_frame_state
 * @listed: in the list: FREE, or OUT with more than the one hold it needs
 * @received: OUT, and came in a packet
 */
struct snap_frame {
	struct snap_user *user;
	u32 views;
	u32 next;
	u32 holds;
	u8 state;
	u8 listed;
	u8 received;
};

/* One of the locks that guard frames. */
struct snap_frame_lock {
	spinlock_t lock;	/* guards each frame that has it, but for @next */
} ____cacheline_aligned_in_smp;

/**
 * struct snap_home - frames that go home by one data queue: by those processors that
 *	use its slots
 * @sf: the pool
 * @release_lock: owns the queue's slot RELEASE
 * @lock: guards the list
 * @first: head of the list
 * @n: its length
 * @flush: returns what no batch took
 */
struct snap_home {
	struct snap_frames *sf;
	spinlock_t release_lock;	/* owns the slot RELEASE */
	spinlock_t lock;		/* guards the list */
	u32 first;
	u32 n;
	struct delayed_work flush;
} ____cacheline_aligned_in_smp;

/**
 * struct snap_frames - a pool
 * @list: in snap_pools, as long as it has pages
 * @pgmap: its pages
 * @first_pfn: page frame number of frame 0
 * @count: number of frames
 * @sd: the device; NULL once the pool is given up: looked at below a lock of a frame,
 *	or a release_lock
 * @lock: guard the frames
 * @frame: one for each
 * @home: the ways home, one for each data queue of the device
 * @nhomes: how many
 * @out: number of frames OUT; from 0 to 1 it takes the module, back it puts it; and
 *	SNAP_OUT_ORPHAN once whoever drops the last one frees the pool
 * @received: of them, those of received packets, without those in views
 * @forgotten: frees what processors keep for later, while frames are OUT
 * @reap: frees an orphan
 */
struct snap_frames {
	struct list_head list;
	struct dev_pagemap pgmap;
	unsigned long first_pfn;
	u32 count;
	struct snap_dev *sd;
	struct snap_frame_lock lock[SNAP_FRAME_LOCKS];
	struct snap_frame *frame;
	struct snap_home *home;
	u32 nhomes;
	struct delayed_work forgotten;
	struct work_struct reap;
	/* all processors write these: away from what they read for each frame */
	atomic_t out ____cacheline_aligned_in_smp;
	atomic_t received;
};

static_assert(SNAP_FRAME_SIZE == PAGE_SIZE);

static LIST_HEAD(snap_pools);
static DEFINE_MUTEX(snap_pools_lock);	/* guards snap_pools; innermost */

static struct workqueue_struct *snap_frames_wq;
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
 * False, and the page still rests, if this kernel does not keep to that.
 */
static bool snap_frames_wake(struct snap_frames *sf, struct page *page)
{
	struct folio *folio = page_folio(page);

	if (WARN_ON_ONCE(page_ref_count(page)))
		return false;
	if (WARN_ON_ONCE(!percpu_ref_tryget_live(&sf->pgmap.ref)))
		return false;
	folio->index = page_to_pfn(page);
	folio->mapping = SOCK_INODE(snap_frames_sock)->i_mapping;
	atomic_set(&folio->_mapcount, 0);
	set_page_count(page, 1);
	return true;
}

u32 snap_frames_count(const struct snap_frames *sf)
{
	return sf->count;
}

u32 snap_frames_out(struct snap_frames *sf)
{
	return atomic_read(&sf->out) & ~SNAP_OUT_ORPHAN;
}

u32 snap_frames_received(const struct snap_frames *sf)
{
	return atomic_read(&sf->received);
}

bool snap_frames_owns(const struct snap_frames *sf, const struct page *page)
{
	return is_zone_device_page(page) && page_pgmap(page) == &sf->pgmap;
}

u64 snap_frames_offset(const struct snap_frames *sf, const struct page *page)
{
	return (u64)(page_to_pfn(page) - sf->first_pfn) << PAGE_SHIFT;
}

static struct page *snap_frames_page(const struct snap_frames *sf, u32 f)
{
	return pfn_to_page(sf->first_pfn + f);
}

static spinlock_t *snap_frames_lock_of(struct snap_frames *sf, u32 f)
{
	return &sf->lock[f / SNAP_FRAME_ROW % SNAP_FRAME_LOCKS].lock;
}

/* The way home of this processor; any other would do. */
static struct snap_home *snap_frames_home(struct snap_frames *sf)
{
	return &sf->home[raw_smp_processor_id() % sf->nhomes];
}

/* Returns whose list it is in now, or NULL if it was in one. */
static struct snap_home *snap_frames_list(struct snap_frames *sf, u32 f)
{
	struct snap_home *home = snap_frames_home(sf);
	struct snap_frame *fr = &sf->frame[f];

	lockdep_assert_held(snap_frames_lock_of(sf, f));
	if (fr->listed)
		return NULL;
	fr->listed = 1;
	spin_lock(&home->lock);
	fr->next = home->first;
	home->first = f;
	if (!home->n++)
		queue_delayed_work(snap_frames_wq, &home->flush, SNAP_RELEASE_DELAY);
	spin_unlock(&home->lock);
	return home;
}

/* Up to SNAP_RELEASE_MAX frames off the list, which are still marked as listed. */
static u32 snap_frames_unlist(struct snap_home *home)
{
	struct snap_frame *frame = home->sf->frame;
	unsigned long flags;
	u32 first, last, n;

	spin_lock_irqsave(&home->lock, flags);
	first = home->first;
	if (first != SNAP_FRAME_NONE) {
		last = first;
		n = 1;
		while (n < SNAP_RELEASE_MAX && frame[last].next != SNAP_FRAME_NONE) {
			last = frame[last].next;
			n++;
		}
		home->first = frame[last].next;
		home->n -= n;
		frame[last].next = SNAP_FRAME_NONE;
	}
	spin_unlock_irqrestore(&home->lock, flags);
	return first;
}

/*
 * The frame, whose lock is held, is, or is no longer, on the account that it came
 * from.
 */
static void snap_frames_charge(struct snap_frames *sf, struct snap_frame *fr)
{
	if (fr->user)
		snap_user_add(fr->user, 1);
	if (fr->received)
		atomic_inc(&sf->received);
}

static void snap_frames_uncharge(struct snap_frames *sf, struct snap_frame *fr)
{
	if (fr->user)
		snap_user_uncharge(fr->user, 1);
	if (fr->received)
		atomic_dec(&sf->received);
}

static void snap_frames_assign(struct snap_frames *sf, struct snap_frame *fr,
			       struct snap_user *user)
{
	if (user)
		snap_user_hold(user);
	fr->user = user;
	if (!fr->views)
		snap_frames_charge(sf, fr);
}

/* No view has it: each would have kept it OUT. */
static void snap_frames_forget(struct snap_frames *sf, struct snap_frame *fr)
{
	snap_frames_uncharge(sf, fr);
	if (fr->user)
		snap_user_put(fr->user);
	fr->user = NULL;
	fr->received = 0;
}

/*
 * Move up to SNAP_RELEASE_MAX holds of listed frames into the entry: all of a
 * FREE frame, all but one of a frame that is OUT.  A frame with more holds
 * than there is room keeps the rest and stays listed.
 */
static u32 snap_frames_collect(struct snap_home *home, __le32 *entry)
{
	struct snap_frames *sf = home->sf;
	unsigned long flags;
	u32 f, next, n = 0;

	for (f = snap_frames_unlist(home); f != SNAP_FRAME_NONE; f = next) {
		struct snap_frame *fr = &sf->frame[f];
		u32 keep;

		spin_lock_irqsave(snap_frames_lock_of(sf, f), flags);
		keep = fr->state == SNAP_FRAME_OUT;
		next = fr->next;
		fr->listed = 0;
		for (; fr->holds > keep && n < SNAP_RELEASE_MAX; fr->holds--)
			entry[n++] = cpu_to_le32(f);
		if (fr->holds > keep)
			snap_frames_list(sf, f);
		else if (!keep)
			fr->state = SNAP_FRAME_IDLE;
		spin_unlock_irqrestore(snap_frames_lock_of(sf, f), flags);
	}
	return n;
}

/* One doorbell; true if there is more to return. */
static bool snap_frames_release(struct snap_home *home)
{
	struct snap_frames *sf = home->sf;
	struct snap_dev *sd = READ_ONCE(sf->sd);
	struct snap_release *r;
	struct snap_queue *q;
	u32 n;

	lockdep_assert_held(&home->release_lock);
	if (!sd || !READ_ONCE(home->n))
		return false;
	q = &sd->queue[SNAP_QUEUE_DATA + (home - sf->home)];
	r = snap_queue_slot(q, SNAP_SLOT_RELEASE);
	n = snap_frames_collect(home, r->frame);
	if (!n)
		return false;
	r->e.op = cpu_to_le16(SNAP_OP_RELEASE);
	r->e.flags = 0;
	r->count = cpu_to_le32(n);
	r->done = 0;
	snap_cmd_errno(sd, SNAP_OP_RELEASE, snap_queue_execute(q, SNAP_SLOT_RELEASE));
	trace_snap_release(n);
	return n == SNAP_RELEASE_MAX;
}

static void snap_frames_flush_home(struct snap_home *home)
{
	unsigned int rings = SNAP_RELEASE_RINGS;
	bool more;

	/* Softirqs may run between doorbells, each of which can take long. */
	do {
		spin_lock_bh(&home->release_lock);
		more = snap_frames_release(home);
		spin_unlock_bh(&home->release_lock);
	} while (more && --rings);
}

void snap_frames_flush(struct snap_frames *sf)
{
	u32 i;

	/* also waits for those that others are returning */
	for (i = 0; i < sf->nhomes; i++)
		snap_frames_flush_home(&sf->home[i]);
}

void snap_frames_reclaim(struct snap_frames *sf)
{
	snap_skbs_free_deferred();
	snap_frames_flush(sf);
}

static void snap_frames_flush_work(struct work_struct *work)
{
	struct snap_home *home = container_of(to_delayed_work(work),
					      struct snap_home, flush);

	snap_frames_flush_home(home);
	/* what did not fit into so many doorbells */
	if (READ_ONCE(home->n))
		queue_delayed_work(snap_frames_wq, &home->flush, SNAP_RELEASE_DELAY);
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
	memunmap_pages(&sf->pgmap);
	mutex_lock(&snap_pools_lock);
	list_del(&sf->list);
	mutex_unlock(&snap_pools_lock);
	vfree(sf->frame);
	kvfree(sf->home);
	kvfree(sf);
}

static void snap_frames_reap(struct work_struct *work)
{
	struct snap_frames *sf = container_of(work, struct snap_frames, reap);

	pr_info("snap: the last orphaned frame was dropped\n");
	snap_frames_free_memory(sf);
	snap_pci_retry();
}

static struct snap_frames *snap_frames_of(const struct page *page)
{
	return container_of(page_pgmap(page), struct snap_frames, pgmap);
}

/* One more is OUT; false if rmmod has begun: a frame must not outlive the module. */
static bool snap_frames_count_out(struct snap_frames *sf)
{
	if (atomic_inc_not_zero(&sf->out))
		return true;
	if (!try_module_get(THIS_MODULE))
		return false;
	if (atomic_inc_return(&sf->out) == 1)
		queue_delayed_work(snap_frames_wq, &sf->forgotten,
				   SNAP_FORGOTTEN_DELAY);
	else
		module_put(THIS_MODULE);	/* another one was the first */
	return true;
}

/* Who sees SNAP_OUT_ORPHAN and no frame is the one who frees the pool. */
static void snap_frames_count_home(struct snap_frames *sf)
{
	int out = atomic_dec_return(&sf->out);

	if (out == SNAP_OUT_ORPHAN)
		queue_work(snap_frames_reap_wq, &sf->reap);
	if (!(out & ~SNAP_OUT_ORPHAN))
		module_put(THIS_MODULE);
}

/* The last reference to a frame was dropped.  Any context. */
static void snap_frames_free(struct folio *folio)
{
	struct snap_frames *sf = snap_frames_of(&folio->page);
	u32 f = folio_pfn(folio) - sf->first_pfn;
	struct snap_frame *fr = &sf->frame[f];
	struct snap_home *home = NULL;
	unsigned long flags;

	spin_lock_irqsave(snap_frames_lock_of(sf, f), flags);
	if (WARN_ON_ONCE(fr->state != SNAP_FRAME_OUT)) {
		spin_unlock_irqrestore(snap_frames_lock_of(sf, f), flags);
		return;
	}
	atomic_set(&folio->_mapcount, -1);	/* as it is at rest */
	fr->state = SNAP_FRAME_FREE;
	snap_frames_forget(sf, fr);
	if (sf->sd)
		home = snap_frames_list(sf, f);
	spin_unlock_irqrestore(snap_frames_lock_of(sf, f), flags);

	/*
	 * Whoever holds the slot now takes this frame along, or the next one.
	 * With interrupts off nobody waits for the device: the timer does it.
	 */
	if (home && READ_ONCE(home->n) >= SNAP_RELEASE_BATCH && !irqs_disabled() &&
	    spin_trylock_bh(&home->release_lock)) {
		snap_frames_release(home);
		spin_unlock_bh(&home->release_lock);
	}
	snap_frames_count_home(sf);
}

SNAP_PAGEMAP_OPS(snap_frames_pgmap_ops, snap_frames_free);

void snap_frames_free_untold(struct snap_frames *sf, struct page *page)
{
	snap_frames_free(page_folio(page));
	percpu_ref_put(&sf->pgmap.ref);
}

/*
 * Take one frame with the hold it came with; NULL if it is on its way back,
 * the module on its way out, or its page not at rest.  The hold then goes back
 * as well.
 */
static struct page *snap_frames_take(struct snap_frames *sf, u32 f,
				     struct snap_user *user, bool received)
{
	struct page *page = snap_frames_page(sf, f);
	struct snap_frame *fr = &sf->frame[f];

	lockdep_assert_held(snap_frames_lock_of(sf, f));
	fr->holds++;
	if (fr->state == SNAP_FRAME_OUT) {
		/* one hold is enough: the others must not pile up */
		snap_frames_list(sf, f);
		if (!get_page_unless_zero(page))
			return NULL;
		/* so far somebody looked at it only */
		if (!fr->user && !fr->received)
			snap_frames_assign(sf, fr, user);
		return page;
	}
	if (!snap_frames_count_out(sf))
		goto give_back;
	if (!snap_frames_wake(sf, page)) {
		snap_frames_count_home(sf);
		goto give_back;
	}
	fr->state = SNAP_FRAME_OUT;
	fr->received = received;
	snap_frames_assign(sf, fr, user);
	return page;

give_back:
	fr->state = SNAP_FRAME_FREE;
	snap_frames_list(sf, f);
	return NULL;
}

static int snap_frames_adopt_for(struct snap_frames *sf, const u32 *frame, u32 n,
				 struct snap_user *user, bool received,
				 struct page **page)
{
	unsigned long flags;
	int err = 0;
	u32 i;

	for (i = 0; i < n; i++)
		if (frame[i] >= sf->count)
			return -EIO;
	for (i = 0; i < n; i++) {
		spinlock_t *lock = snap_frames_lock_of(sf, frame[i]);

		spin_lock_irqsave(lock, flags);
		page[i] = snap_frames_take(sf, frame[i], user, received);
		spin_unlock_irqrestore(lock, flags);
		if (!page[i])
			err = -EAGAIN;
	}
	return err;
}

int snap_frames_adopt(struct snap_frames *sf, const u32 *frame, u32 n,
		      struct snap_user *user, struct page **page)
{
	return snap_frames_adopt_for(sf, frame, n, user, false, page);
}

int snap_frames_adopt_received(struct snap_frames *sf, const u32 *frame, u32 n,
			       struct page **page)
{
	return snap_frames_adopt_for(sf, frame, n, NULL, true, page);
}

bool snap_frame_is(const struct page *page)
{
	return is_zone_device_page(page) &&
	       page_pgmap(page)->ops == &snap_frames_pgmap_ops;
}

bool snap_frame_view(struct page *page, struct snap_user *user, bool force)
{
	struct snap_frames *sf = snap_frames_of(page);
	u32 f = page_to_pfn(page) - sf->first_pfn;
	struct snap_frame *fr = &sf->frame[f];
	unsigned long flags;
	bool ok;

	spin_lock_irqsave(snap_frames_lock_of(sf, f), flags);
	ok = sf->sd && !READ_ONCE(sf->sd->gone);
	if (ok && force)
		snap_user_add(user, 1);
	else if (ok)
		ok = snap_user_try(user, sf->sd, 1);
	if (ok && !fr->views++)
		snap_frames_uncharge(sf, fr);
	spin_unlock_irqrestore(snap_frames_lock_of(sf, f), flags);
	return ok;
}

void snap_frame_unview(struct page *page, struct snap_user *user)
{
	struct snap_frames *sf = snap_frames_of(page);
	u32 f = page_to_pfn(page) - sf->first_pfn;
	struct snap_frame *fr = &sf->frame[f];
	unsigned long flags;

	spin_lock_irqsave(snap_frames_lock_of(sf, f), flags);
	snap_user_uncharge(user, 1);
	if (!--fr->views)
		snap_frames_charge(sf, fr);
	spin_unlock_irqrestore(snap_frames_lock_of(sf, f), flags);
}

/* Our own list: the core denies pages from when it begins to take them away. */
bool snap_frames_orphaned_in(phys_addr_t start, u64 length)
{
	struct snap_frames *sf;
	bool found = false;

	mutex_lock(&snap_pools_lock);
	list_for_each_entry(sf, &snap_pools, list)
		found |= sf->pgmap.range.start < start + length &&
			 sf->pgmap.range.end >= start;
	mutex_unlock(&snap_pools_lock);
	return found;
}

static int snap_frames_make_homes(struct snap_frames *sf, u32 n)
{
	u32 i;

	sf->home = kvcalloc(n, sizeof(*sf->home), GFP_KERNEL);
	if (!sf->home)
		return -ENOMEM;
	sf->nhomes = n;
	for (i = 0; i < n; i++) {
		struct snap_home *home = &sf->home[i];

		home->sf = sf;
		home->first = SNAP_FRAME_NONE;
		spin_lock_init(&home->release_lock);
		spin_lock_init(&home->lock);
		INIT_DELAYED_WORK(&home->flush, snap_frames_flush_work);
	}
	return 0;
}

struct snap_frames *snap_frames_create(struct snap_dev *sd, phys_addr_t start,
				       u32 count)
{
	struct snap_frames *sf;
	void *va;
	int err;
	u32 i;

	if (count >= SNAP_OUT_ORPHAN)
		return ERR_PTR(-EFBIG);
	sf = kvzalloc(sizeof(*sf), GFP_KERNEL);
	if (!sf)
		return ERR_PTR(-ENOMEM);
	sf->sd = sd;
	sf->count = count;
	sf->first_pfn = PHYS_PFN(start);
	for (i = 0; i < SNAP_FRAME_LOCKS; i++)
		spin_lock_init(&sf->lock[i].lock);
	INIT_DELAYED_WORK(&sf->forgotten, snap_frames_forgotten_work);
	INIT_WORK(&sf->reap, snap_frames_reap);
	err = snap_frames_make_homes(sf, sd->nqueues);
	if (err)
		goto free_sf;
	sf->frame = vcalloc(count, sizeof(*sf->frame));
	if (!sf->frame) {
		err = -ENOMEM;
		goto free_homes;
	}
	/*
	 * The only type that processors can read, cached, and whose owner every
	 * kernel tells of each page that comes back.
	 */
	sf->pgmap.type = MEMORY_DEVICE_COHERENT;
	sf->pgmap.owner = THIS_MODULE;
	sf->pgmap.ops = &snap_frames_pgmap_ops;
	sf->pgmap.nr_range = 1;
	sf->pgmap.range.start = start;
	sf->pgmap.range.end = start + ((u64)count << PAGE_SHIFT) - 1;
	va = memremap_pages(&sf->pgmap, dev_to_node(&sd->pdev->dev));
	if (IS_ERR(va)) {
		err = PTR_ERR(va);
		goto free_frame;
	}
	mutex_lock(&snap_pools_lock);
	list_add(&sf->list, &snap_pools);
	mutex_unlock(&snap_pools_lock);
	return sf;

free_frame:
	vfree(sf->frame);
free_homes:
	kvfree(sf->home);
free_sf:
	kvfree(sf);
	return ERR_PTR(err);
}

/* After this nobody lists a frame, nor rings for one, nor is doing so. */
static void snap_frames_leave_device(struct snap_frames *sf)
{
	u32 i;

	WRITE_ONCE(sf->sd, NULL);
	for (i = 0; i < sf->nhomes; i++) {
		spin_lock_bh(&sf->home[i].release_lock);
		spin_unlock_bh(&sf->home[i].release_lock);
	}
	for (i = 0; i < SNAP_FRAME_LOCKS; i++) {
		spin_lock_irq(&sf->lock[i].lock);
		spin_unlock_irq(&sf->lock[i].lock);
	}
	for (i = 0; i < sf->nhomes; i++)
		cancel_delayed_work_sync(&sf->home[i].flush);
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
