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
	if (!small || fr->state == SNAP_FRAME_PART)
		row->large = snap_frame_at(sf, snap_frame_large(f));
}

u32 snap_row_get(struct snap_row *row, struct page **page)
{
	struct page *small = snap_frames_page(row->sf, row->first);
	struct snap_frame *fr = snap_row_frames(row);
	u8 state = row->large ? SNAP_FRAME_PART : SNAP_FRAME_OUT;
	u32 i, woken = 0;

	for (i = 0; i < row->n; i++) {
		page[i] = small + i;
		if (fr[i].state == state) {
			if (!get_page_unless_zero(page[i]))
				break;
		} else if (row->large && fr[i].state == SNAP_FRAME_IDLE &&
			   snap_frames_wake(page[i])) {
			fr[i].state = SNAP_FRAME_PART;
			woken++;
		} else {
			break;
		}
	}
	if (woken) {
		/* the pool stays: the large frame is OUT */
		percpu_ref_get_many(&row->sf->small.pgmap.ref, woken);
		folio_ref_add(snap_row_large(row), woken);
	}
	return i;
}

void snap_row_put(struct snap_row *row, u32 n)
{
	struct page *page = snap_frames_page(row->sf, row->first);
	struct snap_frame *fr = snap_row_frames(row);
	u32 i;

	for (i = 0; i < n; i++) {
		struct folio *folio = page_folio(page + i);

		if (!folio_put_testzero(folio))
			continue;
		if (row->large) {
			snap_frames_rest(folio);
			fr[i].state = SNAP_FRAME_IDLE;
			row->parts++;
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
	if (row->parts)
		folio_put_refs(snap_row_large(row), row->parts);
	if (row->frames)
		snap_frames_count_home(row->sf, row->frames);
	/* as the core does; until then the pool stays */
	if (row->parts + row->frames)
		percpu_ref_put_many(&row->sf->small.pgmap.ref, row->parts + row->frames);
}
