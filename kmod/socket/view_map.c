// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the window of a socket is mapped; see view.h.
 *
 * Mappings of most views have no references on pages, but entries that are special to
 * the core: they show what the view has, and it lets go of nothing before it is out of all
 * of them.  The core sees to it that no processor has a translation of such a mapping
 * (VM_MIXEDMAP) when unmap_mapping_range() returns, whoever else unmaps it at the same
 * time.  Nobody can pin such pages (VM_IO; and not VM_PFNMAP, of which VFIO takes the page
 * frames without asking).  Where the view is SNAP_VIEW_LAZY it is by faults alone that
 * pages are mapped, with references.
 */

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "device/viewed.h"
#include "socket/view.h"

/* A fault maps so many pages: one for a message, most of the time. */
#define SNAP_VIEW_FAULT_PAGES	16ul

/* All architectures whose devices have pages do. */
static_assert(IS_ENABLED(CONFIG_ARCH_HAS_PTE_SPECIAL));

/**
 * struct snap_view_fill - pages that are mapped one behind the other
 * @mm: where
 * @prot: how
 * @page: the next one
 */
struct snap_view_fill {
	struct mm_struct *mm;
	pgprot_t prot;
	struct page *const *page;
};

/* Without reference: those that the view has end after this. */
static int snap_view_fill_one(pte_t *pte, unsigned long addr, void *data)
{
	struct snap_view_fill *fill = data;
	unsigned long pfn = page_to_pfn(*fill->page++);

	if (pte_none(ptep_get(pte)))
		set_pte_at(fill->mm, addr, pte, pte_mkspecial(pfn_pte(pfn, fill->prot)));
	return 0;
}

/* With references, which the mapping has on pages of one frame each. */
static int snap_view_insert_pinnable(struct snap_view *view, struct vm_area_struct *vma,
				     unsigned long addr, pgoff_t first, unsigned long n)
{
	unsigned long left;
	int err;

	lockdep_assert_held_write(&view->lock);
	if (snap_frames_part(view->page + first, n)) {
		n = 1;
		err = snap_frames_part(view->page + first, n);
		if (err)
			return err;
	}
	left = n;
	err = vm_insert_pages(vma, addr, view->page + first, &left);
	return left < n ? 0 : err;
}

/*
 * Map pages from @first to @end, as far as there are frames, at @addr, which is
 * theirs.  They stay what they are until all of them are mapped.  An error if not even
 * the first one is: -EBUSY if the access had better try again.
 */
static int snap_view_insert(struct snap_view *view, struct vm_area_struct *vma,
			    unsigned long addr, pgoff_t first, pgoff_t end)
{
	struct snap_view_fill fill = {
		.mm = vma->vm_mm, .prot = vma->vm_page_prot, .page = view->page + first,
	};
	unsigned long n;
	int err;

	lockdep_assert_held(&view->lock);
	n = find_next_zero_bit(view->taken, end, first) - first;
	if (!n)
		return -ENOENT;
	WRITE_ONCE(view->mapped, true);
	if (snap_view_pinnable(view))
		return snap_view_insert_pinnable(view, vma, addr, first, n);
	err = apply_to_page_range(fill.mm, addr, n << PAGE_SHIFT, snap_view_fill_one,
				  &fill);
	/* there may have been no memory for the table of those behind */
	return fill.page > view->page + first ? 0 : err;
}

/* What snap_view_map() has not mapped: for that it maps the neighbours as well. */
static vm_fault_t snap_view_fault(struct vm_fault *vmf)
{
	struct snap_view *view = vmf->vma->vm_private_data;
	unsigned long addr = vmf->address & PAGE_MASK;
	pgoff_t first = vmf->pgoff - SNAP_VIEW_PGOFF;
	pgoff_t end = first + min((vmf->vma->vm_end - addr) >> PAGE_SHIFT,
				  SNAP_VIEW_FAULT_PAGES);
	int err;

	/* That of a child, copied at its fork, gets nothing that came later. */
	if (vmf->vma->vm_mm != view->mm)
		return VM_FAULT_SIGBUS;
	end = min(view->npages, end);
	if (snap_view_pinnable(view)) {
		/* other pages may take the place of those that are there */
		down_write(&view->lock);
		err = snap_view_insert(view, vmf->vma, addr, first, end);
		up_write(&view->lock);
	} else {
		down_read(&view->lock);
		err = snap_view_insert(view, vmf->vma, addr, first, end);
		up_read(&view->lock);
	}
	/* vm_insert_pages() says -EFAULT for want of page tables */
	if (err == -ENOMEM || err == -EFAULT)
		return VM_FAULT_OOM;
	return err && err != -EBUSY ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
}

