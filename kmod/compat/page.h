/* SPDX-License-Identifier: GPL-2.0-only */
/* Pages of a device. */
#ifndef SNAP_COMPAT_PAGE_H
#define SNAP_COMPAT_PAGE_H

#include <linux/memremap.h>
#include <linux/mm.h>

#include "compat/probed.h"

#ifndef SNAP_HAVE_PAGE_PGMAP	/* 6.15 */
static inline struct dev_pagemap *page_pgmap(const struct page *page)
{
	/* other pages of a folio have their head there */
	return compound_head(page)->pgmap;
}
#endif

/* What the core drops of the references on a page map with a folio of @nr pages. */
static inline u32 snap_pgmap_refs(u32 nr)
{
#ifdef SNAP_HAVE_FOLIO_FREE	/* 6.19 */
	return nr;
#else
	return 1;
#endif
}

/* Does the core take folios of many pages back?  It warns of those with a mapping. */
static inline bool snap_large_folios_work(void)
{
#ifdef SNAP_HAVE_FOLIO_FREE	/* 6.19 */
	return !IS_ENABLED(CONFIG_DEBUG_VM);
#else
	return true;
#endif
}

/* Mappings of a folio, less one. */
static inline atomic_t *snap_folio_mapcount(struct folio *folio)
{
	return folio_test_large(folio) ? &folio->_large_mapcount : &folio->_mapcount;
}

/* Operations whose only one is @free, of a folio. */
#ifdef SNAP_HAVE_FOLIO_FREE	/* 6.19 */
#define SNAP_PAGEMAP_OPS(name, free)					\
	static const struct dev_pagemap_ops name = {			\
		.folio_free = free,					\
	}
#else
#define SNAP_PAGEMAP_OPS(name, free)					\
	static void name##_page_free(struct page *page)			\
	{								\
		free(page_folio(page));					\
	}								\
	static const struct dev_pagemap_ops name = {			\
		.page_free = name##_page_free,				\
	}
#endif

#endif /* SNAP_COMPAT_PAGE_H */
