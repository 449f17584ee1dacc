// SPDX-License-Identifier: GPL-2.0-only
/* Finding the device, agreeing with it, and letting it go. */

#include <linux/io.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat/page.h"
#include "device/cmd.h"
#include "device/dev.h"
#include "device/frame.h"
#include "device/part.h"
#include "device/queue.h"
#include "device/selfcheck.h"

/**
 * struct snap_waiter - a device that waits for its address
 * @list: in snap_waiters
 * @pdev: holds a reference
 */
struct snap_waiter {
	struct list_head list;
	struct pci_dev *pdev;
};

static LIST_HEAD(snap_devs);
static LIST_HEAD(snap_waiters);
static DEFINE_MUTEX(snap_devs_lock);	/* guards both */

struct snap_dev *snap_dev_get(void)
{
	struct snap_dev *sd, *found = NULL;

	mutex_lock(&snap_devs_lock);
	list_for_each_entry(sd, &snap_devs, list) {
		if (READ_ONCE(sd->gone))
			continue;
		kref_get(&sd->ref);
		found = sd;
		break;
	}
	mutex_unlock(&snap_devs_lock);
	return found;
}

static void snap_dev_free(struct kref *ref)
{
	kfree(container_of(ref, struct snap_dev, ref));
}

void snap_dev_put(struct snap_dev *sd)
{
	kref_put(&sd->ref, snap_dev_free);
}

void snap_dev_lose(struct snap_dev *sd)
{
	if (!xchg(&sd->gone, true))
		schedule_work(&sd->loss);
}

static void snap_dev_loss_work(struct work_struct *work);

static struct snap_dev *snap_dev_alloc(struct pci_dev *pdev)
{
	struct snap_dev *sd = kzalloc(sizeof(*sd), GFP_KERNEL);

	if (!sd)
		return NULL;
	kref_init(&sd->ref);
	INIT_LIST_HEAD(&sd->list);
	INIT_LIST_HEAD(&sd->files);
	INIT_WORK(&sd->loss, snap_dev_loss_work);
	sd->pdev = pdev;
	init_rwsem(&sd->life);
	mutex_init(&sd->control_lock);
	mutex_init(&sd->files_lock);
	return sd;
}

/* An area that the device says lies in its memory BAR must do so. */
static int snap_pci_area(struct snap_dev *sd, u64 offset, u64 size, u64 align,
			 const char *what)
{
	u64 bar = pci_resource_len(sd->pdev, SNAP_BAR_MEMORY);

	if (size && offset <= bar && size <= bar - offset &&
	    IS_ALIGNED(offset, align) && IS_ALIGNED(size, align))
		return 0;
	dev_err(&sd->pdev->dev, "%s at %#llx, size %#llx: not in the memory BAR\n",
		what, offset, size);
	return -ENODEV;
}

/* The pool once more, elsewhere: two maps of pages must not overlap. */
static int snap_pci_large_area(struct snap_dev *sd, u64 large, u64 pool, u64 size)
{
	int err = snap_pci_area(sd, large, size, SNAP_POOL_ALIGN, "large pool");

	if (err || large >= pool + size || pool >= large + size)
		return err;
	dev_err(&sd->pdev->dev, "large pool at %#llx overlaps the pool at %#llx\n",
		large, pool);
	return -ENODEV;
}

/* Called by probe: it comes again when snap_pci_retry() says so. */
static int snap_pci_wait(struct pci_dev *pdev)
{
	struct snap_waiter *w = kmalloc(sizeof(*w), GFP_KERNEL), *other;

	if (!w)
		return -ENOMEM;
	w->pdev = pci_dev_get(pdev);
	mutex_lock(&snap_devs_lock);
	/* the core tries again, too, whenever any driver has bound a device */
	list_for_each_entry(other, &snap_waiters, list) {
		if (other->pdev == pdev) {
			mutex_unlock(&snap_devs_lock);
			pci_dev_put(pdev);
			kfree(w);
			return -EPROBE_DEFER;
		}
	}
	list_add(&w->list, &snap_waiters);
	mutex_unlock(&snap_devs_lock);
	dev_notice(&pdev->dev,
		   "waits for frames of the device removed before, which are still in use\n");
	return -EPROBE_DEFER;
}