/*
 * For who looks at the process's memory from elsewhere (ptrace, /proc), as far as there
 * are frames.  Of a child it is not known what it has mapped.
 */
static int snap_view_access(struct vm_area_struct *vma, unsigned long addr, void *buf,
			    int length, int write)
{
	struct snap_view *view = vma->vm_private_data;
	pgoff_t at = linear_page_index(vma, addr) - SNAP_VIEW_PGOFF;
	unsigned long offset = offset_in_page(addr), n;
	int done;

	if (write || vma->vm_mm != view->mm)
		return -EIO;
	length = min_t(unsigned long, length, vma->vm_end - addr);
	down_read(&view->lock);
	for (done = 0; done < length && snap_view_has(view, at, 1); done += n) {
		n = min_t(unsigned long, length - done, PAGE_SIZE - offset);
		memcpy(buf + done, page_address(view->page[at++]) + offset, n);
		offset = 0;
	}
	up_read(&view->lock);
	return done ?: -EIO;
}

static const struct vm_operations_struct snap_view_vm_ops = {
	.fault = snap_view_fault,
	.access = snap_view_access,
};

bool snap_view_maps(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &snap_view_vm_ops;
}

bool snap_view_mmaps(struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma) > SNAP_VIEW_PGOFF;
}

int snap_view_mmap(struct snap_view *view, struct vm_area_struct *vma)
{
	pgoff_t first = vma->vm_pgoff - SNAP_VIEW_PGOFF;

	if (!view)
		return -ENODEV;
	if (vma->vm_flags & (VM_WRITE | VM_EXEC) || !snap_view_mine(view))
		return -EPERM;
	if (!(vma->vm_flags & VM_SHARED) || first >= view->npages ||
	    vma_pages(vma) > view->npages - first)
		return -EINVAL;
	/* VM_RAND_READ: nobody asks how long ago frames were looked at */
	vm_flags_mod(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_RAND_READ |
		     (snap_view_pinnable(view) ? 0 : VM_IO), VM_MAYWRITE | VM_MAYEXEC);
	vma->vm_private_data = view;
	vma->vm_ops = &snap_view_vm_ops;
	if (vma_pages(vma) == view->npages)
		view->start = vma->vm_start;
	return 0;
}

/* The mapping at @addr, if all of the window is mapped there. */
static struct vm_area_struct *snap_view_mapping(const struct snap_view *view,
						unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(view->mm, addr);

	mmap_assert_locked(view->mm);
	return vma && snap_view_maps(vma) &&
	       vma->vm_private_data == view && vma->vm_start == addr &&
	       vma->vm_pgoff == SNAP_VIEW_PGOFF &&
	       vma_pages(vma) == view->npages ? vma : NULL;
}

void snap_view_map(struct snap_view *view, const struct snap_view_part *part,
		   unsigned int n)
{
	struct vm_area_struct *vma;
	unsigned int i;

	/* who changes mappings may take his time */
	if (!mmap_read_trylock(view->mm))
		return;
	vma = snap_view_mapping(view, view->start);
	if (vma) {
		pgoff_t first = part->offset >> PAGE_SHIFT, end = first;

		down_read(&view->lock);
		for (i = 0; i < n; i++) {
			pgoff_t next = part[i].offset >> PAGE_SHIFT;

			/* parts lie behind each other, unless the window ends */
			if (next != end) {
				snap_view_insert(view, vma, vma->vm_start +
						 (first << PAGE_SHIFT), first, end);
				first = next;
			}
			end = DIV_ROUND_UP_ULL(part[i].offset + part[i].length,
					       PAGE_SIZE);
		}
		snap_view_insert(view, vma, vma->vm_start + (first << PAGE_SHIFT),
				 first, end);
		up_read(&view->lock);
	}
	mmap_read_unlock(view->mm);
}
