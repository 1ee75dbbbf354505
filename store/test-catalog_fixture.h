/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the catalog's parts: a fresh one for each test. Include once per program. */
#ifndef STORE_TEST_CATALOG_FIXTURE_H
#define STORE_TEST_CATALOG_FIXTURE_H

#include "base/clock.h"
#include "store/catalog.h"
#include "store/test-folder.h"
#include <cmocka.h>

static struct catalog *catalog;

static inline void open_catalog_in(const char *dir)
{
	struct err e = ERR_INIT;
	char path[512];

	snprintf(path, sizeof(path), "%s/catalog.db", dir);
	if (catalog_open(path, &catalog, &e))
		fail_msg("%s", e.msg);
}

static inline int set_up(void **state)
{
	*state = test_folder_make();
	open_catalog_in(*state);
	return 0;
}

static inline int tear_down(void **state)
{
	clock_shift_ms(0);
	catalog_close(catalog);
	test_folder_remove(*state);
	return 0;
}

/* The ID a text means first. */
static inline struct build_id id_of(const char *text)
{
	struct build_id ids[2];
	struct err e = ERR_INIT;

	if (build_id_parse(str_from(text), ids, &e) < 1)
		fail_msg("%s", e.msg);
	return ids[0];
}

#endif