/* Nobody waits any more; with @bind they are probed, and may wait again. */
static void snap_pci_wake(bool bind)
{
	struct snap_waiter *w, *next;
	LIST_HEAD(waiters);

	mutex_lock(&snap_devs_lock);
	list_splice_init(&snap_waiters, &waiters);
	mutex_unlock(&snap_devs_lock);
	list_for_each_entry_safe(w, next, &waiters, list) {
		/* does nothing to one that is bound already, or has gone */
		if (bind && device_attach(&w->pdev->dev) < 0)
			dev_err(&w->pdev->dev, "cannot be bound\n");
		pci_dev_put(w->pdev);
		kfree(w);
	}
}

void snap_pci_retry(void)
{
	snap_pci_wake(true);
}

/*
 * A device that is put into a port with less memory than it needs gets no
 * address for it, and the core says so of a BAR number only.
 */
static int snap_pci_check_memory(struct pci_dev *pdev)
{
	if (pci_resource_len(pdev, SNAP_BAR_MEMORY) &&
	    pci_resource_start(pdev, SNAP_BAR_MEMORY) &&
	    !(pci_resource_flags(pdev, SNAP_BAR_MEMORY) & IORESOURCE_UNSET))
		return 0;
	dev_err(&pdev->dev,
		"no address for BAR %d, the pool and the windows: the port above has no room, give it more prefetchable memory (QEMU: -device pcie-root-port,pref64-reserve=, with the size of this BAR)\n",
		SNAP_BAR_MEMORY);
	return -ENOSPC;
}

static bool snap_pci_orphaned(struct pci_dev *pdev)
{
	return snap_frames_orphaned_in(pci_resource_start(pdev, SNAP_BAR_MEMORY),
				       pci_resource_len(pdev, SNAP_BAR_MEMORY));
}

/* Before START, and again if it turns out to be less. */
static void snap_pci_accept(struct snap_dev *sd, u64 features)
{
	sd->features = features;
	snap_write(sd, SNAP_REG_DRIVER_FEATURES, features);
}

static void snap_pci_forgo_large(struct snap_dev *sd, const char *why)
{
	if (!(sd->features & SNAP_F_LARGE_FRAMES))
		return;
	dev_notice(&sd->pdev->dev, "does without large frames: %s\n", why);
	snap_pci_accept(sd, sd->features & ~SNAP_F_LARGE_FRAMES);
}

static int snap_pci_negotiate(struct snap_dev *sd)
{
	struct device *dev = &sd->pdev->dev;
	u64 magic, version;
	int err;

	magic = snap_read(sd, SNAP_REG_MAGIC);
	if (magic != SNAP_MAGIC) {
		dev_err(dev, "magic %#llx is not that of a snapshot memory device\n",
			magic);
		return -ENODEV;
	}
	version = snap_read(sd, SNAP_REG_VERSION);
	if (version != SNAP_VERSION) {
		dev_err(dev, "device speaks version %llu, this driver %d\n",
			version, SNAP_VERSION);
		return -ENODEV;
	}
	if (pci_resource_len(sd->pdev, SNAP_BAR_REGS) < SNAP_REGS_SIZE) {
		dev_err(dev, "%llu bytes of registers, not %u\n",
			(u64)pci_resource_len(sd->pdev, SNAP_BAR_REGS), SNAP_REGS_SIZE);
		return -ENODEV;
	}
	/* Orphans keep the holds of the driver before: no reset under them. */
	if (snap_pci_orphaned(sd->pdev)) {
		err = snap_pci_wait(sd->pdev);
		/* the last of them may have been dropped before we were listed */
		if (err != -EPROBE_DEFER || snap_pci_orphaned(sd->pdev))
			return err;
	}
	/* Whoever had the device before: regions, holds, batches are gone. */
	snap_write(sd, SNAP_REG_CONTROL, SNAP_CTL_RESET);
	snap_pci_accept(sd, snap_read(sd, SNAP_REG_FEATURES) & SNAP_F_ALL);
	return 0;
}

