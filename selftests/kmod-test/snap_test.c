// SPDX-License-Identifier: GPL-2.0-only
/*
 * What only a kernel module can try: a store into the pool, references of
 * strangers on its pages, a bus that fails for good, sockets of the kernel's own,
 * and one deliberate fault for each detector that the tests rely on.
 *
 * insmod snap_test.ko run=NAME does it while loading.
 */

#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/in.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <net/net_namespace.h>

#include "snap.h"
#include "snap_device.h"

static char *run = "";
module_param(run, charp, 0444);
MODULE_PARM_DESC(run,
		 "store, refs, failure, accept, pin, kasan, lockdep, rcu, atomic, leak or warn");

static unsigned long at;
module_param(at, ulong, 0444);
MODULE_PARM_DESC(at, "pin: address of a mapped frame, of who loads the module");

/* Store into frames through the linear map, as a stray pointer would. */
static int snap_test_store_frames(phys_addr_t pool, u64 frames)
{
	u64 i, step = max(frames / 64, 1ull);

	for (i = 0; i < frames; i += step) {
		u8 *p = page_address(pfn_to_page(PHYS_PFN(pool) + i));
		u8 before = READ_ONCE(p[100]);

		WRITE_ONCE(p[100], ~before);
		if (READ_ONCE(p[100]) != before) {
			pr_err("snap_test: a store changed frame %llu\n", i);
			return -EIO;
		}
	}
	pr_info("snap_test: stores were discarded\n");
	return 0;
}

/* Of whom snap_test_refs() has a reference; dropped when the module goes. */
static unsigned long *snap_test_held;
static unsigned long snap_test_first;
static u64 snap_test_count;

/* References as they take who look at pages by number, GUP for one. */
static int snap_test_hold_frames(phys_addr_t pool, u64 frames)
{
	u64 i, n = 0;

	snap_test_held = bitmap_zalloc(frames, GFP_KERNEL);
	if (!snap_test_held)
		return -ENOMEM;
	snap_test_first = PHYS_PFN(pool);
	snap_test_count = frames;
	for (i = 0; i < frames; i++)
		if (get_page_unless_zero(pfn_to_page(snap_test_first + i))) {
			__set_bit(i, snap_test_held);
			n++;
		}
	pr_info("snap_test: %llu references\n", n);
	return 0;
}

static void snap_test_drop_frames(void)
{
	unsigned long i;

	if (!snap_test_held)
		return;
	for_each_set_bit(i, snap_test_held, snap_test_count)
		put_page(pfn_to_page(snap_test_first + i));
	bitmap_free(snap_test_held);
}

static int snap_test_pool(int (*run)(phys_addr_t pool, u64 frames))
{
	struct pci_dev *pdev;
	void __iomem *regs;
	int err;

	pdev = pci_get_device(SNAP_PCI_VENDOR, SNAP_PCI_DEVICE, NULL);
	if (!pdev)
		return -ENODEV;
	regs = pci_iomap(pdev, SNAP_BAR_REGS, 0);
	if (!regs) {
		pci_dev_put(pdev);
		return -ENOMEM;
	}
	err = run(pci_resource_start(pdev, SNAP_BAR_MEMORY) +
		  readq(regs + SNAP_REG_POOL_OFFSET),
		  readq(regs + SNAP_REG_POOL_FRAMES));
	pci_iounmap(pdev, regs);
	pci_dev_put(pdev);
	return err;
}

static int snap_test_store(void)
{
	return snap_test_pool(snap_test_store_frames);
}

static int snap_test_refs(void)
{
	return snap_test_pool(snap_test_hold_frames);
}

static int snap_test_report_failure(struct pci_dev *pdev)
{
	const struct pci_error_handlers *handler;

	if (!pdev->dev.driver)
		return -ENODEV;
	handler = to_pci_driver(pdev->dev.driver)->err_handler;
	return handler->error_detected(pdev, pci_channel_io_perm_failure) ==
	       PCI_ERS_RESULT_DISCONNECT ? 0 : -EIO;
}

/* As the core reports that a device cannot be used any more. */
static int snap_test_failure(void)
{
	struct pci_dev *pdev = pci_get_device(SNAP_PCI_VENDOR, SNAP_PCI_DEVICE, NULL);
	int err;

	if (!pdev)
		return -ENODEV;
	device_lock(&pdev->dev);
	err = snap_test_report_failure(pdev);
	device_unlock(&pdev->dev);
	pci_dev_put(pdev);
	return err;
}

/* Often enough that what each try leaves behind is seen in /proc/meminfo. */
#define SNAP_TEST_ACCEPTS	40000

static int snap_test_accept_from(struct socket *listener)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct socket *sock;
	int i, err;

	/* the type of addresses differs between kernels */
	err = kernel_bind(listener, (void *)&any, sizeof(any));
	if (!err)
		err = kernel_listen(listener, 1);
	for (i = 0; !err && i < SNAP_TEST_ACCEPTS; i++)
		if (kernel_accept(listener, &sock, O_NONBLOCK) != -EAGAIN)
			err = -EIO;
	return err;
}

/* Servers of the kernel ask a listening socket until nobody is there. */
static int snap_test_accept(void)
{
	struct socket *listener;
	int err;

	err = sock_create_kern(&init_net, AF_SNAP, SOCK_STREAM, SNAPPROTO_IPV4,
			       &listener);
	if (err)
		return err;
	err = snap_test_accept_from(listener);
	sock_release(listener);
	return err;
}

