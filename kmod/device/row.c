// SPDX-License-Identifier: GPL-2.0-only
/* Pages of a row; see row.h. */

#include <linux/mm.h>
#include <linux/percpu-refcount.h>
#include <linux/spinlock.h>

#include "compat/page.h"
#include "device/home.h"
#include "device/pool.h"
#include "device/row.h"

struct snap_frame *snap_row_frames(const struct snap_row *row)
{
	return &row->sf->frame[row->first];
}

static struct folio *snap_row_large(const struct snap_row *row)
{
	return page_folio(snap_frames_page(row->sf, snap_frame_large(row->first)));
}

void snap_row_begin(struct snap_row *row, struct page *const *page, u32 n)
	__acquires(row)
{
	const struct snap_pages *pages = snap_pages_of(page[0]);
	struct snap_frames *sf = pages->sf;
	u32 f = page_to_pfn(page[0]) - pages->first_pfn, i = 1;
	const struct snap_frame *fr = &sf->frame[f];
	bool small = pages == &sf->small;

	*row = (struct snap_row){ .sf = sf, .first = f };
	n = min(n, SNAP_FRAME_ROW - f % SNAP_FRAME_ROW);
	spin_lock_irqsave(snap_frame_lock_of(sf, f), row->flags);
	/* a device that gives a frame and the large one it is in is not believed */
	while (i < n && page[i] == page[0] + i && (!small || fr[i].state == fr->state))
		i++;
	row->n = i;
	row->whole = !small;
	if (!small || fr->state == SNAP_FRAME_PART)
		row->large = snap_frame_at(sf, snap_frame_large(f));
}

void snap_row_get(const struct snap_row *row)
{
	struct page *page = snap_frames_page(row->sf, row->first);
	u32 i;

	if (row->whole) {
		folio_ref_add(snap_row_large(row), row->n);
		return;
	}
	for (i = 0; i < row->n; i++)
		get_page(page + i);
}

static int snap_row_part_one(struct snap_frame *fr, struct page *page, u32 *woken)
{
	if (fr->state == SNAP_FRAME_PART)
		return get_page_unless_zero(page) ? 0 : -EBUSY;
	/* a device that has given the frame as well is not believed */
	if (fr->state != SNAP_FRAME_IDLE || !snap_frames_wake(page))
		return -EIO;
	fr->state = SNAP_FRAME_PART;
	++*woken;
	return 0;
}

int snap_row_part(struct snap_row *row, struct page **page)
{
	struct page *small = snap_frames_page(row->sf, row->first);
	struct snap_frame *fr = snap_row_frames(row);
	u32 n, woken = 0;
	int err = 0;

	for (n = 0; n < row->n; n++) {
		err = snap_row_part_one(fr + n, small + n, &woken);
		if (err)
			break;
	}
	if (woken) {
		/* the pool stays: the large frame is OUT */
		percpu_ref_get_many(&row->sf->small.pgmap.ref, woken);
		folio_ref_add(snap_row_large(row), woken);
	}
	row->whole = false;
	if (err) {
		snap_row_put(row, n);
		return err;
	}
	row->dropped += n;
	while (n--)
		page[n] = small + n;
	return 0;
}

void snap_row_put(struct snap_row *row, u32 n)
{
	struct page *page = snap_frames_page(row->sf, row->first);
	struct snap_frame *fr = snap_row_frames(row);
	u32 i;

	if (row->whole) {
		row->dropped += n;
		return;
	}
	for (i = 0; i < n; i++) {
		struct folio *folio = page_folio(page + i);

		if (!folio_put_testzero(folio))
			continue;
		if (row->large) {
			snap_frames_rest(folio);
			fr[i].state = SNAP_FRAME_IDLE;
			row->parts++;
			row->dropped++;
		} else {
			row->home = snap_frames_send_home(row->sf, row->first + i, fr + i,
							  folio) ?: row->home;
			row->frames++;
		}
	}
}

void snap_row_end(struct snap_row *row)
	__releases(row)
{
	spin_unlock_irqrestore(snap_frame_lock_of(row->sf, row->first), row->flags);
	if (row->home)
		snap_home_ring(row->home);
	if (row->dropped)
		folio_put_refs(snap_row_large(row), row->dropped);
	if (row->frames)
		snap_frames_count_home(row->sf, row->frames);
	/* as the core does; until then the pool stays */
	if (row->parts + row->frames)
		percpu_ref_put_many(&row->sf->small.pgmap.ref, row->parts + row->frames);
}