/*
 * A data queue for each processor, as far as there are queues and each has a vector of
 * its own: queue n has vector n then.
 */
static int snap_pci_vectors(struct snap_dev *sd)
{
	u64 vectors = snap_read(sd, SNAP_REG_VECTORS);
	u64 queues = snap_read(sd, SNAP_REG_QUEUES);
	u32 want;
	int n;

	if (!queues || queues > SNAP_QUEUES_MAX || vectors <= SNAP_VECTOR_DATA) {
		dev_err(&sd->pdev->dev, "%llu queues and %llu vectors make no sense\n",
			queues, vectors);
		return -ENODEV;
	}
	want = min3(queues, vectors - SNAP_VECTOR_DATA, (u64)num_online_cpus());
	n = pci_alloc_irq_vectors(sd->pdev, SNAP_VECTOR_DATA + 1,
				  SNAP_VECTOR_DATA + want, PCI_IRQ_MSIX);
	if (n < 0) {
		dev_err(&sd->pdev->dev, "no MSI-X vectors\n");
		return n;
	}
	sd->nqueues = n - SNAP_VECTOR_DATA;
	return 0;
}

static int snap_pci_map(struct snap_dev *sd)
{
	phys_addr_t memory = pci_resource_start(sd->pdev, SNAP_BAR_MEMORY);
	u64 slab, pool, large = 0, window, frames, pages, status;
	u32 nslabs = SNAP_QUEUE_DATA + sd->nqueues;
	int err;

	status = snap_read(sd, SNAP_REG_STATUS_OFFSET);
	slab = snap_read(sd, SNAP_REG_SLAB_OFFSET);
	sd->slab_bytes = snap_read(sd, SNAP_REG_SLAB_BYTES);
	pool = snap_read(sd, SNAP_REG_POOL_OFFSET);
	frames = snap_read(sd, SNAP_REG_POOL_FRAMES);
	window = snap_read(sd, SNAP_REG_WINDOW_OFFSET);
	pages = snap_read(sd, SNAP_REG_WINDOW_PAGES);
	if (!snap_large_folios_work())
		snap_pci_forgo_large(sd, "this kernel warns of their pages");
	if (sd->features & SNAP_F_LARGE_FRAMES) {
		large = snap_read(sd, SNAP_REG_LARGE_OFFSET);
		if (!large)
			snap_pci_forgo_large(sd, "the device has no place for them");
	}
	sd->rx_low = snap_read(sd, SNAP_REG_RX_LOW);

	if (sd->slab_bytes < SNAP_SLOTS_END || frames > U32_MAX || pages > U32_MAX) {
		dev_err(&sd->pdev->dev,
			"limits make no sense: slab %u, %llu frames, %llu pages\n",
			sd->slab_bytes, frames, pages);
		return -ENODEV;
	}
	err = snap_pci_area(sd, status, SNAP_STATUS_BYTES, PAGE_SIZE, "status area") ?:
	      snap_pci_area(sd, slab, (u64)sd->slab_bytes * nslabs,
			    PAGE_SIZE, "slabs") ?:
	      snap_pci_area(sd, pool, frames << PAGE_SHIFT, SNAP_POOL_ALIGN,
			    "pool") ?:
	      snap_pci_area(sd, window, pages << PAGE_SHIFT, PAGE_SIZE, "windows");
	if (!err && large)
		err = snap_pci_large_area(sd, large, pool, frames << PAGE_SHIFT);
	if (err)
		return err;

	sd->window_start = memory + window;
	sd->window_pages = pages;
	sd->status = memremap(memory + status, SNAP_STATUS_BYTES, MEMREMAP_WB);
	if (!sd->status)
		return -ENOMEM;
	sd->slab = memremap(memory + slab, (size_t)sd->slab_bytes * nslabs,
			    MEMREMAP_WB);
	if (!sd->slab) {
		err = -ENOMEM;
		goto unmap_status;
	}
	sd->window = memremap(sd->window_start, pages << PAGE_SHIFT, MEMREMAP_WB);
	if (!sd->window) {
		err = -ENOMEM;
		goto unmap_slab;
	}
	err = snap_queues_create(sd);
	if (err)
		goto unmap_window;
	sd->frames = snap_frames_create(sd, memory + pool,
					large ? memory + large : 0, frames);
	if (IS_ERR(sd->frames)) {
		err = PTR_ERR(sd->frames);
		goto destroy_queues;
	}
	if (large && !snap_frames_have_large(sd->frames))
		snap_pci_forgo_large(sd, "no memory for their pages");
	return 0;

destroy_queues:
	snap_queues_destroy(sd);
unmap_window:
	memunmap(sd->window);
unmap_slab:
	memunmap(sd->slab);
unmap_status:
	memunmap((void *)sd->status);
	return err;
}