/**
 * struct snap_test_pinner - one who pins for long
 * @mm: whose page
 * @result: of the pin
 * @done: of the thread
 */
struct snap_test_pinner {
	struct mm_struct *mm;
	long result;
	struct completion done;
};

static int snap_test_pin_thread(void *data)
{
	struct snap_test_pinner *p = data;
	struct page *page;

	kthread_use_mm(p->mm);
	p->result = pin_user_pages_fast(at, 1, FOLL_LONGTERM, &page);
	if (p->result == 1)
		unpin_user_page(page);
	kthread_unuse_mm(p->mm);
	complete(&p->done);
	return 0;
}

static int snap_test_unmap(void)
{
	struct address_space *mapping = NULL;
	struct vm_area_struct *vma;

	mmap_read_lock(current->mm);
	vma = find_vma(current->mm, at);
	if (vma && vma->vm_file)
		mapping = vma->vm_file->f_mapping;
	mmap_read_unlock(current->mm);
	if (!mapping)
		return -EFAULT;
	/* who loads the module keeps the file */
	unmap_mapping_range(mapping, 0, 0, 1);
	return 0;
}

/* The core waits for the page, to move it; meanwhile it is unmapped. */
static int snap_test_pin_unmapped(struct snap_test_pinner *p, struct page *page)
{
	struct task_struct *thread;
	int i, err;

	lock_page(page);
	thread = kthread_run(snap_test_pin_thread, p, "snap-test-pin");
	if (IS_ERR(thread)) {
		unlock_page(page);
		return PTR_ERR(thread);
	}
	for (i = 0; i < 500 && !folio_test_waiters(page_folio(page)); i++)
		msleep(20);
	err = snap_test_unmap();
	unlock_page(page);
	wait_for_completion(&p->done);
	return i == 500 ? -ETIMEDOUT : err;
}

/*
 * Of somebody's page, whose only other reference is ours, as a packet's would be:
 * it stays ours.
 */
static int snap_test_pin(void)
{
	struct snap_test_pinner p = { .mm = current->mm };
	struct page *page;
	int err, refs;

	init_completion(&p.done);
	if (get_user_pages_fast(at, 1, 0, &page) != 1)
		return -EFAULT;
	err = snap_test_pin_unmapped(&p, page) ?: snap_test_unmap();
	refs = page_ref_count(page);
	if (refs)
		put_page(page);
	if (err || (p.result == -EBUSY && refs == 1))
		return err;
	pr_err("snap_test: pinned: %ld, references: %d\n", p.result, refs);
	return -EIO;
}

static int snap_test_kasan(void)
{
	u8 *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(p);
	kfree(p);
	return READ_ONCE(p[3]) & 0;
}

static DEFINE_MUTEX(snap_test_a);
static DEFINE_MUTEX(snap_test_b);

static int snap_test_lockdep(void)
{
	mutex_lock(&snap_test_a);
	mutex_lock(&snap_test_b);
	mutex_unlock(&snap_test_b);
	mutex_unlock(&snap_test_a);
	mutex_lock(&snap_test_b);
	mutex_lock(&snap_test_a);
	mutex_unlock(&snap_test_a);
	mutex_unlock(&snap_test_b);
	return 0;
}

static int __rcu *snap_test_pointer;

static int snap_test_rcu(void)
{
	return rcu_dereference(snap_test_pointer) ? -EINVAL : 0;
}

static DEFINE_SPINLOCK(snap_test_spin);	/* guards nothing */

static int snap_test_atomic(void)
{
	spin_lock(&snap_test_spin);
	msleep(20);
	spin_unlock(&snap_test_spin);
	return 0;
}

static int snap_test_leak(void)
{
	void *p;
	int i;

	/* several, so that a stale copy in a register hides one at most */
	for (i = 0; i < 16; i++) {
		p = kmalloc(200, GFP_KERNEL);
		OPTIMIZER_HIDE_VAR(p);
	}
	return 0;
}

static int snap_test_warn(void)
{
	WARN(1, "snap_test: deliberate\n");
	return 0;
}

static const struct {
	const char *name;
	int (*run)(void);
} snap_tests[] = {
	{ "store", snap_test_store },
	{ "refs", snap_test_refs },
	{ "failure", snap_test_failure },
	{ "accept", snap_test_accept },
	{ "pin", snap_test_pin },
	{ "kasan", snap_test_kasan },
	{ "lockdep", snap_test_lockdep },
	{ "rcu", snap_test_rcu },
	{ "atomic", snap_test_atomic },
	{ "leak", snap_test_leak },
	{ "warn", snap_test_warn },
};

static int __init snap_test_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(snap_tests); i++)
		if (!strcmp(run, snap_tests[i].name))
			return snap_tests[i].run();
	pr_err("snap_test: no test '%s'\n", run);
	return -EINVAL;
}

static void __exit snap_test_exit(void)
{
	snap_test_drop_frames();
}

module_init(snap_test_init);
module_exit(snap_test_exit);

MODULE_DESCRIPTION("Tests of snapshot memory that need the kernel");
MODULE_LICENSE("GPL");