/*
 * A reset would let the device reuse frames that somebody still reads.  Without
 * one it keeps them until the next driver resets it.
 */
static void snap_pci_unmap(struct snap_dev *sd)
{
	u32 out = snap_frames_destroy(sd->frames);

	sd->frames = NULL;
	snap_queues_destroy(sd);
	memunmap(sd->window);
	memunmap(sd->slab);
	memunmap((void *)sd->status);
	if (out)
		dev_warn(&sd->pdev->dev,
			 "removed with %u frames in use; their pages stay until the last is dropped\n",
			 out);
	else
		snap_write(sd, SNAP_REG_CONTROL, SNAP_CTL_RESET);
}

static int snap_pci_start(struct snap_dev *sd)
{
	u64 state;

	snap_write(sd, SNAP_REG_CONTROL, SNAP_CTL_START);
	state = snap_read(sd, SNAP_REG_CONTROL);
	if (state == SNAP_STATE_RUNNING)
		return 0;
	dev_err(&sd->pdev->dev, "device does not start, state %llu, features %#llx\n",
		state, sd->features);
	return -ENODEV;
}

static int snap_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct snap_dev *sd;
	int err;

	sd = snap_dev_alloc(pdev);
	if (!sd)
		return -ENOMEM;
	err = snap_pci_check_memory(pdev) ?: pci_enable_device(pdev);
	if (err)
		goto put_sd;
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		goto disable_device;
	err = pci_request_regions(pdev, "snap");
	if (err)
		goto disable_device;
	pci_set_master(pdev);
	sd->regs = pci_ioremap_bar(pdev, SNAP_BAR_REGS);
	if (!sd->regs) {
		err = -ENOMEM;
		goto release_regions;
	}
	err = snap_pci_negotiate(sd);
	if (err)
		goto unmap_regs;
	err = snap_pci_vectors(sd);
	if (err)
		goto unmap_regs;
	err = snap_pci_map(sd);
	if (err)
		goto free_vectors;
	err = snap_parts_create(sd);
	if (err)
		goto unmap_memory;
	err = snap_pci_start(sd);
	if (err)
		goto destroy_parts;
	pci_set_drvdata(pdev, sd);
	/* for slot_reset: what resets a slot leaves no addresses */
	pci_save_state(pdev);
	err = snap_selfcheck(sd) ?: snap_parts_publish(sd);
	if (err)
		goto lose;
	mutex_lock(&snap_devs_lock);
	list_add_tail(&sd->list, &snap_devs);
	mutex_unlock(&snap_devs_lock);
	return 0;

lose:
	WRITE_ONCE(sd->gone, true);
destroy_parts:
	cancel_work_sync(&sd->loss);
	snap_parts_destroy(sd);
unmap_memory:
	snap_pci_unmap(sd);
free_vectors:
	pci_free_irq_vectors(pdev);
unmap_regs:
	iounmap(sd->regs);
release_regions:
	pci_release_regions(pdev);
disable_device:
	pci_disable_device(pdev);
put_sd:
	snap_dev_put(sd);
	return err;
}

/*
 * Nothing of the application uses the device or sees its memory after this, and
 * what is unread of it is in ordinary memory, or an error.
 */
static void snap_pci_give_up(struct snap_dev *sd)
{
	down_write(&sd->life);
	WRITE_ONCE(sd->gone, true);
	up_write(&sd->life);
	snap_parts_give_up(sd);
	WRITE_ONCE(sd->given_up, true);
}

/* The interface stays, down, until the driver is unbound. */
static void snap_pci_detach(struct snap_dev *sd)
{
	snap_parts_detach(sd);
	snap_pci_give_up(sd);
}

/* The same where a loss may be noticed meanwhile; none is after that. */
static void snap_pci_detach_sync(struct snap_dev *sd)
{
	cancel_work_sync(&sd->loss);
	snap_pci_detach(sd);
	cancel_work_sync(&sd->loss);
}

/*
 * Not under the lock of the PCI device, whose holder waits for this work before it
 * tells the parts anything.
 */
static void snap_dev_loss_work(struct work_struct *work)
{
	struct snap_dev *sd = container_of(work, struct snap_dev, loss);

	dev_err(&sd->pdev->dev, "the device does not answer: given up\n");
	snap_pci_detach(sd);
}

static void snap_pci_remove(struct pci_dev *pdev)
{
	struct snap_dev *sd = pci_get_drvdata(pdev);

	mutex_lock(&snap_devs_lock);
	list_del(&sd->list);
	mutex_unlock(&snap_devs_lock);
	cancel_work_sync(&sd->loss);
	snap_parts_withdraw(sd);
	snap_pci_give_up(sd);
	/* scheduled before it was given up, if at all */
	cancel_work_sync(&sd->loss);
	snap_parts_destroy(sd);
	snap_pci_unmap(sd);
	pci_free_irq_vectors(pdev);
	iounmap(sd->regs);
	pci_release_regions(pdev);
	pci_disable_device(pdev);
	snap_dev_put(sd);
}

/*
 * A reset takes regions and holds away, and the memory for as long as it lasts.
 * So the device is given up before; bind the driver again to use it.
 */
static void snap_pci_reset_prepare(struct pci_dev *pdev)
{
	struct snap_dev *sd = pci_get_drvdata(pdev);

	snap_pci_detach_sync(sd);
	dev_warn(&pdev->dev, "reset: bind the driver again to use the device\n");
}

/* As at a reset: the slot's, if it gets one, takes everything away as well. */
static pci_ers_result_t snap_pci_error_detected(struct pci_dev *pdev,
						pci_channel_state_t state)
{
	struct snap_dev *sd = pci_get_drvdata(pdev);

	if (state == pci_channel_io_normal)
		return PCI_ERS_RESULT_CAN_RECOVER;
	snap_pci_detach_sync(sd);
	dev_warn(&pdev->dev, "bus error: bind the driver again to use the device\n");
	return state == pci_channel_io_frozen ? PCI_ERS_RESULT_NEED_RESET :
						PCI_ERS_RESULT_DISCONNECT;
}

static pci_ers_result_t snap_pci_slot_reset(struct pci_dev *pdev)
{
	pci_restore_state(pdev);
	pci_save_state(pdev);	/* once more: it holds for one */
	return PCI_ERS_RESULT_RECOVERED;
}

static const struct pci_error_handlers snap_pci_error_handlers = {
	.reset_prepare = snap_pci_reset_prepare,
	.error_detected = snap_pci_error_detected,
	.slot_reset = snap_pci_slot_reset,
};

/* Frames cannot be saved: somebody else may hold them. */
static int snap_pci_suspend(struct device *dev)
{
	dev_warn(dev, "suspend is not supported\n");
	return -EBUSY;
}

static DEFINE_SIMPLE_DEV_PM_OPS(snap_pci_pm, snap_pci_suspend, NULL);

static const struct pci_device_id snap_pci_ids[] = {
	{ PCI_DEVICE(SNAP_PCI_VENDOR, SNAP_PCI_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, snap_pci_ids);

static struct pci_driver snap_pci_driver = {
	.name = "snap",
	.id_table = snap_pci_ids,
	.probe = snap_pci_probe,
	.remove = snap_pci_remove,
	.err_handler = &snap_pci_error_handlers,
	.driver.pm = pm_sleep_ptr(&snap_pci_pm),
};

int snap_pci_register(void)
{
	return pci_register_driver(&snap_pci_driver);
}

void snap_pci_unregister(void)
{
	pci_unregister_driver(&snap_pci_driver);
	snap_pci_wake(false);
}
